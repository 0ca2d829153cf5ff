/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EXPIRY_H
#define HTTP_NOTIFY_EXPIRY_H

struct queue;
struct queue_item;
struct queue_part;

/* Finds what a part of the queue has that is too old. What was sent again
   after it had been given up is younger than what is behind it. */
struct expiry;

/* Of an item that is too old. It may be removed from the queue. */
typedef void expiry_callback_t(const struct queue_item *item, void *context);
/* Of some of them, after the former was called for each. */
typedef void expiry_done_callback_t(void *context);

struct expiry *
expiry_init(struct queue *queue, struct queue_part *queue_part,
	    unsigned int max_age_secs,
	    expiry_callback_t *callback, expiry_done_callback_t *done,
	    void *context);
void expiry_deinit(struct expiry **expiry);

/* Look for them, up to this id, unless it is known that there are none, or that
   is being done already. */
void expiry_run(struct expiry *expiry, int64_t last_id);

#endif
