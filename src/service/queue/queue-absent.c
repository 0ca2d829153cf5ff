/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In place of an engine whose module or settings can't be used: as if its
   database were away, and for as long as this process lives. */
#include "lib.h"

#include "queue.h"
#include "queue-clock.h"
#include "queue-engine.h"

struct absent_queue {
	struct queue_engine engine;
	int64_t time_offset;
};

static struct absent_queue *absent_queue_of(struct queue_engine *engine)
{
	return container_of(engine, struct absent_queue, engine);
}

static const char *absent_error(struct queue_engine *engine)
{
	struct queue_state state;

	queue_get_state(engine->queue, &state);
	return t_strdup(state.error);
}

static const char *absent_unusable(struct queue_engine *engine)
{
	return t_strconcat("PostgreSQL can't be used: ", absent_error(engine),
			   NULL);
}

static int
absent_init(struct queue *q, const struct queue_settings *set,
	    struct queue_engine **engine_r, const char **error_r ATTR_UNUSED)
{
	struct absent_queue *queue = i_new(struct absent_queue, 1);

	queue->engine.v = &queue_engine_absent;
	queue->engine.queue = q;
	queue->time_offset = queue_clock_offset(0);
	queue_engine_state(q, set->absent);
	e_error(queue_engine_down_event(q, set->absent),
		"PostgreSQL can't be used: %s", set->absent);
	*engine_r = &queue->engine;
	return 0;
}

static void absent_deinit(struct queue_engine *engine)
{
	struct absent_queue *queue = absent_queue_of(engine);

	i_free(queue);
}

static void
absent_commit(struct queue_engine *engine,
	      struct queue_changes *changes ATTR_UNUSED)
{
	queue_engine_committed(engine->queue, absent_error(engine));
}

static void absent_reclaim(struct queue_engine *engine ATTR_UNUSED,
			   bool scarce ATTR_UNUSED)
{
	i_unreached();
}

static void absent_read(struct queue_engine *engine, struct queue_read *read)
{
	/* it has no parts, so an admin waits for it */
	queue_engine_read_done(read, absent_unusable(engine));
}

static void absent_read_announced(struct queue_engine *engine,
				  struct queue_announced_read *read)
{
	queue_engine_announced(read, absent_unusable(engine));
}

static int64_t absent_now(struct queue_engine *engine)
{
	return queue_clock_time(absent_queue_of(engine)->time_offset);
}

static int64_t absent_host_number(struct queue_engine *engine ATTR_UNUSED)
{
	return 0;
}

static void
absent_hosts(struct queue_engine *engine, struct queue_hosts_read *read)
{
	queue_engine_hosts(read, NULL, 0, absent_unusable(engine));
}

static void absent_send(struct queue_engine *engine ATTR_UNUSED,
			const struct queue_message *message ATTR_UNUSED)
{
}

static void absent_retract(struct queue_engine *engine ATTR_UNUSED,
			   int64_t host ATTR_UNUSED, int64_t talk ATTR_UNUSED)
{
}

static const struct queue_hosts_vfuncs absent_hosts_vfuncs = {
	.number = absent_host_number,
	.read = absent_hosts,
	.send = absent_send,
	.retract = absent_retract
};

const struct queue_engine_vfuncs queue_engine_absent = {
	.name = "absent",
	.spooled = TRUE,
	.announced_when_added = TRUE,
	.exact_sessions = TRUE,
	.init = absent_init,
	.deinit = absent_deinit,
	.commit = absent_commit,
	.reclaim = absent_reclaim,
	.read = absent_read,
	.read_announced = absent_read_announced,
	.now = absent_now,
	.hosts = &absent_hosts_vfuncs
};
