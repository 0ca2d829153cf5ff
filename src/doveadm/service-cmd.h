/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SERVICE_CMD_H
#define HTTP_NOTIFY_SERVICE_CMD_H

#include "doveadm-mail.h"

struct admin_client;
struct protocol_settings;

/* A command that asks the service something for each mail user. Its own context
   has this as the first member. */
struct service_cmd {
	struct doveadm_mail_cmd_context ctx;
	/* for the current user: a connection to the service, or why there is
	   none */
	struct admin_client *client;
	const char *error;
	/* see service_cmd_read_settings() */
	bool settings_read;
};

/* Read the settings of protocol lmtp, which delivers, when this is called for
   the first user. To be called by prerun(), as root. Returns 0, or -1 and
   error_r. */
int service_cmd_read_settings(struct service_cmd *cmd,
			      struct protocol_settings *set,
			      const char **error_r);

/* Connect to the service for the current user. To be called by prerun(), which
   runs as root: the mail user may not connect. */
void service_cmd_connect(struct service_cmd *cmd);
/* Close the connection, if there is one, and copy error to cmd->error. */
void service_cmd_disconnect(struct service_cmd *cmd, const char *error);
/* Disconnect. To be called by deinit(). All these commands fail if the mask of
   users matched nobody. */
void service_cmd_deinit(struct service_cmd *cmd);

#endif
