/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_ENGINE_H
#define HTTP_NOTIFY_QUEUE_ENGINE_H

#include "queue.h"

/* An engine stores the queue. Its own structure has this as its first member.
   Outside of its file, only its table of functions is known. */
struct queue_engine {
	const struct queue_engine_vfuncs *v;
	struct queue *queue;
};

/* A mail process that has handed off notifications, and its latest hand-off. */
struct queue_session {
	guid_128_t id;
	/* the highest seq that was added */
	uint64_t seq;
	/* for queue-sessions.c, not to be stored: bit n is set if seq - n was
	   added */
	uint64_t added;
	/* when it last added something, by queue_now() */
	int64_t used;
};
ARRAY_DEFINE_TYPE(queue_session, struct queue_session);

struct queue_endpoint {
	struct queue_endpoint *prev, *next;
	char *key, *options;
	/* the engine's number for it; 0 = not stored */
	int64_t number;
	/* the highest id known to have been stored; 0 = none */
	int64_t last_id;

	/* for queue.c: it is stored; the next commit is to store it; it is not
	   needed any more; the next commit is to check that */
	bool stored, changed, forgotten, listed;
};

struct queue_attempts {
	int64_t id;
	unsigned int attempts;
};

/* The changes of one transaction, to be made in this order. */
struct queue_changes {
	ARRAY(int64_t) removed;
	ARRAY(struct queue_attempts) attempts;
	/* to be stored, or given new options; the engine sets number */
	ARRAY(struct queue_endpoint *) endpoints;
	/* to be deleted, unless something is queued for them; the engine sets
	   number to 0 for those deleted */
	ARRAY(struct queue_endpoint *) forgotten;
	ARRAY_TYPE(queue_session) sessions;
	/* to be added, in this order; the engine sets id */
	ARRAY(struct queue_item *) added;
	/* sessions last used before this time are to be deleted; 0 = none */
	int64_t forget_sessions_before;
};

struct queue_engine_vfuncs {
	const char *name;

	/* Open or create the database, and report what is there by
	   queue_engine_have_endpoint() and queue_engine_have_session(). Returns
	   0, or -1 and error_r. */
	int (*init)(struct queue *queue, const struct queue_settings *set,
		    struct queue_engine **engine_r, const char **error_r);
	/* Finishes a commit that is under way, and frees the engine. */
	void (*deinit)(struct queue_engine *engine);

	/* Make all of the changes or none; only one such call is under way at a
	   time. If none are made, each number is as it was before, and each id
	   0. The engine calls queue_engine_committed() at the end, from inside
	   this function or later; changes lives until then. */
	void (*commit)(struct queue_engine *engine,
		       struct queue_changes *changes);
	/* A commit has succeeded. If space is scarce, or commits have taken
	   much of it, see to it that the next ones can use the same again.
	   Removals wait until queue_engine_reclaimed() is called, which is at
	   the end, or when no more can be done for now, from inside this
	   function or later; other commits may go on meanwhile. */
	void (*reclaim)(struct queue_engine *engine, bool scarce);
	/* Read rows: call queue_engine_read_row() for each, in order, and
	   queue_engine_read_done() at the end, from inside this function or
	   later, but before any commit that was asked for later has ended. */
	void (*read)(struct queue_engine *engine, struct queue_read *read);
	/* See queue_now(). */
	int64_t (*now)(struct queue_engine *engine);
};

/* A read for the engine to do: which rows, as for queue_read(). */
struct queue_read {
	struct queue_read *prev, *next;
	struct queue *queue;

	struct queue_endpoint *endpoint;
	enum queue_read_what what;
	int64_t after_id, last_id;
	unsigned int limit;

	/* for queue.c */
	bool begun;
	unsigned int rows;
	int64_t read_to;
	ARRAY(struct queue_item *) items;
	queue_read_callback_t *callback;
	void *context;
};

/* For init(): an endpoint, or a session, is stored. last_id is the highest id
   that is stored for the endpoint; 0 = none. */
void queue_engine_have_endpoint(struct queue *queue, int64_t number,
				const char *key, const char *options,
				int64_t last_id);
void queue_engine_have_session(struct queue *queue,
			       const struct queue_session *session);
/* For commit(): error is NULL, or why none of the changes were made. */
void queue_engine_committed(struct queue *queue, const char *error);
/* For reclaim(). */
void queue_engine_reclaimed(struct queue *queue);

/* For read(). item's strings need to live during the call only. */
void queue_engine_read_row(struct queue_read *read,
			   const struct queue_item *item);
/* For read(), which is freed. error: NULL, or why rows were left unread. */
void queue_engine_read_done(struct queue_read *read, const char *error);

#endif
