/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify watch */
#include "lib.h"
#include "ostream.h"

#include "admin-command.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"

#include <signal.h>

static const struct admin_column live_columns[] = {
	[HTTP_NOTIFY_ADMIN_LIVE_TIME] = { "time", "time", 0 },
	[HTTP_NOTIFY_ADMIN_LIVE_WHAT] = { "event", "event", 0 },
	[HTTP_NOTIFY_ADMIN_LIVE_USERNAME] = { "username", "username", 0 },
	[HTTP_NOTIFY_ADMIN_LIVE_FOLDER] = { "folder", "folder", 0 },
	[HTTP_NOTIFY_ADMIN_LIVE_UID] = { "uid", "uid", 0 },
	[HTTP_NOTIFY_ADMIN_LIVE_MAIL_EVENT] =
		{ "mail_event", "mail_event", 0 },
	[HTTP_NOTIFY_ADMIN_LIVE_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_LIVE_DETAIL] = { "detail", "detail", 0 },
};

static void cmd_http_notify_watch(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_WATCH, .user_mask = "*"
	};

	if (cctx->conn_type != DOVEADM_CONNECTION_TYPE_CLI) {
		i_error("watch needs a terminal");
		doveadm_exit_code = EX_USAGE;
		return;
	}
	(void)doveadm_cmd_param_str(cctx, "user", &command.user_mask);
	/* Dovecot's handlers wait for an ioloop */
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	admin_print_headers(DOVEADM_PRINT_TYPE_FLOW, live_columns,
			    N_ELEMENTS(live_columns));
	admin_run_endless(&command, N_ELEMENTS(live_columns));
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_watch = {
	.name = "http-notify watch",
	.cmd = cmd_http_notify_watch,
	.usage = "[-u <user mask>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};
