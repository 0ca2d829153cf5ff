/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_ITEM_H
#define HTTP_NOTIFY_QUEUE_ITEM_H

#include "guid.h"

struct queue_endpoint;

/* One notification. */
struct queue_item {
	/* ascending within an endpoint in the order they are stored, and no
	   other endpoint's; 0 = it is not stored */
	int64_t id;
	struct queue_endpoint *endpoint;

	/* what it was handed off as: its identity for good */
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

/* A copy with its strings, referenced once. Only what was made by this function
   can be referenced. */
struct queue_item *queue_item_dup(const struct queue_item *item);
void queue_item_ref(struct queue_item *item);
void queue_item_unref(struct queue_item **item);
/* The memory it takes, in bytes. */
size_t queue_item_size(struct queue_item *item);

#endif
