/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SERVICE_CMD_H
#define HTTP_NOTIFY_SERVICE_CMD_H

#include "doveadm-mail.h"

struct admin_client;

/* A command that asks the service for each mail user. It has this as the first
   member of its own structure. */
struct service_cmd {
	struct doveadm_mail_cmd_context ctx;
	/* of the current user: a connection to the service, or why there is
	   none */
	struct admin_client *client;
	const char *error;
};

/* To be called by prerun(), since root may connect and the mail user may not:
   connect for this user. */
void service_cmd_connect(struct service_cmd *cmd);
/* Close the connection, if there is one: the service is of no use to this
   user. */
void service_cmd_disconnect(struct service_cmd *cmd, const char *error);
/* To be called by deinit(): for all these commands, nothing to do is no
   success. */
void service_cmd_deinit(struct service_cmd *cmd);

#endif
