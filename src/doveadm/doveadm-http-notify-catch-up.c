/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify catch-up */
#include "lib.h"
#include "array.h"
#include "http-url.h"
#include "imap-seqset.h"
#include "mail-storage.h"
#include "str.h"
#include "doveadm-print.h"

#include "admin-client.h"
#include "admin-command.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "folder.h"
#include "folders.h"
#include "mail-events.h"
#include "metadata.h"
#include "notification.h"
#include "notification-mail.h"
#include "protocol-settings.h"
#include "service-cmd.h"
#include "user-lines.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "INBOX"
/* The first answer takes as long as it takes to look through the queue. */
#define TIMEOUT_MSECS (5*60*1000)
/* A message may be announced so many seconds after it has come, which is longer
   than a delivery waits for that. */
#define FRESH_SECS 3

struct catch_up_cmd_context {
	struct service_cmd cmd;
	/* of protocol lmtp, which delivers */
	struct protocol_settings set;

	/* messages that have come since then; also seen ones; also those from
	   before the time that the service remembers; only show them */
	time_t since;
	bool seen, older, dry_run;

	/* how many users have been looked at; for how many messages
	   notifications were made, and how many are left out since they are
	   older */
	unsigned int users, found, left_out;
};

/* An endpoint of the user's that is told of new messages in INBOX. */
struct catch_up_line {
	const struct user_line *line;
	/* who it is told that it is about */
	const char *user;
	const char *const *options;
	/* all that it has been told of since then */
	ARRAY_TYPE(seq_range) announced;
	time_t announced_since;
};
ARRAY_DEFINE_TYPE(catch_up_line, struct catch_up_line);

struct catch_up {
	struct catch_up_cmd_context *ctx;
	struct mail_user *user;
	struct mailbox *inbox;
	uint32_t uidvalidity;
	struct mail *mail;
	ARRAY_TYPE(catch_up_line) lines;
};

/* The user's lines */

static bool
line_is_told(const struct user_line *line, const struct mailbox *inbox)
{
	struct http_notify_folder folder;

	http_notify_folder_get(inbox, &folder);
	return line->error == NULL &&
		(line->options.events &
		 HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_NEW)) != 0 &&
		http_notify_folders_include(line->options.folders, &folder);
}

/* Returns 0, or -1 and error_r. There may be no lines, as for a user who is not
   registered. */
static int catch_up_get_lines(struct catch_up *catch_up, const char **error_r)
{
	struct mail_user *user = catch_up->user;
	ARRAY_TYPE(user_line) lines;
	const struct user_line *line;
	struct catch_up_line *told;
	const char *value, *name, *error;
	int ret;

	t_array_init(&lines, 4);
	if (user_lines_get(user, &catch_up->ctx->set, user->pool, &lines,
			   error_r) < 0)
		return -1;
	ret = http_notify_metadata_get(catch_up->inbox, &value, error_r);
	array_foreach(&lines, line) {
		if (!line_is_told(line, catch_up->inbox))
			continue;
		if (ret < 0 &&
		    http_notify_options_need_registration(&line->options))
			return -1;
		if (doveadm_http_notify_get_user(line, user,
				ret > 0 ? value : NULL, &name, &error) < 0)
			continue;
		told = array_append_space(&catch_up->lines);
		told->line = line;
		told->user = name;
		told->options = http_notify_options_export(&line->options);
		t_array_init(&told->announced, 8);
	}
	return 0;
}

/* Ask what has been announced to an endpoint. Returns 0, or -1 and error_r. */
static int
catch_up_ask(struct catch_up *catch_up, struct catch_up_line *line,
	     const char **error_r)
{
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_ANNOUNCED,
		.username = catch_up->user->username, .folder = FOLDER,
		.uidvalidity = catch_up->uidvalidity,
		.owner = dec2str(geteuid()), .options = line->options
	};
	struct admin_client *client = catch_up->ctx->cmd.client;
	const char *const *row, *uids;
	unsigned int secs;
	uint64_t count;
	int ret;

	admin_client_send(client, &command);
	array_clear(&line->announced);
	while ((ret = admin_client_read(client, TIMEOUT_MSECS,
					HTTP_NOTIFY_ADMIN_ANNOUNCED_COUNT, &row,
					&count, error_r)) > 0) {
		uids = row[HTTP_NOTIFY_ADMIN_ANNOUNCED_UIDS];
		if (str_to_uint(row[HTTP_NOTIFY_ADMIN_ANNOUNCED_SECS],
				&secs) < 0 || (*uids != '\0' &&
		    imap_seq_set_nostar_parse(uids, &line->announced) < 0)) {
			*error_r = "the service's answer is invalid";
			return -1;
		}
		line->announced_since = time(NULL) - secs;
	}
	return ret;
}

