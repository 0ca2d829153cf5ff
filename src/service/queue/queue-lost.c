/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is given up waits here until its removal is committed, since both are
   done together. What is kept is only counted. */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "llist.h"

#include "queue.h"
#include "queue-private.h"

/* How many bytes a row has besides its text. */
#define ROW_SIZE 100
/* How many rows to forget in one commit: of those that are too old or too many,
   and of those that together are too large. */
#define FORGET_MAX 256
#define FORGET_LARGE 4

struct queue_lost {
	unsigned int keep_secs, max_rows;
	uint64_t max_bytes;

	/* those whose removal has not been committed yet, by id */
	HASH_TABLE(const int64_t *, struct queue_given_up *) given_up;
	/* lost_ids: to be forgotten, and those of them being committed */
	struct id_set dropped, dropping;

	/* what is kept */
	unsigned int rows[QUEUE_LOSS_REASON_COUNT], total_rows;
	uint64_t bytes;
	int64_t oldest;
	/* other processes have changed what is kept: it is being counted */
	bool recounting;

	/* what the next commit is to forget; 0 = none; and whether that has
	   been kept long enough */
	unsigned int forget_max;
	int64_t forget_before;
	bool too_old;
	/* the disk is full, or nearly so; and what is committed makes room */
	bool full, making_room;
	/* what has been logged of this spell */
	bool forgetting;
	uint64_t forgotten;
};

static unsigned int id_hash(const int64_t *id)
{
	return (uint64_t)*id ^ ((uint64_t)*id >> 32);
}

static int id_cmp(const int64_t *id1, const int64_t *id2)
{
	return *id1 < *id2 ? -1 : *id1 > *id2;
}

static unsigned int lost_size(const struct queue_item *item, const char *answer)
{
	return ROW_SIZE + strlen(item->username) + strlen(item->folder) +
		strlen(item->body) + strlen(answer) + 1;
}

/* Giving up */

void queue_give_up(struct queue *queue, const struct queue_item *item,
		   unsigned int attempts, const struct queue_loss *loss)
{
	size_t answer_size = strlen(loss->answer) + 1;
	struct queue_given_up *up;
	char *answer;

	queue_remove(queue, item->id, item->body_size);
	if (queue->lost->keep_secs == 0)
		return;
	up = i_malloc(sizeof(*up) + answer_size);
	answer = (char *)(up + 1);
	memcpy(answer, loss->answer, answer_size);
	up->id = item->id;
	up->endpoint = item->endpoint;
	up->attempts = attempts;
	up->loss = *loss;
	up->loss.answer = answer;
	up->size = lost_size(item, answer);
	up->endpoint->losing++;
	hash_table_insert(queue->lost->given_up, (const int64_t *)&up->id, up);
}

/* Forgetting */

/* If each process forgot what is too much by its own count, that would be far
   more than is. */
bool queue_lost_is_own(struct queue *queue)
{
	return queue->engine->v->forgets_lost == NULL ||
		queue->engine->v->forgets_lost(queue->engine);
}

/* Choose what the next commit is to forget. */
static void queue_lost_plan(struct queue *queue)
{
	struct queue_lost *lost = queue->lost;
	int64_t now;

	lost->forget_max = 0;
	lost->too_old = FALSE;
	if (lost->total_rows == 0 || lost->recounting)
		return;
	lost->forget_before = INT64_MAX;
	if (lost->full)
		lost->forget_max = queue->removals_max;
	else if (lost->total_rows > lost->max_rows &&
		 queue_lost_is_own(queue)) {
		lost->forget_max = I_MIN(lost->total_rows - lost->max_rows,
					 FORGET_MAX);
	} else if (lost->bytes > lost->max_bytes && queue_lost_is_own(queue))
		lost->forget_max = FORGET_LARGE;
	else if ((now = queue_now(queue)) - lost->oldest >= lost->keep_secs) {
		lost->too_old = TRUE;
		lost->forget_max = FORGET_MAX;
		lost->forget_before = now - lost->keep_secs + 1;
	}
}

void queue_lost_age(struct queue *queue)
{
	queue_lost_plan(queue);
	if (queue->lost->forget_max > 0)
		queue_commit_some_time(queue);
}

void queue_lost_drop(struct queue *queue, int64_t lost_id)
{
	id_set_add(&queue->lost->dropped, lost_id, 0);
	queue_commit_some_time(queue);
}

bool queue_lost_is_dropped(struct queue *queue, int64_t lost_id)
{
	return id_set_has(&queue->lost->dropped, lost_id) ||
		id_set_has(&queue->lost->dropping, lost_id);
}

/* Once per spell, which ends when something is kept and a tenth of the limit is
   free. */
