/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_USER_LINES_H
#define HTTP_NOTIFY_USER_LINES_H

#include "options.h"

struct mail_user;
struct protocol_settings;

/* One of a user's push_notification drivers: on 2.3 a line, on 2.4 a
   push_notification { } filter. */
struct user_line {
	/* its name in the configuration */
	const char *setting;
	/* NULL = it is valid, and Dovecot reads it; else what is wrong and what
	   to do. It has no secrets in it. */
	const char *error;
	/* complete only if error is NULL */
	struct http_notify_options options;
	/* the endpoint is OX, or its calendars; FALSE: anything else, by the
	   driver webhook */
	bool ox;
};
ARRAY_DEFINE_TYPE(user_line, struct user_line);

/* Append the lines that name our driver, as the processes of this protocol see
   them. Other drivers matter only if Dovecot fails to initialise one, because
   it then does not read the lines after that. So each other driver that has a
   line of ours after it is tried in a child process (driver-try.h). The strings
   live in the pool, but error may live on the data stack. Returns 0, or -1 and
   error_r. */
int user_lines_get(struct mail_user *user, const struct protocol_settings *set,
		   pool_t pool, ARRAY_TYPE(user_line) *lines,
		   const char **error_r);

/* Get the mail_plugins that a process of this protocol loads for the user; the
   userdb may change what the configuration has. The list is NULL-terminated and
   lives in the pool. Returns 0, or -1 and error_r. */
int user_plugins_get(struct mail_user *user,
		     const struct protocol_settings *set, pool_t pool,
		     const char *const **plugins_r, const char **error_r);

#endif