static int catch_up_ask_all(struct catch_up *catch_up, const char **error_r)
{
	struct catch_up_line *line;

	array_foreach_modifiable(&catch_up->lines, line) {
		if (catch_up_ask(catch_up, line, error_r) < 0)
			return -1;
	}
	return 0;
}

/* Messages */

/* Has the message that is open not been announced to this endpoint? received:
   when it has come. */
static bool
line_lacks(const struct catch_up *catch_up, const struct catch_up_line *line,
	   time_t received)
{
	return !seq_range_exists(&line->announced, catch_up->mail->uid) &&
		(catch_up->ctx->older ||
		 received >= line->announced_since);
}

/* Is the message one that is asked for? Only what has not been announced is
   looked up in the mail storage. Returns 1 and received_r if it is, 0 if not,
   -1 if it can't be told. */
static int catch_up_wants(const struct catch_up *catch_up, time_t *received_r)
{
	const struct catch_up_line *line;
	bool announced = TRUE;

	array_foreach(&catch_up->lines, line) {
		if (!seq_range_exists(&line->announced, catch_up->mail->uid))
			announced = FALSE;
	}
	if (announced || (!catch_up->ctx->seen &&
			  (mail_get_flags(catch_up->mail) & MAIL_SEEN) != 0))
		return 0;
	if (mail_get_received_date(catch_up->mail, received_r) < 0)
		return -1;
	return *received_r >= catch_up->ctx->since ? 1 : 0;
}

/* Find those that may have to be announced: uids. newest_r: when the latest of
   them has come. Returns 0, or -1 and error_r. */
static int
catch_up_find(struct catch_up *catch_up, unsigned int messages,
	      ARRAY_TYPE(seq_range) *uids, time_t *newest_r,
	      const char **error_r)
{
	time_t received;
	unsigned int seq;
	int ret;

	*newest_r = 0;
	for (seq = 1; seq <= messages; seq++) {
		mail_set_seq(catch_up->mail, seq);
		ret = catch_up_wants(catch_up, &received);
		if (ret < 0 && mailbox_get_last_mail_error(
			catch_up->inbox) != MAIL_ERROR_EXPUNGED) {
			*error_r = t_strdup(mailbox_get_last_internal_error(
				catch_up->inbox, NULL));
			return -1;
		}
		if (ret <= 0)
			continue;
		seq_range_array_add(uids, catch_up->mail->uid);
		*newest_r = I_MAX(*newest_r, received);
	}
	return 0;
}

/* Returns 1 if a notification was queued, or would be; 0 if somebody else has
   done that; -1 and error_r. */
static int
catch_up_announce(struct catch_up *catch_up, const struct catch_up_line *line,
		  const struct http_notify_notification *notification,
		  const char **error_r)
{
	struct admin_client *client = catch_up->ctx->cmd.client;
	const struct http_notify_options *options = &line->line->options;
	struct http_notify_notification for_line = *notification;
	string_t *body = t_str_new(1024);
	const char *const *row;
	uint64_t count;

	if (catch_up->ctx->dry_run)
		return 1;
	for_line.user = line->user;
	if (options->omit != NULL)
		http_notify_notification_omit(&for_line, options->omit);
	if (http_notify_notification_append_json(&for_line, options->format,
						 body) < 0)
		i_fatal_status(FATAL_OUTOFMEM, "JSON: out of memory");
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_ANNOUNCE,
		.username = catch_up->user->username, .folder = FOLDER,
		.uidvalidity = catch_up->uidvalidity,
		.uid = notification->uid, .body = str_c(body),
		.options = line->options
	};
	admin_client_send(client, &command);
	if (admin_client_read(client, TIMEOUT_MSECS, 0, &row, &count,
			      error_r) != 0)
		return -1;
	return count > 0 ? 1 : 0;
}

