/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SPOOL_H
#define HTTP_NOTIFY_SPOOL_H

#include "queue.h"

/* A queue of this host's beside one that is shared with others. What the shared
   one does not store goes there, and so does everything that comes later, until
   all of it has been moved to the shared one, in its order. Nothing is sent from
   it. What was given up while this host used it alone is moved as well. */
struct spool;

struct spool_amount {
	unsigned int number;
	/* of their bodies */
	uint64_t bytes;
};

/* Both queues must outlive the spool. When this many notifications are in the
   local one, or bodies of so many bytes, no more are added to it. What is there
   already is counted first, which may take seconds. */
struct spool *
spool_init(struct queue *shared, struct queue *local, unsigned int max_rows,
	   uint64_t max_bytes);
/* The same for a queue of this host's that is not shared, and another one beside
   it. emptied is called when all that was in that has been moved; the spool may
   be freed when it is not used. */
typedef void spool_emptied_callback_t(void *context);
struct spool *
spool_init_aside(struct queue *queue, struct queue *aside,
		 unsigned int max_rows, uint64_t max_bytes,
		 spool_emptied_callback_t *emptied, void *context);
/* After spool_finish(), or when it is not used. */
void spool_deinit(struct spool **spool);

/* As queue_add(), for an item whose endpoint is of the shared queue. In the
   callback, item has no id if it is stored in the local queue. Returns 0, or -1
   and error_r if that is full; then the callback is not called. */
int spool_add(struct spool *spool, const struct queue_item *item,
	      queue_stored_callback_t *callback, void *context,
	      const char **error_r);
/* From now on, everything is added to the local queue, and stays there until
   spool_undivert(). */
void spool_divert(struct spool *spool);
void spool_undivert(struct spool *spool);
/* Is there something in the local queue, or being read there or stored in any? */
bool spool_is_used(const struct spool *spool);
/* How many have been moved since the start, and how many are known to be left,
   those that were given up included. Returns FALSE if none are. */
bool spool_get_progress(const struct spool *spool, uint64_t *moved_r,
			uint64_t *left_r);
/* Does what comes go to the local queue? Then since_r is set: since when, as a
   monotonic time in milliseconds. */
bool spool_get_used(const struct spool *spool, int64_t *since_r);
/* Why what is there could not be moved when that was tried last; NULL = it could
   be, or has not been tried. */
const char *spool_get_error(const struct spool *spool);
/* What is in the local queue for this endpoint of the shared one; NULL = for
   all. */
struct spool_amount
spool_get_queued(const struct spool *spool, const struct queue_endpoint *ep);
/* As queue_read_endpoint(), what is in the local queue for this endpoint of the
   shared one. Returns NULL if nothing is. */
struct queue_read *
spool_read(struct spool *spool, const struct queue_endpoint *ep,
	   int64_t after_id, int64_t last_id, unsigned int limit,
	   queue_read_callback_t *callback, void *context);
/* Remove one that was read. Returns FALSE if that can't be done now, since it is
   being moved. */
bool spool_remove(struct spool *spool, const struct queue_item *item);
/* By how many seconds the shared queue's clock is ahead of the one by which the
   times of those that were read are. */
int64_t spool_clock_ahead(const struct spool *spool);
/* All callbacks are called, and nothing more is moved. */
void spool_finish(struct spool *spool);

#endif
