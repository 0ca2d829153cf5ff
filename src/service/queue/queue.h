/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_H
#define HTTP_NOTIFY_QUEUE_H

#include "queue-item.h"

/* The notifications that have not reached their endpoint yet, stored durably.
   It knows no HTTP: a notification is a body, an endpoint a key and options.
   Where they are stored is up to an engine (queue-engine.h).

   Changes gather until the next turn of the ioloop and are committed as one
   transaction. If that fails, additions are gone, which their callbacks say;
   removals are tried again, and what was removed can't be read any more. */
struct queue;
/* An endpoint's part of the queue. It lives until it is forgotten. */
struct queue_endpoint;
struct queue_engine_vfuncs;

struct queue_settings {
	/* SQLite: where its file is, and whether a commit survives a power
	   cut */
	const char *directory;
	bool sync_full;
};

/* On this host's disk. */
extern const struct queue_engine_vfuncs queue_engine_sqlite;

/* Called after each commit, behind the callbacks of what was added: error is
   NULL if it succeeded. */
typedef void queue_committed_callback_t(const char *error, void *context);

/* Open or create the queue. Returns 0, or -1 and error_r, which says what to
   do. */
int queue_init(const struct queue_engine_vfuncs *engine,
	       const struct queue_settings *set,
	       struct queue **queue_r, const char **error_r);
/* Commits first. Reads must have been cancelled. */
void queue_deinit(struct queue **queue);
void queue_set_committed_callback(struct queue *queue,
				  queue_committed_callback_t *callback,
				  void *context);

/* The endpoint with this key, made if there is none; its options become these
   ones. It is stored before what is added for it. */
struct queue_endpoint *
queue_endpoint_set(struct queue *queue, const char *key, const char *options);
/* The same for an endpoint that is there, whatever its key. */
void queue_endpoint_set_options(struct queue *queue, struct queue_endpoint *ep,
				const char *options);
/* Forget an endpoint that nothing is queued for. */
void queue_endpoint_forget(struct queue *queue, struct queue_endpoint **ep);
/* The highest id that is stored, 0 if none has been. */
int64_t queue_endpoint_last_id(const struct queue_endpoint *ep);

typedef void
queue_claim_callback_t(struct queue_endpoint *ep, const char *options,
		       void *context);
/* Call callback for each endpoint whose notifications are for this process to
   send. With SQLite these are all that there are, at once. */
void queue_claim(struct queue *queue, queue_claim_callback_t *callback,
		 void *context);

/* Commit what has gathered, if nothing is being committed. */
void queue_flush(struct queue *queue);

/* What was added is stored with item->id (error = NULL) or is not. item is NULL
   if it had been added before. */
typedef void
queue_stored_callback_t(struct queue_item *item, const char *error,
			void *context);
/* Add a copy of the item. Returns FALSE if its session has added this seq, or
   one far beyond it, within the last minute: then it is not added again. In any
   case callback is called when it is known to be stored, or not to be, but not
   from inside of this function. */
bool queue_add(struct queue *queue, const struct queue_item *item,
	       queue_stored_callback_t *callback, void *context);
/* The item is done with, one way or the other. */
void queue_remove(struct queue *queue, int64_t id);
/* So many attempts have failed. */
void queue_set_attempts(struct queue *queue, int64_t id, unsigned int attempts);

enum queue_read_what {
	QUEUE_READ_WHOLE,
	/* id and username only */
	QUEUE_READ_USERS
};

struct queue_read_result {
	/* NULL = it could be read. It has been logged. */
	const char *error;
	/* in order, without those that were removed */
	struct queue_item *const *items;
	unsigned int count;
	/* where to go on: what is up to here has been read */
	int64_t read_to;
	bool more;
};

/* The result, and the read, live until the callback returns; the items as long
   as they are referenced. */
typedef void
queue_read_callback_t(const struct queue_read_result *result, void *context);

/* Read an endpoint's stored items with ids above after_id up to last_id, at
   most limit. The callback is never called from inside of this function. */
struct queue_read *
queue_read(struct queue *queue, struct queue_endpoint *ep,
	   enum queue_read_what what, int64_t after_id, int64_t last_id,
	   unsigned int limit, queue_read_callback_t *callback, void *context);
/* Without calling back. */
void queue_read_cancel(struct queue_read **read);

/* Seconds on the queue's clock, by which notifications age. It goes on through
   restarts and does not jump when the wall clock does. */
int64_t queue_now(struct queue *queue);

/* Give back the disk space of a backlog that is gone. For an empty queue. */
void queue_tidy(struct queue *queue);

#endif
