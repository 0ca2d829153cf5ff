/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "expiry.h"
#include "queue.h"

/* How many rows to read at a time. */
#define BATCH 64

struct expiry {
	struct queue *queue;
	struct queue_endpoint *queue_ep;
	expiry_callback_t *callback;
	expiry_done_callback_t *done;
	void *context;

	struct queue_read *read;
	int64_t last_id;
	/* when to look again, by queue_now() */
	int64_t next;
};

static void
expiry_read(struct expiry *expiry, int64_t after_id, unsigned int limit);

static void expiry_read_done(const struct queue_read_result *result,
			     void *context)
{
	struct expiry *expiry = context;
	int64_t now = queue_now(expiry->queue);
	unsigned int i;

	expiry->read = NULL;
	for (i = 0; i < result->count; i++) {
		if (result->items[i]->expires > now) {
			expiry->next = result->items[i]->expires;
			break;
		}
		expiry->callback(result->items[i], expiry->context);
	}
	if (i == result->count && result->more)
		expiry_read(expiry, result->read_to, BATCH);
	if (i > 0)
		expiry->done(expiry->context);
}

static void
expiry_read(struct expiry *expiry, int64_t after_id, unsigned int limit)
{
	expiry->read = queue_read(expiry->queue, expiry->queue_ep,
				  QUEUE_READ_WHOLE, after_id, expiry->last_id,
				  limit, expiry_read_done, expiry);
}

void expiry_run(struct expiry *expiry, int64_t last_id)
{
	if (expiry->read != NULL || expiry->next > queue_now(expiry->queue))
		return;
	expiry->last_id = last_id;
	/* mostly the first one is not too old yet */
	expiry_read(expiry, 0, 1);
}

struct expiry *
expiry_init(struct queue *queue, struct queue_endpoint *queue_ep,
	    expiry_callback_t *callback, expiry_done_callback_t *done,
	    void *context)
{
	struct expiry *expiry;

	expiry = i_new(struct expiry, 1);
	expiry->queue = queue;
	expiry->queue_ep = queue_ep;
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
