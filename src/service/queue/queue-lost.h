/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_LOST_H
#define HTTP_NOTIFY_QUEUE_LOST_H

#include "queue.h"

/* What was given up. It is kept for a while, so that an admin can look at it
   and put it back into the queue. It gives way to what is queued: the oldest
   ones are forgotten when there are too many, or when the disk is full. */

/* Remove an item, since it is given up after so many failed attempts, and keep
   it: one transaction does both. */
void queue_give_up(struct queue *queue, const struct queue_item *item,
		   unsigned int attempts, const struct queue_loss *loss);

/* Read what is kept, with lost_ids above after_id, at most limit, in the order
   of giving up. The items have their endpoint, and id is the one that they had
   in the queue. read_to is a lost_id. */
struct queue_read *
queue_lost_read(struct queue *queue, int64_t after_id, unsigned int limit,
		queue_read_callback_t *callback, void *context);

/* Forget one. */
void queue_lost_drop(struct queue *queue, int64_t lost_id);
/* Put a copy of one that was read back into the queue, where item->expires is
   its new time: one transaction moves it, before whatever was added later, and
   the same hand-off stays its identity. If item->endpoint is another one now,
   item->id must be 0, and it is put at the end of what is queued for that. In
   the callback, item->id is 0 if it was not there any more. */
void queue_lost_resend(struct queue *queue, const struct queue_item *item,
		       queue_stored_callback_t *callback, void *context);

/* If several processes share what is kept: is this the one, of all of them, that
   looks after it? Another one may be, a moment later. */
bool queue_lost_is_own(struct queue *queue);
/* Keep a copy of one that another queue has kept: its endpoint, of this queue,
   reason, answer and times, which are by this queue's clock. In the callback,
   item->part is NULL. */
void queue_lost_add(struct queue *queue, const struct queue_item *item,
		    queue_stored_callback_t *callback, void *context);

struct queue_lost_stats {
	/* how many are kept, by reason */
	unsigned int rows[QUEUE_LOSS_REASON_COUNT];

	/* The others are for all endpoints together, and 0 for one of them.
	   When the oldest one was given up, by queue_now(); 0 = none. */
	int64_t oldest;
	/* since queue_init(), forgotten before their time, or never kept: too
	   many, or no room on the disk */
	uint64_t forgotten;
};

/* ep: NULL = all */
void queue_lost_get_stats(struct queue *queue, const struct queue_endpoint *ep,
			  struct queue_lost_stats *stats_r);
/* How many are kept. */
unsigned int queue_lost_total(struct queue *queue);
/* Is something kept for the endpoint, or about to be, so that it must not be
   forgotten? */
bool queue_lost_has(const struct queue_endpoint *ep);

#endif
