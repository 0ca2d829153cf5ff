/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify test */
#include "lib.h"
#include "array.h"
#include "mail-storage.h"
#include "guid.h"
#include "ioloop.h"
#include "message-date.h"
#include "str.h"
#include "doveadm-print.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "setting-names.h"
#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "json-text.h"
#include "mail-events.h"
#include "metadata.h"
#include "notification.h"
#include "notification-mail.h"
#include "protocol-settings.h"
#include "service-cmd.h"
#include "user-lines.h"

/* How long to wait for each line of the service's answer: longer than the
   service waits for the notification's outcome. */
#define TIMEOUT_MSECS ((HTTP_NOTIFY_ADMIN_SEND_SECS + 10) * 1000)

struct test_cmd_context {
	struct service_cmd cmd;
	/* of protocol lmtp, which delivers */
	struct protocol_settings set;
	/* -e: one of these */
	enum http_notify_mail_event event;
};

/* Read the newest message of INBOX. */
static int
test_read_message(struct mailbox *inbox, pool_t pool,
		  struct http_notify_notification *notification_r,
		  const char **error_r)
{
	struct mailbox_transaction_context *trans;
	struct mailbox_status status;
	struct mail *mail;

	if (mailbox_sync(inbox, MAILBOX_SYNC_FLAG_FULL_READ) < 0 ||
	    mailbox_get_status(inbox, STATUS_MESSAGES | STATUS_UNSEEN |
			       STATUS_UIDVALIDITY, &status) < 0) {
		*error_r = t_strdup_printf("INBOX can't be opened: %s",
			mailbox_get_last_internal_error(inbox, NULL));
		return -1;
	}
	if (status.messages == 0) {
		*error_r = "INBOX is empty: there is no message to announce";
		return -1;
	}

	i_zero(notification_r);
	notification_r->folder = "INBOX";
	notification_r->uidvalidity = status.uidvalidity;
	notification_r->messages = status.messages;
	notification_r->unseen = status.unseen;
	notification_r->have_messages = notification_r->have_unseen = TRUE;
	trans = mailbox_transaction_begin(inbox, 0, __func__);
	mail = mail_alloc(trans, MAIL_FETCH_STREAM_HEADER |
			  MAIL_FETCH_BODY_SNIPPET, NULL);
	mail_set_seq(mail, status.messages);
	notification_r->uid = mail->uid;
	http_notify_notification_read_mail(notification_r, mail, pool);
	mail_free(&mail);
	(void)mailbox_transaction_commit(&trans);
	return 0;
}

/* Turn the notification of a new message into one of this event. */
static void test_set_event(struct http_notify_notification *notification,
			   enum http_notify_mail_event event)
{
	notification->event = http_notify_mail_event_name(event);
	if (event == HTTP_NOTIFY_MESSAGE_NEW ||
	    event == HTTP_NOTIFY_MESSAGE_APPEND)
		return;
	http_notify_notification_omit(notification, "from,subject,snippet");
	switch (event) {
	case HTTP_NOTIFY_FLAGS_CLEAR:
		notification->have_flags_old = TRUE;
		notification->flags_old = MAIL_SEEN;
		/* fall through */
	case HTTP_NOTIFY_FLAGS_SET:
		notification->have_flags = TRUE;
		notification->flags = MAIL_SEEN;
		notification->have_messages = FALSE;
		break;
	case HTTP_NOTIFY_MAILBOX_RENAME:
		notification->folder_old = notification->folder;
		/* fall through */
	case HTTP_NOTIFY_MAILBOX_CREATE:
	case HTTP_NOTIFY_MAILBOX_DELETE:
	case HTTP_NOTIFY_MAILBOX_SUBSCRIBE:
	case HTTP_NOTIFY_MAILBOX_UNSUBSCRIBE:
		notification->of_folder = TRUE;
		notification->have_messages = FALSE;
		notification->have_unseen = FALSE;
		break;
	default:
		break;
	}
}

/* Print a row for each attempt. Returns 0 once the notification is delivered,
   or -1 and error_r. */
