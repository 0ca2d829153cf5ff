/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_PRIVATE_H
#define HTTP_NOTIFY_QUEUE_PRIVATE_H

#include "id-set.h"
#include "queue-engine.h"
#include "queue-lost.h"

/* What the files of the queue share that are the same for all engines: queue.c
   (changes), queue-parts.c, queue-read.c, queue-lost.c, queue-announced.c. */

/* How many removals go into one commit, so that it needs little space. */
#define QUEUE_REMOVALS_MAX 256

struct queue_pending {
	/* NULL = it had been added before */
	struct queue_item *item;
	/* see queue_changes */
	bool awaited;
	queue_stored_callback_t *callback;
	void *context;
};
ARRAY_DEFINE_TYPE(queue_pending, struct queue_pending);

struct queue {
	struct queue_engine *engine;
	/* the engine's, which is known before it is open */
	unsigned int part_shift;
	struct event *event;
	/* see queue_settings */
	bool beside;
	queue_committed_callback_t *callback;
	void *context;

	HASH_TABLE(const char *, struct queue_endpoint *) endpoints;
	/* those that are stored */
	HASH_TABLE(void *, struct queue_endpoint *) endpoints_by_number;
	struct queue_endpoint *endpoints_head, *endpoints_tail;
	/* by number; and those that wait for their removals */
	HASH_TABLE(void *, struct queue_part *) parts;
	ARRAY(struct queue_part *) released;
	/* of whoever sends; NULL = nobody does yet, or any more */
	const struct queue_part_vfuncs *vfuncs;
	void *vfuncs_context;
	struct queue_sessions *sessions;
	struct queue_lost *lost;
	/* NULL = nobody asks */
	struct queue_announced *announced;
	queue_message_callback_t *message_callback;
	void *message_context;

	/* Gathered for the next commit: additions, and whom to tell; endpoints
	   that have changed; removals. The rest is in next, sessions and
	   lost. */
	ARRAY_TYPE(queue_pending) pending;
	ARRAY(struct queue_endpoint *) changed_endpoints;
	struct id_set removed;
	struct queue_changes next;
	/* how many removals there have been */
	unsigned int removals;
	/* monotonic, in milliseconds: since when some have not been committed;
	   0 = all have been */
	int64_t unremoved_since;

	/* What is being committed, if committing is set, and whom to tell. */
	struct queue_changes changes;
	bool committing;
	ARRAY_TYPE(queue_pending) committing_pending;
	struct id_set removing;
	/* how many go into one commit for now */
	unsigned int removals_max;

	/* a commit has failed, and not all that waits has been done since */
	bool in_trouble;
	/* NULL = none: of the last commit; of the engine, whatever commits say;
	   and since when there are some or none, monotonic, in msecs */
	char *commit_error, *engine_error;
	int64_t state_since;
	/* when it was last logged that it is down */
	int64_t down_since;
	/* the last commit has failed; it left removals out */
	bool failed, left_out;
	/* the engine is at it */
	bool reclaiming;
	unsigned int retry_msecs;
	/* to_commit is for removals only, which wait for something else */
	bool gathering;
	struct timeout *to_commit, *to_retry, *to_forget, *to_read;
	queue_counts_callback_t *counts_callback;
	void *counts_context;
	/* those that have not begun yet */
	struct queue_read *reads_head, *reads_tail;
	/* monotonic, in milliseconds: when one failed last; 0 = none has */
	int64_t unread;
	/* what was read in this turn of the ioloop, in bytes */
	size_t read_size;
};

/* Commit in the next turn of the ioloop, since a caller is waiting. */
void queue_commit_soon(struct queue *queue);
/* The same for a change that no caller waits for. */
void queue_commit_some_time(struct queue *queue);
bool queue_is_removed(struct queue *queue, int64_t id);
/* Are there removals in this range that have not been committed? */
bool queue_has_removals(struct queue *queue, int64_t after_id, int64_t last_id);
/* The endpoint with this number of the engine's, which is stored. */
struct queue_endpoint *
queue_find_endpoint(struct queue *queue, int64_t number);

/* queue-parts.c */
void queue_parts_init(struct queue *queue);
/* Frees all parts. */
void queue_parts_deinit(struct queue *queue);
void queue_tell_endpoint(struct queue *queue, struct queue_endpoint *ep);
void queue_tell_grown(struct queue *queue, struct queue_part *part);
/* Those of an endpoint that have not been released. */
void queue_parts_forget(struct queue *queue, struct queue_endpoint *ep);
/* An item has been stored, perhaps in a part that was released meanwhile. */
void queue_part_stored(struct queue_item *item);
/* Removals have been committed. */
void queue_parts_removed(struct queue *queue);

/* queue-read.c: a read of neither an endpoint nor a part. */
struct queue_read *
queue_read_init(struct queue *queue, enum queue_read_what what,
		int64_t after_id, int64_t last_id, unsigned int limit,
		queue_read_callback_t *callback, void *context);
/* Reads that have not begun have nothing to read any more. */
void queue_reads_endpoint_gone(struct queue *queue,
			       const struct queue_endpoint *ep);
void queue_reads_part_gone(struct queue *queue, const struct queue_part *part);

/* queue-announced.c: an item was added; an endpoint is about to be freed */
void queue_announced_added(struct queue *queue, const struct queue_item *item);
void queue_announced_endpoint_gone(struct queue *queue,
				   const struct queue_endpoint *ep);

/* queue-lost.c */
struct queue_lost *queue_lost_init(const struct queue_settings *set);
void queue_lost_deinit(struct queue_lost **lost);
/* Is there anything to be committed besides removals? */
bool queue_lost_has_changes(const struct queue_lost *lost);
/* Add to changes what goes with the removals in it, and what is to be
   forgotten. */
void queue_lost_begin(struct queue *queue);
/* It has been committed, or not. */
void queue_lost_succeeded(struct queue *queue);
void queue_lost_failed(struct queue *queue);
/* Look for what has been kept long enough. */
void queue_lost_age(struct queue *queue);
bool queue_lost_is_dropped(struct queue *queue, int64_t lost_id);

#endif
