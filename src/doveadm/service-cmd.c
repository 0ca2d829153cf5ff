/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "admin-client.h"
#include "doveadm-http-notify.h"
#include "service-cmd.h"

void service_cmd_disconnect(struct service_cmd *cmd, const char *error)
{
	if (cmd->client != NULL)
		admin_client_deinit(&cmd->client);
	/* error is needed in another data stack frame */
	cmd->error = p_strdup(cmd->ctx.pool, error);
}

void service_cmd_connect(struct service_cmd *cmd)
{
	const char *error = NULL;

	service_cmd_disconnect(cmd, NULL);
	cmd->client = admin_client_init(cmd->ctx.set->base_dir, &error);
	cmd->error = p_strdup(cmd->ctx.pool, error);
}

void service_cmd_deinit(struct service_cmd *cmd)
{
	doveadm_http_notify_check_mask(&cmd->ctx);
	service_cmd_disconnect(cmd, NULL);
}
