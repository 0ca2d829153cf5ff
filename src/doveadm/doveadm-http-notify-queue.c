/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify status | queue | flush | purge */
#include "lib.h"

#include "admin-command.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"

#define NUMBER ADMIN_NUMBER

static const struct admin_column status_columns[] = {
	[HTTP_NOTIFY_ADMIN_STATUS_STATE] = { "state", "state", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_SINCE] = { "since", "since", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE] = { "standby", "standby", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUED] = { "queued", "queued", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_BYTES] =
		{ "queued_bytes", "queued_bytes", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_PERCENT] =
		{ "queued_percent", "queued_percent", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_OLDEST] = { "oldest", "oldest", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_IN_FLIGHT] =
		{ "in_flight", "in_flight", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_DELIVERED] =
		{ "delivered", "delivered", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_RETRIED] = { "retried", "retried", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_REFUSED] = { "refused", "refused", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_DROPPED] = { "dropped", "dropped", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_EXPIRED] = { "expired", "expired", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_REFUSED] =
		{ "kept_refused", "kept_refused", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_DROPPED] =
		{ "kept_dropped", "kept_dropped", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_EXPIRED] =
		{ "kept_expired", "kept_expired", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_OLDEST] =
		{ "kept_oldest", "kept_oldest", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_FORGOTTEN] =
		{ "forgotten", "forgotten", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_EVENTS] = { "events", "events", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] =
		{ "last_error", "last_error", 0 },
};

static const struct admin_column queue_columns[] = {
	[HTTP_NOTIFY_ADMIN_QUEUE_USERNAME] = { "username", "username", 0 },
	[HTTP_NOTIFY_ADMIN_QUEUE_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_QUEUE_FOLDER] = { "folder", "folder", 0 },
	[HTTP_NOTIFY_ADMIN_QUEUE_UID] = { "uid", "uid", NUMBER },
	[HTTP_NOTIFY_ADMIN_QUEUE_MAIL_EVENT] =
		{ "mail_event", "mail_event", 0 },
	[HTTP_NOTIFY_ADMIN_QUEUE_AGE] = { "age", "age", NUMBER },
	[HTTP_NOTIFY_ADMIN_QUEUE_EXPIRES_IN] =
		{ "expires_in", "expires_in", NUMBER },
	[HTTP_NOTIFY_ADMIN_QUEUE_ATTEMPTS] =
		{ "attempts", "attempts", NUMBER },
	[HTTP_NOTIFY_ADMIN_QUEUE_ID] = { "id", "id", NUMBER },
};

static void
cmd_http_notify_status(struct doveadm_cmd_context *cctx ATTR_UNUSED)
{
	static const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_STATUS
	};

	admin_print_headers(DOVEADM_PRINT_TYPE_TABLE, status_columns,
			    N_ELEMENTS(status_columns));
	admin_run_table(&command, N_ELEMENTS(status_columns));
}

static void cmd_http_notify_queue(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_QUEUE
	};

	if (admin_run_body(cctx, FALSE))
		return;
	(void)admin_get_filter(cctx, &command);
	admin_print_headers(DOVEADM_PRINT_TYPE_TABLE, queue_columns,
			    N_ELEMENTS(queue_columns));
	admin_run_table(&command, N_ELEMENTS(queue_columns));
}

static void cmd_http_notify_flush(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_FLUSH
	};

	(void)admin_get_filter(cctx, &command);
	admin_run_count(&command, 0);
}

static void cmd_http_notify_purge(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_PURGE
	};

	if (!admin_get_filter(cctx, &command)) {
		i_error("purge needs -u or -e (-u '*' drops all there is)");
		doveadm_exit_code = EX_USAGE;
		return;
	}
	admin_run_count(&command, 0);
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
	.usage = FILTER_USAGE" | --body <id>",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('b', "body", CMD_PARAM_STR, 0)
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
