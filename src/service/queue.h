#ifndef HTTP_NOTIFY_QUEUE_H
#define HTTP_NOTIFY_QUEUE_H

#include "guid.h"

/* The notifications that have not reached their endpoint yet, on disk. It
   knows no HTTP: a notification is a body, an endpoint a number and options.

   Changes gather in one transaction, which is committed at the next turn of
   the ioloop; what was added can be read from then on. If that fails the
   additions are gone, and the removals are tried again; what was removed can't
   be read any more. One process at a time has a queue open.

   A file that turns out to be corrupt is moved aside and ends the process, so
   that the next one begins with an empty queue. */
struct queue;

/* One notification. Strings of a result live in the pool that was given. */
struct queue_item {
	/* within an endpoint ascending in the order they were added */
	int64_t id;
	int64_t endpoint;

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

/* Called after each commit: error is NULL if all that was added since the last
   one is stored now, else none of it is. */
typedef void queue_committed_callback_t(const char *error, void *context);

/* Open or create the queue in directory. sync_full: a commit survives a power
   cut. Waits a while for another process that has it open. Returns 0, or -1
   and error_r, which says what to do. */
int queue_init(const char *directory, bool sync_full,
	       queue_committed_callback_t *callback, void *context,
	       struct queue **queue_r, const char **error_r);
/* Commits first. */
void queue_deinit(struct queue **queue);

/* The endpoint with this key, made if there is none; its options become these
   ones. Commits at once. Returns 0, or -1 and error_r. */
int queue_endpoint_set(struct queue *queue, const char *key,
		       const char *options, int64_t *endpoint_r,
		       const char **error_r);

typedef void
queue_endpoint_callback_t(int64_t endpoint, const char *options,
			  void *context);
/* Forget an endpoint, unless something is queued for it. */
void queue_endpoint_forget(struct queue *queue, int64_t endpoint);
/* Call callback for each endpoint. */
void queue_endpoints_foreach(struct queue *queue,
			     queue_endpoint_callback_t *callback,
			     void *context);

/* Add an item; its id is set here. Added once only: it returns 0 if the same
   session has added this seq or a later one within the last minute, 1 if not.
   Whether it is stored is said by the commit callback. Returns -1 and error_r
   if it can't be; then nothing is that was added at the same turn. */
int queue_add(struct queue *queue, struct queue_item *item,
	      const char **error_r);

/* Read an endpoint's stored items with ids above after_id, in order, at most
   limit. Returns how many. */
unsigned int
queue_read(struct queue *queue, int64_t endpoint, int64_t after_id,
	   unsigned int limit, pool_t pool, struct queue_item *items_r);
/* Returns 1, 0 if there is no such item any more, -1 if it can't be read, which
   is logged. */
int queue_read_item(struct queue *queue, int64_t id, pool_t pool,
		    struct queue_item *item_r);

/* username lives until the callback returns, which must not use the queue. */
typedef void
queue_scan_callback_t(int64_t id, const char *username, void *context);
/* Call callback for each of an endpoint's stored items with ids above *cursor
   and up to last_id, in order, at most limit, and set cursor to where to go on.
   Returns 1 if there may be more, 0 if not, -1 if they can't be read, which is
   logged. */
int queue_scan(struct queue *queue, int64_t endpoint, int64_t *cursor,
	       int64_t last_id, unsigned int limit,
	       queue_scan_callback_t *callback, void *context);
/* The id up to which an endpoint's items are stored. */
int64_t queue_last_id(struct queue *queue, int64_t endpoint);

/* Seconds on the queue's clock, by which notifications age. It goes on through
   restarts and does not jump when the wall clock does; a while for which the
   host is suspended does not count. */
int64_t queue_now(struct queue *queue);

/* Give back the disk space of a backlog that is gone. For an empty queue. */
void queue_shrink(struct queue *queue);

/* The item is done with, one way or the other. */
void queue_remove(struct queue *queue, int64_t id);
/* Another attempt has failed. */
void queue_set_attempts(struct queue *queue, int64_t id, unsigned int attempts);

#endif
