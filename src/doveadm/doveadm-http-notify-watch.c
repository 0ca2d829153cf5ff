/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify watch */
#include "lib.h"
#include "ostream.h"

#include "admin-command.h"
#include "admin-hosts.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"

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

/* If there may be several hosts, it says which one, after the time. */
static void print_headers(bool shared)
{
	unsigned int i;

	doveadm_print_init(DOVEADM_PRINT_TYPE_FLOW);
	for (i = 0; i < N_ELEMENTS(live_columns); i++) {
		if (shared && i == HTTP_NOTIFY_ADMIN_LIVE_TIME + 1)
			doveadm_print_header_simple("host");
		doveadm_print_header(live_columns[i].key, live_columns[i].title,
				     live_columns[i].flags);
	}
}

static void
print_event(const char *host, const char *const *row, void *context)
{
	const bool *shared = context;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(live_columns); i++) {
		if (*shared && i == HTTP_NOTIFY_ADMIN_LIVE_TIME + 1)
			doveadm_print(host);
		doveadm_print(row[i]);
	}
	(void)o_stream_flush(doveadm_print_ostream);
}

static void cmd_http_notify_watch(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_WATCH, .user_mask = "*"
	};
	struct admin_hosts *hosts;
	bool shared;

	if (cctx->conn_type != DOVEADM_CONNECTION_TYPE_CLI) {
		i_error("watch needs a terminal");
		doveadm_exit_code = EX_USAGE;
		return;
	}
	(void)doveadm_cmd_param_str(cctx, "user", &command.user_mask);
	hosts = admin_hosts_init(cctx);
	if (hosts == NULL) {
		print_headers(FALSE);
		return;
	}
	shared = admin_hosts_are_shared(hosts);
	admin_end_by_signals();
	print_headers(shared);
	admin_hosts_run_endless(hosts, &command, N_ELEMENTS(live_columns),
				print_event, &shared);
	admin_hosts_deinit(&hosts);
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_watch = {
	.name = "http-notify watch",
	.cmd = cmd_http_notify_watch,
	.usage = "[-u <user mask>] [-H <host mask>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('H', "host", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};
