/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_CLOCK_H
#define HTTP_NOTIFY_QUEUE_CLOCK_H

/* The clock of a queue that belongs to one host, in seconds. It goes on through
   restarts and does not jump when the wall clock does. It is the monotonic
   clock, which starts anew when the host boots, plus an offset that stays the
   same for as long as the host is up. Time for which the host is suspended or
   switched off does not count. */

/* The queue's time now, with this offset. */
int64_t queue_clock_time(int64_t offset);
/* The offset for a host that has just booted: the queue's time goes on from
   latest, since the wall clock may be years off until NTP sets it. If latest is
   0, the queue's time becomes that of the wall clock. */
int64_t queue_clock_offset(int64_t latest);
/* A string that identifies the host's present boot, on the data stack. If the
   system does not say, each call counts as a new boot. */
const char *queue_clock_boot(void);

#endif
