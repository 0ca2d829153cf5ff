/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"

#include "queue-lost.h"
#include "queue-private.h"
#include "spool.h"

/* How many to move at a time. */
#define BATCH 64
/* How long to wait after the shared queue has not stored what was moved. */
#define RETRY_MSECS 1000
/* While the last ones are moved, those that come are held back, so that there
   is an end. Mail processes wait for them, but no longer than this. */
#define HOLD_MSECS 150

#define FULL_ERROR "the queue of this host is full (http_notify_queue_limit)"

struct spool_part {
	struct queue_part *part;
	/* everything up to done has been moved; what is up to first was there
	   at the start and has not been counted */
	int64_t done, first;
};

/* An item that is being stored; its endpoint is the shared queue's. */
struct spool_adding {
	struct spool *spool;
	struct queue_item *item;
	queue_stored_callback_t *callback;
	void *context;
};

/* One that is being moved. */
struct spool_moving {
	struct spool *spool;
	/* in the local queue */
	int64_t id;
	bool counted;
	size_t size;
};

struct spool {
	struct queue *shared, *local;
	unsigned int max_rows;
	uint64_t max_bytes;

	/* new ones go to the local queue */
	bool used;
	/* or into held, for the moment */
	bool holding;
	ARRAY(struct spool_adding *) held;
	struct timeout *to_hold;
	/* in the local queue, and being stored there; their bodies' bytes
	   together; and what was in it for the log */
	unsigned int count, adding;
	uint64_t bytes, total;
	/* parts with something that was there at the start */
	unsigned int first_parts;

	ARRAY(struct spool_part) parts;
	/* the part that is being moved, by its index; up to which id; and how
	   many of it the shared queue is storing */
	unsigned int part_idx;
	struct queue_read *read;
	int64_t read_to;
	unsigned int moving;
	bool failed, finished;
	struct timeout *to_move;
};

static void spool_move(struct spool *spool);

/* Adding */

static void spool_adding_done(struct spool_adding *adding,
			      struct queue_item *item, const char *error)
{
	adding->callback(item, error, adding->context);
	queue_item_unref(&adding->item);
	i_free(adding);
}

/* By the other queue's clock. */
static void
convert_times(struct queue_item *item, struct queue *from, struct queue *to)
{
	int64_t ahead = queue_now(to) - queue_now(from);

	item->created += ahead;
	item->expires += ahead;
}

static void spool_move_soon(struct spool *spool, unsigned int msecs)
{
	if (spool->to_move == NULL && !spool->finished)
		spool->to_move = timeout_add_short(msecs, spool_move, spool);
}

static void
spool_local_stored(struct queue_item *item, const char *error, void *context)
{
	struct spool_adding *adding = context;
	struct spool *spool = adding->spool;

	spool->adding--;
	if (error == NULL && item != NULL) {
		spool->count++;
		spool->total++;
	} else
		spool->bytes -= adding->item->body_size;
	spool_adding_done(adding, NULL, error);
	if (spool->read == NULL && spool->moving == 0)
		spool_move_soon(spool, spool->failed ? RETRY_MSECS : 0);
}

static bool spool_is_full(const struct spool *spool)
{
	return spool->count + spool->adding >= spool->max_rows ||
		spool->bytes >= spool->max_bytes;
}

static void spool_add_local(struct spool *spool, struct spool_adding *adding)
{
	const struct queue_endpoint *ep = adding->item->endpoint;
	struct queue_item item = *adding->item;

	if (spool_is_full(spool)) {
		spool_adding_done(adding, NULL, FULL_ERROR);
		return;
	}
	item.endpoint = queue_endpoint_set(spool->local, ep->key, ep->options);
	convert_times(&item, spool->shared, spool->local);
	spool->adding++;
	spool->bytes += item.body_size;
	(void)queue_add(spool->local, &item, spool_local_stored, adding);
}

static void spool_begin(struct spool *spool, const char *error)
{
	if (!spool->used) {
		i_warning("Storing notifications on this host until PostgreSQL "
			  "can be used: %s", error);
		spool->failed = TRUE;
	}
	spool->used = TRUE;
}

