/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"

#include "monotonic.h"
#include "queue-lost.h"
#include "queue-lost-mover.h"
#include "queue-mover.h"
#include "queue-private.h"
#include "spool.h"

/* How long to wait after the shared queue has not stored what was moved. */
#define RETRY_MSECS 1000
/* While the last ones are moved, which are this many or fewer, those that come
   are held back, so that there is an end; and at the start, until the shared
   queue can be used. Mail processes wait for them, but no longer than this. */
#define HOLD_MAX 64
#define HOLD_MSECS 150
#define HOLD_POLL_MSECS 5
/* What was given up is in no hurry. */
#define LOST_RETRY_MSECS (10*1000)

#define FULL_ERROR "the queue of this host is full (http_notify_queue_limit)"

/* An item that is being stored; its endpoint is the shared queue's. */
struct spool_adding {
	struct spool *spool;
	struct queue_item *item;
	/* when it was, by the clock that its times are of: the shared queue's
	   as it was then */
	int64_t added;
	queue_stored_callback_t *callback;
	void *context;
};

/* How much of the local queue is for an endpoint. */
struct spool_endpoint {
	char *key;
	struct spool_amount queued;
};

struct spool {
	struct queue *shared, *local;
	unsigned int max_rows;
	uint64_t max_bytes;

	/* new ones go to the local queue; since when, monotonic, in msecs */
	bool used;
	int64_t used_since;
	/* or into held, until this time, likewise */
	bool holding;
	int64_t hold_until;
	ARRAY(struct spool_adding *) held;
	struct timeout *to_hold;
	/* being stored, in either queue */
	unsigned int pending;
	/* in the local queue, by endpoint, too; being stored there; and what
	   was in it for the log */
	struct spool_amount queued, adding;
	HASH_TABLE(const char *, struct spool_endpoint *) endpoints;
	uint64_t total;

	struct queue_mover *mover;
	bool failed;
	/* see spool_get_error(); and whether it is in the log why the local
	   queue is used */
	char *error;
	bool said;
	/* a former process has left something, and it is not in the log yet
	   that it is being moved */
	bool former;
	/* what was given up when this host had a queue of its own; NULL = none
	   is left */
	struct queue_lost_mover *lost;
	struct timeout *to_lost;
	/* of both, since the start */
	uint64_t moved, lost_moved;

	/* see spool_init_aside() */
	spool_emptied_callback_t *emptied;
	void *context;
	/* nothing is moved */
	bool diverted;
};

/* Counting */

static struct spool_endpoint *
spool_endpoint_get(struct spool *spool, const char *key)
{
	struct spool_endpoint *endpoint;

	endpoint = hash_table_lookup(spool->endpoints, key);
	if (endpoint == NULL) {
		endpoint = i_new(struct spool_endpoint, 1);
		endpoint->key = i_strdup(key);
		hash_table_insert(spool->endpoints,
				  (const char *)endpoint->key, endpoint);
	}
	return endpoint;
}

/* It is in the local queue. */
static void
spool_count(struct spool *spool, const struct queue_endpoint *ep, size_t size)
{
	struct spool_endpoint *endpoint = spool_endpoint_get(spool, ep->key);

	endpoint->queued.number++;
	endpoint->queued.bytes += size;
	spool->queued.number++;
	spool->queued.bytes += size;
	spool->total++;
}

static void
spool_found(const struct queue_endpoint *ep, size_t body_size, void *context)
{
	spool_count(context, ep, body_size);
}

static void
spool_uncount(struct spool *spool, const struct queue_endpoint *ep, size_t size)
{
	struct spool_endpoint *endpoint = spool_endpoint_get(spool, ep->key);

	endpoint->queued.number--;
	endpoint->queued.bytes -= size;
	spool->queued.number--;
	spool->queued.bytes -= size;
}

static void spool_endpoints_free(struct spool *spool)
{
	struct hash_iterate_context *iter;
	struct spool_endpoint *endpoint;
	const char *key;

	iter = hash_table_iterate_init(spool->endpoints);
	while (hash_table_iterate(iter, spool->endpoints, &key, &endpoint)) {
		i_free(endpoint->key);
		i_free(endpoint);
	}
	hash_table_iterate_deinit(&iter);
	hash_table_clear(spool->endpoints, FALSE);
}

