#ifndef HTTP_NOTIFY_ENDPOINT_H
#define HTTP_NOTIFY_ENDPOINT_H

struct http_notify_options;

/* One endpoint, with its standby if it has one: which of its queued
   notifications are sent when. In order for each mail user, different users at
   once, again and later where an attempt failed, until they are done, refused
   or too old. What comes for a user who has nothing queued does not wait
   behind what others have.

   It holds in memory what is under way, who has to wait, and which users have
   something in a backlog; not the queue. */
struct endpoint;

/* What all endpoints have in common. */
struct endpoint_common {
	struct queue *queue;
	struct sender *sender;
	struct event *event;
	/* notifications queued, as far as the endpoints have seen them */
	unsigned int queued;
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
/* Has it nothing queued or under way, and no trouble to remember? */
bool endpoint_is_idle(const struct endpoint *ep);

/* Something has been stored. */
void endpoint_run(struct endpoint *ep);
/* Give up on what is too old. Returns TRUE if there may be more of it. */
bool endpoint_expire(struct endpoint *ep);

#endif
