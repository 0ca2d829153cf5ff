/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CLOCK_STEPS_H
#define HTTP_NOTIFY_CLOCK_STEPS_H

/* Dovecot's timeouts follow the wall clock. When that is set back, the ioloop
   moves them, but only if it is waiting at that moment: otherwise they are late
   by as much as the clock was set back, which may be hours. And when the process
   was stopped or had to wait for the CPU, the ioloop takes that for a step
   ahead. From _init() to _deinit(), the current ioloop's timeouts are where they
   should be within a second or so, and what its callback is told of steps back
   is true. */
void clock_steps_init(void);
void clock_steps_deinit(void);

#endif