static void queue_lost_say(struct queue_lost *lost, unsigned int early,
			   bool no_space, bool kept)
{
	if (early > 0 && !lost->forgetting) {
		lost->forgetting = TRUE;
		if (no_space) {
			i_warning("Disk is nearly full; forgetting "
				  "notifications that were given up, and "
				  "keeping no more of them");
		} else {
			i_warning("Too many notifications were given up; "
				  "forgetting the oldest of them "
				  "(http_notify_lost_limit = %u %"PRIu64")",
				  lost->max_rows, lost->max_bytes);
		}
	} else if (early == 0 && lost->forgetting && kept &&
		   lost->total_rows < lost->max_rows - lost->max_rows / 10 &&
		   lost->bytes < lost->max_bytes - lost->max_bytes / 10) {
		i_info("All notifications that are given up are kept again; "
		       "%"PRIu64" have been forgotten since the start",
		       lost->forgotten);
		lost->forgetting = FALSE;
	}
}

/* Committing */

bool queue_lost_has_changes(const struct queue_lost *lost)
{
	return lost->forget_max > 0 || !array_is_empty(&lost->dropped.ids);
}

void queue_lost_begin(struct queue *queue)
{
	struct queue_lost *lost = queue->lost;
	struct queue_changes *changes = &queue->changes;
	const struct id_set_id *dropped;
	struct queue_given_up *up;
	const int64_t *id;

	array_foreach(&changes->removed, id) {
		up = hash_table_lookup(lost->given_up, id);
		if (up != NULL) {
			up->kept = FALSE;
			array_push_back(&changes->given_up, &up);
		}
	}
	id_set_take(&lost->dropping, &lost->dropped, queue->removals_max,
		    SIZE_MAX);
	array_foreach(&lost->dropping.ids, dropped)
		array_push_back(&changes->dropped, &dropped->id);
	lost->making_room = lost->full;
	lost->full = FALSE;
	changes->forget_lost_max = lost->forget_max;
	changes->forget_lost_before = lost->forget_before;
	lost->forget_max = 0;
}

static void
queue_lost_count(struct queue_lost *lost, struct queue_endpoint *ep,
		 enum queue_loss_reason reason, unsigned int rows,
		 uint64_t bytes)
{
	if (ep != NULL)
		ep->lost[reason] += rows;
	lost->rows[reason] += rows;
	lost->total_rows += rows;
	lost->bytes += bytes;
}

/* Returns FALSE if it had not been counted: another process has kept it. */
static bool
queue_lost_uncount(struct queue_lost *lost, struct queue_endpoint *ep,
		   const struct queue_lost_gone *gone)
{
	bool counted = lost->rows[gone->reason] > 0 &&
		lost->bytes >= gone->size;

	if (ep != NULL && ep->lost[gone->reason] > 0)
		ep->lost[gone->reason]--;
	if (lost->rows[gone->reason] > 0) {
		lost->rows[gone->reason]--;
		lost->total_rows--;
	}
	lost->bytes -= I_MIN(lost->bytes, gone->size);
	return counted;
}

/* Of those to be forgotten, were there less than counted? Some that are too old
   say nothing about how many are not. */
static bool queue_lost_has_less(const struct queue_lost *lost,
				const struct queue_changes *changes)
{
	return changes->lost_forgotten < changes->forget_lost_max &&
		(!lost->too_old || changes->lost_forgotten == 0);
}

static void queue_lost_recount(struct queue *queue)
{
	if (queue->engine->v->recount_lost == NULL || queue->lost->recounting)
		return;
	queue->lost->recounting = TRUE;
	queue->engine->v->recount_lost(queue->engine);
}

static void queue_lost_clear_counts(struct queue *queue)
{
	struct queue_lost *lost = queue->lost;
	struct queue_endpoint *ep;

	for (ep = queue->endpoints_head; ep != NULL; ep = ep->next)
		memset(ep->lost, 0, sizeof(ep->lost));
	memset(lost->rows, 0, sizeof(lost->rows));
	lost->total_rows = 0;
	lost->bytes = 0;
}

void queue_lost_succeeded(struct queue *queue)
{
	struct queue_lost *lost = queue->lost;
	struct queue_changes *changes = &queue->changes;
	const struct queue_lost_gone *gone;
	struct queue_given_up *up;
	struct queue_item *item;
	unsigned int early = lost->too_old ? 0 : changes->lost_forgotten;
	bool no_space = lost->making_room, kept = FALSE;
	bool differs = queue_lost_has_less(lost, changes);

	array_foreach(&changes->lost_gone, gone) {
		if (!queue_lost_uncount(lost, queue_find_endpoint(queue,
					gone->endpoint_number), gone))
			differs = TRUE;
	}
	array_foreach_elem(&changes->given_up, up) {
		if (up->kept) {
			kept = TRUE;
			queue_lost_count(lost, up->endpoint, up->loss.reason,
					 1, up->size);
		} else {
			no_space = TRUE;
			early++;
		}
		up->endpoint->losing--;
		hash_table_remove(lost->given_up, (const int64_t *)&up->id);
		i_free(up);
	}
	array_foreach_elem(&changes->added, item) {
		if (queue_item_is_lost(item)) {
			kept = TRUE;
			queue_lost_count(lost, item->endpoint,
					 item->loss.reason, 1, item->body_size);
		}
	}
	array_clear(&lost->dropping.ids);
	lost->dropping.sorted = 0;
	if (lost->oldest != 0 && differs)
		queue_lost_recount(queue);
	else if (lost->oldest == 0 && lost->total_rows > 0) {
		/* nothing is kept, whoever has taken it */
		queue_lost_clear_counts(queue);
	}
	lost->forgotten += early;
	queue_lost_say(lost, early, no_space, kept);
	queue_lost_plan(queue);
}

