/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_H
#define HTTP_NOTIFY_ENDPOINT_H

#include "health.h"
#include "mail-events.h"

struct endpoint_common;
struct http_notify_options;
struct queue_endpoint;
struct queue_item;

/* One endpoint, with its standby if it has one. It decides when each of its
   queued notifications is sent: one after the other for each mail user, at the
   same time for different users, and again after a failed attempt, until the
   endpoint accepts or refuses it, it is too old, or it has failed too often. A
   notification for a user who has nothing queued does not wait for others. */
struct endpoint;

/* The outcome of notifications: for one endpoint since endpoint_init(), for all
   together since delivery_init(). */
struct endpoint_counters {
	uint64_t delivered;
	/* those of them whose bodies name an event (body-event.h), by event */
	uint64_t delivered_of[HTTP_NOTIFY_MAIL_EVENT_COUNT];
	/* failed attempts that are followed by another */
	uint64_t retried;
	/* notifications lost: refused by the endpoint, failed too often, and
	   too old */
	uint64_t refused, dropped, expired;
};

struct endpoint_status {
	/* the option url, without credentials and query */
	const char *url;
	/* of url's server, and for how long it has been in this state */
	enum health_state state;
	int64_t state_secs;
	/* of standby_url's server, if there is one */
	bool have_standby;
	enum health_state standby_state;

	unsigned int queued, in_flight;
	/* of their bodies */
	uint64_t queued_bytes;
	struct endpoint_counters counters;
	/* why url's server last did not accept something; NULL = none yet */
	const char *last_error;
};

/* What it sends is in the parts that it gets (part_claimed()). queue_ep remains
   the caller's, who may forget it after endpoint_deinit(). */
struct endpoint *
endpoint_init(struct endpoint_common *common, struct queue_endpoint *queue_ep,
	      const struct http_notify_options *options);
void endpoint_deinit(struct endpoint **ep);

/* Change the options, for requests from now on. The URLs may only differ in
   their passwords. A misconfigured server becomes due for a probe. */
void endpoint_set_options(struct endpoint *ep,
			  const struct http_notify_options *options);

/* Host and port of its first server, for logs. */
const char *endpoint_get_label(const struct endpoint *ep);
/* As the queue knows it. */
struct queue_endpoint *endpoint_get_queue(const struct endpoint *ep);
/* Is none of its servers up? */
bool endpoint_is_down(const struct endpoint *ep);
/* How many of its queued notifications have been found so far, and the bytes of
   their bodies. */
unsigned int endpoint_get_queued(const struct endpoint *ep, uint64_t *bytes_r);
/* Could it be freed and forgotten? It has nothing queued or under way, and its
   first server is up. */
bool endpoint_is_idle(const struct endpoint *ep);

/* url lives on the data stack or until the options change, last_error until the
   next answer. */
void endpoint_get_status(const struct endpoint *ep,
			 struct endpoint_status *status_r);

/* Try at once what waits for another attempt, for users who match the mask, and
   probe servers that are not up. Returns how many waits this ended, of users
   and of servers. */
unsigned int endpoint_flush(struct endpoint *ep, const char *user_mask);
/* Remove one of this endpoint's notifications from the queue. Returns FALSE if
   that can't be done now: it is being sent, or has not been found yet. */
bool endpoint_purge(struct endpoint *ep, const struct queue_item *item);

/* Send what was stored (part_stored()). */
void endpoint_run(struct endpoint *ep);
/* Look again through the parts that something was put back into
   (part_put_back()). */
void endpoint_look_again(struct endpoint *ep);
/* Start to give up what is too old, which takes a while, unless that is still
   going on. Forget parts that are idle, if there are several. */
void endpoint_sweep(struct endpoint *ep);

#endif
