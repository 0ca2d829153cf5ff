/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"

#include "aside.h"
#include "delivery.h"
#include "monotonic.h"
#include "move-back.h"
#include "queue-hosts.h"
#include "queue-lost-mover.h"
#include "queue-module.h"
#include "queue-mover.h"
#include "spool.h"

#define SHARED_ENGINE "pgsql"
/* How often to look how far it is. */
#define LOOK_MSECS 500
/* How many may be stored here, but not removed there yet: they come twice if
   this process is killed. */
#define REMOVALS_MAX 256
/* For how long the shared queue may be out of reach, or not remove anything. */
#define REACH_MSECS (10*1000)
/* When nothing has been moved for this long, the rest is other hosts'. Slots of
   a host that has vanished are free by then. */
#define IDLE_MSECS (15*1000)

enum move_back_state {
	MOVE_BACK_IDLE,
	/* connecting, and counting what there is */
	MOVE_BACK_BEGINNING,
	MOVE_BACK_MOVING,
	/* what was stored here is being removed there */
	MOVE_BACK_ENDING
};

struct move_back {
	struct move_back_settings set;
	struct queue *queue;
	struct delivery *delivery;

	enum move_back_state state;
	struct queue *from;
	struct queue_mover *mover;
	struct queue_lost_mover *lost;
	struct timeout *to_look;
	bool counting;
	/* see move_back_status; and what is left there, when last counted */
	uint64_t moved, all;
	struct queue_counts left;
	char *error;
	/* monotonic: when something was moved last, or could have been; since
	   when the shared queue is out of reach, and has not removed what it
	   should; 0 = it is not, or has */
	int64_t last_moved, unreached, unremoved;
	/* why its last commit failed; NULL = it did not */
	char *commit_error;

	/* NULL = nothing is stored aside */
	struct queue *aside;
	struct spool *spool;
	struct timeout *to_close_aside;
};

/* What is stored aside */

/* Nobody waits for it any more. */
static void move_back_close_aside(struct move_back *mb)
{
	/* if the queue could not store what was held back, that is aside
	   again, and what comes now has to follow it */
	if (spool_is_used(mb->spool))
		return;
	delivery_set_spool(mb->delivery, NULL);
	timeout_remove(&mb->to_close_aside);
	spool_deinit(&mb->spool);
	aside_remove(mb->set.queue, &mb->aside);
}

static void move_back_aside_emptied(void *context)
{
	struct move_back *mb = context;

	if (mb->to_close_aside == NULL) {
		mb->to_close_aside = timeout_add_short(LOOK_MSECS,
						       move_back_close_aside,
						       mb);
	}
}

static int move_back_open_aside(struct move_back *mb, const char **error_r)
{
	timeout_remove(&mb->to_close_aside);
	if (mb->spool == NULL) {
		if (aside_open(mb->set.queue, &mb->aside, error_r) < 0)
			return -1;
		mb->spool = spool_init_aside(mb->queue, mb->aside,
					     mb->set.max_rows,
					     mb->set.max_bytes,
					     move_back_aside_emptied, mb);
	}
	delivery_set_spool(mb->delivery, mb->spool);
	return 0;
}

/* Removing */

/* Returns FALSE if nothing has been removed for too long. */
static bool move_back_removes(struct move_back *mb)
{
	int64_t now = http_notify_monotonic_msecs();

	if (queue_is_settled(mb->from))
		mb->unremoved = 0;
	else if (mb->unremoved == 0)
		mb->unremoved = now;
	return mb->unremoved == 0 || now - mb->unremoved < REACH_MSECS;
}

static void move_back_committed(const char *error, void *context)
{
	struct move_back *mb = context;

	i_free(mb->commit_error);
	mb->commit_error = i_strdup(error);
	if (error != NULL)
		return;
	if (mb->unremoved != 0) {
		mb->unremoved = 0;
		mb->last_moved = http_notify_monotonic_msecs();
	}
	if (mb->mover != NULL)
		queue_mover_go_on(mb->mover, 0);
}

/* Ending */

/* What is still there will be moved again, or is sent by others as well. */
static void move_back_set_unremoved(struct move_back *mb)
{
	char *error = mb->error;

	mb->error = i_strdup_printf("%s%ssome may be sent twice, since "
		"PostgreSQL has not removed them: %s",
		error == NULL ? "" : error, error == NULL ? "" : "; ",
		mb->commit_error == NULL ? "it does not answer" :
		mb->commit_error);
	i_free(error);
}

