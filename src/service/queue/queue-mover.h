/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_MOVER_H
#define HTTP_NOTIFY_QUEUE_MOVER_H

#include "queue.h"

/* Moves what is queued in one queue to another one: all of the parts that this
   process has there, each in its order. A notification is removed when the other
   queue has stored it. It keeps its identity, its times, by the other queue's
   clock, and how often it was tried. */
struct queue_mover;

struct queue_mover_vfuncs {
	/* One was there when its part was claimed. Called for all of these
	   before anything is moved. NULL = they are not counted. */
	void (*found)(const struct queue_endpoint *ep, size_t body_size,
		      void *context);
	/* Something is about to be moved. Returns FALSE to leave it until
	   queue_mover_go_on(). NULL = it may be. */
	bool (*may_move)(void *context);
	/* One of this endpoint has been moved, which is of the queue that it is
	   moved from. NULL = nobody counts. */
	void (*moved)(const struct queue_endpoint *ep, size_t body_size,
		      void *context);
	/* Nothing is left, as far as is known. Called whenever the mover has
	   looked for more. NULL = nobody waits for it. */
	void (*emptied)(void *context);
	/* Something could not be read or stored. It will be tried again after
	   queue_mover_go_on(). */
	void (*failed)(const char *error, void *context);
};

/* Claims what is in from, and begins with queue_mover_go_on(). Both queues must
   outlive it. */
struct queue_mover *
queue_mover_init(struct queue *from, struct queue *to,
		 const struct queue_mover_vfuncs *v, void *context);
/* What is being stored has been (queue_finish()), or see
   queue_mover_is_busy(). */
void queue_mover_deinit(struct queue_mover **mover);

/* Move what there is, after so many msecs. */
void queue_mover_go_on(struct queue_mover *mover, unsigned int msecs);
/* Remove one that was read from the queue that is moved from: it is not moved.
   Returns FALSE if that can't be done now: it is being moved, or it is not
   settled which ones found() is called for. */
bool queue_mover_drop(struct queue_mover *mover, const struct queue_item *item);
/* Begin nothing any more. */
void queue_mover_stop(struct queue_mover *mover);
/* Is the other queue storing something? Its callbacks will come. */
bool queue_mover_is_busy(const struct queue_mover *mover);
/* How many parts have something that was there when they were claimed? */
unsigned int queue_mover_early_parts(const struct queue_mover *mover);
/* Forget the parts, which are empty, and their endpoints. */
void queue_mover_forget(struct queue_mover *mover);

/* The endpoint of the other queue with the same key and options. Whoever sends
   is told of it. */
struct queue_endpoint *
queue_mover_endpoint(struct queue *to, const struct queue_endpoint *ep);
/* A time by the other queue's clock. */
int64_t queue_mover_time(struct queue *from, struct queue *to, int64_t time);

#endif