static void
spool_shared_stored(struct queue_item *item, const char *error, void *context)
{
	struct spool_adding *adding = context;

	if (error == NULL)
		spool_adding_done(adding, item, NULL);
	else {
		spool_begin(adding->spool, error);
		spool_add_local(adding->spool, adding);
	}
}

static void spool_add_shared(struct spool *spool, struct spool_adding *adding)
{
	(void)queue_add(spool->shared, adding->item, spool_shared_stored,
			adding);
}

int spool_add(struct spool *spool, const struct queue_item *item,
	      queue_stored_callback_t *callback, void *context,
	      const char **error_r)
{
	struct spool_adding *adding;

	if (spool->used && !spool->holding && spool_is_full(spool)) {
		*error_r = FULL_ERROR;
		return -1;
	}
	adding = i_new(struct spool_adding, 1);
	adding->spool = spool;
	adding->item = queue_item_dup(item);
	/* what was announced is not remembered */
	adding->item->mailbox = 0;
	adding->callback = callback;
	adding->context = context;
	if (spool->holding)
		array_push_back(&spool->held, &adding);
	else if (spool->used)
		spool_add_local(spool, adding);
	else
		spool_add_shared(spool, adding);
	return 0;
}

static void spool_release(struct spool *spool)
{
	struct spool_adding *adding;

	timeout_remove(&spool->to_hold);
	spool->holding = FALSE;
	array_foreach_elem(&spool->held, adding) {
		if (spool->used)
			spool_add_local(spool, adding);
		else
			spool_add_shared(spool, adding);
	}
	array_clear(&spool->held);
}

static void spool_hold(struct spool *spool)
{
	if (spool->holding || spool->first_parts > 0 ||
	    spool->count + spool->adding > BATCH)
		return;
	spool->holding = TRUE;
	spool->to_hold = timeout_add_short(HOLD_MSECS, spool_release, spool);
}

/* Moving */

static void spool_emptied(struct spool *spool)
{
	struct spool_part *part;
	struct queue_endpoint *ep;

	if (!spool->used)
		return;
	i_info("Storing notifications in PostgreSQL again; %"PRIu64" were "
	       "moved there", spool->total);
	spool->total = 0;
	spool->used = FALSE;
	array_foreach_modifiable(&spool->parts, part) {
		ep = queue_part_get_endpoint(part->part);
		queue_part_forget(spool->local, &part->part);
		if (!queue_lost_has(ep))
			queue_endpoint_forget(spool->local, &ep);
	}
	array_clear(&spool->parts);
	spool_release(spool);
}

static struct spool_part *spool_part(struct spool *spool)
{
	return array_idx_modifiable(&spool->parts, spool->part_idx);
}

static void spool_move_failed(struct spool *spool)
{
	spool->failed = TRUE;
	spool_release(spool);
	spool_move_soon(spool, RETRY_MSECS);
}

static void spool_part_moved(struct spool *spool)
{
	struct spool_part *part = spool_part(spool);

	if (part->done < part->first && spool->read_to >= part->first)
		spool->first_parts--;
	part->done = spool->read_to;
	spool_move_soon(spool, 0);
}

static void
spool_moved(struct queue_item *item, const char *error, void *context)
{
	struct spool_moving *moving = context;
	struct spool *spool = moving->spool;

	if (item != NULL && item->part != NULL)
		queue_tell_grown(spool->shared, item->part);
	spool->moving--;
	if (error != NULL)
		spool->failed = TRUE;
	else {
		queue_remove(spool->local, moving->id, moving->size);
		if (moving->counted) {
			spool->count--;
			spool->bytes -= moving->size;
		} else
			spool->total++;
	}
	i_free(moving);
	if (spool->moving > 0)
		return;
	if (spool->failed)
		spool_move_failed(spool);
	else
		spool_part_moved(spool);
}

/* The shared queue's, of which whoever sends may not know yet. */
static struct queue_endpoint *
spool_shared_endpoint(struct spool *spool, const struct queue_endpoint *local)
{
	struct queue_endpoint *ep;

	ep = hash_table_lookup(spool->shared->endpoints,
			       (const char *)local->key);
	if (ep == NULL || ep->forgotten) {
		ep = queue_endpoint_set(spool->shared, local->key,
					local->options);
		queue_tell_endpoint(spool->shared, ep);
	}
	return ep;
}

