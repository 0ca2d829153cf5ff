/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_H
#define HTTP_NOTIFY_QUEUE_H

#include "queue-item.h"

/* The notifications that have not been delivered yet, stored durably. The queue
   knows nothing of HTTP: to it, a notification is a body, and an endpoint a key
   and options. Where they are stored is up to an engine (queue-engine.h).

   Changes are gathered until the next turn of the ioloop and committed as one
   transaction. If that fails, the additions are dropped, which their callbacks
   are told, and removals are tried again. What was removed is not read any
   more, even before that is committed. */
struct queue;
/* An endpoint's part of the queue. It lives until it is forgotten. */
struct queue_endpoint;
struct queue_engine_vfuncs;

struct queue_settings {
	/* SQLite: where its file is, and whether a commit survives a power
	   cut */
	const char *directory;
	bool sync_full;

	/* for how long what is given up is kept, 0 = not at all; and up to
	   which number and size the oldest ones are not forgotten before */
	unsigned int lost_keep_secs;
	unsigned int lost_max_rows;
	uint64_t lost_max_bytes;
};

/* On this host's disk. */
extern const struct queue_engine_vfuncs queue_engine_sqlite;

/* Called after each commit, after the callbacks for what was added. error is
   NULL if the commit succeeded. */
typedef void queue_committed_callback_t(const char *error, void *context);

/* Open or create the queue. Returns 0, or -1 and error_r. */
int queue_init(const struct queue_engine_vfuncs *engine,
	       const struct queue_settings *set,
	       struct queue **queue_r, const char **error_r);
/* Commits what has been gathered. Reads must have ended or been cancelled. */
void queue_deinit(struct queue **queue);
void queue_set_committed_callback(struct queue *queue,
				  queue_committed_callback_t *callback,
				  void *context);

/* The endpoint with this key, which is made if there is none and gets these
   options. It is stored before anything that is added for it. */
struct queue_endpoint *
queue_endpoint_set(struct queue *queue, const char *key, const char *options);
/* Likewise for an endpoint that exists, whatever its key. */
void queue_endpoint_set_options(struct queue *queue, struct queue_endpoint *ep,
				const char *options);
/* Forget an endpoint that has nothing queued; if it has, or gets something
   added before the next commit, it is kept. Sets *ep to NULL. */
void queue_endpoint_forget(struct queue *queue, struct queue_endpoint **ep);
/* A pointer of the caller's, at first NULL. */
void queue_endpoint_set_context(struct queue_endpoint *ep, void *context);
void *queue_endpoint_get_context(const struct queue_endpoint *ep);
/* The highest id known to have been stored; 0 = none. */
int64_t queue_endpoint_last_id(const struct queue_endpoint *ep);

typedef void
queue_claim_callback_t(struct queue_endpoint *ep, const char *options,
		       void *context);
/* Call callback, from inside this function, for each endpoint whose
   notifications this process is to send: all that the queue has. */
void queue_claim(struct queue *queue, queue_claim_callback_t *callback,
		 void *context);

/* Commit what has been gathered, unless a commit is under way. */
void queue_flush(struct queue *queue);

/* The item is stored, with item->id, if error is NULL, and otherwise not. item
   is NULL if it had been added before. It lives until the callback returns, or
   for as long as it is referenced. */
typedef void
queue_stored_callback_t(struct queue_item *item, const char *error,
			void *context);
/* Add a copy of the item. Returns FALSE without adding it again if its session
   has, within the last minute, added this seq or one that is higher by 64 or
   more. In any case the callback is called once it is known whether the item is
   stored, never from inside this function. */
bool queue_add(struct queue *queue, const struct queue_item *item,
	       queue_stored_callback_t *callback, void *context);
/* Remove an item, which was delivered, or is not wanted any more (see
   queue-lost.h for what is given up). Many bytes are removed by several
   commits. */
void queue_remove(struct queue *queue, int64_t id, size_t body_size);
/* Store how many attempts have failed. While the queue can't be written, this
   is dropped. */
void queue_set_attempts(struct queue *queue, int64_t id, unsigned int attempts);

enum queue_read_what {
	QUEUE_READ_WHOLE,
	/* id, username and body_size only */
	QUEUE_READ_USERS,
	/* for queue-lost.c */
	QUEUE_READ_LOST
};

struct queue_read_result {
	/* NULL = no error. Errors have been logged already. */
	const char *error;
	/* in order, without those that have been removed */
	struct queue_item *const *items;
	unsigned int count;
	/* where to go on: everything up to this id has been read */
	int64_t read_to;
	/* the limit was reached, or it is much for one read, so there may be
	   more */
	bool more;
};

/* The result and the read live until the callback returns; so do the items,
   unless they are referenced. */
typedef void
queue_read_callback_t(const struct queue_read_result *result, void *context);

/* Read an endpoint's stored items with ids above after_id and up to last_id, at
   most limit. The callback is never called from inside this function. */
struct queue_read *
queue_read(struct queue *queue, struct queue_endpoint *ep,
	   enum queue_read_what what, int64_t after_id, int64_t last_id,
	   unsigned int limit, queue_read_callback_t *callback, void *context);
/* The callback will not be called. *read may be NULL. */
void queue_read_cancel(struct queue_read **read);

/* Seconds on the queue's clock, by which notifications age. It goes on through
   restarts and does not jump when the wall clock does. */
int64_t queue_now(struct queue *queue);

#endif
