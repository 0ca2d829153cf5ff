/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_ARGUMENTS_H
#define LISTENER_ARGUMENTS_H

#include <stdbool.h>

enum command {
	COMMAND_REGISTER,
	COMMAND_UNREGISTER,
	COMMAND_SHOW,
	COMMAND_SYNC,
};

/* The command line, checked as far as that is possible without reading files
   and without the network. Points into argv. */
struct arguments {
	enum command command;
	const char *target; /* login, or sync's file */
	const char *ox_user;

	const char *server, *ca_file, *password_file;
	const char *master_user, *master_separator;
	const char *report, *remove_others;
	unsigned int timeout_secs, jobs;
	bool allow_plaintext, dry_run;
};

enum arguments_result {
	ARGUMENTS_OK,
	ARGUMENTS_DONE, /* --help, --version */
	ARGUMENTS_BAD,  /* stderr says why */
};

enum arguments_result
arguments_parse(int argc, char *argv[], struct arguments *args_r);

/* Say on stderr what is wrong with the command line. */
void usage_error(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
