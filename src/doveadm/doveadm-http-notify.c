/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "str-sanitize.h"

#include "doveadm-http-notify.h"
#include "export.h"
#include "metadata.h"
#include "registration.h"
#include "user-lines.h"

#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

extern HTTP_NOTIFY_EXPORT const char *doveadm_http_notify_plugin_version;
const char *doveadm_http_notify_plugin_version = DOVECOT_ABI_VERSION;

int doveadm_http_notify_get_user(const struct user_line *line,
				 struct mail_user *user, const char *value,
				 const char **user_r, const char **error_r)
{
	if (value == NULL && !line->options.registration_optional) {
		*error_r = "the user is not registered";
		return -1;
	}
	if (value != NULL && line->options.user_from_metadata)
		return http_notify_registration_parse(value, user_r, error_r);
	*user_r = user->username;
	return 0;
}

/* Is the file there? If the storage has no such directory, that can't be told,
   and it counts as being there. */
static int
mailbox_has_file(struct mailbox *box, enum mailbox_list_path_type type,
		 const char *name)
{
	struct stat st;
	const char *path;
	int ret;

	ret = mailbox_get_path_to(box, type, &path);
	if (ret <= 0)
		return ret < 0 ? -1 : 1;
	path = t_strconcat(path, name, NULL);
	if (stat(path, &st) == 0)
		return 1;
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	mailbox_set_critical(box, "stat(%s) failed: %m", path);
	return -1;
}

static int mailbox_has_index(struct mailbox *box)
{
	return mailbox_has_file(box, MAILBOX_LIST_PATH_TYPE_INDEX,
		t_strconcat("/", box->index_prefix, ".log", NULL));
}

/* Has Dovecot given the mailbox a GUID, to which METADATA belong? In a Maildir
   this does not need an index, and none is made then. */
static int mailbox_has_guid(struct mailbox *box)
{
	int ret = mailbox_has_index(box);

	if (ret < 0 || strcmp(box->storage->name, MAILDIR_STORAGE_NAME) != 0)
		return ret;
	if (ret == 0)
		box->flags |= MAILBOX_FLAG_NO_INDEX_FILES;
	return mailbox_has_file(box, MAILBOX_LIST_PATH_TYPE_CONTROL,
				"/"MAILDIR_UIDLIST_NAME);
}

int doveadm_http_notify_open_existing(struct mailbox *inbox)
{
	int ret;

	/* mailbox_open() would make what is not there, and mailbox_exists() the
	   index of the list of mailboxes. */
	ret = mailbox_has_file(inbox, MAILBOX_LIST_PATH_TYPE_MAILBOX, "");
	if (ret > 0 && (inbox->flags & MAILBOX_FLAG_READONLY) != 0)
		ret = mailbox_has_guid(inbox);
	if (ret > 0)
		ret = mailbox_open(inbox) < 0 ? -1 : 1;
	return ret;
}

int doveadm_http_notify_open_inbox(struct doveadm_mail_cmd_context *ctx,
				   struct mail_user *user,
				   enum doveadm_http_notify_open how,
				   struct mailbox **inbox_r)
{
	struct mailbox *inbox;
	int ret;

	inbox = http_notify_metadata_inbox(user,
		how == DOVEADM_HTTP_NOTIFY_OPEN_READ ?
		MAILBOX_FLAG_READONLY : 0);
	if (how != DOVEADM_HTTP_NOTIFY_OPEN_CREATE)
		ret = doveadm_http_notify_open_existing(inbox);
	else
		ret = mailbox_open(inbox) < 0 ? -1 : 1;
	if (ret < 0) {
		i_error("INBOX can't be opened: %s",
			mailbox_get_last_internal_error(inbox, NULL));
		doveadm_mail_failed_mailbox(ctx, inbox);
	}
	if (ret <= 0)
		mailbox_free(&inbox);
	*inbox_r = inbox;
	return ret;
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
		/* before the shorter names, which would match as well */
		&doveadm_cmd_http_notify_queue_move,
		&doveadm_cmd_http_notify_queue,
		&doveadm_cmd_http_notify_flush,
		&doveadm_cmd_http_notify_purge,
		&doveadm_cmd_http_notify_lost_resend,
		&doveadm_cmd_http_notify_lost_drop,
		&doveadm_cmd_http_notify_lost,
		&doveadm_cmd_http_notify_watch,
		&doveadm_cmd_http_notify_report,
		&doveadm_cmd_http_notify_catch_up,
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(commands); i++)
		doveadm_cmd_register_ver2(commands[i]);
}

void doveadm_http_notify_plugin_deinit(void)
{
}
