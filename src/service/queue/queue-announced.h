/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_ANNOUNCED_H
#define HTTP_NOTIFY_QUEUE_ANNOUNCED_H

#include "seq-range-array.h"

struct queue;

/* Which messages have been announced: those whose notifications are queued, or
   were and have left the queue, delivered or not. The engine remembers at least
   the latter, for each mailbox (queue_item.mailbox), so that it can be found out
   which messages were never handed off. */

/* A mailbox of which nothing was remembered for so long may be forgotten. */
#define QUEUE_ANNOUNCED_KEEP_SECS (7*24*60*60)
/* If there are more mailboxes than about this many, those of which nothing was
   remembered for longest are forgotten earlier. */
#define QUEUE_ANNOUNCED_MAX (16*1024*1024)

/* From begin to end, callers may ask. What is queued is looked through once for
   all of them, which takes a while; queued: about how many that are. */
void queue_announced_begin(struct queue *queue, unsigned int queued);
void queue_announced_end(struct queue *queue);

struct queue_announced_result {
	/* NULL = no error, or why it can't be told */
	const char *error;
	/* live until the callback returns */
	const ARRAY_TYPE(seq_range) *uids;
	/* for so long everything has been remembered */
	unsigned int secs;
};

typedef void
queue_announced_callback_t(const struct queue_announced_result *result,
			   void *context);
/* Get the UIDs of a mailbox that have been announced. The callback is never
   called from inside this function. */
struct queue_announced_read *
queue_announced_read(struct queue *queue, int64_t mailbox,
		     queue_announced_callback_t *callback, void *context);
/* The callback will not be called. *read may be NULL. */
void queue_announced_cancel(struct queue_announced_read **read);

#endif
