/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"

#include "queue-lost.h"
#include "queue-mover.h"
#include "queue-private.h"

/* How many to move at a time, and to count. */
#define BATCH 256
#define COUNT_BATCH 1024

struct mover_part {
	struct queue_part *part;
	/* everything up to done has been moved; what is up to first was there
	   when it was claimed, and has been counted up to counted */
	int64_t done, first, counted;
	/* once nothing of it is being moved, it is to be released; to be looked
	   through again */
	bool release, again;
};

/* One that is being moved. */
struct mover_item {
	struct queue_mover *mover;
	/* of the queue that it is moved from */
	const struct queue_endpoint *endpoint;
	int64_t id;
	size_t size;
};

struct queue_mover {
	struct queue *from, *to;
	struct queue_mover_vfuncs v;
	void *context;

	ARRAY(struct mover_part *) parts;
	unsigned int early_parts;
	/* the one that is being moved, and the one to begin with next */
	struct mover_part *current;
	unsigned int next_idx;
	/* up to which id; and how many the other queue is storing */
	struct queue_read *read;
	int64_t read_to;
	unsigned int storing;
	/* why one of these was not stored */
	char *error;
	bool stopped;
	struct timeout *to_move;
};

static void queue_mover_move(struct queue_mover *mover);

/* Parts */

static void mover_part_set_done(struct queue_mover *mover,
				struct mover_part *part, int64_t done)
{
	if (part->done < part->first && done >= part->first)
		mover->early_parts--;
	part->done = done;
}

static void
mover_part_look_again(struct queue_mover *mover, struct mover_part *part)
{
	mover_part_set_done(mover, part, INT64_MAX);
	part->done = part->first = 0;
	part->again = FALSE;
}

static void mover_part_free(struct queue_mover *mover, struct mover_part *part)
{
	struct mover_part *const *partp;

	mover_part_set_done(mover, part, INT64_MAX);
	array_foreach(&mover->parts, partp) {
		if (*partp == part) {
			array_delete(&mover->parts,
				     array_foreach_idx(&mover->parts, partp),
				     1);
			break;
		}
	}
	if (mover->current == part)
		mover->current = NULL;
	i_free(part);
}

static void
mover_part_release(struct queue_mover *mover, struct mover_part *part)
{
	struct queue_part *queue_part = part->part;

	mover_part_free(mover, part);
	queue_part_released(mover->from, &queue_part);
}

/* Moving */

/* Nothing of it is under way any more. */
static void queue_mover_batch_done(struct queue_mover *mover)
{
	struct mover_part *part = mover->current;

	mover->current = NULL;
	if (part != NULL && part->again)
		mover_part_look_again(mover, part);
	else if (part != NULL && mover->error == NULL)
		mover_part_set_done(mover, part, mover->read_to);
	if (mover->error == NULL)
		queue_mover_go_on(mover, 0);
	else T_BEGIN {
		const char *error = t_strdup(mover->error);

		i_free(mover->error);
		mover->v.failed(error, mover->context);
	} T_END;
	if (part != NULL && part->release)
		mover_part_release(mover, part);
}

static void
queue_mover_stored(struct queue_item *item, const char *error, void *context)
{
	struct mover_item *moving = context;
	struct queue_mover *mover = moving->mover;

	mover->storing--;
	if (error != NULL) {
		if (mover->error == NULL)
			mover->error = i_strdup(error);
	} else {
		if (item != NULL && item->part != NULL)
			queue_tell_grown(mover->to, item->part);
		queue_remove(mover->from, moving->id, moving->size);
		if (mover->v.moved != NULL) {
			mover->v.moved(moving->endpoint, moving->size,
				       mover->context);
		}
	}
	i_free(moving);
	if (mover->storing == 0)
		queue_mover_batch_done(mover);
}

struct queue_endpoint *
queue_mover_endpoint(struct queue *to, const struct queue_endpoint *ep)
{
	struct queue_endpoint *other =
		hash_table_lookup(to->endpoints, (const char *)ep->key);

	if (other == NULL || other->forgotten) {
		other = queue_endpoint_set(to, ep->key, ep->options);
		queue_tell_endpoint(to, other);
	}
	return other;
}

int64_t queue_mover_time(struct queue *from, struct queue *to, int64_t time)
{
	return time + queue_now(to) - queue_now(from);
}

