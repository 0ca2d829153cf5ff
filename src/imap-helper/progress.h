/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_PROGRESS_H
#define LISTENER_PROGRESS_H

#include <stddef.h>

/* A bar in the last line of the terminal that stderr is. If it is none, all of
   these do nothing. */
struct progress {
	size_t total;
	long long begin, shown; /* monotonic milliseconds */
	int shown_width;        /* 0: nothing is there now */
	int terminal;           /* whether stderr is one */
};

void progress_init(struct progress *progress, size_t total);
/* At most ten times a second, unless nothing is shown. */
void progress_show(struct progress *progress, size_t done, size_t failed);
/* Make room for a message. */
void progress_hide(struct progress *progress);

#endif
