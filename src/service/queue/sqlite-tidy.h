/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SQLITE_TIDY_H
#define HTTP_NOTIFY_SQLITE_TIDY_H

#include "sqlite-db.h"

/* Keeps the files of a database that is open as small as they need to be, in
   steps of a few milliseconds from the ioloop and a thread: it has the log
   written back to the file, gives back the space of a log that has grown, and
   that of what was removed. */
struct sqlite_tidy;

typedef void sqlite_tidy_callback_t(void *context);

/* The callback is for sqlite_tidy_reclaim(). Returns 0, or -1 and error_r. */
int sqlite_tidy_init(struct sqlite_db *db, sqlite_tidy_callback_t *callback,
		     void *context, struct sqlite_tidy **tidy_r,
		     const char **error_r);
void sqlite_tidy_deinit(struct sqlite_tidy **tidy);

/* A commit has failed since the disk is full. Returns TRUE if the next one can
   begin at the log's start again. */
bool sqlite_tidy_make_room(struct sqlite_tidy *tidy);
/* If space is scarce, or the log is longer than it should be, have all of it
   written back to the file, so that it begins anew instead of growing. The
   callback is called at the end, also if another process keeps that from being
   done; if there is nothing to do, from inside this function. */
void sqlite_tidy_reclaim(struct sqlite_tidy *tidy, bool scarce);

#endif
