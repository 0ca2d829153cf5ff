/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MOVE_BACK_H
#define HTTP_NOTIFY_MOVE_BACK_H

#include "queue.h"

struct delivery;

/* Moves what is in a queue that hosts share back into this host's own, from
   which it is sent. Several hosts that do so share the work, and those that still
   use the shared queue send their part of it.

   What comes to this host meanwhile must not be sent before what is older there.
   So it is stored aside (spool.h), in another file, and follows at the end; also
   if the service has been ended before. */
struct move_back;

struct move_back_settings {
	/* of this host's queue; with where the shared one is */
	const struct queue_settings *queue;
	/* for what is stored aside, as for that */
	unsigned int max_rows;
	uint64_t max_bytes;
};

/* Looks for what is stored aside. Both must outlive it; set as well. Returns
   NULL and error_r if that can't be opened. */
struct move_back *
move_back_init(const struct move_back_settings *set, struct queue *queue,
	       struct delivery *delivery, const char **error_r);
/* Nothing is moved any more; what is being stored has been when this returns.
   To be called before delivery_deinit(). */
void move_back_finish(struct move_back *mb);
void move_back_deinit(struct move_back **mb);

/* Begin. Returns 0, or -1 and error_r. */
int move_back_start(struct move_back *mb, const char **error_r);
/* End before all has been moved. The rest stays where it is. */
void move_back_stop(struct move_back *mb);
/* Is it going on, or is something still aside? */
bool move_back_is_used(const struct move_back *mb);

/* The queue that is moved from; NULL = none is. */
struct queue *move_back_get_queue(const struct move_back *mb);

struct move_back_status {
	bool running;
	/* so many were moved by the latest one, of so many; those that were
	   given up included */
	uint64_t moved, all;
	/* why not all of them were; NULL = they were, or it has been stopped */
	const char *error;
};
void move_back_get_status(const struct move_back *mb,
			  struct move_back_status *status_r);

#endif
