/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_ENGINE_H
#define HTTP_NOTIFY_QUEUE_ENGINE_H

#include "queue.h"

/* What stores the queue. An engine has this as the first member of its own
   structure, and is known outside by its table of functions only. */
struct queue_engine {
	const struct queue_engine_vfuncs *v;
	struct queue *queue;
};

/* When a mail process was last heard of: its latest hand-off. */
struct queue_session {
	guid_128_t id;
	/* the highest that was added */
	uint64_t seq;
	/* queue-sessions.c's, not to be stored: bit n says whether seq - n was
	   added */
	uint64_t added;
	/* by queue_now() */
	int64_t used;
};
ARRAY_DEFINE_TYPE(queue_session, struct queue_session);

struct queue_endpoint {
	struct queue_endpoint *prev, *next;
	char *key, *options;
	/* the engine's number of it; 0 = it is not stored */
	int64_t number;
	/* the highest id that is stored */
	int64_t last_id;

	/* queue.c's: it is stored; it is to be stored with the next commit; it
	   is not needed any more; the next commit is to look at that */
	bool stored, changed, forgotten, listed;
};

struct queue_attempts {
	int64_t id;
	unsigned int attempts;
};

/* One transaction, to be done in this order. */
struct queue_changes {
	ARRAY(int64_t) removed;
	ARRAY(struct queue_attempts) attempts;
	/* to be stored or changed; number is to be set */
	ARRAY(struct queue_endpoint *) endpoints;
	/* to be forgotten, unless something is queued for them; number becomes
	   0 then */
	ARRAY(struct queue_endpoint *) forgotten;
	ARRAY_TYPE(queue_session) sessions;
	/* to be added, in this order; id is to be set */
	ARRAY(struct queue_item *) added;
	/* sessions that were not used since are to be forgotten; 0 = none */
	int64_t forget_sessions_before;
};

struct queue_engine_vfuncs {
	const char *name;

	/* Open or create the database, and tell queue_engine_have_endpoint()
	   and queue_engine_have_session() what is there. Returns 0, or -1 and
	   error_r. */
	int (*init)(struct queue *queue, const struct queue_settings *set,
		    struct queue_engine **engine_r, const char **error_r);
	/* A commit has finished when this returns. */
	void (*deinit)(struct queue_engine *engine);

	/* Do all of the changes or none, one such call at a time.
	   queue_engine_committed() is called at the end, from inside or
	   later; the changes live until then. */
	void (*commit)(struct queue_engine *engine,
		       struct queue_changes *changes);
	/* Read rows: queue_engine_read_row() for each, in order, and
	   queue_engine_read_done() at the end, from inside or later, but before
	   the end of a commit that was asked for later. */
	void (*read)(struct queue_engine *engine, struct queue_read *read);
	/* queue_now() */
	int64_t (*now)(struct queue_engine *engine);
	/* queue_tidy() */
	void (*tidy)(struct queue_engine *engine);
};

/* A read that was asked for, as queue_read() says. The engine may leave a
   context of its own. */
struct queue_read {
	struct queue_read *prev, *next;
	struct queue *queue;

	struct queue_endpoint *endpoint;
	enum queue_read_what what;
	int64_t after_id, last_id;
	unsigned int limit;

	/* queue.c's */
	bool begun;
	unsigned int rows;
	int64_t read_to;
	ARRAY(struct queue_item *) items;
	queue_read_callback_t *callback;
	void *context;
};

void queue_engine_have_endpoint(struct queue *queue, int64_t number,
				const char *key, const char *options,
				int64_t last_id);
void queue_engine_have_session(struct queue *queue,
			       const struct queue_session *session);
void queue_engine_committed(struct queue *queue, const char *error);

/* item's strings need to live during the call only. */
void queue_engine_read_row(struct queue_read *read,
			   const struct queue_item *item);
/* error: NULL, or why not all rows that there are have come; frees the read */
void queue_engine_read_done(struct queue_read *read, const char *error);

#endif
