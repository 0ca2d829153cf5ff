/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "arguments.h"
#include "buffer.h"
#include "password.h"
#include "report.h"
#include "server-url.h"
#include "session.h"
#include "sync.h"
#include "users.h"

enum {
	EXIT_WELL = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

/* What the commands need besides the arguments. */
struct environment {
	const struct arguments *args;
	struct session_settings session;
	char *url, *host, *password;
	struct report *report;
};

static void
print_value(const struct session_result *result, const char *before)
{
	struct buffer text = {};

	buffer_append_escaped(&text, result->value, result->value_size,
			      result->value_size);
	printf("%s%s", before, buffer_str(&text));
	buffer_free(&text);
}

/* -- one login -- */

static void print_shown(const char *login, const struct session_result *result)
{
	if (result->value == NULL)
		fprintf(stderr, "%s is not registered\n", login);
	else {
		print_value(result, "");
		putchar('\n');
	}
}

static void print_done(const char *login, const char *value,
		       const struct session_result *result, bool dry_run)
{
	printf("%s: ", login);
	if (result->outcome == SESSION_UNCHANGED) {
		if (value == NULL)
			puts("not registered anyway, nothing to do");
		else
			printf("registered as %s already, nothing to do\n",
			       value);
		return;
	}
	fputs(outcome_name(result, dry_run), stdout);
	if (value != NULL) {
		printf("%s %s", result->outcome == SESSION_CHANGED ?
		       " to" : " as", value);
	}
	if (result->value != NULL)
		print_value(result, dry_run ? ", is " : ", was ");
	putchar('\n');
}

static int run_single(struct environment *env)
{
	const struct arguments *args = env->args;
	const char *login = args->target, *error;
	enum session_action action = args->command == COMMAND_SHOW ?
		SESSION_SHOW : args->command == COMMAND_REGISTER ?
		SESSION_REGISTER : SESSION_UNREGISTER;
	struct session_result result;
	struct ox_user user;
	char value[OX_VALUE_SIZE];
	bool failed;

	error = login_check(login, strlen(login), args->master_separator);
	if (error != NULL) {
		usage_error("%s", error);
		return EXIT_USAGE;
	}
	if (action == SESSION_REGISTER) {
		if (ox_user_parse(args->ox_user, &user, &error) < 0) {
			usage_error("%s: %s", args->ox_user, error);
			return EXIT_USAGE;
		}
		ox_user_value(&user, value);
	}

	session_run(&env->session, NULL, login, action, value, &result);
	failed = result.outcome == SESSION_FAILED;
	if (failed)
		print_failure(login, &result);
	else {
		print_server_name(&result);
		if (action == SESSION_SHOW)
			print_shown(login, &result);
		else {
			print_done(login, action == SESSION_REGISTER ?
				   value : NULL, &result, args->dry_run);
		}
	}
	if (env->report != NULL) {
		report_add(env->report, login, action, &result,
			   args->dry_run);
	}
	session_result_free(&result);
	return failed ? EXIT_FAILED : EXIT_WELL;
}

/* -- sync -- */

/* Returns NULL, after saying why on stderr, if the file can't be opened. */
static FILE *open_input(const char *path, const char **name_r)
{
	FILE *file;

	if (strcmp(path, "-") == 0) {
		*name_r = "standard input";
		return stdin;
	}
	*name_r = path;
	file = fopen(path, "re");
	if (file == NULL)
		usage_error("%s: %s", path, strerror(errno));
	return file;
}

static void close_input(FILE *file)
{
	if (file != stdin)
		(void)fclose(file);
}

static bool read_users(const struct arguments *args, struct users *users)
{
	const char *name, *error;
	FILE *file;
	int ret;

	file = open_input(args->target, &name);
	if (file == NULL)
		return false;
	ret = users_read(users, file, name, args->master_separator, &error);
	close_input(file);
	if (ret == 0 && args->remove_others != NULL) {
		file = open_input(args->remove_others, &name);
		if (file == NULL)
			return false;
		ret = users_read_others(users, file, name,
					args->master_separator, &error);
		close_input(file);
	}
	if (ret < 0)
		usage_error("%s: %s", name, error);
	return ret == 0;
}

static int run_sync(struct environment *env)
{
	struct sync_settings set = {
		.session = env->session,
		.jobs = env->args->jobs,
		.report = env->report,
	};
	struct users users = {};
	int ret = EXIT_USAGE;

	if (read_users(env->args, &users))
		ret = sync_run(&set, &users) ? EXIT_WELL : EXIT_FAILED;
	users_free(&users);
	return ret;
}

/* -- all -- */

static bool same_file(const char *path1, const char *path2)
{
	struct stat st1, st2;

	return path1 != NULL && path2 != NULL &&
		stat(path1, &st1) == 0 && stat(path2, &st2) == 0 &&
		st1.st_dev == st2.st_dev && st1.st_ino == st2.st_ino &&
		S_ISREG(st1.st_mode);
}

static bool open_report(struct environment *env)
{
	const struct arguments *args = env->args;

	if (args->report == NULL)
		return true;
	if ((args->command == COMMAND_SYNC &&
	     same_file(args->report, args->target)) ||
	    same_file(args->report, args->remove_others) ||
	    same_file(args->report, args->password_file) ||
	    same_file(args->report, args->ca_file)) {
		usage_error("--report would overwrite %s, which is read",
			    args->report);
		return false;
	}
	env->report = report_open(args->report);
	if (env->report == NULL)
		usage_error("--report=%s: %s", args->report, strerror(errno));
	return env->report != NULL;
}

static bool
environment_init(struct environment *env, const struct arguments *args)
{
	struct session_settings *set = &env->session;
	const char *error;

	memset(env, 0, sizeof(*env));
	env->args = args;
	if (server_url_parse(args->server, &env->url, &env->host,
			     &error) < 0) {
		/* don't repeat the URL, which may have a password in it */
		usage_error("--server: %s", error);
		return false;
	}
	if (args->ca_file != NULL && access(args->ca_file, R_OK) < 0) {
		usage_error("--ca-file=%s: %s", args->ca_file,
			    strerror(errno));
		return false;
	}
	env->password = password_get(args->password_file, &error);
	if (env->password == NULL) {
		usage_error("%s%s%s", args->password_file == NULL ? "" :
			    args->password_file, args->password_file == NULL ?
			    "" : ": ", error);
		return false;
	}
	if (!open_report(env))
		return false;

	set->url = env->url;
	set->host = env->host;
	set->ca_file = args->ca_file;
	set->password = env->password;
	set->master_user = args->master_user;
	set->master_separator = args->master_separator;
	set->timeout_msecs = args->timeout_secs * 1000;
	set->allow_plaintext = args->allow_plaintext;
	set->dry_run = args->dry_run;
	return true;
}

/* Returns the exit status, which is a failure if the report can't be
   written. */
static int environment_deinit(struct environment *env, int status)
{
	if (env->report != NULL && report_close(&env->report) < 0) {
		fprintf(stderr, "http-notify-listener: --report=%s: %s\n",
			env->args->report, strerror(errno));
		status = EXIT_FAILED;
	}
	password_free(&env->password);
	free(env->url);
	free(env->host);
	return status;
}

int main(int argc, char *argv[])
{
	static const struct rlimit no_core = { 0, 0 };
	struct arguments args;
	struct environment env;
	int status = EXIT_USAGE;

	switch (arguments_parse(argc, argv, &args)) {
	case ARGUMENTS_OK:
		break;
	case ARGUMENTS_DONE:
		return EXIT_WELL;
	case ARGUMENTS_BAD:
		return EXIT_USAGE;
	}
	/* the password is in memory */
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(SIGPIPE, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		fputs("http-notify-listener: libcurl can't be initialised\n",
		      stderr);
		return EXIT_FAILED;
	}
	if (environment_init(&env, &args)) {
		status = args.command == COMMAND_SYNC ? run_sync(&env) :
			run_single(&env);
	}
	status = environment_deinit(&env, status);
	curl_global_cleanup();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "http-notify-listener: standard output: %s\n",
			strerror(errno));
		if (status == EXIT_WELL)
			status = EXIT_FAILED;
	}
	return status;
}
