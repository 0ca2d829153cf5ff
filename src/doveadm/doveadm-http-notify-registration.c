/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* doveadm http-notify register | reregister | unregister | list */
#include "lib.h"
#include "mail-storage.h"
#include "str-sanitize.h"
#include "doveadm-print.h"

#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "earlier-registration.h"
#include "metadata.h"
#include "registration.h"

struct registration_cmd_context {
	struct doveadm_mail_cmd_context ctx;
	/* the value to set; NULL = remove the entry */
	const char *value;
	enum doveadm_http_notify_open how;
};

static int
registration_failed(struct doveadm_mail_cmd_context *ctx, const char *what,
		    const char *error)
{
	i_error("METADATA "HTTP_NOTIFY_METADATA_ENTRY" can't be %s: %s",
		what, error);
	doveadm_mail_failed_error(ctx, MAIL_ERROR_TEMP);
	return -1;
}

/* Returns whether there were any. That the dictionary can't tell is no error:
   then they are never carried over either. */
static int
earlier_registrations_remove(struct doveadm_mail_cmd_context *ctx,
			     struct mail_user *user)
{
	struct earlier_registration earlier;
	const char *error;

	(void)earlier_registration_find(user, &earlier, &error);
	if (array_is_empty(&earlier.keys))
		return 0;
	if (earlier_registration_remove(user, &earlier, &error) < 0) {
		i_error("The registration of an earlier INBOX can't be "
			"removed: %s", error);
		doveadm_mail_failed_error(ctx, MAIL_ERROR_TEMP);
		return -1;
	}
	return 1;
}

static int
registration_set(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
		 struct mailbox *inbox, const char *value)
{
	const char *old_value, *error;
	bool changed;
	int ret;

	ret = http_notify_metadata_get(inbox, &old_value, &error);
	if (ret < 0)
		return registration_failed(ctx, "read", error);
	changed = null_strcmp(ret == 0 ? NULL : old_value, value) != 0;
	if (changed && http_notify_metadata_set(inbox, value, &error) < 0)
		return registration_failed(ctx, "written", error);
	ret = value != NULL ? 0 : earlier_registrations_remove(ctx, user);
	doveadm_print(changed || ret > 0 ? "yes" : "no");
	return ret < 0 ? -1 : 0;
}

static int
cmd_registration_set_run(struct doveadm_mail_cmd_context *_ctx,
			 struct mail_user *user)
{
	struct registration_cmd_context *ctx =
		container_of(_ctx, struct registration_cmd_context, ctx);
	struct mailbox *inbox;
	int ret;

	ret = doveadm_http_notify_open_inbox(_ctx, user, ctx->how, &inbox);
	if (ret == 0)
		doveadm_print("no");
	if (ret <= 0)
		return ret;
	ret = registration_set(_ctx, user, inbox, ctx->value);
	mailbox_free(&inbox);
	return ret;
}

static void
cmd_registration_set_print_headers(struct doveadm_mail_cmd_context *ctx)
{
	doveadm_mail_cmd_print_username(ctx);
	doveadm_print_header("changed", "changed", 0);
}

static void DOVEADM_MAIL_CMD_INIT(cmd_register_init)
{
	struct registration_cmd_context *ctx =
		container_of(_ctx, struct registration_cmd_context, ctx);
	uint32_t user_id, context_id;
	const char *value;

	if (!doveadm_cmd_param_str(_ctx->cctx, "registration", &value))
		doveadm_mail_help_name("http-notify register");
	if (!_ctx->iterate_single_user) {
		i_fatal_status(EX_USAGE, "A registration belongs to one user: "
			       "name that user with -u, without a mask (with "
			       "several, everybody's notifications would go to "
			       "one OX user)");
	}
	if (!http_notify_registration_parse_ox(value, &user_id, &context_id)) {
		i_fatal_status(EX_USAGE, "%s: must be the numbers of an OX "
			       "user and context (from 1 to 2147483647, without "
			       "leading zeros), such as 3@1", value);
	}
	ctx->value = p_strdup_printf(_ctx->pool, "user=%u@%u", user_id,
				     context_id);
	ctx->how = DOVEADM_HTTP_NOTIFY_OPEN_CREATE;
	cmd_registration_set_print_headers(_ctx);
}

static void DOVEADM_MAIL_CMD_INIT(cmd_unregister_init)
{
	struct registration_cmd_context *ctx =
		container_of(_ctx, struct registration_cmd_context, ctx);

	ctx->how = DOVEADM_HTTP_NOTIFY_OPEN_WRITE;
	cmd_registration_set_print_headers(_ctx);
}

static struct doveadm_mail_cmd_context *
cmd_registration_alloc(doveadm_mail_cmd_init_t *init)
{
	return doveadm_http_notify_cmd_alloc(
		sizeof(struct registration_cmd_context), init,
		cmd_registration_set_run);
}

static struct doveadm_mail_cmd_context *cmd_register_alloc(void)
{
	return cmd_registration_alloc(cmd_register_init);
}

