/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "ioloop.h"

#include "backlog.h"
#include "queue.h"
#include "reader.h"

/* How many rows to read at a time when only their users are wanted. */
#define SCOUT_BATCH 512
/* How much may be read ahead, in bytes, and for how much a read counts. */
#define AHEAD_SIZE_MAX (8*1024*1024)
#define READ_SIZE (1024*1024)
/* How long to wait after a read that failed. */
#define RETRY_MSECS 1000

struct reader {
	struct queue *queue;
	struct queue_part *queue_part;
	reader_changed_callback_t *changed;
	void *context;

	/* Ids: all rows up to scouted have been found, and the backlog has been
	   read up to cursor. The rest of it is after cursor, and in ahead. */
	int64_t scouted, cursor;
	struct backlog *backlog;
	unsigned int found;
	uint64_t found_bytes;

	/* The users of what was in the queue at first, or was stored by others,
	   are being read. What is stored meanwhile is found in the same way. */
	bool scouting;
	struct queue_read *scout;

	/* what was read, up to cursor: those before ahead_idx have been pulled,
	   and NULL ones were removed from the queue */
	ARRAY(struct queue_item *) ahead;
	unsigned int ahead_idx, batch;
	size_t *ahead_size;
	/* there was more than one read gives: what is ahead is large */
	bool ahead_large;
	struct queue_read *read;
	struct timeout *to_retry;
};

static void reader_scout(struct reader *reader);
static void reader_read(struct reader *reader);

static void reader_retry(struct reader *reader)
{
	timeout_remove(&reader->to_retry);
	if (reader->scouting && reader->scout == NULL)
		reader_scout(reader);
	if (reader->read == NULL && reader->batch > 0)
		reader_read(reader);
}

static void reader_retry_later(struct reader *reader)
{
	if (reader->to_retry == NULL) {
		reader->to_retry = timeout_add(RETRY_MSECS, reader_retry,
					       reader);
	}
}

static void reader_skip(struct reader *reader)
{
	if (backlog_is_empty(reader->backlog) && reader->read == NULL)
		reader->cursor = reader->scouted;
}

/* Finding what is there */

static void
reader_scouted(const struct queue_read_result *result, void *context)
{
	struct reader *reader = context;
	unsigned int i;

	reader->scout = NULL;
	for (i = 0; i < result->count; i++) {
		backlog_add(reader->backlog, result->items[i]->username,
			    result->items[i]->id);
		reader->found_bytes += result->items[i]->body_size;
	}
	reader->found += result->count;
	reader->scouted = result->read_to;
	if (result->error != NULL)
		reader_retry_later(reader);
	else if (reader->scouted < queue_part_last_id(reader->queue_part))
		reader_scout(reader);
	else
		reader->scouting = FALSE;
	reader_skip(reader);
	reader->changed(reader->context);
}

static void reader_scout(struct reader *reader)
{
	reader->scout = queue_read(reader->queue, reader->queue_part,
				   QUEUE_READ_USERS, reader->scouted,
				   INT64_MAX, SCOUT_BATCH, reader_scouted,
				   reader);
}

void reader_grown(struct reader *reader)
{
	if (reader->scouting)
		return;
	reader->scouting = TRUE;
	reader_scout(reader);
}

bool reader_stored(struct reader *reader, const struct queue_item *item,
		   bool have_room)
{
	if (reader->scouting)
		return FALSE;
	reader->found++;
	reader->found_bytes += item->body_size;
	reader->scouted = item->id;
	if (!have_room || backlog_has(reader->backlog, item->username)) {
		backlog_add(reader->backlog, item->username, item->id);
		return FALSE;
	}
	reader_skip(reader);
	return TRUE;
}

/* The backlog */

static void
reader_read_done(const struct queue_read_result *result, void *context)
{
	struct reader *reader = context;
	struct queue_item *item;
	unsigned int i;

	reader->read = NULL;
	*reader->ahead_size -= READ_SIZE;
	for (i = 0; i < result->count; i++) {
		item = result->items[i];
		queue_item_ref(item);
		array_push_back(&reader->ahead, &item);
		*reader->ahead_size += queue_item_size(item);
	}
	reader->cursor = result->read_to;
	reader->ahead_large = result->more && result->count < reader->batch;
	if (result->error != NULL)
		reader_retry_later(reader);
	else
		reader->batch = 0;
	reader->changed(reader->context);
}

