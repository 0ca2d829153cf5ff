/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ASIDE_H
#define HTTP_NOTIFY_ASIDE_H

#include "queue.h"

/* A second queue of this host's, in a directory below that of the first one. It
   has what came later and waits until something older is in the first one. Its
   files exist only while it is needed. */

/* Has a former process left one? set is of the first queue, here and below. */
bool aside_exists(const struct queue_settings *set);
/* Open or create it. Returns 0, or -1 and error_r. */
int aside_open(const struct queue_settings *set, struct queue **queue_r,
	       const char **error_r);
/* Close it, which is empty, and remove its files. A corrupt one that was put by
   there (sqlite-db.h) stays, and so does the directory then. */
void aside_remove(const struct queue_settings *set, struct queue **queue);

/* Move what is in it, if it exists, into the first queue, which must not be
   open. Returns when that has been done. Returns 0, or -1 and error_r; the rest
   is still there then. */
int aside_empty(const struct queue_settings *set, const char **error_r);

#endif
