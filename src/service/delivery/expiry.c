/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "expiry.h"
#include "queue.h"

/* How many rows to read at a time. */
#define BATCH 64

struct expiry {
	struct queue *queue;
	struct queue_part *queue_part;
	unsigned int max_age_secs;
	expiry_callback_t *callback;
	expiry_done_callback_t *done;
	void *context;

	struct queue_read *read;
	int64_t last_id;
	/* when to look again, by queue_now() */
	int64_t next;
	/* what is left up to this id was sent again, and does not expire before
	   this time */
	int64_t again_id, again_expires;
};

static void
expiry_read(struct expiry *expiry, int64_t after_id, unsigned int limit);

/* It has been in the queue since created, but gets another max_age. */
static bool expiry_was_sent_again(const struct expiry *expiry,
				  const struct queue_item *item)
{
	return item->expires - item->created > expiry->max_age_secs;
}

static void expiry_read_done(const struct queue_read_result *result,
			     void *context)
{
	struct expiry *expiry = context;
	int64_t now = queue_now(expiry->queue);
	unsigned int i;

	expiry->read = NULL;
	for (i = 0; i < result->count; i++) {
		const struct queue_item *item = result->items[i];

		if (item->expires <= now)
			expiry->callback(item, expiry->context);
		else if (expiry_was_sent_again(expiry, item)) {
			expiry->again_id = item->id;
			expiry->again_expires = I_MIN(expiry->again_expires,
						      item->expires);
		} else {
			expiry->next = item->expires;
			break;
		}
	}
	if (i == result->count && result->more)
		expiry_read(expiry, result->read_to, BATCH);
	else
		expiry->next = I_MIN(expiry->next, expiry->again_expires);
	if (i > 0)
		expiry->done(expiry->context);
}

static void
expiry_read(struct expiry *expiry, int64_t after_id, unsigned int limit)
{
	expiry->read = queue_read(expiry->queue, expiry->queue_part,
				  QUEUE_READ_WHOLE, after_id, expiry->last_id,
				  limit, expiry_read_done, expiry);
}

void expiry_run(struct expiry *expiry, int64_t last_id)
{
	int64_t now = queue_now(expiry->queue);

	if (expiry->read != NULL || expiry->next > now)
		return;
	expiry->last_id = last_id;
	if (expiry->again_expires <= now) {
		expiry->again_id = 0;
		expiry->again_expires = INT64_MAX;
	}
	/* mostly the first one is not too old yet */
	expiry_read(expiry, expiry->again_id, 1);
}

struct expiry *
expiry_init(struct queue *queue, struct queue_part *queue_part,
	    unsigned int max_age_secs,
	    expiry_callback_t *callback, expiry_done_callback_t *done,
	    void *context)
{
	struct expiry *expiry;

	expiry = i_new(struct expiry, 1);
	expiry->queue = queue;
	expiry->queue_part = queue_part;
	expiry->max_age_secs = max_age_secs;
	expiry->again_expires = INT64_MAX;
	expiry->callback = callback;
	expiry->done = done;
	expiry->context = context;
	return expiry;
}

void expiry_deinit(struct expiry **_expiry)
{
	struct expiry *expiry = *_expiry;

	*_expiry = NULL;
	queue_read_cancel(&expiry->read);
	i_free(expiry);
}
