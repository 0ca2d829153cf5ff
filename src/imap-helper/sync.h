/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_SYNC_H
#define LISTENER_SYNC_H

#include "report.h"
#include "session.h"
#include "users.h"

struct sync_settings {
	struct session_settings session;
	unsigned int jobs;
	struct report *report; /* may be NULL */
};

/* Carry out the users' tasks, as many at once as there are jobs. Failures go to
   stderr, and so does a progress bar if that is a terminal; a summary goes to
   stdout. Returns whether all tasks succeeded and there were no problems. */
bool sync_run(const struct sync_settings *set, const struct users *users);

/* Say on stderr why a login failed and what can be done about it, but each
   advice only once. */
void print_failure(const char *login, const struct session_result *result);
/* If the server says that it is not Dovecot, warn on stderr, but only once. */
void print_server_name(const struct session_result *result);

#endif
