/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_ITEM_H
#define HTTP_NOTIFY_QUEUE_ITEM_H

#include "guid.h"

struct queue_endpoint;

/* One notification. */
struct queue_item {
	/* unique in the queue, and ascending within an endpoint in the order of
	   storing; 0 = not stored */
	int64_t id;
	struct queue_endpoint *endpoint;

	/* session and number of its hand-off (handoff.h), which identify it */
	guid_128_t session;
	uint64_t seq;

	const char *username, *folder;
	uint32_t uid;
	const char *body;

	/* by queue_now() */
	int64_t created, expires;
	/* attempts that have failed so far */
	unsigned int attempts;
};

/* Copy an item and its strings. The copy has one reference. The functions below
   are only for items that this one has made. */
struct queue_item *queue_item_dup(const struct queue_item *item);
void queue_item_ref(struct queue_item *item);
void queue_item_unref(struct queue_item **item);
/* The memory that it uses, in bytes. */
size_t queue_item_size(struct queue_item *item);

#endif