static void spool_move_item(struct spool *spool, const struct queue_item *item)
{
	struct spool_moving *moving = i_new(struct spool_moving, 1);
	struct queue_item copy = *item;

	moving->spool = spool;
	moving->id = item->id;
	moving->size = item->body_size;
	moving->counted = item->id > spool_part(spool)->first;
	copy.id = 0;
	copy.part = NULL;
	copy.mailbox = 0;
	copy.endpoint = spool_shared_endpoint(spool, item->endpoint);
	convert_times(&copy, spool->local, spool->shared);
	spool->moving++;
	(void)queue_add_moved(spool->shared, &copy, spool_moved, moving);
}

static void
spool_read_done(const struct queue_read_result *result, void *context)
{
	struct spool *spool = context;
	unsigned int i;

	spool->read = NULL;
	if (result->error != NULL) {
		spool_move_failed(spool);
		return;
	}
	spool->read_to = result->read_to;
	spool->failed = FALSE;
	for (i = 0; i < result->count; i++)
		spool_move_item(spool, result->items[i]);
	if (spool->moving == 0)
		spool_part_moved(spool);
}

static bool spool_next_part(struct spool *spool)
{
	unsigned int i;

	for (i = 0; i < array_count(&spool->parts); i++) {
		spool->part_idx = i;
		if (spool_part(spool)->done <
		    queue_part_last_id(spool_part(spool)->part))
			return TRUE;
	}
	return FALSE;
}

static void spool_move(struct spool *spool)
{
	timeout_remove(&spool->to_move);
	if (spool->read != NULL || spool->moving > 0)
		return;
	if (!spool_next_part(spool)) {
		if (spool->adding == 0)
			spool_emptied(spool);
		return;
	}
	spool_hold(spool);
	spool->read = queue_read(spool->local, spool_part(spool)->part,
				 QUEUE_READ_WHOLE, spool_part(spool)->done,
				 INT64_MAX, BATCH, spool_read_done, spool);
}

/* The local queue's parts */

static void spool_endpoint(struct queue_endpoint *ep ATTR_UNUSED,
			   const char *options ATTR_UNUSED,
			   void *context ATTR_UNUSED)
{
}

static void spool_claimed(struct queue_part *queue_part, void *context)
{
	struct spool *spool = context;
	struct spool_part *part = array_append_space(&spool->parts);

	part->part = queue_part;
	part->first = queue_part_last_id(queue_part);
	if (part->first > 0)
		spool->first_parts++;
}

struct spool *
spool_init(struct queue *shared, struct queue *local, unsigned int max_rows,
	   uint64_t max_bytes)
{
	static const struct queue_part_vfuncs vfuncs = {
		.endpoint = spool_endpoint, .claimed = spool_claimed
	};
	struct spool *spool;

	spool = i_new(struct spool, 1);
	spool->shared = shared;
	spool->local = local;
	spool->max_rows = max_rows;
	spool->max_bytes = max_bytes;
	i_array_init(&spool->held, 16);
	i_array_init(&spool->parts, 4);
	queue_claim(local, &vfuncs, spool);
	if (spool->first_parts > 0) {
		i_info("Moving to PostgreSQL what is stored on this host");
		spool->used = TRUE;
		spool_move_soon(spool, RETRY_MSECS);
	}
	return spool;
}

void spool_finish(struct spool *spool)
{
	spool->finished = TRUE;
	timeout_remove(&spool->to_move);
	queue_read_cancel(&spool->read);
	spool_release(spool);
	queue_finish(spool->shared);
	queue_finish(spool->local);
}

void spool_deinit(struct spool **_spool)
{
	struct spool *spool = *_spool;

	*_spool = NULL;
	i_assert(spool->adding == 0 && spool->moving == 0);
	timeout_remove(&spool->to_move);
	queue_read_cancel(&spool->read);
	queue_unclaim(spool->local);
	array_free(&spool->held);
	array_free(&spool->parts);
	i_free(spool);
}
