#ifndef HTTP_NOTIFY_ENDPOINT_H
#define HTTP_NOTIFY_ENDPOINT_H

#include "health.h"

struct answer;
struct http_notify_options;
struct queue_item;

/* One endpoint, with its standby if it has one: which of its queued
   notifications are sent when. In order for each mail user, different users at
   once, again and later where an attempt failed, until they are done, refused
   or too old. What comes for a user who has nothing queued does not wait
   behind what others have.

   It holds in memory what is under way, who has to wait, and which users have
   something in a backlog; not the queue. */
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

/* Somebody who waits for what becomes of a notification. */
struct endpoint_watch {
	struct endpoint_watch *prev, *next;
	int64_t id;
	/* An attempt was answered by this server after this time. */
	void (*answered)(struct endpoint_watch *watch, const char *label,
			 const struct answer *answer, unsigned int msecs);
	/* It is done: error = NULL, or lost. The watch has been removed. */
	void (*finished)(struct endpoint_watch *watch, const char *error);
};

/* What all endpoints have in common. */
struct endpoint_common {
	struct queue *queue;
	struct sender *sender;
	struct event *event;
	/* notifications queued, as far as the endpoints have seen them */
	unsigned int queued;
	struct endpoint_counters counters;
	struct endpoint_watch *watches;
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

/* The endpoint with this number in the queue. It does nothing before
   endpoint_run(). */
struct endpoint *
endpoint_init(struct endpoint_common *common, int64_t id,
	      const struct http_notify_options *options);
void endpoint_deinit(struct endpoint **ep);

/* Options other than at first, for requests from now on. The URLs may only
   differ in their passwords. */
void endpoint_set_options(struct endpoint *ep,
			  const struct http_notify_options *options);

int64_t endpoint_get_id(const struct endpoint *ep);
/* Host and port of its first server, for logs. */
const char *endpoint_get_label(const struct endpoint *ep);
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

/* Something has been stored. */
void endpoint_run(struct endpoint *ep);
/* Give up on what is too old. Returns TRUE if there may be more of it. */
bool endpoint_expire(struct endpoint *ep);

#endif
