/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_FAILURE_H
#define LISTENER_FAILURE_H

#include <stdbool.h>

#include "advice.h"

/* Why one login failed. {} means that it has not. */
struct failure {
	/* One line, NULL if nothing has failed. Freed by failure_free(). */
	char *reason;
	enum advice advice;
	/* The server could not be reached or not be trusted. Other logins
	   would fail as well. */
	bool unreachable;
};

/* Set the reason and the advice, unless a reason is set already: what fails
   later is a consequence of the first failure. */
void failure_set(struct failure *failure, enum advice advice,
		 const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void failure_free(struct failure *failure);

#endif
