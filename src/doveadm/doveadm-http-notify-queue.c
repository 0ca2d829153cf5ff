/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify status | queue | flush | purge */
#include "lib.h"
#include "doveadm-print.h"
#include "doveadm-settings.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"

/* The service answers at once, unless it is stopped or overloaded. */
#define ANSWER_TIMEOUT_MSECS (10*1000)

struct column {
	const char *key, *title;
	enum doveadm_print_header_flags flags;
};

#define NUMBER (DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY | \
		DOVEADM_PRINT_HEADER_FLAG_NUMBER)

static const struct column status_columns[] = {
	[HTTP_NOTIFY_ADMIN_STATUS_STATE] = { "state", "state", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_SINCE] = { "since", "since", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE] = { "standby", "standby", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUED] = { "queued", "queued", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_OLDEST] = { "oldest", "oldest", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_IN_FLIGHT] =
		{ "in_flight", "in_flight", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_DELIVERED] =
		{ "delivered", "delivered", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_RETRIED] = { "retried", "retried", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_REFUSED] = { "refused", "refused", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_DROPPED] = { "dropped", "dropped", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_EXPIRED] = { "expired", "expired", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] =
		{ "last_error", "last_error", 0 },
};

static const struct column queue_columns[] = {
	[HTTP_NOTIFY_ADMIN_QUEUE_USERNAME] = { "username", "username", 0 },
	[HTTP_NOTIFY_ADMIN_QUEUE_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_QUEUE_FOLDER] = { "folder", "folder", 0 },
	[HTTP_NOTIFY_ADMIN_QUEUE_UID] = { "uid", "uid", NUMBER },
	[HTTP_NOTIFY_ADMIN_QUEUE_AGE] = { "age", "age", NUMBER },
	[HTTP_NOTIFY_ADMIN_QUEUE_EXPIRES_IN] =
		{ "expires_in", "expires_in", NUMBER },
	[HTTP_NOTIFY_ADMIN_QUEUE_ATTEMPTS] =
		{ "attempts", "attempts", NUMBER },
};

static const struct column count_columns[] = {
	{ "count", "count", NUMBER },
};

static void
print_headers(const char *type, const struct column *columns,
	      unsigned int count)
{
	unsigned int i;

	doveadm_print_init(type);
	for (i = 0; i < count; i++) {
		doveadm_print_header(columns[i].key, columns[i].title,
				     columns[i].flags);
	}
}

/* Send a command and print the rows of the answer. Returns FALSE if it failed,
   after logging why and setting the exit code. */
static bool
admin_run(const struct http_notify_admin_command *command,
	  unsigned int columns_count, uint64_t *count_r)
{
	struct admin_client *client;
	const char *const *row, *error;
	unsigned int i;
	int ret;

	client = admin_client_init(doveadm_settings->base_dir, &error);
	if (client == NULL) {
		i_error("%s", error);
		doveadm_exit_code = EX_TEMPFAIL;
		return FALSE;
	}
	admin_client_send(client, command);
	do T_BEGIN {
		ret = admin_client_read(client, ANSWER_TIMEOUT_MSECS,
					columns_count, &row, count_r, &error);
		if (ret < 0) {
			i_error("%s", error);
			doveadm_exit_code = EX_TEMPFAIL;
		}
		for (i = 0; ret > 0 && i < columns_count; i++)
			doveadm_print(row[i]);
	} T_END; while (ret > 0);
	admin_client_deinit(&client);
	return ret == 0;
}

static void
cmd_http_notify_status(struct doveadm_cmd_context *cctx ATTR_UNUSED)
{
	static const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_STATUS
	};
	uint64_t count;

	print_headers(DOVEADM_PRINT_TYPE_TABLE, status_columns,
		      N_ELEMENTS(status_columns));
	(void)admin_run(&command, N_ELEMENTS(status_columns), &count);
}

/* Get the masks. An endpoint without wildcards matches any part of a URL.
   Returns TRUE if there is a filter. */
static bool
get_filter(struct doveadm_cmd_context *cctx,
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

static void cmd_http_notify_queue(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_QUEUE
	};
	uint64_t count;

	(void)get_filter(cctx, &command);
	print_headers(DOVEADM_PRINT_TYPE_TABLE, queue_columns,
		      N_ELEMENTS(queue_columns));
	(void)admin_run(&command, N_ELEMENTS(queue_columns), &count);
}

static void run_and_count(const struct http_notify_admin_command *command)
{
	uint64_t count;

	print_headers(DOVEADM_PRINT_TYPE_FLOW, count_columns,
		      N_ELEMENTS(count_columns));
	if (admin_run(command, 0, &count))
		doveadm_print_num(count);
}

static void cmd_http_notify_flush(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_FLUSH
	};

	(void)get_filter(cctx, &command);
	run_and_count(&command);
}

static void cmd_http_notify_purge(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_PURGE
	};

	if (!get_filter(cctx, &command)) {
		i_error("purge needs -u or -e (-u '*' drops all there is)");
		doveadm_exit_code = EX_USAGE;
		return;
	}
	run_and_count(&command);
}

#define FILTER_USAGE "[-u <user mask>] [-e <endpoint mask>]"

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_status = {
	.name = "http-notify status",
	.cmd = cmd_http_notify_status,
	.usage = "",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_queue = {
	.name = "http-notify queue",
	.cmd = cmd_http_notify_queue,
	.usage = FILTER_USAGE,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_flush = {
	.name = "http-notify flush",
	.cmd = cmd_http_notify_flush,
	.usage = FILTER_USAGE,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_purge = {
	.name = "http-notify purge",
	.cmd = cmd_http_notify_purge,
	.usage = FILTER_USAGE,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};