static void
print_row(const struct catch_up *catch_up, const struct catch_up_line *line,
	  time_t received)
{
	struct http_url *url = http_notify_url_parse(line->line->options.url,
						     pool_datastack_create());
	struct tm tm;
	char date[32];

	if (localtime_r(&received, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		date[0] = '\0';
	doveadm_print(dec2str(catch_up->mail->uid));
	doveadm_print(date);
	/* the query may contain secrets */
	doveadm_print(t_strcut(http_url_create(url), '?'));
	doveadm_print(catch_up->ctx->dry_run ? "missing" : "queued");
}

/* Announce one message to the endpoints that lack it. */
static int
catch_up_message(struct catch_up *catch_up, time_t received,
		 const struct http_notify_notification *notification,
		 const char **error_r)
{
	const struct catch_up_line *line;
	bool found = FALSE;
	int ret;

	array_foreach(&catch_up->lines, line) {
		if (!line_lacks(catch_up, line, received))
			continue;
		ret = catch_up_announce(catch_up, line, notification, error_r);
		if (ret < 0)
			return -1;
		if (ret > 0) {
			print_row(catch_up, line, received);
			found = TRUE;
		}
	}
	if (found)
		catch_up->ctx->found++;
	return 0;
}

/* The message that is open: if it still has to be announced, do that. */
static int
catch_up_mail(struct catch_up *catch_up, pool_t pool, const char **error_r)
{
	struct http_notify_notification notification = {
		.folder = FOLDER, .uid = catch_up->mail->uid,
		.uidvalidity = catch_up->uidvalidity,
		.event = http_notify_mail_event_name(HTTP_NOTIFY_MESSAGE_NEW)
	};
	const struct catch_up_line *line;
	bool lacked = FALSE;
	time_t received;

	if (catch_up_wants(catch_up, &received) <= 0)
		return 0;
	array_foreach(&catch_up->lines, line) {
		if (line_lacks(catch_up, line, received))
			lacked = TRUE;
	}
	if (!lacked) {
		catch_up->ctx->left_out++;
		return 0;
	}
	http_notify_notification_read_mail(&notification, catch_up->mail, pool);
	http_notify_notification_count(&notification, catch_up->inbox, NULL);
	return catch_up_message(catch_up, received, &notification, error_r);
}

static int
catch_up_messages(struct catch_up *catch_up, unsigned int messages,
		  const char **error_r)
{
	ARRAY_TYPE(seq_range) uids;
	struct seq_range_iter iter;
	time_t newest, now = time(NULL);
	unsigned int n = 0;
	uint32_t uid;
	pool_t pool;
	int ret = 0;

	t_array_init(&uids, 8);
	if (catch_up_find(catch_up, messages, &uids, &newest, error_r) < 0)
		return -1;
	if (newest > now - FRESH_SECS) {
		/* a mail process may be about to announce it */
		(void)sleep(I_MIN(newest - (now - FRESH_SECS), FRESH_SECS + 1));
		if (catch_up_ask_all(catch_up, error_r) < 0)
			return -1;
	}
	/* in the order of their UIDs */
	pool = pool_alloconly_create("catch-up", 4096);
	seq_range_array_iter_init(&iter, &uids);
	while (ret == 0 && seq_range_array_iter_nth(&iter, n++, &uid)) {
		if (!mail_set_uid(catch_up->mail, uid))
			continue;
		p_clear(pool);
		T_BEGIN {
			ret = catch_up_mail(catch_up, pool, error_r);
		} T_END_PASS_STR_IF(ret < 0, error_r);
	}
	pool_unref(&pool);
	return ret;
}

static int catch_up_inbox(struct catch_up *catch_up, const char **error_r)
{
	struct mailbox_transaction_context *trans;
	struct mailbox_status status;
	int ret;

	t_array_init(&catch_up->lines, 4);
	if (catch_up_get_lines(catch_up, error_r) < 0)
		return -1;
	if (array_is_empty(&catch_up->lines))
		return 0;
	if (mailbox_sync(catch_up->inbox, MAILBOX_SYNC_FLAG_FULL_READ) < 0 ||
	    mailbox_get_status(catch_up->inbox, STATUS_MESSAGES |
			       STATUS_UIDVALIDITY, &status) < 0) {
		*error_r = t_strdup_printf("INBOX can't be opened: %s",
			mailbox_get_last_internal_error(catch_up->inbox, NULL));
		return -1;
	}
	if (status.messages == 0)
		return 0;
	catch_up->uidvalidity = status.uidvalidity;
	if (catch_up_ask_all(catch_up, error_r) < 0)
		return -1;
	trans = mailbox_transaction_begin(catch_up->inbox, 0, __func__);
	catch_up->mail = mail_alloc(trans, 0, NULL);
	ret = catch_up_messages(catch_up, status.messages, error_r);
	mail_free(&catch_up->mail);
	mailbox_transaction_rollback(&trans);
	return ret;
}

/* The command */

/* Is how far it is shown on a terminal? */
static bool is_shown(const struct catch_up_cmd_context *ctx)
{
	return ctx->cmd.ctx.cctx->conn_type == DOVEADM_CONNECTION_TYPE_CLI &&
		isatty(STDERR_FILENO) > 0;
}

static int
cmd_catch_up_run(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct catch_up_cmd_context *ctx =
		container_of(_ctx, struct catch_up_cmd_context, cmd.ctx);
	struct catch_up catch_up = { .ctx = ctx, .user = user };
	const char *error;
	int ret;

	ret = doveadm_http_notify_open_inbox(_ctx, user,
					     DOVEADM_HTTP_NOTIFY_OPEN_READ,
					     &catch_up.inbox);
	if (ret < 0)
		return -1;
	if (ret > 0) {
		ret = catch_up_inbox(&catch_up, &error);
		mailbox_free(&catch_up.inbox);
	}
	if (ret < 0) {
		i_error("%s", error);
		/* the next user has a connection of its own */
		service_cmd_disconnect(&ctx->cmd, NULL);
		doveadm_mail_failed_error(_ctx, MAIL_ERROR_TEMP);
	}
	ctx->users++;
	if (is_shown(ctx)) {
		fprintf(stderr, "%u messages of %u users\r", ctx->found,
			ctx->users);
	}
	return ret;
}

static void DOVEADM_MAIL_CMD_INIT(cmd_catch_up_init)
{
	struct catch_up_cmd_context *ctx =
		container_of(_ctx, struct catch_up_cmd_context, cmd.ctx);
	unsigned int secs;

	if (admin_get_since(_ctx->cctx, &secs) < 0)
		i_fatal_status(EX_USAGE, "--since is invalid");
	if (secs == 0) {
		i_fatal_status(EX_USAGE, "catch-up needs --since, such as "
			       "--since 1h");
	}
	ctx->since = time(NULL) - secs;
	(void)doveadm_cmd_param_bool(_ctx->cctx, "seen", &ctx->seen);
	(void)doveadm_cmd_param_bool(_ctx->cctx, "older", &ctx->older);
	(void)doveadm_cmd_param_bool(_ctx->cctx, "dry-run", &ctx->dry_run);
	doveadm_mail_cmd_print_username(_ctx);
	doveadm_print_header("uid", "uid", ADMIN_NUMBER);
	doveadm_print_header_simple("received");
	doveadm_print_header_simple("endpoint");
	doveadm_print_header_simple("result");
}

/* Runs before doveadm becomes the mail user: for what only root may do. One
   connection is for all users: the service looks through the queue once for
   it. */
static int
cmd_catch_up_prerun(struct doveadm_mail_cmd_context *_ctx,
		    struct mail_storage_service_user *service_user ATTR_UNUSED,
		    const char **error_r)
{
	struct catch_up_cmd_context *ctx =
		container_of(_ctx, struct catch_up_cmd_context, cmd.ctx);

	if (service_cmd_read_settings(&ctx->cmd, &ctx->set, error_r) < 0)
		return -1;
	if (ctx->cmd.client == NULL)
		service_cmd_connect(&ctx->cmd);
	if (ctx->cmd.client == NULL) {
		*error_r = ctx->cmd.error;
		return -1;
	}
	return 0;
}

static void cmd_catch_up_deinit(struct doveadm_mail_cmd_context *_ctx)
{
	struct catch_up_cmd_context *ctx =
		container_of(_ctx, struct catch_up_cmd_context, cmd.ctx);

	if (is_shown(ctx))
		fputc('\n', stderr);
	if (ctx->left_out > 0) {
		i_warning("%u messages have come before the time that the "
			  "service remembers: it can't tell whether they were "
			  "announced (--older announces them, too)",
			  ctx->left_out);
	}
	service_cmd_deinit(&ctx->cmd);
	protocol_settings_free(&ctx->set);
}

static struct doveadm_mail_cmd_context *cmd_catch_up_alloc(void)
{
	struct doveadm_mail_cmd_context *ctx = doveadm_http_notify_cmd_alloc(
		sizeof(struct catch_up_cmd_context), cmd_catch_up_init,
		cmd_catch_up_run);

	ctx->v.prerun = cmd_catch_up_prerun;
	ctx->v.deinit = cmd_catch_up_deinit;
	return ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_catch_up = {
	.name = "http-notify catch-up",
	.mail_cmd = cmd_catch_up_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX
		"-s <time> [--seen] [--older] [--dry-run]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('s', "since", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('r', "seen", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('o', "older", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('n', "dry-run", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAMS_END
};
