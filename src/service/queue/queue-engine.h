/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_ENGINE_H
#define HTTP_NOTIFY_QUEUE_ENGINE_H

#include "queue.h"
#include "queue-announced.h"
#include "queue-hosts.h"

/* How much to read at a time, in bytes, if it is more than one notification. */
#define QUEUE_READ_SIZE_MAX (1024*1024)

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
	/* bit n is set if seq - n was added */
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
	/* those that this process sends and that have not been forgotten */
	struct queue_part *parts;

	/* see queue_endpoint_set_context() */
	void *context;
	/* for queue-lost.c: what is kept for it, by reason, and what will be
	   when its removal is committed */
	unsigned int lost[QUEUE_LOSS_REASON_COUNT], losing;

	/* for queue.c: it is stored; the next commit is to store it; it is not
	   needed any more; the next commit is to check that */
	bool stored, changed, forgotten, listed;
};

struct queue_part {
	/* in the endpoint's list */
	struct queue_part *prev, *next;
	struct queue_endpoint *endpoint;
	/* the engine's number for it, as in the ids, which are between these */
	int64_t number;
	int64_t before_id, end_id;
	/* see queue_part_last_id() */
	int64_t last_id;

	/* see queue_part_set_context() */
	void *context;
	/* for queue-parts.c: after queue_part_released() */
	bool released;
};

struct queue_attempts {
	int64_t id;
	unsigned int attempts;
};

/* A notification that is given up, and to be kept. */
struct queue_given_up {
	/* of the notification, and of its endpoint */
	int64_t id;
	struct queue_endpoint *endpoint;
	unsigned int attempts;
	struct queue_loss loss;
	/* how many bytes it counts for */
	unsigned int size;
	/* for commit(): it is kept now */
	bool kept;
};

/* One that was kept, and is not any more. */
struct queue_lost_gone {
	int64_t endpoint_number;
	enum queue_loss_reason reason;
	unsigned int size;
};

/* The changes of one transaction, to be made in this order. */
struct queue_changes {
	/* To be kept; all of them are in removed as well. Those that there is
	   no space for, or that are not queued any more, are left out. */
	ARRAY(struct queue_given_up *) given_up;
	/* These are deleted. Of those whose mailbox is not 0, the UID is
	   remembered as announced there, unless announced_when_added. */
	ARRAY(int64_t) removed;
	/* of what is kept: lost_ids to be forgotten; and so many of the oldest
	   ones that were given up before this time */
	ARRAY(int64_t) dropped;
	unsigned int forget_lost_max;
	int64_t forget_lost_before;
	/* To be put back into the queue, with the ids that they have, unless
	   others have them, or they have none, since they are for another
	   endpoint now: then the engine sets id. It sets id to 0 if they are
	   not kept any more, and part as for added. */
	ARRAY(struct queue_item *) resent;
	/* for commit(): what it has taken from what was kept, and how many of
	   these were the oldest ones */
	ARRAY(struct queue_lost_gone) lost_gone;
	unsigned int lost_forgotten;
	ARRAY(struct queue_attempts) attempts;
	/* to be stored, or given new options; the engine sets number */
	ARRAY(struct queue_endpoint *) endpoints;
	/* to be deleted, unless something is queued for them; the engine sets
	   number to 0 for those deleted */
	ARRAY(struct queue_endpoint *) forgotten;
	ARRAY_TYPE(queue_session) sessions;
	/* To be added, in this order; those that were given up
	   (queue_item_is_lost()) to what is kept, without a part, but with an
	   id in its place. The engine sets id; and part, if this
	   process sends it and all that is in the part before it is known, that
	   is, up to part->last_id or added with it. Otherwise the part has
	   grown (queue_engine_part_grown()), or is another process's. No part
	   may go between that and queue_engine_committed(). */
	ARRAY(struct queue_item *) added;
	/* sessions last used before this time are to be deleted; 0 = none */
	int64_t forget_sessions_before;
	/* a mail process waits, which has little time */
	bool awaited;
};

