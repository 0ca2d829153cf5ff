/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

#define JOBS_DEFAULT 8
#define JOBS_MAX 256
#define TIMEOUT_DEFAULT 30
#define TIMEOUT_MAX 3600

static const char help[] =
"Usage: http-notify-listener [OPTION]... register LOGIN USER@CONTEXT\n"
"  or:  http-notify-listener [OPTION]... unregister LOGIN\n"
"  or:  http-notify-listener [OPTION]... show LOGIN\n"
"  or:  http-notify-listener [OPTION]... sync FILE\n"
"Register mail users for push notifications to Open-Xchange, by IMAP METADATA\n"
"and with the value that Open-Xchange itself writes and checks.\n"
"\n"
"  -s, --server=URL           imap://HOST[:PORT] (STARTTLS) or\n"
"                             imaps://HOST[:PORT]; required\n"
"      --ca-file=FILE         accept server certificates by the CAs in FILE only\n"
"      --allow-plaintext      imap:// goes on without TLS if there is no STARTTLS\n"
"  -p, --password-file=FILE   the password is the first line of FILE, which\n"
"                             others must not be able to read\n"
"  -m, --master-user=NAME     log in as this user on behalf of LOGIN\n"
"      --master-separator=C   and do so as LOGIN, C and NAME in one name\n"
"  -t, --timeout=SECONDS      for each login (default: 30)\n"
"  -n, --dry-run              write nothing, say what would be\n"
"      --report=OUT.CSV       what became of each login: login,action,outcome,\n"
"                             reason,milliseconds\n"
"  -h, --help\n"
"  -V, --version\n"
"\n"
"With sync:\n"
"  -j, --jobs=N               this many logins at once (default: 8)\n"
"      --remove-others=LIST   unregister the logins in LIST, one a line, that\n"
"                             are not in FILE\n"
"\n"
"FILE is CSV with the header login,user,context; - is the standard input.\n"
"Without --password-file, the password is that of the environment variable\n"
"HTTP_NOTIFY_PASSWORD.\n"
"\n"
"Exit status: 0 all is well, 1 something failed, 2 wrong usage.\n";

enum {
	OPT_CA_FILE = 256,
	OPT_ALLOW_PLAINTEXT,
	OPT_MASTER_SEPARATOR,
	OPT_REPORT,
	OPT_REMOVE_OTHERS,
};

static const struct option long_options[] = {
	{ "server", required_argument, NULL, 's' },
	{ "ca-file", required_argument, NULL, OPT_CA_FILE },
	{ "allow-plaintext", no_argument, NULL, OPT_ALLOW_PLAINTEXT },
	{ "password-file", required_argument, NULL, 'p' },
	{ "master-user", required_argument, NULL, 'm' },
	{ "master-separator", required_argument, NULL, OPT_MASTER_SEPARATOR },
	{ "timeout", required_argument, NULL, 't' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "report", required_argument, NULL, OPT_REPORT },
	{ "jobs", required_argument, NULL, 'j' },
	{ "remove-others", required_argument, NULL, OPT_REMOVE_OTHERS },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

void usage_error(const char *format, ...)
{
	va_list args;

	fputs("http-notify-listener: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry: http-notify-listener --help\n", stderr);
}

static bool parse_number(const char *name, const char *str,
			 unsigned int max, unsigned int *number_r)
{
	char *end;
	unsigned long number = strtoul(str, &end, 10);

	if (*str < '0' || *str > '9' || *end != '\0' ||
	    number < 1 || number > max) {
		usage_error("%s has to be a number from 1 to %u", name, max);
		return false;
	}
	*number_r = number;
	return true;
}

static bool parse_option(int opt, struct arguments *args)
{
	switch (opt) {
	case 's':
		args->server = optarg;
		return true;
	case 'p':
		args->password_file = optarg;
		return true;
	case 'm':
		args->master_user = optarg;
		return true;
	case 't':
		return parse_number("--timeout", optarg, TIMEOUT_MAX,
				    &args->timeout_secs);
	case 'n':
		args->dry_run = true;
		return true;
	case 'j':
		return parse_number("--jobs", optarg, JOBS_MAX, &args->jobs);
	case OPT_CA_FILE:
		args->ca_file = optarg;
		return true;
	case OPT_ALLOW_PLAINTEXT:
		args->allow_plaintext = true;
		return true;
	case OPT_MASTER_SEPARATOR:
		args->master_separator = optarg;
		return true;
	case OPT_REPORT:
		args->report = optarg;
		return true;
	case OPT_REMOVE_OTHERS:
		args->remove_others = optarg;
		return true;
	}
	/* getopt_long() has said what is wrong */
	fputs("Try: http-notify-listener --help\n", stderr);
	return false;
}

static bool parse_command(int argc, char *argv[], struct arguments *args)
{
	static const struct {
		const char *name;
		enum command command;
		const char *operands;
		int count;
	} commands[] = {
		{ "register", COMMAND_REGISTER, "LOGIN USER@CONTEXT", 2 },
		{ "unregister", COMMAND_UNREGISTER, "LOGIN", 1 },
		{ "show", COMMAND_SHOW, "LOGIN", 1 },
		{ "sync", COMMAND_SYNC, "FILE", 1 },
	};
	unsigned int i;

	if (argc == 0) {
		usage_error("a command is missing: register, unregister, show "
			    "or sync");
		return false;
	}
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		if (argc - 1 != commands[i].count) {
			usage_error("%s needs: %s", commands[i].name,
				    commands[i].operands);
			return false;
		}
		args->command = commands[i].command;
		args->target = argv[1];
		args->ox_user = argc > 2 ? argv[2] : NULL;
		return true;
	}
	usage_error("%s is not a command: register, unregister, show or sync",
		    argv[0]);
	return false;
}

static bool check_combination(const struct arguments *args)
{
	if (args->server == NULL)
		usage_error("--server is missing");
	else if (args->master_separator != NULL && args->master_user == NULL)
		usage_error("--master-separator needs --master-user");
	else if (args->master_user != NULL && *args->master_user == '\0')
		usage_error("--master-user is empty");
	else if (args->master_separator != NULL &&
		 *args->master_separator == '\0')
		usage_error("--master-separator is empty");
	else if (args->remove_others != NULL && args->command != COMMAND_SYNC)
		usage_error("--remove-others is for sync");
	else if (args->remove_others != NULL &&
		 strcmp(args->remove_others, "-") == 0 &&
		 strcmp(args->target, "-") == 0)
		usage_error("FILE and LIST can't both be standard input");
	else
		return true;
	return false;
}

enum arguments_result
arguments_parse(int argc, char *argv[], struct arguments *args_r)
{
	int opt;

	memset(args_r, 0, sizeof(*args_r));
	args_r->timeout_secs = TIMEOUT_DEFAULT;
	args_r->jobs = JOBS_DEFAULT;

	while ((opt = getopt_long(argc, argv, "s:p:m:t:nj:hV", long_options,
				  NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return ARGUMENTS_DONE;
		}
		if (opt == 'V') {
			puts("http-notify-listener "HTTP_NOTIFY_VERSION);
			return ARGUMENTS_DONE;
		}
		if (!parse_option(opt, args_r))
			return ARGUMENTS_BAD;
	}
	return parse_command(argc - optind, argv + optind, args_r) &&
		check_combination(args_r) ? ARGUMENTS_OK : ARGUMENTS_BAD;
}
