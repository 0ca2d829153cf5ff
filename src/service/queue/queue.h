/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_H
#define HTTP_NOTIFY_QUEUE_H

#include "export.h"
#include "queue-item.h"

/* The notifications that have not been delivered yet, stored durably. The queue
   knows nothing of HTTP: to it, a notification is a body, and an endpoint a key
   and options. Where they are stored is up to an engine (queue-engine.h).

   Changes are gathered until the next turn of the ioloop and committed as one
   transaction. If that fails, the additions are dropped, which their callbacks
   are told, and removals are tried again. What was removed is not read any
   more, even before that is committed. */
struct queue;
/* An endpoint, as the queue knows it. It lives until it is forgotten. */
struct queue_endpoint;
/* An endpoint's notifications for some of the mail users, in the order in which
   they are to be sent. All of a user's are in one part. It exists while this
   process is the one that sends what is in it; where several share a queue,
   others may be. With SQLite, an endpoint has one part, which is always this
   process's. */
struct queue_part;
struct queue_engine_vfuncs;

struct queue_settings {
	/* SQLite: where its file is, and whether a commit survives a power
	   cut */
	const char *directory;
	bool sync_full;
	/* PostgreSQL: where it is, in libpq's words, which are without secrets,
	   and the file with the password; "" = none */
	const char *pgsql, *pgsql_password_file;

	/* for how long what is given up is kept, 0 = not at all; and up to
	   which number and size the oldest ones are not forgotten before */
	unsigned int lost_keep_secs;
	unsigned int lost_max_rows;
	uint64_t lost_max_bytes;
	/* for tests: in place of QUEUE_ANNOUNCED_MAX, if it is not 0 */
	unsigned int announced_max;
	/* SQLite: another queue is the one whose notifications are sent, and
	   knows what is announced. This one does not, also later on. */
	bool beside;
	/* queue_engine_absent: why */
	const char *absent;
};

/* On this host's disk. */
extern const struct queue_engine_vfuncs queue_engine_sqlite;
/* In place of PostgreSQL, if this process can't even try to use that. It stores
   nothing, and can always be opened. */
extern const struct queue_engine_vfuncs queue_engine_absent;

/* Can it be written? */
struct queue_state {
	/* NULL = yes, as far as is known; else why not */
	const char *error;
	/* since when it can or can't; monotonic, in milliseconds */
	int64_t since;
};

/* Called after each commit, after the callbacks for what was added. error is
   NULL if the commit succeeded. */
typedef void queue_committed_callback_t(const char *error, void *context);

/* Open or create the queue. Returns 0, or -1 and error_r. */
int queue_init(const struct queue_engine_vfuncs *engine,
	       const struct queue_settings *set,
	       struct queue **queue_r, const char **error_r);
/* Commits what has been gathered. Reads must have ended or been cancelled. */
void queue_deinit(struct queue **queue);
/* The same without waiting: what has not been committed by now is not. */
void queue_abandon(struct queue **queue);
void queue_set_committed_callback(struct queue *queue,
				  queue_committed_callback_t *callback,
				  void *context);

/* error lives until the queue is used again. */
HTTP_NOTIFY_EXPORT
void queue_get_state(const struct queue *queue, struct queue_state *state_r);
/* Is it queue_engine_absent's? */
bool queue_is_absent(const struct queue *queue);

/* A part of what the engine needs; error: NULL = it is as it should be, or what
   is wrong and what to do; note: "" or a remark. */
struct queue_check_row {
	const char *link, *error, *note;
};
/* row: NULL = that is all. */
typedef void
queue_check_callback_t(const struct queue_check_row *row, void *context);
/* Check how the engine is set up, apart from what queue_get_state() tells. The
   callback may be called from inside this function. Returns NULL if it has been
   called for the last time by then. */
struct queue_check *
queue_check(struct queue *queue, queue_check_callback_t *callback,
	    void *context);