/* See queue-hosts.h. */
struct queue_hosts_vfuncs {
	int64_t (*number)(struct queue_engine *engine);
	/* Find out what others have stored and given up, and report it as
	   init() does; then call queue_engine_hosts(), from inside this function
	   or later, but before deinit() returns. */
	void (*read)(struct queue_engine *engine,
		     struct queue_hosts_read *read);
	void (*send)(struct queue_engine *engine,
		     const struct queue_message *message);
	void (*retract)(struct queue_engine *engine, int64_t host,
			int64_t talk);
};

struct queue_engine_vfuncs {
	const char *name;
	/* The upper bits of an id are the number of its part; so the ids of a
	   part are together, and a part has a number that no other one of the
	   queue has. How many lower bits there are. */
	unsigned int part_shift;
	/* What it does not store is stored on this host (spool.h), which is
	   logged there. */
	bool spooled;
	/* It remembers what is announced from when it is added. */
	bool announced_when_added;
	/* It remembers exactly which of a session's hand-offs were added, so
	   that it can be told those of another queue in any order. */
	bool exact_sessions;
	/* For how long, in msecs, removals wait for something else to be
	   committed with, since a commit waits for the disk. */
	unsigned int gather_msecs;

	/* Open or create the database, and report what is there by
	   queue_engine_have_endpoint(), queue_engine_have_session(),
	   queue_engine_have_lost() and queue_engine_lost_oldest(); and parts by
	   queue_engine_have_part(), if they are this process's without claim().
	   Returns 0, or -1 and error_r. */
	int (*init)(struct queue *queue, const struct queue_settings *set,
		    struct queue_engine **engine_r, const char **error_r);
	/* Wait until the commit that is under way has ended. After so many msecs
	   it fails. NULL = none is, when commit() returns. */
	void (*wait)(struct queue_engine *engine, unsigned int msecs);
	/* Frees the engine; no commit is under way. */
	void (*deinit)(struct queue_engine *engine);

	/* Begin to get parts for this process, and report them by
	   queue_engine_have_part(), from inside this function or later. NULL =
	   all parts are this process's. */
	void (*claim)(struct queue_engine *engine);
	/* May what is in this process's parts be sent? It may not if another
	   process could have them by now, which has not been noticed: they will
	   be revoked. Asked before each request. NULL = always. */
	bool (*may_send)(struct queue_engine *engine);
	/* What was asked by queue_engine_part_release() has been done: another
	   process may have the part, which is freed when this returns. NULL =
	   the engine never asks. */
	void (*part_released)(struct queue_engine *engine,
			      struct queue_part *part);

	/* Make all of the changes or none; only one such call is under way at a
	   time. If none are made, each number is as it was before, and each id
	   0. If something was kept or is not any more, the engine calls
	   queue_engine_lost_oldest(); if there is little space left, it calls
	   queue_engine_full(). It calls queue_engine_committed() at the end,
	   from inside this function or later; changes lives until then. */
	void (*commit)(struct queue_engine *engine,
		       struct queue_changes *changes);
	/* A mail process waits for the commit after the one that is under way,
	   which has to end soon. NULL = none is, when commit() returns. */
	void (*hurry)(struct queue_engine *engine);
	/* Other processes have changed what is kept: count it anew
	   (queue_engine_recount_lost()), later. NULL = only this process
	   changes it. */
	void (*recount_lost)(struct queue_engine *engine);
	/* Is it this process that forgets what is too much of what is kept? It
	   is not more than one of those that share the queue. NULL = it is. */
	bool (*forgets_lost)(struct queue_engine *engine);
	/* A commit has succeeded. If space is scarce, or commits have taken
	   much of it, see to it that the next ones can use the same again.
	   Removals wait until queue_engine_reclaimed() is called, which is at
	   the end, or when no more can be done for now, from inside this
	   function or later; other commits may go on meanwhile. */
	void (*reclaim)(struct queue_engine *engine, bool scarce);
	/* Read rows: call queue_engine_read_row() for each, in order, and
	   queue_engine_read_done() at the end, from inside this function or
	   later, but before any commit that was asked for later has ended,
	   unless they are as that one has left them. */
	void (*read)(struct queue_engine *engine, struct queue_read *read);
	/* Add to read->uids what is remembered of read->mailbox, with all
	   commits that have ended, and set read->since; then call
	   queue_engine_announced(), from inside this function or later, but
	   before deinit() returns. It may remember UIDs that it was not told
	   of, if there are very many gaps, and forgets nothing before
	   QUEUE_ANNOUNCED_KEEP_SECS. */
	void (*read_announced)(struct queue_engine *engine,
			       struct queue_announced_read *read);
	/* Count what is stored, whoever sends it, and call
	   queue_engine_counted(), from inside this function or later; only one
	   such call is under way at a time. NULL = nobody asks for it. */
	void (*count)(struct queue_engine *engine);
	/* Look at the settings and at what they lead to: call
	   queue_engine_checked() for each thing, from inside this function or
	   later, and queue_engine_check_done() at the end, later, but before
	   deinit() returns. NULL = there is nothing to look at. */
	void (*check)(struct queue_engine *engine, struct queue_check *check);
	/* See queue_now(). */
	int64_t (*now)(struct queue_engine *engine);
	/* NULL = the queue is not shared. */
	const struct queue_hosts_vfuncs *hosts;
};

