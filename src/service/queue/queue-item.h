/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_ITEM_H
#define HTTP_NOTIFY_QUEUE_ITEM_H

#include "guid.h"
#include "queue-hosts.h"

struct queue_endpoint;
struct queue_part;

/* Why a notification was given up: the endpoint refused it, it failed too
   often, it was too old. The numbers are stored. */
enum queue_loss_reason {
	QUEUE_LOSS_REFUSED,
	QUEUE_LOSS_DROPPED,
	QUEUE_LOSS_EXPIRED,

	QUEUE_LOSS_REASON_COUNT
};

struct queue_loss {
	enum queue_loss_reason reason;
	/* what an admin is told, such as the endpoint's last answer */
	const char *answer;
	/* when it was given up, by queue_now() */
	int64_t time;
	/* of one that was read from a shared queue: which one gave it up; else
	   0 and NULL */
	struct queue_host host;
};

/* One notification. */
struct queue_item {
	/* unique in the queue, and ascending within a part in the order of
	   storing; 0 = not stored */
	int64_t id;
	struct queue_endpoint *endpoint;
	/* Of one that was stored or read: where it is, if this process sends
	   it. NULL = another one does; or this one does, which is found in the
	   part later (queue_part_vfuncs.claimed and grown). The part may be
	   gone before the item is. */
	struct queue_part *part;

	/* session and number of its hand-off (handoff.h), which identify it */
	guid_128_t session;
	uint64_t seq;

	const char *username, *folder;
	uint32_t uid;
	/* If it announces a new message: a number above 0 that stands for user,
	   folder, UID validity and endpoint, by which uid is remembered
	   (queue-announced.h); else 0. */
	int64_t mailbox;
	const char *body;
	/* in bytes: what it counts for in the queue, or among those that were
	   given up (queue_lost_add()). Known of all items that were stored or
	   read, also if body is NULL. */
	size_t body_size;

	/* by queue_now() */
	int64_t created, expires;
	/* attempts that have failed so far */
	unsigned int attempts;

	/* of one that was given up (queue-lost.h): its id among these, which
	   ascend in the order of giving up; 0 = it is no such one */
	int64_t lost_id;
	struct queue_loss loss;
};

/* Copy an item and its strings. The copy has one reference. The functions below
   are only for items that this one has made. */
struct queue_item *queue_item_dup(const struct queue_item *item);
void queue_item_ref(struct queue_item *item);
void queue_item_unref(struct queue_item **item);
/* Returns what identifies it to its endpoint, on the data stack. */
const char *queue_item_key(const struct queue_item *item);
/* Was it given up? */
static inline bool queue_item_is_lost(const struct queue_item *item)
{
	return item->loss.answer != NULL;
}

/* The memory that it uses, in bytes. */
size_t queue_item_size(struct queue_item *item);

#endif
