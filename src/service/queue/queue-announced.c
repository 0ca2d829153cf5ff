/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Of what is queued, the messages are known as long as somebody asks: those
   that were queued at the beginning and those that have been added since. What
   leaves the queue meanwhile is remembered by the engine as well; or all of this
   is, if the engine remembers what is added. */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "llist.h"

#include "queue.h"
#include "queue-private.h"

/* How many notifications to read at a time. */
#define READ_BATCH 64
/* The table need not grow then, which would take a while. */
#define TABLE_MAX (1024*1024)

struct announced_mailbox {
	int64_t mailbox;
	ARRAY_TYPE(seq_range) uids;
};

struct queue_announced {
	unsigned int callers;
	pool_t pool;
	HASH_TABLE(const int64_t *, struct announced_mailbox *) queued;

	/* the read of what was queued at the beginning, of this endpoint; NULL
	   = all has been read */
	struct queue_endpoint *ep;
	struct queue_read *read;
	int64_t after_id;
	/* it could not be read */
	char *error;

	/* those that wait for that, or for their turn */
	struct queue_announced_read *reads_head, *reads_tail;
	struct timeout *to_run;
};

static unsigned int mailbox_hash(const int64_t *mailbox)
{
	return (uint64_t)*mailbox ^ ((uint64_t)*mailbox >> 32);
}

static int mailbox_cmp(const int64_t *mailbox1, const int64_t *mailbox2)
{
	return *mailbox1 < *mailbox2 ? -1 : *mailbox1 > *mailbox2;
}

void queue_announced_added(struct queue *queue, const struct queue_item *item)
{
	struct queue_announced *announced = queue->announced;
	struct announced_mailbox *mailbox;

	if (announced == NULL || item->mailbox == 0)
		return;
	mailbox = hash_table_lookup(announced->queued, &item->mailbox);
	if (mailbox == NULL) {
		mailbox = p_new(announced->pool, struct announced_mailbox, 1);
		mailbox->mailbox = item->mailbox;
		p_array_init(&mailbox->uids, announced->pool, 1);
		hash_table_insert(announced->queued,
				  (const int64_t *)&mailbox->mailbox, mailbox);
	}
	seq_range_array_add(&mailbox->uids, item->uid);
}

/* What was queued at the beginning */

static void queue_announced_read_queued(struct queue *queue);
static void queue_announced_run_later(struct queue *queue);

static void
queue_announced_queued(const struct queue_read_result *result, void *context)
{
	struct queue *queue = context;
	struct queue_announced *announced = queue->announced;
	unsigned int i;

	announced->read = NULL;
	for (i = 0; i < result->count; i++)
		queue_announced_added(queue, result->items[i]);
	announced->after_id = result->read_to;
	if (result->error != NULL) {
		announced->error = i_strdup(result->error);
		announced->ep = NULL;
	} else if (!result->more && announced->ep != NULL) {
		announced->ep = announced->ep->next;
		announced->after_id = 0;
	}
	queue_announced_read_queued(queue);
}

static void queue_announced_read_queued(struct queue *queue)
{
	struct queue_announced *announced = queue->announced;

	if (announced->ep == NULL) {
		queue_announced_run_later(queue);
		return;
	}
	announced->read = queue_read_endpoint(queue, announced->ep,
					      announced->after_id, INT64_MAX,
					      READ_BATCH,
					      queue_announced_queued, queue);
	/* the engine remembers them only when that has been committed */
	announced->read->removed_too = TRUE;
}

void queue_announced_endpoint_gone(struct queue *queue,
				   const struct queue_endpoint *ep)
{
	struct queue_announced *announced = queue->announced;

	/* its read ends with nothing, and goes on with the next one */
	if (announced != NULL && announced->ep == ep) {
		queue_read_cancel(&announced->read);
		announced->ep = ep->next;
		announced->after_id = 0;
		queue_announced_read_queued(queue);
	}
}

static void
queue_announced_add_pending(struct queue *queue,
			    const ARRAY_TYPE(queue_pending) *all)
{
	const struct queue_pending *pending;

	array_foreach(all, pending) {
		if (pending->item != NULL)
			queue_announced_added(queue, pending->item);
	}
}