/* A read for the engine to do: which rows, as for queue_read() or
   queue_read_endpoint(); or of QUEUE_READ_LOST, for which there is no
   endpoint. */
struct queue_read {
	struct queue_read *prev, *next;
	struct queue *queue;

	/* part_number: 0 = all of the endpoint's */
	int64_t endpoint_number, part_number;
	enum queue_read_what what;
	int64_t after_id, last_id;
	unsigned int limit;
	/* It is to fail if the engine can't read for now. Others wait until it
	   can. */
	bool awaited;

	/* for the engine to set: it has left out rows, but that is much for one
	   read */
	bool cut;
	/* likewise, whatever it wants */
	void *engine_context;

	/* for queue-read.c: whose numbers these are, until it begins; and the
	   queue's removals then; removed_too: also those whose removal has not
	   been committed */
	struct queue_endpoint *endpoint;
	struct queue_part *part;
	bool begun, removed_too;
	unsigned int removals;
	unsigned int rows;
	size_t size;
	int64_t read_to;
	ARRAY(struct queue_item *) items;
	queue_read_callback_t *callback;
	void *context;
};

/* See queue_check(). */
struct queue_check {
	/* for queue.c; NULL = nobody waits for it any more */
	queue_check_callback_t *callback;
	void *context;
};

/* Another one: what has been announced of a mailbox. */
struct queue_announced_read {
	struct queue_announced_read *prev, *next;
	struct queue *queue;

	int64_t mailbox;
	ARRAY_TYPE(seq_range) uids;
	/* since when the engine remembers, by now() */
	int64_t since;

	/* for the engine */
	int64_t needs;

	/* for queue-announced.c */
	bool begun;
	queue_announced_callback_t *callback;
	void *context;
};

/* And one that asks for the other hosts. */
struct queue_hosts_read {
	struct queue *queue;

	/* for queue-hosts.c */
	struct timeout *to_begin;
	queue_hosts_callback_t *callback;
	void *context;
};

/* An engine may be a module, which finds these in the service. */
#pragma GCC visibility push(default)

/* The engine can be used, if error is NULL, or why it can't be. One that never
   calls this can always be, until a commit fails. */
void queue_engine_state(struct queue *queue, const char *error);
/* To log that by, once per spell. */
struct event *queue_engine_down_event(struct queue *queue, const char *error);
struct event *queue_engine_up_event(struct queue *queue);

/* For check(): see queue_check_row. */
void queue_engine_checked(struct queue_check *check, const char *link,
			  const char *error, const char *note);
/* It is freed. */
void queue_engine_check_done(struct queue_check *check);

/* For init(): a session is stored. */
void queue_engine_have_session(struct queue *queue,
			       const struct queue_session *session);
