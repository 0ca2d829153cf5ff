/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_CLOCK_H
#define LISTENER_CLOCK_H

/* Milliseconds of a clock that only goes forward. */
long long monotonic_msecs(void);

#endif