void queue_announced_begin(struct queue *queue, unsigned int queued)
{
	struct queue_announced *announced = queue->announced;

	if (announced != NULL) {
		announced->callers++;
		return;
	}
	queue->announced = announced = i_new(struct queue_announced, 1);
	announced->callers = 1;
	announced->pool = pool_alloconly_create("announced", 1024);
	hash_table_create(&announced->queued, default_pool,
			  I_MIN(queued, TABLE_MAX), mailbox_hash, mailbox_cmp);
	queue_announced_add_pending(queue, &queue->pending);
	queue_announced_add_pending(queue, &queue->committing_pending);
	if (!queue->engine->v->announced_when_added) {
		announced->ep = queue->endpoints_head;
		queue_announced_read_queued(queue);
	}
}

void queue_announced_end(struct queue *queue)
{
	struct queue_announced *announced = queue->announced;

	i_assert(announced->callers > 0);
	if (--announced->callers > 0)
		return;
	i_assert(announced->reads_head == NULL);
	queue->announced = NULL;
	queue_read_cancel(&announced->read);
	timeout_remove(&announced->to_run);
	hash_table_destroy(&announced->queued);
	pool_unref(&announced->pool);
	i_free(announced->error);
	i_free(announced);
}

/* Asking */

static void queue_announced_run(struct queue *queue)
{
	struct queue_announced *announced;
	struct queue_announced_read *read;

	timeout_remove(&queue->announced->to_run);
	/* with the last one, its caller may end all this */
	while ((announced = queue->announced) != NULL &&
	       announced->reads_head != NULL) {
		read = announced->reads_head;
		DLLIST2_REMOVE(&announced->reads_head, &announced->reads_tail,
			       read);
		read->begun = TRUE;
		if (announced->error != NULL)
			queue_engine_announced(read, announced->error);
		else
			queue->engine->v->read_announced(queue->engine, read);
	}
}

static void queue_announced_run_later(struct queue *queue)
{
	struct queue_announced *announced = queue->announced;

	if (announced->ep == NULL && announced->reads_head != NULL &&
	    announced->to_run == NULL) {
		announced->to_run =
			timeout_add_short(0, queue_announced_run, queue);
	}
}

struct queue_announced_read *
queue_announced_read(struct queue *queue, int64_t mailbox,
		     queue_announced_callback_t *callback, void *context)
{
	struct queue_announced *announced = queue->announced;
	struct queue_announced_read *read;

	read = i_new(struct queue_announced_read, 1);
	read->queue = queue;
	read->mailbox = mailbox;
	i_array_init(&read->uids, 4);
	read->callback = callback;
	read->context = context;
	DLLIST2_APPEND(&announced->reads_head, &announced->reads_tail, read);
	queue_announced_run_later(queue);
	return read;
}

static void queue_announced_read_free(struct queue_announced_read *read)
{
	array_free(&read->uids);
	i_free(read);
}

void queue_announced_cancel(struct queue_announced_read **_read)
{
	struct queue_announced_read *read = *_read;
	struct queue_announced *announced;

	*_read = NULL;
	if (read == NULL)
		return;
	if (read->begun) {
		/* the engine is still at it */
		read->callback = NULL;
		return;
	}
	announced = read->queue->announced;
	DLLIST2_REMOVE(&announced->reads_head, &announced->reads_tail, read);
	queue_announced_read_free(read);
}

void queue_engine_announced(struct queue_announced_read *read,
			    const char *error)
{
	struct queue_announced_result result = {
		.error = error, .uids = &read->uids
	};
	struct announced_mailbox *mailbox;
	int64_t secs;

	if (read->callback != NULL) {
		mailbox = hash_table_lookup(read->queue->announced->queued,
			(const int64_t *)&read->mailbox);
		if (mailbox != NULL)
			seq_range_array_merge(&read->uids, &mailbox->uids);
		secs = queue_now(read->queue) - read->since;
		result.secs = secs < 0 ? 0 :
			I_MIN(secs, QUEUE_ANNOUNCED_KEEP_SECS);
		read->callback(&result, read->context);
	}
	queue_announced_read_free(read);
}
