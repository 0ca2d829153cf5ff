/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "doveadm-settings.h"
#include "strnum.h"
#include "mail-storage.h"

#include "admin-client.h"
#include "admin-command.h"
#include "admin-hosts.h"
#include "admin-protocol.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* The service answers at once, unless it is stopped or overloaded. */
#define ANSWER_TIMEOUT_MSECS (10*1000)

static const struct admin_column count_columns[] = {
	{ "count", "count", ADMIN_NUMBER },
};

static const struct admin_column body_columns[] = {
	[HTTP_NOTIFY_ADMIN_BODY_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_BODY_KEY] =
		{ "idempotency_key", "idempotency_key", 0 },
	[HTTP_NOTIFY_ADMIN_BODY_BODY] = { "body", "body", 0 },
};

void admin_print_headers(const char *type, const struct admin_column *columns,
			 unsigned int count)
{
	unsigned int i;

	doveadm_print_init(type);
	for (i = 0; i < count; i++) {
		doveadm_print_header(columns[i].key, columns[i].title,
				     columns[i].flags);
	}
}

static bool
admin_run(const struct http_notify_admin_command *command,
	  unsigned int timeout_msecs, unsigned int columns_count,
	  admin_row_callback_t *row_callback, void *context, uint64_t *count_r)
{
	struct admin_client *client;
	const char *const *row, *error;
	int ret;

	client = admin_client_init(doveadm_settings->base_dir, &error);
	if (client == NULL) {
		i_error("%s", error);
		doveadm_exit_code = EX_TEMPFAIL;
		return FALSE;
	}
	admin_client_send(client, command);
	do T_BEGIN {
		ret = admin_client_read(client, timeout_msecs, columns_count,
					&row, count_r, &error);
		if (ret < 0) {
			i_error("%s", error);
			doveadm_exit_code = EX_TEMPFAIL;
		} else if (ret > 0)
			row_callback(row, columns_count, context);
	} T_END; while (ret > 0);
	admin_client_deinit(&client);
	return ret == 0;
}

bool admin_run_rows(const struct http_notify_admin_command *command,
		    unsigned int columns_count,
		    admin_row_callback_t *row_callback, void *context)
{
	uint64_t count;

	return admin_run(command, ANSWER_TIMEOUT_MSECS, columns_count,
			 row_callback, context, &count);
}

bool admin_get_filter(struct doveadm_cmd_context *cctx,
		      struct http_notify_admin_command *command)
{
	bool have_user, have_endpoint;

	command->user_mask = command->endpoint_mask = "*";
	have_user = doveadm_cmd_param_str(cctx, "user", &command->user_mask);
	have_endpoint = doveadm_cmd_param_str(cctx, "endpoint",
					      &command->endpoint_mask);
	if (have_endpoint && strpbrk(command->endpoint_mask, "*?") == NULL) {
		command->endpoint_mask =
			t_strdup_printf("*%s*", command->endpoint_mask);
	}
	return have_user || have_endpoint;
}

int admin_get_since(struct doveadm_cmd_context *cctx, unsigned int *secs_r)
{
	const char *since;
	time_t timestamp, now = time(NULL);
	bool utc;

	*secs_r = 0;
	if (!doveadm_cmd_param_str(cctx, "since", &since))
		return 0;
	if (mail_parse_human_timestamp(since, &timestamp, &utc) < 0 ||
	    timestamp < 0) {
		i_error("--since needs a time, such as 2026-11-30, or an "
			"interval, such as 1h");
		return -1;
	}
	/* 0 would be any time */
	*secs_r = timestamp >= now ? 1 : now - timestamp;
	return 0;
}

void admin_print_row(const char *const *row, unsigned int columns_count)
{
	unsigned int i;

	for (i = 0; i < columns_count; i++)
		doveadm_print(row[i]);
}

static void print_row(const char *const *row, unsigned int columns_count,
		      void *context ATTR_UNUSED)
{
	admin_print_row(row, columns_count);
}

void admin_end_by_signals(void)
{
	/* Dovecot's handlers wait for an ioloop */
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
}

/* On a terminal, the next line replaces it. */
static void print_progress(const char *const *row, unsigned int columns_count,
			   void *context ATTR_UNUSED)
{
	if (isatty(STDERR_FILENO) > 0 &&
	    columns_count == HTTP_NOTIFY_ADMIN_PROGRESS_COUNT) {
		fprintf(stderr, "%s of %s\r",
			row[HTTP_NOTIFY_ADMIN_PROGRESS_DONE],
			row[HTTP_NOTIFY_ADMIN_PROGRESS_ALL]);
	}
}

void admin_print_count_header(void)
{
	admin_print_headers(DOVEADM_PRINT_TYPE_FLOW, count_columns,
			    N_ELEMENTS(count_columns));
}

bool admin_run_count(const struct http_notify_admin_command *command,
		     unsigned int progress_columns, uint64_t *count_r)
{
	admin_print_count_header();
	if (!admin_run(command, ANSWER_TIMEOUT_MSECS, progress_columns,
		       print_progress, NULL, count_r))
		return FALSE;
	doveadm_print_num(*count_r);
	return TRUE;
}

static void
print_host_row(const char *host ATTR_UNUSED, const char *const *row,
	       void *context ATTR_UNUSED)
{
	admin_print_row(row, N_ELEMENTS(body_columns));
}

/* Adds how many there are: each host has ids of its own. */
static void
run_body_spooled(struct doveadm_cmd_context *cctx, int64_t id, uint64_t *count)
{
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_BODY, .spooled = TRUE, .id = id
	};
	struct admin_hosts *hosts = admin_hosts_init(cctx);

	if (hosts == NULL)
		return;
	(void)admin_hosts_run(hosts, &command, N_ELEMENTS(body_columns),
			      print_host_row, NULL, count);
	admin_hosts_deinit(&hosts);
}

bool admin_run_body(struct doveadm_cmd_context *cctx, bool lost)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_BODY, .lost = lost
	};
	const char *id, *host;
	uint64_t spooled = 0, count = 0;

	if (!doveadm_cmd_param_str(cctx, "body", &id))
		return FALSE;
	if (str_to_int64(id, &command.id) < 0 || command.id <= 0) {
		i_error("--body needs an id, as the last columns have it");
		doveadm_exit_code = EX_USAGE;
		return TRUE;
	}
	admin_print_headers(DOVEADM_PRINT_TYPE_PAGER, body_columns,
			    N_ELEMENTS(body_columns));
	if (!lost)
		run_body_spooled(cctx, command.id, &spooled);
	if (lost || !doveadm_cmd_param_str(cctx, "host", &host)) {
		(void)admin_run(&command, ANSWER_TIMEOUT_MSECS,
				N_ELEMENTS(body_columns), print_row, NULL,
				&count);
	}
	if (spooled + count == 0 && doveadm_exit_code == 0) {
		i_error("There is no notification with this id");
		doveadm_exit_code = DOVEADM_EX_NOTFOUND;
	}
	return TRUE;
}
