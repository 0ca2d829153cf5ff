/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "monotonic.h"

#include <time.h>

int64_t http_notify_monotonic_msecs(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		i_fatal("clock_gettime() failed: %m");
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
