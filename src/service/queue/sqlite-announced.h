/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SQLITE_ANNOUNCED_H
#define HTTP_NOTIFY_SQLITE_ANNOUNCED_H

#include "sqlite-db.h"

struct queue_announced_read;

/* What has been announced (queue-announced.h). A commit adds its messages to
   the end of a log. Now and then, and before a read, they go from there to the
   table that has a row for each mailbox, in steps of a few milliseconds from
   the ioloop. */
struct sqlite_announced;
struct queue_settings;

/* Returns 0, or -1 and error_r. */
int sqlite_announced_init(struct sqlite_db *db,
			  const struct queue_settings *set,
			  struct sqlite_announced **announced_r,
			  const char **error_r);
/* Reads that have not ended end with an error. */
void sqlite_announced_deinit(struct sqlite_announced **announced);

/* Parts of a transaction: it begins; a notification of a message is removed;
   the last part, which returns FALSE and error_r if it has failed. */
void sqlite_announced_begin(struct sqlite_announced *announced);
void sqlite_announced_add(struct sqlite_announced *announced, int64_t mailbox,
			  uint32_t uid);
bool sqlite_announced_write(struct sqlite_announced *announced,
			    const char **error_r);
/* The transaction has been committed. */
void sqlite_announced_committed(struct sqlite_announced *announced);

/* See queue_engine_vfuncs.read_announced. */
void sqlite_announced_read(struct sqlite_announced *announced,
			   struct queue_announced_read *read);

#endif
