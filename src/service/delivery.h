#ifndef HTTP_NOTIFY_DELIVERY_H
#define HTTP_NOTIFY_DELIVERY_H

struct queue;
struct sender;

/* Takes notifications from the queue to their endpoints: in order for each
   user of an endpoint, at once for different users, again and later where an
   attempt failed, until they are done, refused or too old. An endpoint's
   trouble is that endpoint's alone.

   It holds in memory what is under way and which users have to wait, not the
   queue. */
struct delivery;

/* Takes up what a former process left in the queue. */
struct delivery *
delivery_init(struct queue *queue, struct sender *sender);
/* What is under way stays in the queue. */
void delivery_deinit(struct delivery **delivery);

/* Find or make the endpoint that these options name. Options other than the
   URLs, and passwords in these, are taken over from the latest caller.
   Returns 0 with the endpoint's number in the queue, and how long its
   notifications may wait, or -1 and error_r, which has no secrets in it. */
int delivery_endpoint_get(struct delivery *delivery,
			  const char *const *option_words,
			  int64_t *endpoint_r, unsigned int *max_age_secs_r,
			  const char **error_r);

/* Something has been stored. */
void delivery_run(struct delivery *delivery);

#endif
