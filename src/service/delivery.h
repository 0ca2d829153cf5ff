#ifndef HTTP_NOTIFY_DELIVERY_H
#define HTTP_NOTIFY_DELIVERY_H

struct endpoint;
struct endpoint_counters;
struct endpoint_watch;
struct queue;
struct sender;

/* Takes notifications from the queue to their endpoints, each endpoint on its
   own: an endpoint's trouble is that endpoint's alone. */
struct delivery;

/* Takes up what a former process left in the queue, with the first
   delivery_run(). Not more than queue_limit notifications are to be queued. */
struct delivery *
delivery_init(struct queue *queue, struct sender *sender,
	      unsigned int queue_limit);
/* What is under way stays in the queue. */
void delivery_deinit(struct delivery **delivery);

/* Find or make the endpoint that these options name. Options other than the
   URLs, and passwords in these, are taken over from the latest caller.
   Returns 0 with the endpoint, and how long its notifications may wait, or -1
   and error_r, which has no secrets in it: the options are not valid, or there
   is no room in the queue. */
int delivery_endpoint_get(struct delivery *delivery,
			  const char *const *option_words,
			  struct endpoint **ep_r, unsigned int *max_age_secs_r,
			  const char **error_r);

/* The endpoint with the lowest number above after_id, NULL if there is none. */
struct endpoint *
delivery_next_endpoint(struct delivery *delivery, int64_t after_id);
/* Of all endpoints, also those that are forgotten. */
const struct endpoint_counters *delivery_counters(struct delivery *delivery);

/* Add to those who wait for what becomes of a notification, and remove one who
   does not any more. */
void delivery_watch(struct delivery *delivery, struct endpoint_watch *watch);
void delivery_unwatch(struct delivery *delivery, struct endpoint_watch *watch);

/* Something has been stored. */
void delivery_run(struct delivery *delivery);

#endif
