/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_USER_LINES_H
#define HTTP_NOTIFY_USER_LINES_H

#include "options.h"

struct mail_user;
struct protocol_settings;

/* One of a user's push_notification drivers: on 2.3 a line, on 2.4 a
   push_notification { } filter. */
struct user_line {
	/* as the configuration has it */
	const char *setting;
	/* NULL = it is valid, and Dovecot gets to it; else what is wrong and
	   what to do. It has no secrets in it. */
	const char *error;
	struct http_notify_options options;
};
ARRAY_DEFINE_TYPE(user_line, struct user_line);

/* Get those that name our driver, as the processes of this protocol see them.
   Those of other drivers are of interest only if Dovecot fails to initialise
   one: it does not get to those behind it then. That is tried, in a child
   process. Returns 0, or -1 and error_r. */
int user_lines_get(struct mail_user *user, const struct protocol_settings *set,
		   pool_t pool, ARRAY_TYPE(user_line) *lines,
		   const char **error_r);

/* The mail_plugins that a process of this protocol loads for the user, whose
   userdb may have others. NULL-terminated, in the pool. Returns 0, or -1 and
   error_r. */
int user_plugins_get(struct mail_user *user,
		     const struct protocol_settings *set, pool_t pool,
		     const char *const **plugins_r, const char **error_r);

#endif