static void reader_read(struct reader *reader)
{
	*reader->ahead_size += READ_SIZE;
	reader->read = queue_read(reader->queue, reader->queue_part,
				  QUEUE_READ_WHOLE, reader->cursor,
				  reader->scouted, reader->batch,
				  reader_read_done, reader);
}

/* Of one that is ahead; *item may be NULL. */
static void reader_forget(struct reader *reader, struct queue_item **item)
{
	if (*item != NULL)
		*reader->ahead_size -= queue_item_size(*item);
	queue_item_unref(item);
}

static void reader_drop_ahead(struct reader *reader)
{
	unsigned int i;

	for (i = reader->ahead_idx; i < array_count(&reader->ahead); i++)
		reader_forget(reader, array_idx_modifiable(&reader->ahead, i));
	array_clear(&reader->ahead);
	reader->ahead_idx = 0;
}

/* Have more rows read before the last of these is pulled, unless they take much
   memory. */
static void reader_read_ahead(struct reader *reader, unsigned int batch)
{
	unsigned int left = array_count(&reader->ahead) - reader->ahead_idx;

	if (reader->batch > 0 || reader->cursor >= reader->scouted ||
	    *reader->ahead_size >= AHEAD_SIZE_MAX ||
	    left > (reader->ahead_large ? 0 : batch / 2))
		return;
	array_delete(&reader->ahead, 0, reader->ahead_idx);
	reader->ahead_idx = 0;
	reader->batch = batch;
	reader_read(reader);
}

struct queue_item *reader_pull(struct reader *reader, unsigned int batch)
{
	struct queue_item *item = NULL;

	if (backlog_is_empty(reader->backlog)) {
		/* the rest is no backlog: the caller has it from
		   reader_stored() */
		reader_drop_ahead(reader);
		return NULL;
	}
	while (item == NULL &&
	       reader->ahead_idx < array_count(&reader->ahead))
		item = array_idx_elem(&reader->ahead, reader->ahead_idx++);
	if (item != NULL)
		*reader->ahead_size -= queue_item_size(item);
	if (reader->ahead_idx == array_count(&reader->ahead)) {
		array_clear(&reader->ahead);
		reader->ahead_idx = 0;
		backlog_read(reader->backlog, reader->cursor);
		reader_skip(reader);
	} else
		backlog_read(reader->backlog, item->id);
	if (!backlog_is_empty(reader->backlog))
		reader_read_ahead(reader, batch);
	return item;
}

bool reader_is_reading(const struct reader *reader)
{
	return reader->read != NULL;
}

void reader_removed(struct reader *reader, int64_t id)
{
	struct queue_item **itemp;
	unsigned int i;

	for (i = reader->ahead_idx; i < array_count(&reader->ahead); i++) {
		itemp = array_idx_modifiable(&reader->ahead, i);
		if (*itemp != NULL && (*itemp)->id == id)
			reader_forget(reader, itemp);
	}
}

bool reader_is_empty(const struct reader *reader)
{
	return !reader->scouting && backlog_is_empty(reader->backlog);
}

int64_t reader_known_id(const struct reader *reader)
{
	return reader->scouted;
}

unsigned int reader_take_found(struct reader *reader, uint64_t *bytes_r)
{
	unsigned int found = reader->found;

	*bytes_r = reader->found_bytes;
	reader->found = 0;
	reader->found_bytes = 0;
	return found;
}

struct reader *
reader_init(struct queue *queue, struct queue_part *queue_part,
	    size_t *ahead_size, reader_changed_callback_t *changed,
	    void *context)
{
	struct reader *reader;

	reader = i_new(struct reader, 1);
	reader->queue = queue;
	reader->queue_part = queue_part;
	reader->ahead_size = ahead_size;
	reader->changed = changed;
	reader->context = context;
	reader->backlog = backlog_init();
	i_array_init(&reader->ahead, 16);
	if (queue_part_last_id(queue_part) > 0)
		reader_grown(reader);
	return reader;
}

void reader_deinit(struct reader **_reader)
{
	struct reader *reader = *_reader;

	*_reader = NULL;
	queue_read_cancel(&reader->scout);
	if (reader->read != NULL)
		*reader->ahead_size -= READ_SIZE;
	queue_read_cancel(&reader->read);
	timeout_remove(&reader->to_retry);
	reader_drop_ahead(reader);
	array_free(&reader->ahead);
	backlog_deinit(&reader->backlog);
	i_free(reader);
}
