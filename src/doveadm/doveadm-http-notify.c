/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "mail-user.h"
#include "str-sanitize.h"

#include "doveadm-http-notify.h"
#include "export.h"
#include "metadata.h"
#include "registration.h"
#include "user-lines.h"

#include <sysexits.h>
#include <unistd.h>

extern HTTP_NOTIFY_EXPORT const char *doveadm_http_notify_plugin_version;
const char *doveadm_http_notify_plugin_version = DOVECOT_ABI_VERSION;

int doveadm_http_notify_get_user(const struct user_line *line,
				 struct mail_user *user, const char *value,
				 const char **user_r, const char **error_r)
{
	if (line->options.user_from_metadata)
		return http_notify_registration_parse(value, user_r, error_r);
	*user_r = user->username;
	return 0;
}

int doveadm_http_notify_open_inbox(struct doveadm_mail_cmd_context *ctx,
				   struct mail_user *user,
				   enum mailbox_flags flags,
				   struct mailbox **inbox_r)
{
	struct mailbox *inbox;

	inbox = http_notify_metadata_inbox(user, flags);
	if (mailbox_open(inbox) < 0) {
		i_error("INBOX can't be opened: %s",
			mailbox_get_last_internal_error(inbox, NULL));
		doveadm_mail_failed_mailbox(ctx, inbox);
		mailbox_free(&inbox);
		return -1;
	}
	*inbox_r = inbox;
	return 0;
}

struct doveadm_mail_cmd_context *
doveadm_http_notify_cmd_alloc(size_t size, doveadm_mail_cmd_init_t *init,
			      int (*run)(struct doveadm_mail_cmd_context *ctx,
					 struct mail_user *user))
{
	struct doveadm_mail_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc_size(size);
	doveadm_mail_cmd_set_init(ctx, init);
	ctx->v.run = run;
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return ctx;
}

const char *doveadm_http_notify_quote(const char *value, size_t max_len)
{
	size_t len = strlen(value);
	bool blank = len > 0 && (value[0] == ' ' || value[len - 1] == ' ');

	value = str_sanitize(value, max_len);
	return blank ? t_strdup_printf("\"%s\"", value) : value;
}

void doveadm_http_notify_check_mask(struct doveadm_mail_cmd_context *ctx)
{
	/* username is the last user that was found */
	if (ctx->iterate_single_user || ctx->cctx->username != NULL ||
	    ctx->exit_code != 0)
		return;
	i_error("There is no such user");
	ctx->exit_code = EX_NOUSER;
}

const char *doveadm_http_notify_connect_hint(void)
{
	return errno == EACCES && geteuid() != 0 ? "run as root" :
		"is the service http-notify configured, and Dovecot running?";
}

void doveadm_http_notify_plugin_init(struct module *module ATTR_UNUSED)
{
	struct doveadm_cmd_ver2 *const commands[] = {
		&doveadm_cmd_http_notify_register,
		&doveadm_cmd_http_notify_reregister,
		&doveadm_cmd_http_notify_unregister,
		&doveadm_cmd_http_notify_list,
		&doveadm_cmd_http_notify_check,
		&doveadm_cmd_http_notify_test,
		&doveadm_cmd_http_notify_status,
		&doveadm_cmd_http_notify_queue,
		&doveadm_cmd_http_notify_flush,
		&doveadm_cmd_http_notify_purge,
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(commands); i++)
		doveadm_cmd_register_ver2(commands[i]);
}

void doveadm_http_notify_plugin_deinit(void)
{
}
