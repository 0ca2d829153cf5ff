/* doveadm http-notify test */
#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "str.h"
#include "doveadm-print.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "compat.h"
#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "metadata.h"
#include "notification.h"
#include "notification-mail.h"
#include "protocol-settings.h"
#include "user-lines.h"

/* How long to wait for the service to answer: longer than it waits for what
   becomes of the notification. */
#define TIMEOUT_MSECS ((HTTP_NOTIFY_ADMIN_SEND_SECS + 10) * 1000)

struct test_cmd_context {
	struct doveadm_mail_cmd_context ctx;
	/* of the processes that deliver */
	struct protocol_settings set;
	bool settings_read;

	/* of the current user: a connection to the service, NULL = none, for
	   this reason */
	struct admin_client *client;
	const char *client_error;
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
		*error_r = "INBOX is empty: there is no message to notify of";
		return -1;
	}

	i_zero(notification_r);
	notification_r->folder = "INBOX";
	notification_r->uidvalidity = status.uidvalidity;
	notification_r->unseen = status.unseen;
	notification_r->have_unseen = TRUE;
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

/* Prints a row for each attempt. Returns 0 if the notification is delivered. */
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

static int
test_send(struct test_cmd_context *ctx, struct mail_user *user,
	  const struct user_line *line, const char *value,
	  struct http_notify_notification *notification, const char **error_r)
{
	string_t *body = t_str_new(1024);

	if (line->error != NULL) {
		*error_r = line->error;
		return -1;
	}
	if (doveadm_http_notify_get_user(line, user, value, &notification->user,
					 error_r) < 0)
		return -1;
	if (ctx->client == NULL) {
		*error_r = ctx->client_error;
		return -1;
	}
	http_notify_notification_append_json(notification, body);
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_SEND,
		.username = user->username,
		.folder = notification->folder,
		.uid = notification->uid,
		.body = str_c(body),
		.options = http_notify_options_export(&line->options)
	};
	admin_client_send(ctx->client, &command);
	return test_wait(ctx->client, error_r);
}

static int
test_run(struct test_cmd_context *ctx, struct mail_user *user,
	 struct mailbox *inbox)
{
	struct http_notify_notification notification;
	ARRAY_TYPE(user_line) lines;
	const struct user_line *line;
	const char *value, *error;
	int ret;

	t_array_init(&lines, 4);
	if (user_lines_get(user, ctx->set.source, user->pool, &lines,
			   &error) < 0) {
		i_error("%s", error);
		return -1;
	}
	if (array_is_empty(&lines)) {
		i_error(SETTING_DRIVER" is not set for this driver: "
			SETTING_DRIVER_EXAMPLE);
		return -1;
	}
	ret = http_notify_metadata_get(inbox, &value, &error);
	if (ret == 0)
		error = "the user is not registered";
	if (ret <= 0 || test_read_message(inbox, user->pool,
					  &notification, &error) < 0) {
		i_error("%s", error);
		return -1;
	}
	ret = 0;
	array_foreach(&lines, line) {
		if (test_send(ctx, user, line, value, &notification,
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
		container_of(_ctx, struct test_cmd_context, ctx);
	struct mail_namespace *ns = mail_namespace_find_inbox(user->namespaces);
	struct mailbox *inbox;
	int ret;

	inbox = mailbox_alloc(ns->list, "INBOX", MAILBOX_FLAG_READONLY |
			      MAILBOX_FLAG_IGNORE_ACLS);
	ret = test_run(ctx, user, inbox);
	if (ret < 0)
		doveadm_mail_failed_error(_ctx, MAIL_ERROR_TEMP);
	mailbox_free(&inbox);
	return ret;
}

static void DOVEADM_MAIL_CMD_INIT(cmd_test_init)
{
	doveadm_mail_cmd_print_username(_ctx);
	doveadm_print_header_simple("endpoint");
	doveadm_print_header_simple("status");
	doveadm_print_header("milliseconds", "ms", 0);
	doveadm_print_header_simple("reason");
}

/* What root may and the mail user may not. */
static int
cmd_test_prerun(struct doveadm_mail_cmd_context *_ctx,
		struct mail_storage_service_user *service_user ATTR_UNUSED,
		const char **error_r)
{
	struct test_cmd_context *ctx =
		container_of(_ctx, struct test_cmd_context, ctx);
	const char *base_dir = _ctx->set->base_dir, *error = NULL;

	if (!ctx->settings_read) {
		if (protocol_settings_read(base_dir, "lmtp", NULL, _ctx->pool,
					   &ctx->set, error_r) < 0) {
			protocol_settings_free(&ctx->set);
			return -1;
		}
		ctx->settings_read = TRUE;
	}
	if (ctx->client != NULL)
		admin_client_deinit(&ctx->client);
	ctx->client = admin_client_init(base_dir, &error);
	/* what is said of it comes in another data stack frame */
	ctx->client_error = p_strdup(_ctx->pool, error);
	return 0;
}

static void cmd_test_deinit(struct doveadm_mail_cmd_context *_ctx)
{
	struct test_cmd_context *ctx =
		container_of(_ctx, struct test_cmd_context, ctx);

	if (ctx->client != NULL)
		admin_client_deinit(&ctx->client);
	protocol_settings_free(&ctx->set);
}

static struct doveadm_mail_cmd_context *cmd_test_alloc(void)
{
	struct test_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc(struct test_cmd_context);
	doveadm_mail_cmd_set_init(&ctx->ctx, cmd_test_init);
	ctx->ctx.v.deinit = cmd_test_deinit;
	ctx->ctx.v.prerun = cmd_test_prerun;
	ctx->ctx.v.run = cmd_test_run;
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &ctx->ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_test = {
	.name = "http-notify test",
	.mail_cmd = cmd_test_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAMS_END
};
