#ifndef DOVEADM_HTTP_NOTIFY_H
#define DOVEADM_HTTP_NOTIFY_H

#include "doveadm.h"
#include "doveadm-mail.h"

struct module;

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

void doveadm_http_notify_plugin_init(struct module *module);
void doveadm_http_notify_plugin_deinit(void);

#endif