static int
test_wait(struct admin_client *client, const char **error_r)
{
	const char *const *row;
	uint64_t count;
	unsigned int i;
	int ret;

	while ((ret = admin_client_read(client, TIMEOUT_MSECS,
					HTTP_NOTIFY_ADMIN_REQUEST_COUNT, &row,
					&count, error_r)) > 0) {
		for (i = 0; i < HTTP_NOTIFY_ADMIN_REQUEST_COUNT; i++)
			doveadm_print(row[i]);
	}
	return ret;
}

/* Returns calendar mail to the user that does no harm: an event is cancelled
   that nobody has. */
static string_t *test_calendar_mail(const struct mail_user *user)
{
	const char *id = guid_generate();
	const char *at = strchr(user->username, '@') == NULL ?
		"@localhost" : "";
	string_t *mail = t_str_new(1024), *json = t_str_new(1024);

	str_printfa(mail, "From: <%s%s>\r\nTo: <%s%s>\r\nDate: %s\r\n"
		"Message-ID: <%s@http-notify.invalid>\r\n"
		"Subject: Test by doveadm http-notify\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/calendar; method=CANCEL\r\n\r\n",
		user->username, at, user->username, at,
		message_date_create(ioloop_time), id);
	str_printfa(mail, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"
		"PRODID:-//dovecot-http-notify//test//EN\r\nMETHOD:CANCEL\r\n"
		"BEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20200101T000000Z\r\n"
		"DTSTART:20200101T000000Z\r\nSEQUENCE:1\r\nSTATUS:CANCELLED\r\n"
		"ORGANIZER:mailto:%s%s\r\nATTENDEE:mailto:%s%s\r\n"
		"END:VEVENT\r\nEND:VCALENDAR\r\n",
		id, user->username, at, user->username, at);
	http_notify_json_append_replaced(json, str_data(mail), str_len(mail));
	return json;
}

static int
test_send(struct test_cmd_context *ctx, struct mail_user *user,
	  const struct user_line *line, const char *value,
	  const struct http_notify_notification *notification,
	  const char **error_r)
{
	struct http_notify_notification for_line = *notification;
	string_t *body = t_str_new(1024);

	if (line->error != NULL) {
		*error_r = line->error;
		return -1;
	}
	if (doveadm_http_notify_get_user(line, user, value, &for_line.user,
					 error_r) < 0)
		return -1;
	if (ctx->cmd.client == NULL) {
		*error_r = ctx->cmd.error;
		return -1;
	}
	if (line->options.omit != NULL) {
		http_notify_notification_omit(&for_line,
					      line->options.omit);
	}
	if (line->options.format == HTTP_NOTIFY_FORMAT_OX_CALENDAR) {
		for_line.event = NULL;
		for_line.message = test_calendar_mail(user);
	}
	if (http_notify_notification_append_json(
		&for_line, line->options.format, body) < 0)
		i_fatal_status(FATAL_OUTOFMEM, "JSON: out of memory");
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_SEND,
		.username = user->username,
		.folder = notification->folder,
		.uid = notification->uid,
		.body = str_c(body),
		.options = http_notify_options_export(&line->options)
	};
	admin_client_send(ctx->cmd.client, &command);
	return test_wait(ctx->cmd.client, error_r);
}

/* ret: of the look-up of the registration. Returns whether the line's
   notifications need no more than that. */
static bool
test_line_can_do(const struct user_line *line, int ret)
{
	const struct http_notify_options *options = &line->options;

	if (ret < 0)
		return !http_notify_options_need_registration(options);
	return ret > 0 || options->registration_optional;
}

static bool test_lines_can_do(const ARRAY_TYPE(user_line) *lines, int ret)
{
	const struct user_line *line;

	array_foreach(lines, line) {
		if (test_line_can_do(line, ret))
			return TRUE;
	}
	return FALSE;
}

static int
test_run(struct test_cmd_context *ctx, struct mail_user *user,
	 struct mailbox *inbox)
{
	struct http_notify_notification notification;
	ARRAY_TYPE(user_line) lines;
	const struct user_line *line;
	const char *value, *why_not, *error;
	int lookup_ret, ret = 0;