static void move_back_close(struct move_back *mb)
{
	if (!queue_is_settled(mb->from))
		move_back_set_unremoved(mb);
	timeout_remove(&mb->to_look);
	if (mb->mover != NULL)
		queue_mover_deinit(&mb->mover);
	if (mb->lost != NULL)
		queue_lost_mover_deinit(&mb->lost);
	queue_abandon(&mb->from);
	if (mb->spool != NULL)
		spool_undivert(mb->spool);
	mb->state = MOVE_BACK_IDLE;
	if (mb->error != NULL) {
		i_error("Moving notifications from PostgreSQL has ended: %s; "
			"%"PRIu64" were moved", mb->error, mb->moved);
	} else {
		i_info("Moved %"PRIu64" notifications from PostgreSQL",
		       mb->moved);
	}
}

static bool move_back_is_busy(const struct move_back *mb)
{
	return mb->counting ||
		(mb->mover != NULL && queue_mover_is_busy(mb->mover)) ||
		(mb->lost != NULL && queue_lost_mover_is_busy(mb->lost));
}

static void move_back_end(struct move_back *mb, const char *error)
{
	if (mb->state == MOVE_BACK_IDLE || mb->state == MOVE_BACK_ENDING)
		return;
	if (mb->error == NULL)
		mb->error = i_strdup(error);
	mb->state = MOVE_BACK_ENDING;
	if (mb->mover != NULL)
		queue_mover_stop(mb->mover);
	if (mb->lost != NULL)
		queue_lost_mover_stop(mb->lost);
}

/* Moving */

static void move_back_moved_one(struct move_back *mb)
{
	mb->moved++;
	mb->last_moved = http_notify_monotonic_msecs();
}

static bool move_back_may_move(void *context)
{
	struct move_back *mb = context;
	const char *error;

	if (!delivery_has_room(mb->delivery, &error)) {
		move_back_end(mb, error);
		return FALSE;
	}
	return queue_removals(mb->from) < REMOVALS_MAX;
}

static void
move_back_moved(const struct queue_endpoint *ep ATTR_UNUSED,
		size_t body_size ATTR_UNUSED, void *context)
{
	move_back_moved_one(context);
}

static void move_back_failed(const char *error, void *context)
{
	move_back_end(context, error);
}

static void move_back_lost_moved(void *context)
{
	move_back_moved_one(context);
}

static void move_back_lost_done(const char *error, void *context)
{
	if (error != NULL)
		move_back_end(context, error);
}

static void move_back_begin_moving(struct move_back *mb)
{
	static const struct queue_mover_vfuncs vfuncs = {
		.may_move = move_back_may_move,
		.moved = move_back_moved,
		/* move_back_counted() finds out whether that is all */
		.failed = move_back_failed
	};
	static const struct queue_lost_mover_vfuncs lost_vfuncs = {
		.moved = move_back_lost_moved,
		.done = move_back_lost_done
	};
	const char *error;

	if (move_back_open_aside(mb, &error) < 0) {
		move_back_end(mb, error);
		return;
	}
	i_info("Moving %"PRIu64" notifications from PostgreSQL to this host, "
	       "and %"PRIu64" that were given up", mb->left.queued,
	       mb->left.lost);
	queue_forget_added(mb->from);
	spool_divert(mb->spool);
	mb->state = MOVE_BACK_MOVING;
	mb->last_moved = http_notify_monotonic_msecs();
	mb->mover = queue_mover_init(mb->from, mb->queue, &vfuncs, mb);
	mb->lost = queue_lost_mover_init(mb->from, mb->queue, &lost_vfuncs, mb);
}

/* Looking how far it is */

static void move_back_unreached(struct move_back *mb, const char *error)
{
	int64_t now = http_notify_monotonic_msecs();

	if (mb->unreached == 0)
		mb->unreached = now;
	else if (now - mb->unreached >= REACH_MSECS)
		move_back_end(mb, error);
}

static void move_back_look_moving(struct move_back *mb)
{
	int64_t now = http_notify_monotonic_msecs();

	if (!move_back_removes(mb)) {
		move_back_end(mb, "PostgreSQL does not remove what was moved");
	} else if (mb->left.queued == 0 && mb->left.lost == 0)
		move_back_end(mb, NULL);
	else if (now - mb->last_moved >= IDLE_MSECS) {
		move_back_end(mb, t_strdup_printf("other hosts have the "
			"%"PRIu64" that are left; run it again when these "
			"use a queue of their own, or run it there",
			mb->left.queued + mb->left.lost));
	} else {
		queue_mover_go_on(mb->mover, 0);
		if (mb->left.lost > 0)
			queue_lost_mover_start(mb->lost);
	}
}

