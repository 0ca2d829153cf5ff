/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_USERS_H
#define LISTENER_USERS_H

#include <stdbool.h>
#include <stdio.h>

#include "ox-user.h"
#include "session.h"

#define LOGIN_SIZE_MAX 1024

/* What to do for a login. */
struct user_task {
	char *login;
	enum session_action action; /* REGISTER or UNREGISTER */
	char value[OX_VALUE_SIZE];
};

/* A line that nothing is done for. */
struct user_problem {
	char *login;  /* NULL if it can't be told */
	enum session_action action;
	char *reason; /* which begins with the file and the line */
};

struct users {
	struct user_task *tasks;
	size_t task_count;
	struct user_problem *problems;
	size_t problem_count;

	/* private: lines with a login, good or bad, in order of the login */
	struct user_line *lines;
	size_t line_count;
	/* a line of which not even the login is known, or 0 */
	unsigned int lost_line;
	bool has_header;
};

/* Can this be sent as a login? separator is that of a master user, or NULL.
   Returns NULL, or what is wrong with it. */
const char *login_check(const char *login, size_t size,
			const char *separator);

/* Read the CSV file of those who are to be registered: a header and the
   columns login, user and context. An empty file is fine. A line that can't be
   understood becomes a problem. So does a login that comes again; if it comes
   with other numbers, none of its lines is believed, since what goes to a
   wrong OX user is somebody else's mail. Logins compare as in Dovecot, where
   by default case doesn't matter.

   name is the file's in messages. Returns 0, or -1 and error_r if it can't be
   used at all. */
int users_read(struct users *users, FILE *file, const char *name,
	       const char *separator, const char **error_r);

/* Read a list of logins, one a line: those that are not in the former file are
   to be unregistered. A login in a bad line of that file counts as in it; if
   there is a line whose login is not known, or not even a header, then nobody
   is unregistered, which becomes a problem. */
int users_read_others(struct users *users, FILE *file, const char *name,
		      const char *separator, const char **error_r);

void users_free(struct users *users);

#endif
