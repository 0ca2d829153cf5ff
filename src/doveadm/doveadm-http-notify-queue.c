/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify status | queue | flush | purge */
#include "lib.h"

#include "admin-command.h"
#include "admin-hosts.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"
#include "status-merge.h"

#include <sysexits.h>
#include <unistd.h>

/* How often to purge what several hosts send, until nothing is left. */
#define PURGE_TRIES 10
#define PURGE_AGAIN_USECS (1000*1000)

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
	[HTTP_NOTIFY_ADMIN_STATUS_SPOOLED] = { "spooled", "spooled", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUE] = { "queue", "queue", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUE_SINCE] =
		{ "queue_since", "queue_since", NUMBER },
	[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = { "endpoint", "endpoint", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_EVENTS] = { "events", "events", 0 },
	[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] =
		{ "last_error", "last_error", 0 },
};

/* The last one is of this side. */
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
	[HTTP_NOTIFY_ADMIN_QUEUE_COUNT] = { "spooled", "spooled", 0 },
};

static void
have_status(const char *host, const char *const *row, void *context)
{
	status_merge_add(context, host, row);
}

static void cmd_http_notify_status(struct doveadm_cmd_context *cctx)
{
	static const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_STATUS
	};
	struct admin_hosts *hosts;
	struct status_merge *merge;
	const char *const *row;
	uint64_t count = 0;

	admin_print_headers(DOVEADM_PRINT_TYPE_TABLE, status_columns,
			    N_ELEMENTS(status_columns));
	hosts = admin_hosts_init(cctx);
	if (hosts == NULL)
		return;
	merge = status_merge_init(admin_hosts_count(hosts) > 1);
	(void)admin_hosts_run(hosts, &command, N_ELEMENTS(status_columns),
			      have_status, merge, &count);
	while ((row = status_merge_next(merge)) != NULL)
		admin_print_row(row, N_ELEMENTS(status_columns));
	status_merge_deinit(&merge);
	admin_hosts_deinit(&hosts);
}

static void
print_queued(const char *host, const char *const *row, void *context)
{
	const struct http_notify_admin_command *command = context;

	admin_print_row(row, HTTP_NOTIFY_ADMIN_QUEUE_COUNT);
	doveadm_print(command->verb == HTTP_NOTIFY_ADMIN_SPOOLED ? host : "");
}

static void
print_queued_of_all(const char *const *row,
		    unsigned int columns_count ATTR_UNUSED, void *context)
{
	print_queued("", row, context);
}

static void cmd_http_notify_queue(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_SPOOLED
	};
	struct admin_hosts *hosts;
	uint64_t count = 0;

	if (admin_run_body(cctx, FALSE))
		return;
	(void)admin_get_filter(cctx, &command);
	admin_print_headers(DOVEADM_PRINT_TYPE_TABLE, queue_columns,
			    N_ELEMENTS(queue_columns));
	/* also for the service to know all endpoints */
	hosts = admin_hosts_init(cctx);
	if (hosts == NULL)
		return;
	/* what is moved meanwhile is not missed */
	(void)admin_hosts_run(hosts, &command, HTTP_NOTIFY_ADMIN_QUEUE_COUNT,
			      print_queued, &command, &count);
	command.verb = HTTP_NOTIFY_ADMIN_QUEUE;
	if (admin_hosts_are_all(hosts)) {
		/* this one reads what all have stored */
		(void)admin_run_rows(&command, HTTP_NOTIFY_ADMIN_QUEUE_COUNT,
				     print_queued_of_all, &command);
	} else {
		(void)admin_hosts_run(hosts, &command,
				      HTTP_NOTIFY_ADMIN_QUEUE_COUNT,
				      print_queued, &command, &count);
	}
	admin_hosts_deinit(&hosts);
}

static void cmd_http_notify_queue_move(struct doveadm_cmd_context *cctx)
{
	static const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_MOVE
	};
	uint64_t count;

	if (cctx->conn_type == DOVEADM_CONNECTION_TYPE_CLI)
		admin_end_by_signals();
	(void)admin_run_count(&command, HTTP_NOTIFY_ADMIN_PROGRESS_COUNT,
			      &count);
}