/* The callback will not be called. *check may be NULL. */
void queue_check_cancel(struct queue_check **check);

/* The endpoint with this key, which is made if there is none and gets these
   options. It is stored before anything that is added for it. vfuncs are not
   told (queue_claim()). */
struct queue_endpoint *
queue_endpoint_set(struct queue *queue, const char *key, const char *options);
/* Likewise for an endpoint that exists, whatever its key. */
void queue_endpoint_set_options(struct queue *queue, struct queue_endpoint *ep,
				const char *options);
/* Forget an endpoint that has nothing queued, and its parts; if it has, or gets
   something added before the next commit, it is kept. Sets *ep to NULL. */
void queue_endpoint_forget(struct queue *queue, struct queue_endpoint **ep);
/* The queue's number for it, which is the same on all hosts; 0 = it is not stored
   yet. */
int64_t queue_endpoint_number(const struct queue_endpoint *ep);
/* Its part with the lowest number, of those that this process sends and that
   have this or a higher one, and that number; NULL = there is none. */
struct queue_part *
queue_endpoint_next_part(const struct queue_endpoint *ep, int64_t *number);
/* A pointer of the caller's, at first NULL. */
void queue_endpoint_set_context(struct queue_endpoint *ep, void *context);
void *queue_endpoint_get_context(const struct queue_endpoint *ep);

/* What whoever sends the notifications is told, by queue_claim(), during commits
   and by the ioloop. */
struct queue_part_vfuncs {
	/* The queue has this endpoint, with these options; or another process
	   has changed them. An endpoint comes before its parts. */
	void (*endpoint)(struct queue_endpoint *ep, const char *options,
			 void *context);
	/* From now on, this process sends what is in the part. */
	void (*claimed)(struct queue_part *part, void *context);
	/* Another process has stored something at its end:
	   queue_part_last_id() is higher now. */
	void (*grown)(struct queue_part *part, void *context);
	/* Another process has put something back, not at its end: look through
	   the part again. */
	void (*look_again)(struct queue_part *part, void *context);
	/* Another process is to send it: start nothing of it any more, and call
	   queue_part_released() once nothing of it is under way, possibly from
	   inside. May be called again until then. */
	void (*release)(struct queue_part *part, void *context);
	/* It is not this process's any more: another one may send it already.
	   It is freed when this returns, and its reads must have been cancelled
	   by then. What was delivered may still be removed. */
	void (*revoked)(struct queue_part *part, void *context);
};
/* Begin to send. From inside this function, vfuncs are called for what the
   queue has: for all endpoints, and for those parts that are this process's by
   now; later for others. */
void queue_claim(struct queue *queue, const struct queue_part_vfuncs *vfuncs,
		 void *context);
/* The vfuncs will not be called any more. */
void queue_unclaim(struct queue *queue);

struct queue_endpoint *queue_part_get_endpoint(const struct queue_part *part);
/* The highest id known to have been stored in it, also if that has been removed
   since; 0 = nothing is queued in it. */
int64_t queue_part_last_id(const struct queue_part *part);
/* Is this the id of something in the part, or of what was in it before? */
bool queue_part_may_have(const struct queue_part *part, int64_t id);
/* A pointer of the caller's, at first NULL. */
void queue_part_set_context(struct queue_part *part, void *context);
void *queue_part_get_context(const struct queue_part *part);
/* Has something been removed from it that may come again, since that has not
   been committed? */
bool queue_part_has_removals(struct queue *queue,
			     const struct queue_part *part);
/* Forget a part of which nothing is queued, and that has no removals. When
   something is stored in it, there is a new one, which is claimed. Sets *part to
   NULL. */
void queue_part_forget(struct queue *queue, struct queue_part **part);
/* To be asked before each start of something in a part. Where processes share
   the queue, this one may have been stopped for so long that others have its
   parts, which will be revoked; or what it has delivered can't be removed, so
   that whoever gets these parts next would send it again: then a commit will
   succeed, at the latest when all is well again. */
