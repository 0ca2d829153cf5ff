/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_PROGRESS_H
#define LISTENER_PROGRESS_H

#include <stddef.h>

/* A progress bar in the last line of the terminal. If stderr is not a terminal,
   nothing is shown. */
struct progress {
	size_t total;
	long long begin, shown; /* monotonic milliseconds */
	int shown_width;        /* 0 = not shown now */
	int terminal;           /* is stderr a terminal? */
};

void progress_init(struct progress *progress, size_t total);
/* Show or update the bar. A visible bar is updated at most ten times a
   second. */
void progress_show(struct progress *progress, size_t done, size_t failed);
/* Remove the bar, to make room for a message. */
void progress_hide(struct progress *progress);

#endif
