/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_FAILURE_H
#define LISTENER_FAILURE_H

#include <stdbool.h>

#include "advice.h"

/* Why one login did not do what it was for. {} is none. */
struct failure {
	/* In one line, NULL if there is none. To be freed. */
	char *reason;
	enum advice advice;
	/* The server could not be reached or be trusted, which is no login's
	   fault. */
	bool unreachable;
};

/* The first reason counts: later trouble comes from the first. */
void failure_set(struct failure *failure, enum advice advice,
		 const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void failure_free(struct failure *failure);

#endif
