/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SQLITE_CHECKPOINT_H
#define HTTP_NOTIFY_SQLITE_CHECKPOINT_H

/* Writes SQLite's log back to its file. That flushes the disk and may cut the
   file, so a thread does it, with a connection of its own. Commits go on
   meanwhile. */
struct sqlite_checkpoint;

/* Called from the ioloop at the end: how many frames the log had when the
   checkpoint began, and how many of them are in the file now. These are fewer
   if another connection still reads an older state. Both are -1 if it
   failed. */
typedef void
sqlite_checkpoint_callback_t(int frames, int done, void *context);

/* The database must be open already. Returns 0, or -1 and error_r. */
int sqlite_checkpoint_init(const char *path,
			   sqlite_checkpoint_callback_t *callback,
			   void *context, struct sqlite_checkpoint **cp_r,
			   const char **error_r);
/* Interrupts a checkpoint that is running. */
void sqlite_checkpoint_deinit(struct sqlite_checkpoint **cp);

/* Start a checkpoint, unless one is running. */
void sqlite_checkpoint_start(struct sqlite_checkpoint *cp);
bool sqlite_checkpoint_is_running(const struct sqlite_checkpoint *cp);

#endif