static struct doveadm_mail_cmd_context *cmd_unregister_alloc(void)
{
	struct doveadm_mail_cmd_context *ctx =
		cmd_registration_alloc(cmd_unregister_init);

	ctx->v.deinit = doveadm_http_notify_check_mask;
	return ctx;
}

static void reregister_print(const char *changed, const char *value)
{
	doveadm_print(changed);
	doveadm_print(doveadm_http_notify_quote(value, SIZE_MAX));
}

/* Carry over what is registered for an earlier INBOX. */
static int
registration_carry_over(struct doveadm_mail_cmd_context *ctx,
			struct mail_user *user, struct mailbox *inbox)
{
	struct earlier_registration earlier;
	const char *value, *error;
	int ret;

	ret = http_notify_metadata_get(inbox, &value, &error);
	if (ret < 0)
		return registration_failed(ctx, "read", error);
	if (ret > 0) {
		reregister_print("no", value);
		return 0;
	}
	ret = earlier_registration_find(user, &earlier, &error);
	if (ret < 0) {
		i_error("Not registered, and no registration of an earlier "
			"INBOX can be carried over: %s", error);
		doveadm_mail_failed_error(ctx, MAIL_ERROR_TEMP);
		return -1;
	}
	if (ret == 0) {
		reregister_print("no", "");
		return 0;
	}
	if (http_notify_metadata_set(inbox, earlier.value, &error) < 0)
		return registration_failed(ctx, "written", error);
	reregister_print("yes", earlier.value);
	/* or it would be carried over again after an unregistration */
	if (earlier_registration_remove(user, &earlier, &error) < 0) {
		i_error("The registration of an earlier INBOX can't be "
			"removed: %s", error);
		doveadm_mail_failed_error(ctx, MAIL_ERROR_TEMP);
		return -1;
	}
	return 0;
}

static int
cmd_reregister_run(struct doveadm_mail_cmd_context *ctx, struct mail_user *user)
{
	struct mailbox *inbox;
	int ret;

	ret = doveadm_http_notify_open_inbox(ctx, user,
					     DOVEADM_HTTP_NOTIFY_OPEN_WRITE,
					     &inbox);
	if (ret == 0)
		reregister_print("no", "");
	if (ret <= 0)
		return ret;
	ret = registration_carry_over(ctx, user, inbox);
	mailbox_free(&inbox);
	return ret;
}

static void DOVEADM_MAIL_CMD_INIT(cmd_reregister_init)
{
	cmd_registration_set_print_headers(_ctx);
	doveadm_print_header("registration", "registration", 0);
}

static struct doveadm_mail_cmd_context *cmd_reregister_alloc(void)
{
	struct doveadm_mail_cmd_context *ctx = doveadm_http_notify_cmd_alloc(
		sizeof(struct doveadm_mail_cmd_context), cmd_reregister_init,
		cmd_reregister_run);

	ctx->v.deinit = doveadm_http_notify_check_mask;
	return ctx;
}

static void registration_print(const char *value)
{
	uint32_t user_id, context_id;

	if (http_notify_registration_is_of_ox(value, &user_id, &context_id)) {
		doveadm_print_num(user_id);
		doveadm_print_num(context_id);
		doveadm_print("");
		return;
	}
	doveadm_print("");
	doveadm_print("");
	doveadm_print(doveadm_http_notify_quote(value, SIZE_MAX));
}

static int
cmd_list_run(struct doveadm_mail_cmd_context *ctx, struct mail_user *user)
{
	struct mailbox *inbox;
	const char *value, *error;
	int ret;

	ret = doveadm_http_notify_open_inbox(ctx, user,
					     DOVEADM_HTTP_NOTIFY_OPEN_READ,
					     &inbox);
	if (ret <= 0)
		return ret;
	ret = http_notify_metadata_get(inbox, &value, &error);
	if (ret < 0)
		(void)registration_failed(ctx, "read", error);
	else if (ret > 0)
		registration_print(value);
	mailbox_free(&inbox);
	return ret < 0 ? -1 : 0;
}

static void DOVEADM_MAIL_CMD_INIT(cmd_list_init)
{
	doveadm_mail_cmd_print_username(_ctx);
	doveadm_print_header("user", "user",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("context", "context",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("other", "other", 0);
}

static struct doveadm_mail_cmd_context *cmd_list_alloc(void)
{
	return doveadm_http_notify_cmd_alloc(
		sizeof(struct doveadm_mail_cmd_context), cmd_list_init,
		cmd_list_run);
}

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_register = {
	.name = "http-notify register",
	.mail_cmd = cmd_register_alloc,
	.usage = "[-u <user>] [-S <socket_path>] <OX user>@<OX context>",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('\0', "registration", CMD_PARAM_STR,
		  CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_reregister = {
	.name = "http-notify reregister",
	.mail_cmd = cmd_reregister_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_unregister = {
	.name = "http-notify unregister",
	.mail_cmd = cmd_unregister_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAMS_END
};

struct doveadm_cmd_ver2 doveadm_cmd_http_notify_list = {
	.name = "http-notify list",
	.mail_cmd = cmd_list_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAMS_END
};
