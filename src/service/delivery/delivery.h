/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DELIVERY_H
#define HTTP_NOTIFY_DELIVERY_H

#include "guid.h"

struct endpoint;
struct endpoint_counters;
struct endpoint_watch;
struct queue;
struct sender;

/* Takes notifications to their endpoints, by way of the queue. Each endpoint is
   on its own: its trouble is its alone. */
struct delivery;

/* Begins with what a former process left in the queue. Not more than
   queue_limit notifications are to be queued. */
struct delivery *
delivery_init(struct queue *queue, struct sender *sender,
	      unsigned int queue_limit);
/* What is under way stays in the queue, and the sender must not call back any
   more. Callers that wait are told. */
void delivery_deinit(struct delivery **delivery);

struct delivery_notification {
	/* what it is handed off as: its identity for good */
	guid_128_t session;
	uint64_t seq;

	const char *username, *folder;
	uint32_t uid;
	const char *body;
	/* of the endpoint (options.h), NULL-terminated */
	const char *const *options;
};

struct delivery_stored {
	/* NULL = it is stored */
	const char *error;
	/* in the queue; 0 if it had been added before */
	int64_t id;
	struct endpoint *endpoint;
};

/* It is stored, or can't be. */
typedef void delivery_stored_callback_t(const struct delivery_stored *stored,
					void *context);

/* The one door: store a notification, and send it to the endpoint that its
   options name by url, standby_url, the logins in these, and netrc_file.
   Passwords and all other options are taken over from the latest caller.
   Returns 0, or -1 and error_r, which has no secrets in it: the options are not
   valid, or there is no room in the queue. The callback is called unless it
   returns -1, and not from inside. */
int delivery_add(struct delivery *delivery,
		 const struct delivery_notification *notification,
		 delivery_stored_callback_t *callback, void *context,
		 const char **error_r);

/* The endpoint with the lowest number above *number, which is set to its own;
   0 at first. NULL if there is none. */
struct endpoint *
delivery_next_endpoint(struct delivery *delivery, unsigned int *number);
/* Of all endpoints, also those that are forgotten. */
const struct endpoint_counters *delivery_counters(struct delivery *delivery);

/* Add to the callers waiting for the outcome of a notification, and remove one
   that does not any more. */
void delivery_watch(struct delivery *delivery, struct endpoint_watch *watch);
void delivery_unwatch(struct delivery *delivery, struct endpoint_watch *watch);

#endif
