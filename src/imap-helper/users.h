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

/* A line for which nothing is done. */
struct user_problem {
	char *login;  /* NULL if it is not known */
	enum session_action action;
	char *reason; /* begins with the file's name and the line's number */
};

struct users {
	struct user_task *tasks;
	size_t task_count;
	struct user_problem *problems;
	size_t problem_count;

	/* private: lines with a login, good or bad, in order of the login */
	struct user_line *lines;
	size_t line_count;
	/* the first line whose login is not even known, or 0 */
	unsigned int lost_line;
	bool has_header;
};

/* Can this be sent as a login? separator is the one before a master user, or
   NULL. Returns NULL, or what is wrong with the login. */
const char *login_check(const char *login, size_t size,
			const char *separator);

/* Read the CSV file of the logins to register: a header, and the columns login,
   user and context. An empty file is fine. A line that can't be understood
   becomes a problem. So does a second line for a login; if it has other
   numbers, none of the login's lines is used, because the wrong OX user would
   be told of somebody else's mail. Logins compare as in Dovecot, where by
   default case doesn't matter.

   name is what messages call the file. Returns 0, or -1 and error_r if the file
   can't be used at all. In any case, users must be freed. */
int users_read(struct users *users, FILE *file, const char *name,
	       const char *separator, const char **error_r);

/* Read a list of logins, one per line, after users_read(): those that were not
   in its file are to be unregistered. A login in a bad line of that file counts
   as being in it. If it has a line whose login is not known, or not even a
   header, nobody is unregistered, and that becomes a problem. Returns as
   above. */
int users_read_others(struct users *users, FILE *file, const char *name,
		      const char *separator, const char **error_r);

void users_free(struct users *users);

#endif