void queue_lost_failed(struct queue *queue)
{
	id_set_merge(&queue->lost->dropped, &queue->lost->dropping);
	queue_lost_plan(queue);
}

/* What an engine says */

void queue_engine_recount_lost(struct queue *queue)
{
	queue_lost_clear_counts(queue);
	queue->lost->recounting = FALSE;
}

void queue_engine_have_lost(struct queue *queue, int64_t endpoint_number,
			    enum queue_loss_reason reason, unsigned int rows,
			    uint64_t bytes)
{
	queue_lost_count(queue->lost, queue_find_endpoint(queue,
			 endpoint_number), reason, rows, bytes);
}

void queue_engine_lost_oldest(struct queue *queue, int64_t oldest)
{
	queue->lost->oldest = oldest;
}

void queue_engine_full(struct queue *queue)
{
	queue->lost->full = TRUE;
}

struct queue_endpoint *
queue_engine_get_endpoint(struct queue *queue, int64_t number)
{
	return queue_find_endpoint(queue, number);
}

/* What others ask for */

struct queue_read *
queue_lost_read(struct queue *queue, int64_t after_id, unsigned int limit,
		queue_read_callback_t *callback, void *context)
{
	struct queue_read *read = queue_read_init(queue, QUEUE_READ_LOST,
						  after_id, INT64_MAX, limit,
						  callback, context);

	queue_read_set_awaited(read);
	return read;
}

void queue_lost_resend(struct queue *queue, const struct queue_item *item,
		       queue_stored_callback_t *callback, void *context)
{
	struct queue_pending *pending = array_append_space(&queue->pending);

	i_assert(item->lost_id != 0);

	pending->item = queue_item_dup(item);
	pending->item->attempts = 0;
	item->endpoint->forgotten = FALSE;
	pending->callback = callback;
	pending->context = context;
	queue_commit_soon(queue);
}

void queue_lost_add(struct queue *queue, const struct queue_item *item,
		    queue_stored_callback_t *callback, void *context)
{
	struct queue_pending *pending = array_append_space(&queue->pending);

	pending->item = queue_item_dup(item);
	pending->item->id = pending->item->lost_id = 0;
	pending->item->part = NULL;
	pending->item->mailbox = 0;
	pending->item->body_size = lost_size(item, item->loss.answer);
	item->endpoint->forgotten = FALSE;
	pending->callback = callback;
	pending->context = context;
	queue_commit_soon(queue);
}

void queue_lost_get_stats(struct queue *queue, const struct queue_endpoint *ep,
			  struct queue_lost_stats *stats_r)
{
	const struct queue_lost *lost = queue->lost;

	i_zero(stats_r);
	if (ep != NULL) {
		memcpy(stats_r->rows, ep->lost, sizeof(stats_r->rows));
		return;
	}
	memcpy(stats_r->rows, lost->rows, sizeof(stats_r->rows));
	stats_r->oldest = lost->oldest;
	stats_r->forgotten = lost->forgotten;
}

unsigned int queue_lost_total(struct queue *queue)
{
	return queue->lost->total_rows;
}

bool queue_lost_has(const struct queue_endpoint *ep)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(ep->lost); i++) {
		if (ep->lost[i] > 0)
			return TRUE;
	}
	return ep->losing > 0;
}

struct queue_lost *queue_lost_init(const struct queue_settings *set)
{
	struct queue_lost *lost;

	lost = i_new(struct queue_lost, 1);
	lost->keep_secs = set->lost_keep_secs;
	lost->max_rows = set->lost_max_rows;
	lost->max_bytes = set->lost_max_bytes;
	hash_table_create(&lost->given_up, default_pool, 0, id_hash, id_cmp);
	id_set_init(&lost->dropped);
	id_set_init(&lost->dropping);
	return lost;
}

void queue_lost_deinit(struct queue_lost **_lost)
{
	struct queue_lost *lost = *_lost;
	struct hash_iterate_context *iter;
	struct queue_given_up *up;
	const int64_t *id;

	*_lost = NULL;
	iter = hash_table_iterate_init(lost->given_up);
	while (hash_table_iterate(iter, lost->given_up, &id, &up))
		i_free(up);
	hash_table_iterate_deinit(&iter);
	hash_table_destroy(&lost->given_up);
	id_set_deinit(&lost->dropped);
	id_set_deinit(&lost->dropping);
	i_free(lost);
}
