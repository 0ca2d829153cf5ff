/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_CLOCK_H
#define HTTP_NOTIFY_QUEUE_CLOCK_H

/* The time of a queue that belongs to one host: seconds that go on through
   restarts and do not jump when the wall clock does. It is the monotonic clock,
   which begins anew when the host boots, with an offset that is kept for as
   long as the host is up. A while for which the host is suspended does not
   count. */

/* What the queue's time is now, with this offset. */
int64_t queue_clock_time(int64_t offset);
/* The offset for a host that has just booted: by the wall clock, but not back
   behind latest, since that may be wrong until NTP sets it. */
int64_t queue_clock_offset(int64_t latest);
/* Names the host's present boot. It lives on the data stack. */
const char *queue_clock_boot(void);

#endif
