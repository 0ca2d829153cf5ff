/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SPOOL_H
#define HTTP_NOTIFY_SPOOL_H

#include "queue.h"

/* A queue of this host's beside one that is shared with others. What the shared
   one does not store goes there, and so does everything that comes later, until
   all of it has been moved to the shared one, in its order. Nothing is sent from
   it. */
struct spool;

/* Both queues must outlive the spool. When this many notifications are in the
   local one, or bodies of so many bytes, no more are added to it. */
struct spool *
spool_init(struct queue *shared, struct queue *local, unsigned int max_rows,
	   uint64_t max_bytes);
/* After spool_finish(). */
void spool_deinit(struct spool **spool);

/* As queue_add(), for an item whose endpoint is of the shared queue. In the
   callback, item is NULL also if it is stored in the local queue. Returns 0, or
   -1 and error_r if that is full; then the callback is not called. */
int spool_add(struct spool *spool, const struct queue_item *item,
	      queue_stored_callback_t *callback, void *context,
	      const char **error_r);
/* All callbacks are called, and nothing more is moved. */
void spool_finish(struct spool *spool);

#endif
