/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HANDOFF_CONNECT_H
#define HANDOFF_CONNECT_H

/* Connect to the service's socket. It is tried until the deadline (monotonic,
   in milliseconds), at least once; if the socket is missing, only for a moment,
   and if gone, which is updated, says that it was missing before, not again.
   Returns the file descriptor, which does not block, or -1 and error_r. */
int handoff_connect(const char *path, int64_t deadline, bool *gone,
		    const char **error_r);

#endif