/* For init(): an endpoint is stored. Also at any later time, if another process
   has stored it or given it other options. */
struct queue_endpoint *
queue_engine_have_endpoint(struct queue *queue, int64_t number,
			   const char *key, const char *options);

/* It is not stored any more, since nothing was queued for it for long. It is to be
   stored again, with another number, when it is needed; that may be in a commit,
   among the endpoints of its changes. */
void queue_engine_endpoint_gone(struct queue *queue, struct queue_endpoint *ep);

/* The first one of all endpoints, in a list. */
const struct queue_endpoint *queue_engine_endpoints(const struct queue *queue);

/* This process sends what is in the part with this number, and there is no such
   part yet (queue_engine_find_part()). To be called for parts that have
   something queued in them, and from commit() for those that get something.
   last_id: the highest id that may be queued; 0 = nothing is. An id that is
   being added does not count. */
struct queue_part *
queue_engine_have_part(struct queue *queue, struct queue_endpoint *ep,
		       int64_t number, int64_t last_id);
/* NULL = there is none. */
struct queue_part *queue_engine_find_part(struct queue *queue, int64_t number);
/* Something was stored at the part's end, up to this id, which is not handed
   over by item->part. Does nothing if last_id is known. */
void queue_engine_part_grown(struct queue *queue, struct queue_part *part,
			     int64_t last_id);
/* Another process has put something back into the part. */
void queue_engine_part_look_again(struct queue *queue, struct queue_part *part);
/* Ask for the part: part_released() will be called, from inside this function
   or later, unless the part is revoked before. It may be asked again. */
void queue_engine_part_release(struct queue *queue, struct queue_part *part);
/* The part is not this process's any more, whether it was asked for or not. It
   is freed. */
void queue_engine_part_revoked(struct queue *queue, struct queue_part *part);

/* What was counted by the following function is counted anew. */
void queue_engine_recount_lost(struct queue *queue);
/* For init(), after all endpoints: so many rows, of so many bytes together, are
   kept for this endpoint and reason. */
void queue_engine_have_lost(struct queue *queue, int64_t endpoint_number,
			    enum queue_loss_reason reason, unsigned int rows,
			    uint64_t bytes);
/* For init() and commit(): when the oldest one that is kept was given up; 0 =
   none is. */
void queue_engine_lost_oldest(struct queue *queue, int64_t oldest);
/* For commit(): there is no or little space, so that the oldest of what is kept
   have to make room. */
void queue_engine_full(struct queue *queue);
/* For commit(): error is NULL, or why none of the changes were made. */
void queue_engine_committed(struct queue *queue, const char *error);
/* For count(). error: NULL, or why it failed. */
void queue_engine_counted(struct queue *queue, const struct queue_counts *counts,
			  const char *error);
/* For reclaim(). */
void queue_engine_reclaimed(struct queue *queue);

/* For read(): returns the endpoint that a row is of; NULL = there is none. */
struct queue_endpoint *
queue_engine_get_endpoint(struct queue *queue, int64_t number);
/* For read(). item's strings need to live during the call only; its endpoint
   and part are set here, but for QUEUE_READ_LOST. Returns FALSE if these are
   enough: the engine leaves the other rows, as if there were no more. */
bool queue_engine_read_row(struct queue_read *read,
			   const struct queue_item *item);
/* For read(), which is freed. error: NULL, or why rows were left unread. */
void queue_engine_read_done(struct queue_read *read, const char *error);
/* For read_announced(), which is freed. error: NULL, or why it failed. */
void queue_engine_announced(struct queue_announced_read *read,
			    const char *error);
/* For read() of hosts, which is freed. hosts: all but this one; error: NULL, or
   why they are not known. */
void queue_engine_hosts(struct queue_hosts_read *read,
			const struct queue_host *hosts, unsigned int count,
			const char *error);
/* A message has arrived; by the ioloop. */
void queue_engine_message(struct queue *queue,
			  const struct queue_message *message);

#pragma GCC visibility pop

#endif
