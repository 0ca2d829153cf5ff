/* doveadm http-notify check: every link of the chain from a delivery to the
   endpoint, and how to mend the one that is broken */
#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "net.h"
#include "str.h"
#include "str-sanitize.h"
#include "doveadm-print.h"
#include "doveadm-settings.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "compat.h"
#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "handoff.h"
#include "metadata.h"
#include "notification.h"
#include "protocol-settings.h"
#include "registration.h"
#include "user-lines.h"

#include <unistd.h>

/* one that is told from others also by a remote doveadm */
#define EXIT_NOT_WELL DOVEADM_EX_NOTPOSSIBLE
/* How long to wait for the service to answer, beyond the endpoint's own
   timeout. */
#define TIMEOUT_MSECS (10*1000)

struct check_cmd_context {
	struct doveadm_mail_cmd_context ctx;
	/* where OX connects from, if that is of matter */
	struct ip_addr remote_ip;

	bool settings_read;
	/* NULL = they could be read */
	const char *settings_error;
	struct protocol_settings lmtp, lda, imap;

	/* of the current user: a connection to the service, or why there is
	   none */
	struct admin_client *client;
	const char *service_error;
};

static void
check_row(struct check_cmd_context *ctx, const char *link, const char *error)
{
	doveadm_print(link);
	doveadm_print(error == NULL ? "ok" : "fail");
	doveadm_print(error == NULL ? "" : str_sanitize(error, 512));
	/* doveadm's HTTP API answers an exit code instead of the rows */
	if (error != NULL &&
	    ctx->ctx.cctx->conn_type != DOVEADM_CONNECTION_TYPE_HTTP)
		ctx->ctx.exit_code = EXIT_NOT_WELL;
}

/* Settings */

static void
check_plugins(struct check_cmd_context *ctx, const char *protocol,
	      const struct protocol_settings *set)
{
	static const char *const needed[] = {
		"notify", "push_notification", "http_notify"
	};
	const char *path, *error = NULL;
	string_t *missing = t_str_new(64);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(needed); i++) {
		if (!str_array_find(set->mail_plugins, needed[i]))
			str_printfa(missing, " %s", needed[i]);
	}
	path = t_strconcat(set->mail_plugin_dir,
			   "/lib22_http_notify_plugin.so", NULL);
	if (str_len(missing) > 0) {
		error = t_strdup_printf("mail_plugins lacks%s: add it in "
			"protocol %s { }", str_c(missing), protocol);
	} else if (access(path, R_OK) < 0) {
		error = t_strdup_printf("%s can't be read: %m (is it installed "
			"for this Dovecot?)", path);
	}
	check_row(ctx, t_strconcat("plugins of ", protocol, NULL), error);
}

static void check_dictionary(struct check_cmd_context *ctx)
{
	check_row(ctx, "METADATA dictionary",
		  ctx->lmtp.have_attribute_dict ? NULL :
		  SETTING_ATTRIBUTE_DICT" is not set: set it, for example to "
		  SETTING_ATTRIBUTE_DICT_EXAMPLE);
}

static void check_imap(struct check_cmd_context *ctx)
{
	check_row(ctx, "IMAP METADATA", ctx->imap.imap_metadata ? NULL :
		  (ctx->remote_ip.family != 0 ?
		   "imap_metadata is off for this address: set it to yes in "
		   "protocol imap { }, or in remote <address> { }" :
		   "imap_metadata is off: set it to yes in protocol imap { } "
		   "(if that is in remote <address> { }, give the OX node's "
		   "address with -r)"));
}

/* Registration */

static const char *
check_registration_form(struct mail_user *user, const char *value)
{
	const char *registered, *error;
	uint32_t user_id, context_id;

	if (value == NULL) {
		return t_strdup_printf("not registered: the OX node has not, "
			"or: doveadm http-notify register -u %s "
			"<OX user>@<OX context>", user->username);
	}
	if (http_notify_registration_parse(value, &registered, &error) < 0) {
		return t_strdup_printf("%s: %s", str_sanitize(value, 128),
				       error);
	}
	if (!http_notify_registration_parse_ox(registered, &user_id,
					       &context_id)) {
		return t_strdup_printf("%s: OX takes <OX user>@<OX context>, "
			"two numbers, and drops all else silently",
			str_sanitize(value, 128));
	}
	return NULL;
}