static void cmd_http_notify_flush(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_FLUSH
	};
	struct admin_hosts *hosts;
	uint64_t count = 0;

	(void)admin_get_filter(cctx, &command);
	admin_print_count_header();
	hosts = admin_hosts_init(cctx);
	if (hosts == NULL)
		return;
	if (admin_hosts_run(hosts, &command, 0, NULL, NULL, &count))
		doveadm_print_num(count);
	admin_hosts_deinit(&hosts);
}

static void
have_left(const char *const *row ATTR_UNUSED,
	  unsigned int columns_count ATTR_UNUSED, void *context)
{
	unsigned int *left = context;

	*left += 1;
}

static void
host_has_left(const char *host ATTR_UNUSED, const char *const *row,
	      void *context)
{
	have_left(row, HTTP_NOTIFY_ADMIN_QUEUE_COUNT, context);
}

/* Returns FALSE if it is not known what the queue has. */
static bool
count_left(struct admin_hosts *hosts,
	   const struct http_notify_admin_command *purge, unsigned int *left_r)
{
	struct http_notify_admin_command command = *purge;
	uint64_t count = 0;

	*left_r = 0;
	command.verb = HTTP_NOTIFY_ADMIN_SPOOLED;
	(void)admin_hosts_run(hosts, &command, HTTP_NOTIFY_ADMIN_QUEUE_COUNT,
			      host_has_left, left_r, &count);
	command.verb = HTTP_NOTIFY_ADMIN_QUEUE;
	return admin_run_rows(&command, HTTP_NOTIFY_ADMIN_QUEUE_COUNT,
			      have_left, left_r);
}

/* What was queued before. Each host removes what it has spooled and what it
   sends, but for what it is just moving or sending or has not found yet. What is
   moving from one host to another may be none's, when each is asked. */
static bool
purge_all(struct admin_hosts *hosts, struct http_notify_admin_command *command,
	  uint64_t *count)
{
	unsigned int left, tries = 1;
	bool answered;

	command->until = admin_hosts_time(hosts);
	answered = admin_hosts_run(hosts, command, 0, NULL, NULL, count);
	for (;;) {
		left = 0;
		if (!answered || !count_left(hosts, command, &left) ||
		    left == 0 || tries == PURGE_TRIES)
			break;
		tries++;
		usleep(PURGE_AGAIN_USECS);
		if (!admin_hosts_look_again(hosts) ||
		    !admin_hosts_run(hosts, command, 0, NULL, NULL, count))
			break;
	}
	if (left > 0) {
		i_error("%u notifications that match are still queued: they "
			"are being sent, or it is not settled yet which host "
			"sends them (try again)", left);
		doveadm_exit_code = EX_TEMPFAIL;
	}
	return answered;
}

static void cmd_http_notify_purge(struct doveadm_cmd_context *cctx)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_PURGE
	};
	struct admin_hosts *hosts;
	uint64_t count = 0;
	bool answered;

	if (!admin_get_filter(cctx, &command)) {
		i_error("purge needs -u or -e (-u '*' drops all there is)");
		doveadm_exit_code = EX_USAGE;
		return;
	}
	admin_print_count_header();
	hosts = admin_hosts_init(cctx);
	if (hosts == NULL)
		return;
	if (admin_hosts_are_shared(hosts) && admin_hosts_are_all(hosts))
		answered = purge_all(hosts, &command, &count);
	else {
		answered = admin_hosts_run(hosts, &command, 0, NULL, NULL,
					   &count);
	}
	if (answered)
		doveadm_print_num(count);
	admin_hosts_deinit(&hosts);
}

#define FILTER_USAGE \
	"[-u <user mask>] [-e <endpoint mask>] [-H <host mask>]"

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_status = {
	.name = "http-notify status",
	.cmd = cmd_http_notify_status,
	.usage = "[-H <host mask>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('H', "host", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_queue = {
	.name = "http-notify queue",
	.cmd = cmd_http_notify_queue,
	.usage = FILTER_USAGE" | --body <id>",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('H', "host", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('b', "body", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_queue_move = {
	.name = "http-notify queue move",
	.cmd = cmd_http_notify_queue_move,
	.usage = "",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_flush = {
	.name = "http-notify flush",
	.cmd = cmd_http_notify_flush,
	.usage = FILTER_USAGE,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('H', "host", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_purge = {
	.name = "http-notify purge",
	.cmd = cmd_http_notify_purge,
	.usage = FILTER_USAGE,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('u', "user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('e', "endpoint", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('H', "host", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};
