/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_HTTP_NOTIFY_H
#define DOVEADM_HTTP_NOTIFY_H

#include "doveadm.h"
#include "doveadm-mail.h"
#include "mail-storage.h"

#include "doveadm-mail-compat.h"
#include "export.h"

struct mail_user;
struct mailbox;
struct module;
struct user_line;

/* doveadm http-notify ... */
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_register;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_reregister;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_unregister;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_list;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_check;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_test;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_status;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_queue;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_queue_move;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_flush;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_purge;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_lost;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_lost_resend;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_lost_drop;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_watch;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_report;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_catch_up;

/* Get the name that notifications by this line have as "user"; value is the
   user's registration, NULL if there is none. It lives on the data stack or as
   long as the user.
   Returns 0, or -1 and error_r. */
int doveadm_http_notify_get_user(const struct user_line *line,
				 struct mail_user *user, const char *value,
				 const char **user_r, const char **error_r);

/* Open a mailbox unless it does not exist. With MAILBOX_FLAG_READONLY it is not
   opened either if Dovecot would have to make files that METADATA need. Returns
   1; 0 if there is none, as the INBOX of users who have never got mail nor
   logged in; or -1. */
int doveadm_http_notify_open_existing(struct mailbox *inbox);

enum doveadm_http_notify_open {
	/* nothing is written */
	DOVEADM_HTTP_NOTIFY_OPEN_READ,
	/* METADATA may be written */
	DOVEADM_HTTP_NOTIFY_OPEN_WRITE,
	/* INBOX is made if there is none */
	DOVEADM_HTTP_NOTIFY_OPEN_CREATE
};

/* Open INBOX, to which server-level METADATA belongs, ignoring its ACLs.
   Returns 1; 0 if there is none; or -1 after logging why not and setting the
   command's exit status: the command can go on with the next user. */
int doveadm_http_notify_open_inbox(struct doveadm_mail_cmd_context *ctx,
				   struct mail_user *user,
				   enum doveadm_http_notify_open how,
				   struct mailbox **inbox_r);

/* Allocate a command that prints a table. size is that of its context, init a
   DOVEADM_MAIL_CMD_INIT(). */
struct doveadm_mail_cmd_context *
doveadm_http_notify_cmd_alloc(size_t size, doveadm_mail_cmd_init_t *init,
			      int (*run)(struct doveadm_mail_cmd_context *ctx,
					 struct mail_user *user));

/* Returns the value for an admin's terminal: cut to max_len bytes, without
   control characters, and put in quotes if it begins or ends with a blank. */
const char *doveadm_http_notify_quote(const char *value, size_t max_len);

/* If the mask of users matched nobody, log that and make the command fail. To
   be called by deinit() of commands for which that is an error. */
void doveadm_http_notify_check_mask(struct doveadm_mail_cmd_context *ctx);

/* Returns what to do about a connect() that failed, according to errno. */
const char *doveadm_http_notify_connect_hint(void);

HTTP_NOTIFY_EXPORT
void doveadm_http_notify_plugin_init(struct module *module);
HTTP_NOTIFY_EXPORT void doveadm_http_notify_plugin_deinit(void);

#endif