/* Returns the value, NULL if there is none. */
static const char *
check_registration(struct check_cmd_context *ctx, struct mail_user *user)
{
	struct mail_namespace *ns = mail_namespace_find_inbox(user->namespaces);
	const char *value, *error;
	struct mailbox *inbox;
	int ret;

	inbox = mailbox_alloc(ns->list, "INBOX", MAILBOX_FLAG_IGNORE_ACLS |
			      MAILBOX_FLAG_ATTRIBUTE_SESSION);
	if (mailbox_open(inbox) < 0) {
		error = mailbox_get_last_internal_error(inbox, NULL);
		check_row(ctx, "INBOX", error);
		mailbox_free(&inbox);
		return NULL;
	}
	ret = http_notify_metadata_get(inbox, &value, &error);
	value = ret > 0 ? p_strdup(user->pool, value) : NULL;
	check_row(ctx, "METADATA readable", ret < 0 ? error : NULL);
	check_row(ctx, "METADATA writable",
		  http_notify_metadata_try_set(inbox, &error) == 0 ?
		  NULL : error);
	if (ret >= 0) {
		check_row(ctx, "registration",
			  check_registration_form(user, value));
	}
	mailbox_free(&inbox);
	return value;
}

/* Endpoints */

static const char *check_answer(unsigned int status, const char *reason)
{
	if (status / 100 == 2)
		return NULL;
	switch (status) {
	case 401:
	case 403:
		return t_strdup_printf("credentials refused: %s (mend login "
			"and password in "SETTING_URL")", reason);
	case 404:
		return t_strdup_printf("no such path: %s (mend "SETTING_URL")",
				       reason);
	}
	if (status == 0 && strstr(reason, "certificate") != NULL) {
		return t_strdup_printf("%s (mend the certificate, or set "
			"ssl_client_ca_file to what it is signed by)", reason);
	}
	return reason;
}

static void
check_endpoint(struct check_cmd_context *ctx, const struct user_line *line,
	       const char *user)
{
	const struct http_notify_notification notification = {
		/* OX answers with success to any event but messageNew, and
		   does nothing */
		.user = user, .event = "test", .folder = "INBOX"
	};
	string_t *body = t_str_new(256);
	const char *const *row, *error;
	unsigned int status;
	uint64_t count;
	int ret;

	http_notify_notification_append_json(&notification, body);
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_PROBE,
		.body = str_c(body),
		.options = http_notify_options_export(&line->options)
	};

	admin_client_send(ctx->client, &command);
	while ((ret = admin_client_read(ctx->client,
			line->options.timeout_msecs + TIMEOUT_MSECS,
			HTTP_NOTIFY_ADMIN_REQUEST_COUNT, &row,
			&count, &error)) > 0) {
		if (str_to_uint(row[HTTP_NOTIFY_ADMIN_REQUEST_STATUS],
				&status) < 0)
			continue;
		check_row(ctx, t_strconcat("endpoint ",
				row[HTTP_NOTIFY_ADMIN_REQUEST_ENDPOINT], NULL),
			  check_answer(status,
				row[HTTP_NOTIFY_ADMIN_REQUEST_REASON]));
	}
	if (ret < 0)
		check_row(ctx, "endpoint", error);
}

static void
check_lines(struct check_cmd_context *ctx, struct mail_user *user,
	    const char *value)
{
	ARRAY_TYPE(user_line) lines;
	const struct user_line *line;
	const char *registered, *error;

	t_array_init(&lines, 4);
	if (user_lines_get(user, ctx->lmtp.source, user->pool, &lines,
			   &error) < 0) {
		check_row(ctx, SETTING_DRIVER, error);
		return;
	}
	if (array_is_empty(&lines)) {
		check_row(ctx, SETTING_DRIVER, "not set for this driver: "
			  SETTING_DRIVER_EXAMPLE);
		return;
	}
	array_foreach(&lines, line) {
		check_row(ctx, line->setting, line->error);
		if (line->error != NULL || ctx->client == NULL)
			continue;
		if (value == NULL ||
		    doveadm_http_notify_get_user(line, user, value,
						 &registered, &error) < 0)
			registered = "0@0";
		T_BEGIN {
			check_endpoint(ctx, line, registered);
		} T_END;
	}
}