/* Adding */

static void spool_adding_done(struct spool_adding *adding,
			      struct queue_item *item, const char *error)
{
	adding->spool->pending--;
	adding->callback(item, error, adding->context);
	queue_item_unref(&adding->item);
	i_free(adding);
}

/* By this queue's clock. The shared one's may have been set since it was added:
   before its server was reached, it was this host's. */
static void
spool_adding_set_times(struct spool_adding *adding, struct queue_item *item,
		       struct queue *queue)
{
	int64_t ahead = queue_now(queue) - adding->added;

	item->created += ahead;
	item->expires += ahead;
}

static void
spool_local_stored(struct queue_item *item, const char *error, void *context)
{
	struct spool_adding *adding = context;
	struct spool *spool = adding->spool;

	spool->adding.number--;
	spool->adding.bytes -= adding->item->body_size;
	if (error == NULL && item != NULL)
		spool_count(spool, item->endpoint, item->body_size);
	/* the caller's is of the shared queue */
	spool_adding_done(adding, item == NULL || error != NULL ? NULL :
			  adding->item, error);
	queue_mover_go_on(spool->mover, spool->failed ? RETRY_MSECS : 0);
}

static bool spool_is_full(const struct spool *spool)
{
	return spool->queued.number + spool->adding.number >=
			spool->max_rows ||
		spool->queued.bytes + spool->adding.bytes >= spool->max_bytes;
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
	spool_adding_set_times(adding, &item, spool->local);
	spool->adding.number++;
	spool->adding.bytes += item.body_size;
	(void)queue_add(spool->local, &item, spool_local_stored, adding);
}

static void spool_use(struct spool *spool)
{
	if (!spool->used)
		spool->used_since = http_notify_monotonic_msecs();
	spool->used = TRUE;
}

/* Once per spell. */
static void spool_say_why(struct spool *spool, const char *error)
{
	if (!spool->said && spool->emptied == NULL) {
		i_warning("Storing notifications on this host until PostgreSQL "
			  "can be used: %s", error);
	}
	spool->said = TRUE;
}