static void
queue_mover_store(struct queue_mover *mover, const struct queue_item *item)
{
	struct mover_item *moving = i_new(struct mover_item, 1);
	struct queue_item copy = *item;

	moving->mover = mover;
	moving->endpoint = item->endpoint;
	moving->id = item->id;
	moving->size = item->body_size;
	copy.id = 0;
	copy.part = NULL;
	copy.endpoint = queue_mover_endpoint(mover->to, item->endpoint);
	copy.created = queue_mover_time(mover->from, mover->to, item->created);
	copy.expires = queue_mover_time(mover->from, mover->to, item->expires);
	mover->storing++;
	(void)queue_add_moved(mover->to, &copy, queue_mover_stored, moving);
}

static void
queue_mover_read(const struct queue_read_result *result, void *context)
{
	struct queue_mover *mover = context;
	unsigned int i;

	mover->read = NULL;
	mover->read_to = result->read_to;
	if (result->error != NULL)
		mover->error = i_strdup(result->error);
	else {
		for (i = 0; i < result->count; i++)
			queue_mover_store(mover, result->items[i]);
	}
	if (mover->storing == 0)
		queue_mover_batch_done(mover);
}

/* Counting */

static void
queue_mover_counted(const struct queue_read_result *result, void *context)
{
	struct queue_mover *mover = context;
	struct mover_part *part = mover->current;
	unsigned int i;

	mover->read = NULL;
	mover->read_to = part->done;
	if (result->error != NULL) {
		mover->error = i_strdup(result->error);
		queue_mover_batch_done(mover);
		return;
	}
	for (i = 0; i < result->count; i++) {
		mover->v.found(result->items[i]->endpoint,
			       result->items[i]->body_size, mover->context);
	}
	part->counted = result->more ? result->read_to : part->first;
	queue_mover_batch_done(mover);
}

/* Returns FALSE if all has been. */
static bool queue_mover_count(struct queue_mover *mover)
{
	struct mover_part *part;

	if (mover->v.found == NULL)
		return FALSE;
	array_foreach_elem(&mover->parts, part) {
		if (part->counted < part->first) {
			mover->current = part;
			mover->read = queue_read(mover->from, part->part,
				QUEUE_READ_USERS, part->counted, part->first,
				COUNT_BATCH, queue_mover_counted, mover);
			return TRUE;
		}
	}
	return FALSE;
}

/* They take turns. */
static struct mover_part *queue_mover_next_part(struct queue_mover *mover)
{
	unsigned int i, count = array_count(&mover->parts);
	struct mover_part *part;

	for (i = 0; i < count; i++) {
		part = array_idx_elem(&mover->parts,
				      (mover->next_idx + i) % count);
		if (!part->release &&
		    part->done < queue_part_last_id(part->part)) {
			mover->next_idx = (mover->next_idx + i + 1) % count;
			return part;
		}
	}
	return NULL;
}

static void queue_mover_move(struct queue_mover *mover)
{
	struct mover_part *part;

	timeout_remove(&mover->to_move);
	if (mover->current != NULL || mover->storing > 0 ||
	    queue_mover_count(mover))
		return;
	part = queue_mover_next_part(mover);
	if (part == NULL) {
		if (mover->v.emptied != NULL)
			mover->v.emptied(mover->context);
	} else if (mover->v.may_move == NULL ||
		   mover->v.may_move(mover->context)) {
		mover->current = part;
		mover->read = queue_read(mover->from, part->part,
					 QUEUE_READ_WHOLE, part->done,
					 INT64_MAX, BATCH, queue_mover_read,
					 mover);
	}
}

void queue_mover_go_on(struct queue_mover *mover, unsigned int msecs)
{
	if (mover->to_move == NULL && !mover->stopped) {
		mover->to_move = timeout_add_short(msecs, queue_mover_move,
						   mover);
	}
}

bool queue_mover_drop(struct queue_mover *mover, const struct queue_item *item)
{
	const struct mover_part *part = item->part == NULL ? NULL :
		queue_part_get_context(item->part);

	if (part == NULL ||
	    (mover->v.found != NULL && part->counted < part->first) ||
	    (mover->storing > 0 && part == mover->current &&
	     item->id <= mover->read_to))
		return FALSE;
	/* if it is being read, that leaves it out */
	queue_remove(mover->from, item->id, item->body_size);
	return TRUE;
}