bool queue_may_send(struct queue *queue);
/* See queue_part_vfuncs.release. Another process gets it once the removals have
   been committed. Sets *part to NULL. */
void queue_part_released(struct queue *queue, struct queue_part **part);

/* Commit what has been gathered, unless a commit is under way. */
HTTP_NOTIFY_EXPORT
void queue_flush(struct queue *queue);
/* Commit all that there is to be committed, and wait for that, but for a few
   seconds at most if the engine is on another host; a commit that fails is not
   tried again. */
void queue_finish(struct queue *queue);

/* The item is stored, with item->id and item->part, if error is NULL, and
   otherwise not. item is NULL if it had been added before. It lives until the
   callback returns, or for as long as it is referenced. */
typedef void
queue_stored_callback_t(struct queue_item *item, const char *error,
			void *context);
/* Has the session, within the last minute, added this seq or one that is higher
   by 64 or more? */
bool queue_has_added(struct queue *queue, const guid_128_t session,
		     uint64_t seq);
/* Add a copy of the item. Returns FALSE without adding it again if
   queue_has_added(). In any case the callback is called once it is known
   whether the item is stored, never from inside this function. */
bool queue_add(struct queue *queue, const struct queue_item *item,
	       queue_stored_callback_t *callback, void *context);
/* Likewise for one that another queue has stored, of which only those of its
   session that came before it may have been added: it does not matter how much
   higher the session's seq is now. A queue in SQLite does not recognise those
   that are moved, since it remembers of former processes' sessions only the
   highest seq. */
bool queue_add_moved(struct queue *queue, const struct queue_item *item,
		     queue_stored_callback_t *callback, void *context);
/* What this process and former ones have added leaves for another queue, and
   may come back: it is to be added then. In the commit before any removal, or in
   the same. */
void queue_forget_added(struct queue *queue);
/* Remove an item, which was delivered, or is not wanted any more (see
   queue-lost.h for what is given up). The same transaction remembers that its
   message was announced (queue-announced.h). Many bytes are removed by several
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

/* Read a part's stored items with ids above after_id and up to last_id, at most
   limit, and none above queue_part_last_id(). The callback is never called from
   inside this function. */
struct queue_read *
queue_read(struct queue *queue, struct queue_part *part,
	   enum queue_read_what what, int64_t after_id, int64_t last_id,
	   unsigned int limit, queue_read_callback_t *callback, void *context);
/* Likewise whole items of all of the endpoint's parts, also of those that other
   processes send. Those are in order within each part. */
struct queue_read *
queue_read_endpoint(struct queue *queue, struct queue_endpoint *ep,
		    int64_t after_id, int64_t last_id, unsigned int limit,
		    queue_read_callback_t *callback, void *context);
/* An admin waits for it: like queue_read_endpoint(), it fails if nothing can be
   read for now, rather than wait until it can. To be called at once. */
void queue_read_set_awaited(struct queue_read *read);
/* The callback will not be called. *read may be NULL. */
void queue_read_cancel(struct queue_read **read);

struct queue_counts {
	/* that are queued, and that were given up and are kept */
	uint64_t queued, lost;
};
/* error: NULL, or why they could not be counted. */
typedef void
queue_counts_callback_t(const struct queue_counts *counts, const char *error,
			void *context);
/* Count what the processes that share a queue have in it. Until the callback has
   been called, or the queue is freed, this must not be called again. */
void queue_count(struct queue *queue, queue_counts_callback_t *callback,
		 void *context);

/* How many removals have not been committed? */
unsigned int queue_removals(const struct queue *queue);
/* Is there nothing that is to be committed, or being committed? */
bool queue_is_settled(const struct queue *queue);

/* Seconds on the queue's clock, by which notifications age. It goes on through
   restarts and does not jump when the wall clock does. */
HTTP_NOTIFY_EXPORT
int64_t queue_now(struct queue *queue);

#endif
