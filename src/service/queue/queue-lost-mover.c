/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "queue-lost.h"
#include "queue-lost-mover.h"
#include "queue-mover.h"

/* How many to move at a time. */
#define BATCH 64

/* One that is being moved. */
struct lost_mover_item {
	struct queue_lost_mover *mover;
	int64_t lost_id;
};

struct queue_lost_mover {
	struct queue *from, *to;
	struct queue_lost_mover_vfuncs v;
	void *context;

	/* begun, and not ended */
	bool started, stopped;
	/* those up to after_id have been moved, or are being; there may be
	   more */
	int64_t after_id;
	bool more;
	struct queue_read *read;
	unsigned int storing;
	/* why one of these was not kept */
	char *error;
};

static void queue_lost_mover_read(struct queue_lost_mover *mover);

static void queue_lost_mover_batch_done(struct queue_lost_mover *mover)
{
	if (mover->stopped)
		return;
	if (mover->error == NULL && mover->more) {
		queue_lost_mover_read(mover);
		return;
	}
	mover->started = FALSE;
	T_BEGIN {
		const char *error = t_strdup(mover->error);

		i_free(mover->error);
		mover->v.done(error, mover->context);
	} T_END;
}

static void queue_lost_mover_stored(struct queue_item *item ATTR_UNUSED,
				    const char *error, void *context)
{
	struct lost_mover_item *moving = context;
	struct queue_lost_mover *mover = moving->mover;

	mover->storing--;
	if (error == NULL) {
		queue_lost_drop(mover->from, moving->lost_id);
		mover->v.moved(mover->context);
	} else if (mover->error == NULL)
		mover->error = i_strdup(error);
	i_free(moving);
	if (mover->storing == 0)
		queue_lost_mover_batch_done(mover);
}

static void
queue_lost_mover_store(struct queue_lost_mover *mover,
		       const struct queue_item *item)
{
	struct lost_mover_item *moving;
	struct queue_item copy = *item;

	moving = i_new(struct lost_mover_item, 1);
	moving->mover = mover;
	moving->lost_id = item->lost_id;
	copy.endpoint = queue_mover_endpoint(mover->to, item->endpoint);
	copy.created = queue_mover_time(mover->from, mover->to, item->created);
	copy.loss.time = queue_mover_time(mover->from, mover->to,
					  item->loss.time);
	mover->storing++;
	queue_lost_add(mover->to, &copy, queue_lost_mover_stored, moving);
}

static void
queue_lost_mover_have(const struct queue_read_result *result, void *context)
{
	struct queue_lost_mover *mover = context;
	unsigned int i;

	mover->read = NULL;
	mover->after_id = result->read_to;
	mover->more = result->more;
	if (result->error != NULL)
		mover->error = i_strdup(result->error);
	else if (queue_lost_is_own(mover->from)) {
		for (i = 0; i < result->count; i++)
			queue_lost_mover_store(mover, result->items[i]);
	} else
		mover->more = FALSE;
	if (mover->storing == 0)
		queue_lost_mover_batch_done(mover);
}

static void queue_lost_mover_read(struct queue_lost_mover *mover)
{
	mover->read = queue_lost_read(mover->from, mover->after_id, BATCH,
				      queue_lost_mover_have, mover);
}

void queue_lost_mover_start(struct queue_lost_mover *mover)
{
	if (mover->started || mover->stopped)
		return;
	mover->started = TRUE;
	mover->after_id = 0;
	queue_lost_mover_read(mover);
}

void queue_lost_mover_stop(struct queue_lost_mover *mover)
{
	mover->stopped = TRUE;
	queue_read_cancel(&mover->read);
}

bool queue_lost_mover_is_busy(const struct queue_lost_mover *mover)
{
	return mover->storing > 0;
}

struct queue_lost_mover *
queue_lost_mover_init(struct queue *from, struct queue *to,
		      const struct queue_lost_mover_vfuncs *v, void *context)
{
	struct queue_lost_mover *mover = i_new(struct queue_lost_mover, 1);

	mover->from = from;
	mover->to = to;
	mover->v = *v;
	mover->context = context;
	return mover;
}

void queue_lost_mover_deinit(struct queue_lost_mover **_mover)
{
	struct queue_lost_mover *mover = *_mover;

	*_mover = NULL;
	i_assert(mover->storing == 0);
	queue_read_cancel(&mover->read);
	i_free(mover->error);
	i_free(mover);
}
