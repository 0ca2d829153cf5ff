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

/* Make the server's registrations what the users say, with as many logins at
   once as there are jobs. Failures go to stderr, and so does a progress bar if
   that is a terminal; a summary goes to stdout. Returns whether all is well. */
bool sync_run(const struct sync_settings *set, const struct users *users);

/* Say on stderr why a login failed, and what can be done about it: the latter
   once for each kind. */
void print_failure(const char *login, const struct session_result *result);
/* Say once that the server is not Dovecot. */
void print_server_name(const struct session_result *result);

#endif
