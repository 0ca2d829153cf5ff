/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_LOST_MOVER_H
#define HTTP_NOTIFY_QUEUE_LOST_MOVER_H

#include "queue.h"

/* Moves what one queue has kept of what was given up (queue-lost.h) to another
   one, in its order, with reason, answer and times. It is forgotten here when
   the other queue has kept it. */
struct queue_lost_mover;

struct queue_lost_mover_vfuncs {
	void (*moved)(void *context);
	/* All that there was has been moved, or, with an error, could not be
	   read or kept. */
	void (*done)(const char *error, void *context);
};

/* Both queues must outlive it. */
struct queue_lost_mover *
queue_lost_mover_init(struct queue *from, struct queue *to,
		      const struct queue_lost_mover_vfuncs *v, void *context);
/* What is being kept has been (queue_finish()), or see
   queue_lost_mover_is_busy(). */
void queue_lost_mover_deinit(struct queue_lost_mover **mover);

/* Move all that there is, unless this has begun and not ended. Does nothing if
   another process looks after it. */
void queue_lost_mover_start(struct queue_lost_mover *mover);
/* Begin nothing any more; done() is not called. */
void queue_lost_mover_stop(struct queue_lost_mover *mover);
/* Is the other queue storing something? Its callbacks will come. */
bool queue_lost_mover_is_busy(const struct queue_lost_mover *mover);

#endif
