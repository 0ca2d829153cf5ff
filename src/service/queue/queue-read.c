/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads wait for their turn, so that many of them do not stall the ioloop. */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "llist.h"

#include "monotonic.h"
#include "queue.h"
#include "queue-private.h"

/* How many reads to make in one turn of the ioloop. */
#define READS_PER_TURN 16
/* A spell of failures has ended when there was none for this long. */
#define SPELL_MSECS (60*1000)

static void queue_read_free(struct queue_read *read)
{
	struct queue_item **itemp;

	array_foreach_modifiable(&read->items, itemp)
		queue_item_unref(itemp);
	array_free(&read->items);
	i_free(read);
}

/* Returns FALSE if there is nothing to be read. */
static bool queue_read_begin(struct queue_read *read)
{
	read->begun = TRUE;
	read->removals = read->queue->removals;
	if (read->part != NULL) {
		read->part_number = read->part->number;
		read->last_id = I_MIN(read->last_id, read->part->last_id);
	}
	if (read->endpoint != NULL)
		read->endpoint_number = read->endpoint->number;
	return read->endpoint_number != 0 || read->what == QUEUE_READ_LOST;
}

static void queue_run_reads(struct queue *queue)
{
	struct queue_read *read;
	unsigned int i;

	timeout_remove(&queue->to_read);
	queue->read_size = 0;
	for (i = 0; i < READS_PER_TURN &&
	     queue->read_size < QUEUE_READ_SIZE_MAX && queue->reads_head != NULL; i++) {
		read = queue->reads_head;
		DLLIST2_REMOVE(&queue->reads_head, &queue->reads_tail, read);
		if (!queue_read_begin(read)) {
			queue_engine_read_done(read, NULL);
			continue;
		}
		T_BEGIN {
			queue->engine->v->read(queue->engine, read);
		} T_END;
	}
	if (queue->reads_head != NULL && queue->to_read == NULL)
		queue->to_read = timeout_add_short(0, queue_run_reads, queue);
}

struct queue_read *
queue_read_init(struct queue *queue, enum queue_read_what what,
		int64_t after_id, int64_t last_id, unsigned int limit,
		queue_read_callback_t *callback, void *context)
{
	struct queue_read *read;

	read = i_new(struct queue_read, 1);
	read->queue = queue;
	read->what = what;
	read->after_id = read->read_to = after_id;
	read->last_id = last_id;
	read->limit = limit;
	/* it may wait for long, with many others */
	i_array_init(&read->items, I_MIN(limit, 4));
	read->callback = callback;
	read->context = context;
	DLLIST2_APPEND(&queue->reads_head, &queue->reads_tail, read);
	if (queue->to_read == NULL)
		queue->to_read = timeout_add_short(0, queue_run_reads, queue);
	return read;
}

struct queue_read *
queue_read(struct queue *queue, struct queue_part *part,
	   enum queue_read_what what, int64_t after_id, int64_t last_id,
	   unsigned int limit, queue_read_callback_t *callback, void *context)
{
	struct queue_read *read = queue_read_init(queue, what, after_id,
						  last_id, limit, callback,
						  context);

	read->endpoint = part->endpoint;
	read->part = part;
	return read;
}

struct queue_read *
queue_read_endpoint(struct queue *queue, struct queue_endpoint *ep,
		    int64_t after_id, int64_t last_id, unsigned int limit,
		    queue_read_callback_t *callback, void *context)
{
	struct queue_read *read = queue_read_init(queue, QUEUE_READ_WHOLE,
						  after_id, last_id, limit,
						  callback, context);

	read->endpoint = ep;
	read->awaited = TRUE;
	return read;
}

void queue_read_set_awaited(struct queue_read *read)
{
	read->awaited = TRUE;
}

void queue_reads_endpoint_gone(struct queue *queue,
			       const struct queue_endpoint *ep)
{
	struct queue_read *read;

	for (read = queue->reads_head; read != NULL; read = read->next) {
		if (read->endpoint == ep)
			read->endpoint = NULL;
	}
}

void queue_reads_part_gone(struct queue *queue, const struct queue_part *part)
{
	struct queue_read *read;

	for (read = queue->reads_head; read != NULL; read = read->next) {
		if (read->part == part) {
			read->part = NULL;
			read->endpoint = NULL;
		}
	}
}

void queue_read_cancel(struct queue_read **_read)
{
	struct queue_read *read = *_read;
	struct queue *queue;

	*_read = NULL;
	if (read == NULL)
		return;
	queue = read->queue;
	if (read->begun) {
		/* the engine is still reading */
		read->callback = NULL;
		return;
	}
	DLLIST2_REMOVE(&queue->reads_head, &queue->reads_tail, read);
	if (queue->reads_head == NULL)
		timeout_remove(&queue->to_read);
	queue_read_free(read);
}

static void
queue_read_set_place(struct queue_read *read, struct queue_item *item)
{
	struct queue *queue = read->queue;
	struct queue_part *part = queue_engine_find_part(queue,
		item->id >> queue->part_shift);

	item->part = part == NULL || part->released ? NULL : part;
	item->endpoint = part != NULL ? part->endpoint :
		queue_find_endpoint(queue, read->endpoint_number);
}

bool queue_engine_read_row(struct queue_read *read,
			   const struct queue_item *item)
{
	struct queue_item *copy;
	bool gone;

	read->rows++;
	if (read->what == QUEUE_READ_LOST) {
		read->read_to = item->lost_id;
		gone = queue_lost_is_dropped(read->queue, item->lost_id);
	} else {
		read->read_to = item->id;
		gone = !read->removed_too &&
			queue_is_removed(read->queue, item->id);
	}
	if (!gone) {
		copy = queue_item_dup(item);
		if (read->what != QUEUE_READ_LOST)
			queue_read_set_place(read, copy);
		array_push_back(&read->items, &copy);
		read->size += queue_item_size(copy);
		read->queue->read_size += queue_item_size(copy);
	}
	return read->size < QUEUE_READ_SIZE_MAX;
}

/* Drop what has been removed since it was read. */
static void queue_read_drop_removed(struct queue_read *read)
{
	struct queue_item **itemp;
	unsigned int i;

	for (i = array_count(&read->items); i > 0; i--) {
		itemp = array_idx_modifiable(&read->items, i - 1);
		if (queue_is_removed(read->queue, (*itemp)->id)) {
			queue_item_unref(itemp);
			array_delete(&read->items, i - 1, 1);
		}
	}
}

/* Once per spell: many try again every second. */
static void queue_log_unread(struct queue *queue, const char *error)
{
	int64_t now = http_notify_monotonic_msecs();

	if (queue->unread == 0 || now - queue->unread >= SPELL_MSECS)
		i_error("Queue can't be read: %s", error);
	queue->unread = now;
}

void queue_engine_read_done(struct queue_read *read, const char *error)
{
	struct queue_read_result result;

	if (read->removals != read->queue->removals && !read->removed_too &&
	    read->what != QUEUE_READ_LOST)
		queue_read_drop_removed(read);

	i_zero(&result);
	result.error = error;
	result.items = array_get(&read->items, &result.count);
	result.read_to = read->read_to;
	if (error != NULL) {
		if (read->queue->engine_error == NULL)
			queue_log_unread(read->queue, error);
	} else if (read->rows == read->limit || read->cut ||
		 read->size >= QUEUE_READ_SIZE_MAX)
		result.more = TRUE;
	else
		result.read_to = I_MAX(read->read_to, read->last_id);
	if (read->callback != NULL)
		read->callback(&result, read->context);
	queue_read_free(read);
}