static void spool_begin(struct spool *spool, const char *error)
{
	if (!spool->used) {
		spool_say_why(spool, error);
		spool->failed = TRUE;
	}
	spool_use(spool);
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
	spool_adding_set_times(adding, adding->item, spool->shared);
	adding->added = queue_now(spool->shared);
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
	spool->pending++;
	adding->item = queue_item_dup(item);
	adding->added = queue_now(spool->shared);
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

static void spool_hold_ended(struct spool *spool)
{
	struct queue_state state;

	queue_get_state(spool->shared, &state);
	if ((state.error != NULL || spool->used) &&
	    http_notify_monotonic_msecs() < spool->hold_until)
		return;
	spool_release(spool);
}

static void spool_hold(struct spool *spool)
{
	if (spool->holding)
		return;
	spool->holding = TRUE;
	spool->hold_until = http_notify_monotonic_msecs() + HOLD_MSECS;
	spool->to_hold = timeout_add_short(HOLD_POLL_MSECS, spool_hold_ended,
					   spool);
}

/* Moving */

static bool spool_may_move(void *context)
{
	struct spool *spool = context;

	if (spool->diverted)
		return FALSE;
	if (spool->queued.number + spool->adding.number <= HOLD_MAX)
		spool_hold(spool);
	return TRUE;
}

static void
spool_moved(const struct queue_endpoint *ep, size_t body_size, void *context)
{
	struct spool *spool = context;

	if (spool->former) {
		i_info(spool->emptied == NULL ?
		       "Moving to PostgreSQL what is stored on this host" :
		       "Moving into the queue what was stored aside");
	}
	spool->former = spool->failed = FALSE;
	i_free(spool->error);
	spool->moved++;
	spool_uncount(spool, ep, body_size);
}

static void spool_emptied(void *context)
{
	struct spool *spool = context;
	struct queue_state state;

	if (!spool->used || spool->adding.number > 0 || spool->diverted)
		return;
	queue_get_state(spool->shared, &state);
	if (spool->failed && state.error != NULL) {
		/* an admin has emptied it */
		queue_mover_go_on(spool->mover, RETRY_MSECS);
		return;
	}
	if (spool->emptied == NULL) {
		i_info("Storing notifications in PostgreSQL again; %"PRIu64" "
		       "were moved there", spool->total);
	}
	spool->total = 0;
	spool->used = spool->said = spool->former = FALSE;
	i_free(spool->error);
	queue_mover_forget(spool->mover);
	spool_endpoints_free(spool);
	spool_release(spool);
	if (spool->emptied != NULL)
		spool->emptied(spool->context);
}

static void spool_failed(const char *error, void *context)
{
	struct spool *spool = context;

	/* at the start, it may just not be connected yet */
	if (spool->failed)
		spool_say_why(spool, error);
	i_free(spool->error);
	spool->error = i_strdup(error);
	spool->failed = TRUE;
	spool_release(spool);
	queue_mover_go_on(spool->mover, RETRY_MSECS);
}

/* What was given up */

/* Their options have credentials. */
static void spool_forget_endpoints(struct spool *spool)
{
	struct queue_endpoint *ep, *unused;

	for (ep = spool->local->endpoints_head; ep != NULL; ep = ep->next) {
		unused = ep;
		if (ep->parts == NULL && !ep->forgotten && !queue_lost_has(ep))
			queue_endpoint_forget(spool->local, &unused);
	}
}

static void spool_lost_start(struct spool *spool)
{
	timeout_remove(&spool->to_lost);
	queue_lost_mover_start(spool->lost);
}

static void spool_lost_moved(void *context)
{
	struct spool *spool = context;

	spool->lost_moved++;
}

static void spool_lost_done(const char *error, void *context)
{
	struct spool *spool = context;

	if (error != NULL) {
		spool->to_lost = timeout_add_short(LOST_RETRY_MSECS,
						   spool_lost_start, spool);
		return;
	}
	i_info("Moved to PostgreSQL %"PRIu64" notifications that were given "
	       "up", spool->lost_moved);
	queue_lost_mover_deinit(&spool->lost);
	/* those of the last ones need them until that is committed */
	queue_flush(spool->local);
	spool_forget_endpoints(spool);
}

static void spool_lost_init(struct spool *spool)
{
	static const struct queue_lost_mover_vfuncs vfuncs = {
		.moved = spool_lost_moved, .done = spool_lost_done
	};
	struct queue_lost_stats stats;

	queue_lost_get_stats(spool->local, NULL, &stats);
	if (stats.oldest == 0)
		return;
	spool->lost = queue_lost_mover_init(spool->local, spool->shared,
					    &vfuncs, spool);
	spool->to_lost = timeout_add_short(RETRY_MSECS, spool_lost_start,
					   spool);
}

/* The rest */

/* Whoever sends knows them, and so does an admin, before anything is moved. */
static void spool_tell_endpoints(struct spool *spool)
{
	const struct queue_endpoint *ep;

	for (ep = spool->local->endpoints_head; ep != NULL; ep = ep->next) {
		if (ep->parts != NULL)
			(void)queue_mover_endpoint(spool->shared, ep);
	}
}

static struct spool *
spool_init_any(struct queue *shared, struct queue *local, unsigned int max_rows,
	       uint64_t max_bytes, spool_emptied_callback_t *emptied,
	       void *context)
{
	static const struct queue_mover_vfuncs mover_vfuncs = {
		.found = spool_found,
		.may_move = spool_may_move,
		.moved = spool_moved,
		.emptied = spool_emptied,
		.failed = spool_failed
	};
	struct spool *spool;

	spool = i_new(struct spool, 1);
	spool->shared = shared;
	spool->local = local;
	spool->max_rows = max_rows;
	spool->max_bytes = max_bytes;
	spool->emptied = emptied;
	spool->context = context;
	i_array_init(&spool->held, 16);
	hash_table_create(&spool->endpoints, default_pool, 0, str_hash, strcmp);
	spool->mover = queue_mover_init(local, shared, &mover_vfuncs, spool);
	if (queue_mover_early_parts(spool->mover) > 0) {
		spool->former = TRUE;
		spool_use(spool);
		spool_tell_endpoints(spool);
		queue_mover_go_on(spool->mover, 0);
	} else if (emptied == NULL) {
		/* the shared queue is likely to be ready soon */
		spool_hold(spool);
	}
	spool_forget_endpoints(spool);
	spool_lost_init(spool);
	return spool;
}

struct spool *
spool_init(struct queue *shared, struct queue *local, unsigned int max_rows,
	   uint64_t max_bytes)
{
	return spool_init_any(shared, local, max_rows, max_bytes, NULL, NULL);
}

struct spool *
spool_init_aside(struct queue *queue, struct queue *aside,
		 unsigned int max_rows, uint64_t max_bytes,
		 spool_emptied_callback_t *emptied, void *context)
{
	return spool_init_any(queue, aside, max_rows, max_bytes, emptied,
			      context);
}

void spool_divert(struct spool *spool)
{
	spool_use(spool);
	spool->diverted = TRUE;
	spool_release(spool);
}

void spool_undivert(struct spool *spool)
{
	spool->diverted = FALSE;
	queue_mover_go_on(spool->mover, 0);
}

bool spool_is_used(const struct spool *spool)
{
	return spool->used || spool->pending > 0 ||
		spool->local->reads_head != NULL;
}

bool spool_get_progress(const struct spool *spool, uint64_t *moved_r,
			uint64_t *left_r)
{
	*moved_r = spool->moved + spool->lost_moved;
	*left_r = (uint64_t)spool->queued.number +
		queue_lost_total(spool->local);
	return spool->used || spool->lost != NULL;
}

bool spool_get_used(const struct spool *spool, int64_t *since_r)
{
	if (spool->used)
		*since_r = spool->used_since;
	return spool->used;
}

const char *spool_get_error(const struct spool *spool)
{
	return spool->error;
}

struct spool_amount
spool_get_queued(const struct spool *spool, const struct queue_endpoint *ep)
{
	static const struct spool_amount none = { .number = 0 };
	const struct spool_endpoint *endpoint;

	if (ep == NULL)
		return spool->queued;
	endpoint = hash_table_lookup(spool->endpoints, (const char *)ep->key);
	return endpoint == NULL ? none : endpoint->queued;
}

struct queue_read *
spool_read(struct spool *spool, const struct queue_endpoint *ep,
	   int64_t after_id, int64_t last_id, unsigned int limit,
	   queue_read_callback_t *callback, void *context)
{
	struct queue_endpoint *local_ep =
		hash_table_lookup(spool->local->endpoints,
				  (const char *)ep->key);

	return local_ep == NULL || local_ep->parts == NULL ? NULL :
		queue_read_endpoint(spool->local, local_ep, after_id, last_id,
				    limit, callback, context);
}

bool spool_remove(struct spool *spool, const struct queue_item *item)
{
	if (!queue_mover_drop(spool->mover, item))
		return FALSE;
	spool_uncount(spool, item->endpoint, item->body_size);
	spool->total--;
	return TRUE;
}

int64_t spool_clock_ahead(const struct spool *spool)
{
	return queue_mover_time(spool->local, spool->shared, 0);
}

void spool_finish(struct spool *spool)
{
	queue_mover_stop(spool->mover);
	if (spool->lost != NULL)
		queue_lost_mover_stop(spool->lost);
	spool_release(spool);
	queue_finish(spool->shared);
	queue_finish(spool->local);
}

void spool_deinit(struct spool **_spool)
{
	struct spool *spool = *_spool;

	*_spool = NULL;
	i_assert(spool->adding.number == 0);
	timeout_remove(&spool->to_lost);
	queue_mover_deinit(&spool->mover);
	if (spool->lost != NULL)
		queue_lost_mover_deinit(&spool->lost);
	/* from the start until it is usable */
	timeout_remove(&spool->to_hold);
	array_free(&spool->held);
	spool_endpoints_free(spool);
	hash_table_destroy(&spool->endpoints);
	i_free(spool->error);
	i_free(spool);
}
