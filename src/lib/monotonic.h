/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MONOTONIC_H
#define HTTP_NOTIFY_MONOTONIC_H

/* Milliseconds of a clock that only goes forward, for intervals and deadlines:
   the wall clock, which Dovecot's timeouts and ioloop_time follow, may jump. */
int64_t http_notify_monotonic_msecs(void);

#endif
