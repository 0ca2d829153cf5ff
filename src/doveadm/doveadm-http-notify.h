#ifndef DOVEADM_HTTP_NOTIFY_H
#define DOVEADM_HTTP_NOTIFY_H

#include "doveadm.h"
#include "doveadm-mail.h"

struct mail_user;
struct module;
struct user_line;

/* doveadm http-notify ... */
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_register;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_unregister;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_list;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_check;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_test;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_status;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_queue;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_flush;
extern struct doveadm_cmd_ver2 doveadm_cmd_http_notify_purge;

/* What a notification by this line has as its user; value is the user's
   registration. Returns 0, or -1 and error_r. */
int doveadm_http_notify_get_user(const struct user_line *line,
				 struct mail_user *user, const char *value,
				 const char **user_r, const char **error_r);

void doveadm_http_notify_plugin_init(struct module *module);
void doveadm_http_notify_plugin_deinit(void);

#endif
