/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify lost | lost resend | lost drop */
#include "lib.h"

#include "admin-command.h"
#include "admin-hosts.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"

static const struct admin_column lost_columns[] = {
	[HTTP_NOTIFY_ADMIN_LOST_USERNAME] = { "username", "username", 0 },
	[HTTP_NOTIFY_ADMIN_LOST_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_LOST_FOLDER] = { "folder", "folder", 0 },
	[HTTP_NOTIFY_ADMIN_LOST_UID] = { "uid", "uid", ADMIN_NUMBER },
	[HTTP_NOTIFY_ADMIN_LOST_MAIL_EVENT] =
		{ "mail_event", "mail_event", 0 },
	[HTTP_NOTIFY_ADMIN_LOST_REASON] = { "reason", "reason", 0 },
	[HTTP_NOTIFY_ADMIN_LOST_FIRST] = { "first", "first", ADMIN_NUMBER },
	[HTTP_NOTIFY_ADMIN_LOST_LAST] = { "last", "last", ADMIN_NUMBER },
	[HTTP_NOTIFY_ADMIN_LOST_ATTEMPTS] =
		{ "attempts", "attempts", ADMIN_NUMBER },
	[HTTP_NOTIFY_ADMIN_LOST_HOST] = { "host", "host", 0 },
	[HTTP_NOTIFY_ADMIN_LOST_ID] = { "id", "id", ADMIN_NUMBER },
	[HTTP_NOTIFY_ADMIN_LOST_ANSWER] = { "answer", "answer", 0 },
};

/* Returns 1 if there is a filter, 0 if there is none, -1 if it is invalid. */
static int
get_filter(struct doveadm_cmd_context *cctx,
	   struct http_notify_admin_command *command)
{
	static const char *const reasons[] = {
		"refused", "dropped", "expired", NULL
	};
	bool filter = admin_get_filter(cctx, command);

	command->folder_mask = command->host_mask = "*";
	command->reason = "";
	if (doveadm_cmd_param_str(cctx, "folder", &command->folder_mask))
		filter = TRUE;
	if (doveadm_cmd_param_str(cctx, "host", &command->host_mask))
		filter = TRUE;
	if (doveadm_cmd_param_str(cctx, "reason", &command->reason)) {
		filter = TRUE;
		if (!str_array_find(reasons, command->reason)) {
			i_error("--reason is refused, dropped or expired");
			doveadm_exit_code = EX_USAGE;
			return -1;
		}
	}
	if (admin_get_since(cctx, &command->max_secs) < 0) {
		doveadm_exit_code = EX_USAGE;
		return -1;
	}
	return filter || command->max_secs > 0 ? 1 : 0;
}

/* Nothing was found. The option may name a host that is gone, which is known only
   by what it gave up; or none at all. */
static void check_host(struct doveadm_cmd_context *cctx)
{
	struct admin_hosts *hosts;
	const char *mask;

	if (!doveadm_cmd_param_str(cctx, "host", &mask))
		return;
	hosts = admin_hosts_init(cctx);
	admin_hosts_deinit(&hosts);
}

struct lost_table {
	/* several hosts may have given up what is in it */
	bool shared;
	bool empty;
};

static bool has_column(const struct lost_table *table, unsigned int column)
{
	return table->shared || column != HTTP_NOTIFY_ADMIN_LOST_HOST;
}

static void print_lost_headers(const struct lost_table *table)
{
	unsigned int i;

	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	for (i = 0; i < N_ELEMENTS(lost_columns); i++) {
		if (has_column(table, i)) {
			doveadm_print_header(lost_columns[i].key,
					     lost_columns[i].title,
					     lost_columns[i].flags);
		}
	}
}

static void
print_lost(const char *const *row, unsigned int columns_count, void *context)
{
	struct lost_table *table = context;
	unsigned int i;

	table->empty = FALSE;
	for (i = 0; i < columns_count; i++) {
		if (has_column(table, i))
			doveadm_print(row[i]);
	}
}

static void cmd_http_notify_lost(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_LOST
	};
	struct lost_table table = { .empty = TRUE };
	struct admin_hosts *hosts;

	if (admin_run_body(cctx, TRUE) || get_filter(cctx, &command) < 0)
		return;
	hosts = admin_hosts_init_all();
	table.shared = hosts != NULL && admin_hosts_are_shared(hosts);
	print_lost_headers(&table);
	if (hosts != NULL &&
	    admin_run_rows(&command, N_ELEMENTS(lost_columns), print_lost,
			   &table) && table.empty)
		check_host(cctx);
	admin_hosts_deinit(&hosts);
}

static void
run_filtered(struct doveadm_cmd_context *cctx, enum http_notify_admin_verb verb)
{
	struct http_notify_admin_command command = { .verb = verb };
	uint64_t count;
	int ret;

	ret = get_filter(cctx, &command);
	if (verb == HTTP_NOTIFY_ADMIN_RESEND)
		(void)doveadm_cmd_param_str(cctx, "to", &command.to);
	if (ret == 0) {
		i_error("%s needs a filter (-u '*' matches all there is)",
			cctx->cmd->name + strlen("http-notify "));
		doveadm_exit_code = EX_USAGE;
	} else if (ret > 0 &&
		   admin_run_count(&command, HTTP_NOTIFY_ADMIN_PROGRESS_COUNT,
				   &count) && count == 0)
		check_host(cctx);
}

static void cmd_http_notify_lost_resend(struct doveadm_cmd_context *cctx)
{
	run_filtered(cctx, HTTP_NOTIFY_ADMIN_RESEND);
}

static void cmd_http_notify_lost_drop(struct doveadm_cmd_context *cctx)
{
	run_filtered(cctx, HTTP_NOTIFY_ADMIN_DROP);
}

#define FILTER_USAGE "[-u <user mask>] [-e <endpoint mask>] " \
	"[-m <folder mask>] [-H <host mask>] " \
	"[-r refused|dropped|expired] [-s <time>]"

#define FILTER_PARAMS \
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0) \
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0) \
DOVEADM_CMD_PARAM('m', "folder", CMD_PARAM_STR, 0) \
DOVEADM_CMD_PARAM('H', "host", CMD_PARAM_STR, 0) \
DOVEADM_CMD_PARAM('r', "reason", CMD_PARAM_STR, 0) \
DOVEADM_CMD_PARAM('s', "since", CMD_PARAM_STR, 0)

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_lost = {
	.name = "http-notify lost",
	.cmd = cmd_http_notify_lost,
	.usage = FILTER_USAGE" | --body <id>",
DOVEADM_CMD_PARAMS_START
FILTER_PARAMS
DOVEADM_CMD_PARAM('b', "body", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_lost_resend = {
	.name = "http-notify lost resend",
	.cmd = cmd_http_notify_lost_resend,
	.usage = FILTER_USAGE" [--to <endpoint>]",
DOVEADM_CMD_PARAMS_START
FILTER_PARAMS
DOVEADM_CMD_PARAM('t', "to", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_lost_drop = {
	.name = "http-notify lost drop",
	.cmd = cmd_http_notify_lost_drop,
	.usage = FILTER_USAGE,
DOVEADM_CMD_PARAMS_START
FILTER_PARAMS
DOVEADM_CMD_PARAMS_END
};
