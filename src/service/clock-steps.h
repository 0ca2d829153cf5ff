/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CLOCK_STEPS_H
#define HTTP_NOTIFY_CLOCK_STEPS_H

/* Dovecot's timeouts are of the wall clock. Its ioloop moves them when the clock
   is set back, but only if that happens while it waits: otherwise they are late
   by hours. From _init() on, such steps of the current ioloop's clock are made
   good within a second. */
void clock_steps_init(void);
void clock_steps_deinit(void);

#endif
