/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SQLITE_LOST_H
#define HTTP_NOTIFY_SQLITE_LOST_H

#include "sqlite-db.h"

struct queue;
struct queue_changes;
struct queue_read;

/* What was given up (queue-lost.h), in a table of its own, in the order of
   giving up: rows are added at its end and forgotten from its beginning.
   Triggers count them. */
struct sqlite_lost;

/* Reports what is there, for endpoints that have been reported. *last_number
   becomes the highest number that one of these ever had in the queue, if that
   is higher. Returns 0, or -1 and error_r. */
int sqlite_lost_init(struct sqlite_db *db, struct queue *queue,
		     int64_t *last_number, struct sqlite_lost **lost_r,
		     const char **error_r);
void sqlite_lost_deinit(struct sqlite_lost **lost);

/* Is there room for more than what waits? Nothing more can be forgotten once
   the disk is full, so the last part of it is left to others. */
bool sqlite_lost_has_room(struct sqlite_lost *lost,
			  const struct queue_changes *changes);

/* Parts of a transaction; they return FALSE and error_r if it has failed. keep:
   keep what is given up. */
bool sqlite_lost_change(struct sqlite_lost *lost, struct queue_changes *changes,
			bool keep, const char **error_r);
/* Take one of these from the table. taken_r: it was there. */
bool sqlite_lost_take(struct sqlite_lost *lost, struct queue_changes *changes,
		      int64_t lost_id, bool *taken_r, const char **error_r);
/* Keep one, with the id that it has. */
bool sqlite_lost_add(struct sqlite_lost *lost, const struct queue_item *item,
		     const char **error_r);
/* The last part of it. */
bool sqlite_lost_changed(struct sqlite_lost *lost, const char **error_r);

/* The transaction has been committed. */
void sqlite_lost_committed(struct sqlite_lost *lost);

/* See queue_engine_vfuncs.read. Returns SQLITE_DONE or an error. */
int sqlite_lost_read(struct sqlite_lost *lost, struct queue_read *read);

#endif
