/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DELIVERY_H
#define HTTP_NOTIFY_DELIVERY_H

#include "guid.h"

struct endpoint;
struct endpoint_counters;
struct endpoint_watch;
struct history;
struct live_watch;
struct queue;
struct queue_endpoint;
struct queue_item;
struct sender;
struct spool;

/* Delivers notifications to their endpoints, by way of the queue. A failing
   endpoint does not hold up the others; all share the queue's limit and the
   memory for notifications that wait. */
struct delivery;

/* Starts with what a former process has left in the queue. Once max_queued
   notifications are known to be queued, or bodies of max_queued_bytes, new ones
   are refused. The last quarter of both is for endpoints that have little, if
   there are several. No more than max_requests are under way at a time; the
   last quarter of these is for endpoints that have few. */
struct delivery *
delivery_init(struct queue *queue, struct sender *sender,
	      unsigned int max_queued, uint64_t max_queued_bytes,
	      unsigned int max_requests);
/* Add what comes to the spool, whose shared queue is that of delivery_init().
   NULL = to the queue itself. */
void delivery_set_spool(struct delivery *delivery, struct spool *spool);
/* Requests under way stay in the queue; the sender must not call back any more.
   Callers that wait are told. */
void delivery_deinit(struct delivery **delivery);

/* Start no request any more. All else goes on. */
void delivery_stop(struct delivery *delivery);
/* How many requests are under way. Those to servers that were not up when they
   were sent are not counted: they seldom get an answer. */
unsigned int delivery_in_flight(const struct delivery *delivery);

struct delivery_notification {
	/* session and number of its hand-off (handoff.h), which identify it;
	   an empty session: of a message that is found again, whose
	   uidvalidity is known */
	guid_128_t session;
	uint64_t seq;

	const char *username, *folder;
	/* uidvalidity: of a message that is announced as new; else 0 */
	uint32_t uid, uidvalidity;
	const char *body;
	/* the endpoint's options (options.h), NULL-terminated */
	const char *const *options;
	/* see http_notify_options.owner */
	const char *owner;
};

/* Is it one that identifies a message that is found again? */
bool delivery_session_is_of_message(const guid_128_t session);

struct delivery_stored {
	/* NULL = it is stored */
	const char *error;
	/* its id in the queue; 0 if error, or if it had been added before, or
	   is in the spool */
	int64_t id;
	bool spooled;
	/* another process sends it, or this one does when it has found it */
	bool elsewhere;
	struct endpoint *endpoint;
};

/* Called once it is known whether the notification is stored. */
typedef void delivery_stored_callback_t(const struct delivery_stored *stored,
					void *context);

/* The only way in: store a notification, and send it to the endpoint that its
   options and owner identify. Only the passwords in the options do not: those
   of an endpoint are the ones of its latest notification. Returns 0, or -1 and
   error_r, which contains no secrets, if the options are invalid or the queue,
   or the endpoint's share of it, is full. The callback is called once, after
   this function has returned 0; never if it returns -1. */
int delivery_add(struct delivery *delivery,
		 const struct delivery_notification *notification,
		 delivery_stored_callback_t *callback, void *context,
		 const char **error_r);

/* Called once it is known whether a notification that was given up is back in
   the queue. error: NULL = it is, or was not kept any more (gone). */
typedef void delivery_resent_callback_t(const char *error, bool gone,
					void *context);

/* Put notifications that were given up back into the queue, between these
   calls. They are sent after delivery_resend_end(), in order and before what
   came later. */
void delivery_resend_begin(struct delivery *delivery);
void delivery_resend_end(struct delivery *delivery);
/* Put one back that was read by queue_lost_read(); it gets another max_age. to:
   0, or the number of another endpoint, which gets it after what it has queued.
   As for delivery_add(), the callback is called only if this returns 0. */
int delivery_resend(struct delivery *delivery, const struct queue_item *item,
		    unsigned int to,
		    delivery_resent_callback_t *callback, void *context,
		    const char **error_r);

/* Is there room in the queue for what is not new, so that some is left for what
   is? Returns FALSE and error_r if there is none, without logging that. */
bool delivery_has_room(struct delivery *delivery, const char **error_r);

/* Returns the endpoint of a part of the queue, and its number; NULL = there is
   none. */
struct endpoint *
delivery_find_endpoint(const struct queue_endpoint *queue_ep,
		       unsigned int *number_r);
/* Iterate over the endpoints by their numbers: returns the one with the lowest
   number above *number, and sets *number to that; NULL if there is none. Begin
   with 0. */
struct endpoint *
delivery_next_endpoint(struct delivery *delivery, unsigned int *number);
/* How much of the queue's limit so many notifications with so many bytes are, in
   percent: of that in number or in bytes, whichever is more. */
unsigned int delivery_queue_percent(const struct delivery *delivery,
				    unsigned int queued, uint64_t bytes);
/* How many notifications are queued, as far as they have been found, without
   those in the spool. */
unsigned int delivery_queued(const struct delivery *delivery);
/* See delivery_set_spool(); NULL = there is none. */
struct spool *delivery_get_spool(const struct delivery *delivery);
/* Totals of all endpoints, including those that have been forgotten. */
const struct endpoint_counters *delivery_counters(struct delivery *delivery);
/* What has happened in the last hours. */
const struct history *delivery_history(struct delivery *delivery);

/* Add and remove a caller that waits for the outcome of a notification. The
   watch is the caller's and must live until it is removed, which happens by
   itself before its finished() is called. */
void delivery_watch(struct delivery *delivery, struct endpoint_watch *watch);
void delivery_unwatch(struct delivery *delivery, struct endpoint_watch *watch);
/* Likewise for somebody who looks on (live.h). */
void delivery_live_add(struct delivery *delivery, struct live_watch *watch);
void delivery_live_remove(struct delivery *delivery, struct live_watch *watch);

#endif