	t_array_init(&lines, 4);
	if (user_lines_get(user, &ctx->set, user->pool, &lines,
			   &error) < 0) {
		i_error("%s", error);
		return -1;
	}
	if (array_is_empty(&lines)) {
		i_error(SETTING_DRIVER" is not set for this driver: "
			SETTING_DRIVER_EXAMPLE);
		return -1;
	}
	lookup_ret = http_notify_metadata_get(inbox, &value, &error);
	if (lookup_ret <= 0)
		value = NULL;
	why_not = lookup_ret < 0 ? t_strdup(error) :
		"the user is not registered";
	if (!test_lines_can_do(&lines, lookup_ret)) {
		i_error("%s", why_not);
		return -1;
	}
	if (test_read_message(inbox, user->pool, &notification, &error) < 0) {
		i_error("%s", error);
		return -1;
	}
	test_set_event(&notification, ctx->event);
	array_foreach(&lines, line) {
		if (line->error == NULL && !test_line_can_do(line, lookup_ret)) {
			i_error("%s: %s", line->setting, why_not);
			ret = -1;
		} else if (test_send(ctx, user, line, value, &notification,
			      &error) < 0) {
			i_error("%s: %s", line->setting, error);
			ret = -1;
		}
	}
	return ret;
}

static int
cmd_test_run(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct test_cmd_context *ctx =
		container_of(_ctx, struct test_cmd_context, cmd.ctx);
	struct mailbox *inbox;
	int ret;

	ret = doveadm_http_notify_open_inbox(_ctx, user,
					     DOVEADM_HTTP_NOTIFY_OPEN_READ,
					     &inbox);
	if (ret < 0)
		return -1;
	if (ret > 0) {
		ret = test_run(ctx, user, inbox);
		mailbox_free(&inbox);
	} else {
		i_error("the user is not registered (there is no INBOX yet)");
		ret = -1;
	}
	if (ret < 0)
		doveadm_mail_failed_error(_ctx, MAIL_ERROR_TEMP);
	return ret;
}

static void DOVEADM_MAIL_CMD_INIT(cmd_test_init)
{
	struct test_cmd_context *ctx =
		container_of(_ctx, struct test_cmd_context, cmd.ctx);
	const char *name;

	if (doveadm_cmd_param_str(_ctx->cctx, "event", &name) &&
	    http_notify_mail_event_find(name, &ctx->event) < 0) {
		i_fatal_status(EX_USAGE, "-e: must be one of %s",
			       http_notify_mail_event_names());
	}
	doveadm_mail_cmd_print_username(_ctx);
	doveadm_print_header_simple("endpoint");
	doveadm_print_header_simple("status");
	doveadm_print_header("milliseconds", "milliseconds",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header_simple("reason");
}

/* Runs before doveadm becomes the mail user: for what only root may do. */
static int
cmd_test_prerun(struct doveadm_mail_cmd_context *_ctx,
		struct mail_storage_service_user *service_user ATTR_UNUSED,
		const char **error_r)
{
	struct test_cmd_context *ctx =
		container_of(_ctx, struct test_cmd_context, cmd.ctx);

	if (service_cmd_read_settings(&ctx->cmd, &ctx->set, error_r) < 0)
		return -1;
	service_cmd_connect(&ctx->cmd);
	return 0;
}

static void cmd_test_deinit(struct doveadm_mail_cmd_context *_ctx)
{
	struct test_cmd_context *ctx =
		container_of(_ctx, struct test_cmd_context, cmd.ctx);

	service_cmd_deinit(&ctx->cmd);
	protocol_settings_free(&ctx->set);
}

static struct doveadm_mail_cmd_context *cmd_test_alloc(void)
{
	struct doveadm_mail_cmd_context *ctx = doveadm_http_notify_cmd_alloc(
		sizeof(struct test_cmd_context), cmd_test_init, cmd_test_run);

	ctx->v.prerun = cmd_test_prerun;
	ctx->v.deinit = cmd_test_deinit;
	return ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_test = {
	.name = "http-notify test",
	.mail_cmd = cmd_test_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX"[-e <event>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('e', "event", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};