static void
move_back_counted(const struct queue_counts *counts, const char *error,
		  void *context)
{
	struct move_back *mb = context;

	mb->counting = FALSE;
	if (error != NULL) {
		move_back_unreached(mb, error);
		return;
	}
	if (mb->unreached != 0) {
		mb->unreached = 0;
		mb->last_moved = http_notify_monotonic_msecs();
	}
	mb->left = *counts;
	mb->all = mb->moved + counts->queued + counts->lost;
	if (mb->state == MOVE_BACK_MOVING)
		move_back_look_moving(mb);
	else if (mb->state == MOVE_BACK_BEGINNING) {
		if (counts->queued == 0 && counts->lost == 0)
			move_back_end(mb, NULL);
		else
			move_back_begin_moving(mb);
	}
}

static void move_back_look(struct move_back *mb)
{
	if (move_back_is_busy(mb))
		return;
	if (mb->state != MOVE_BACK_ENDING) {
		mb->counting = TRUE;
		queue_count(mb->from, move_back_counted, mb);
		return;
	}
	queue_flush(mb->from);
	if (queue_is_settled(mb->from) || !move_back_removes(mb))
		move_back_close(mb);
}

int move_back_start(struct move_back *mb, const char **error_r)
{
	const struct queue_engine_vfuncs *engine;

	if (mb->state != MOVE_BACK_IDLE) {
		*error_r = "another one is moving what there is";
		return -1;
	}
	if (*mb->set.queue->pgsql == '\0') {
		*error_r = "http_notify_pgsql is not set: it has to say where "
			"the queue is that hosts have shared";
		return -1;
	}
	engine = queue_module_load(SHARED_ENGINE, error_r);
	if (engine == NULL)
		return -1;
	if (queue_init(engine, mb->set.queue, &mb->from, error_r) < 0)
		return -1;
	queue_set_committed_callback(mb->from, move_back_committed, mb);
	i_free(mb->error);
	i_zero(&mb->left);
	mb->moved = mb->all = 0;
	mb->unreached = mb->unremoved = 0;
	i_free(mb->commit_error);
	mb->state = MOVE_BACK_BEGINNING;
	mb->to_look = timeout_add_short(LOOK_MSECS, move_back_look, mb);
	return 0;
}

void move_back_stop(struct move_back *mb)
{
	move_back_end(mb, NULL);
}

bool move_back_is_used(const struct move_back *mb)
{
	return mb->state != MOVE_BACK_IDLE || mb->spool != NULL;
}

struct queue *move_back_get_queue(const struct move_back *mb)
{
	return mb->from;
}

void move_back_get_status(const struct move_back *mb,
			  struct move_back_status *status_r)
{
	i_zero(status_r);
	status_r->running = mb->state != MOVE_BACK_IDLE;
	status_r->moved = mb->moved;
	status_r->all = I_MAX(mb->all, mb->moved);
	status_r->error = mb->error;
}

/* The rest */

struct move_back *
move_back_init(const struct move_back_settings *set, struct queue *queue,
	       struct delivery *delivery, const char **error_r)
{
	struct move_back *mb = i_new(struct move_back, 1);

	mb->set = *set;
	mb->queue = queue;
	mb->delivery = delivery;
	if (aside_exists(set->queue)) {
		if (move_back_open_aside(mb, error_r) < 0) {
			i_free(mb);
			return NULL;
		}
		if (!spool_is_used(mb->spool))
			move_back_aside_emptied(mb);
	}
	return mb;
}

void move_back_finish(struct move_back *mb)
{
	move_back_end(mb, "the service is being stopped");
	timeout_remove(&mb->to_look);
	timeout_remove(&mb->to_close_aside);
	if (mb->from != NULL)
		queue_set_message_callback(mb->from, NULL, NULL);
	if (mb->spool != NULL)
		spool_finish(mb->spool);
}

void move_back_deinit(struct move_back **_mb)
{
	struct move_back *mb = *_mb;

	*_mb = NULL;
	if (mb->mover != NULL)
		queue_mover_deinit(&mb->mover);
	if (mb->lost != NULL)
		queue_lost_mover_deinit(&mb->lost);
	if (mb->from != NULL)
		queue_deinit(&mb->from);
	if (mb->spool != NULL) {
		spool_deinit(&mb->spool);
		queue_deinit(&mb->aside);
	}
	i_free(mb->commit_error);
	i_free(mb->error);
	i_free(mb);
}
