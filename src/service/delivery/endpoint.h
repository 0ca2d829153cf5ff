/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_H
#define HTTP_NOTIFY_ENDPOINT_H

#include "health.h"

struct endpoint_common;
struct http_notify_options;
struct queue_endpoint;
struct queue_item;

/* One endpoint, with its standby if it has one: which of its queued
   notifications are sent when. In order for each mail user, different users at
   once, again and later where an attempt failed, until they are done, refused
   or too old. What comes for a user who has nothing queued does not wait
   behind what others have. */
struct endpoint;

/* What became of notifications, since the service was started. */
struct endpoint_counters {
	uint64_t delivered;
	/* attempts that failed */
	uint64_t retried;
	/* notifications that the endpoint refused, that failed too often, and
	   that were too old */
	uint64_t refused, dropped, expired;
};

struct endpoint_status {
	/* without credentials */
	const char *url;
	/* of url, and for how long, in seconds */
	enum health_state state;
	int64_t state_secs;
	/* of standby_url, if there is one */
	bool have_standby;
	enum health_state standby_state;

	unsigned int queued, in_flight;
	struct endpoint_counters counters;
	/* NULL = nothing has failed */
	const char *last_error;
};

/* It begins with what is in the queue. The caller is one that may forget it in
   the queue when it is gone. */
struct endpoint *
endpoint_init(struct endpoint_common *common, struct queue_endpoint *queue_ep,
	      const struct http_notify_options *options);
void endpoint_deinit(struct endpoint **ep);

/* Options other than at first, for requests from now on. The URLs may only
   differ in their passwords. */
void endpoint_set_options(struct endpoint *ep,
			  const struct http_notify_options *options);

/* Host and port of its first server, for logs. */
const char *endpoint_get_label(const struct endpoint *ep);
/* Its part of the queue. */
struct queue_endpoint *endpoint_get_queue(const struct endpoint *ep);
/* Has it nothing queued or under way, and no trouble to remember? */
bool endpoint_is_idle(const struct endpoint *ep);

/* The strings live until the endpoint does something. */
void endpoint_get_status(const struct endpoint *ep,
			 struct endpoint_status *status_r);

/* Try now what waits for another attempt, of users that match the mask, and
   probe servers that are not up. Returns the number of waits that ended. */
unsigned int endpoint_flush(struct endpoint *ep, const char *user_mask);
/* Drop a notification of this endpoint's. Returns FALSE if it is under way. */
bool endpoint_purge(struct endpoint *ep, const struct queue_item *item);

/* This one has been stored. It is sent by endpoint_run(). */
void endpoint_stored(struct endpoint *ep, struct queue_item *item);
void endpoint_run(struct endpoint *ep);
/* Give up on what is too old. It takes a while; calling it again meanwhile
   does nothing. */
void endpoint_expire(struct endpoint *ep);

#endif