/* What the queue says */

static void
queue_mover_have_endpoint(struct queue_endpoint *ep ATTR_UNUSED,
			  const char *options ATTR_UNUSED,
			  void *context ATTR_UNUSED)
{
}

static void queue_mover_claimed(struct queue_part *queue_part, void *context)
{
	struct queue_mover *mover = context;
	struct mover_part *part = i_new(struct mover_part, 1);

	part->part = queue_part;
	part->first = queue_part_last_id(queue_part);
	if (part->first > 0)
		mover->early_parts++;
	queue_part_set_context(queue_part, part);
	array_push_back(&mover->parts, &part);
}

static void queue_mover_grown(struct queue_part *queue_part ATTR_UNUSED,
			      void *context)
{
	queue_mover_go_on(context, 0);
}

static void queue_mover_look_again(struct queue_part *queue_part, void *context)
{
	struct queue_mover *mover = context;
	struct mover_part *part = queue_part_get_context(queue_part);

	part->again = TRUE;
	if (part == mover->current && mover->read != NULL) {
		queue_read_cancel(&mover->read);
		mover->current = NULL;
	}
	if (part != mover->current)
		mover_part_look_again(mover, part);
	queue_mover_go_on(mover, 0);
}

static void queue_mover_release(struct queue_part *queue_part, void *context)
{
	struct queue_mover *mover = context;
	struct mover_part *part = queue_part_get_context(queue_part);

	part->release = TRUE;
	if (part == mover->current && mover->read != NULL) {
		queue_read_cancel(&mover->read);
		mover->current = NULL;
		queue_mover_go_on(mover, 0);
	}
	if (part != mover->current)
		mover_part_release(mover, part);
}

/* What is being stored by now is removed nevertheless. */
static void queue_mover_revoked(struct queue_part *queue_part, void *context)
{
	struct queue_mover *mover = context;
	struct mover_part *part = queue_part_get_context(queue_part);

	if (part == mover->current) {
		queue_read_cancel(&mover->read);
		queue_mover_go_on(mover, 0);
	}
	mover_part_free(mover, part);
}

/* The rest */

void queue_mover_stop(struct queue_mover *mover)
{
	mover->stopped = TRUE;
	timeout_remove(&mover->to_move);
	if (mover->read != NULL) {
		queue_read_cancel(&mover->read);
		mover->current = NULL;
	}
}

bool queue_mover_is_busy(const struct queue_mover *mover)
{
	return mover->storing > 0;
}

unsigned int queue_mover_early_parts(const struct queue_mover *mover)
{
	return mover->early_parts;
}

void queue_mover_forget(struct queue_mover *mover)
{
	struct mover_part *part;
	struct queue_endpoint *ep;

	i_assert(mover->current == NULL);

	while (!array_is_empty(&mover->parts)) {
		part = array_idx_elem(&mover->parts, 0);
		ep = queue_part_get_endpoint(part->part);
		queue_part_forget(mover->from, &part->part);
		mover_part_free(mover, part);
		if (!queue_lost_has(ep))
			queue_endpoint_forget(mover->from, &ep);
	}
}

struct queue_mover *
queue_mover_init(struct queue *from, struct queue *to,
		 const struct queue_mover_vfuncs *v, void *context)
{
	static const struct queue_part_vfuncs part_vfuncs = {
		.endpoint = queue_mover_have_endpoint,
		.claimed = queue_mover_claimed,
		.grown = queue_mover_grown,
		.look_again = queue_mover_look_again,
		.release = queue_mover_release,
		.revoked = queue_mover_revoked
	};
	struct queue_mover *mover = i_new(struct queue_mover, 1);

	mover->from = from;
	mover->to = to;
	mover->v = *v;
	mover->context = context;
	i_array_init(&mover->parts, 16);
	queue_claim(from, &part_vfuncs, mover);
	return mover;
}

void queue_mover_deinit(struct queue_mover **_mover)
{
	struct queue_mover *mover = *_mover;
	struct mover_part *part;

	*_mover = NULL;
	i_assert(mover->storing == 0);
	timeout_remove(&mover->to_move);
	queue_read_cancel(&mover->read);
	queue_unclaim(mover->from);
	array_foreach_elem(&mover->parts, part)
		i_free(part);
	array_free(&mover->parts);
	i_free(mover->error);
	i_free(mover);
}