static int
cmd_check_run(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, ctx);
	const char *value;

	if (ctx->settings_error != NULL) {
		check_row(ctx, "configuration", ctx->settings_error);
		return 0;
	}
	check_plugins(ctx, "lmtp", &ctx->lmtp);
	check_plugins(ctx, "lda", &ctx->lda);
	check_dictionary(ctx);
	check_imap(ctx);
	value = check_registration(ctx, user);
	check_row(ctx, "service", ctx->service_error);
	check_lines(ctx, user, value);
	return 0;
}

static void check_read_settings(struct check_cmd_context *ctx)
{
	const char *base_dir = ctx->ctx.set->base_dir, *error;
	const struct ip_addr *remote_ip =
		ctx->remote_ip.family == 0 ? NULL : &ctx->remote_ip;
	pool_t pool = ctx->ctx.pool;

	ctx->settings_read = TRUE;
	if (protocol_settings_read(base_dir, "lmtp", NULL, pool,
				   &ctx->lmtp, &error) < 0 ||
	    protocol_settings_read(base_dir, "lda", NULL, pool,
				   &ctx->lda, &error) < 0 ||
	    protocol_settings_read(base_dir, "imap", remote_ip, pool,
				   &ctx->imap, &error) < 0)
		ctx->settings_error = p_strdup(pool, error);
}

static const char *check_handoff_socket(const char *base_dir)
{
	const char *path = t_strconcat(base_dir,
				       "/"HTTP_NOTIFY_HANDOFF_SOCKET, NULL);
	int fd = net_connect_unix(path);

	if (fd == -1) {
		return t_strdup_printf("connect(%s) failed: %m (is the service "
				       "http-notify configured?)", path);
	}
	i_close_fd(&fd);
	return NULL;
}

/* What root may and the mail user may not. */
static int
cmd_check_prerun(struct doveadm_mail_cmd_context *_ctx,
		 struct mail_storage_service_user *service_user ATTR_UNUSED,
		 const char **error_r ATTR_UNUSED)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, ctx);
	const char *error;

	if (!ctx->settings_read)
		check_read_settings(ctx);
	if (ctx->client != NULL)
		admin_client_deinit(&ctx->client);
	error = check_handoff_socket(_ctx->set->base_dir);
	if (error == NULL)
		ctx->client = admin_client_init(_ctx->set->base_dir, &error);
	/* what is said of it comes in another data stack frame */
	ctx->service_error = p_strdup(_ctx->pool, error);
	return 0;
}

static void DOVEADM_MAIL_CMD_INIT(cmd_check_init)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, ctx);
	const char *addr;

	if (doveadm_cmd_param_str(_ctx->cctx, "remote-ip", &addr) &&
	    net_addr2ip(addr, &ctx->remote_ip) < 0)
		i_fatal_status(EX_USAGE, "-r %s: not an IP address", addr);
	doveadm_mail_cmd_print_username(_ctx);
	doveadm_print_header_simple("link");
	doveadm_print_header_simple("result");
	doveadm_print_header_simple("detail");
}

static void cmd_check_deinit(struct doveadm_mail_cmd_context *_ctx)
{
	struct check_cmd_context *ctx =
		container_of(_ctx, struct check_cmd_context, ctx);

	if (ctx->client != NULL)
		admin_client_deinit(&ctx->client);
	protocol_settings_free(&ctx->lmtp);
	protocol_settings_free(&ctx->lda);
	protocol_settings_free(&ctx->imap);
}

static struct doveadm_mail_cmd_context *cmd_check_alloc(void)
{
	struct check_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc(struct check_cmd_context);
	doveadm_mail_cmd_set_init(&ctx->ctx, cmd_check_init);
	ctx->ctx.v.deinit = cmd_check_deinit;
	ctx->ctx.v.prerun = cmd_check_prerun;
	ctx->ctx.v.run = cmd_check_run;
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &ctx->ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_check = {
	.name = "http-notify check",
	.mail_cmd = cmd_check_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX"[-r <address of OX>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('r', "remote-ip", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAMS_END
};
