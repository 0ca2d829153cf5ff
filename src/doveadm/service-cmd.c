/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "admin-client.h"
#include "doveadm-http-notify.h"
#include "protocol-settings.h"
#include "service-cmd.h"

int service_cmd_read_settings(struct service_cmd *cmd,
			      struct protocol_settings *set,
			      const char **error_r)
{
	if (cmd->settings_read)
		return 0;
	if (protocol_settings_read(cmd->ctx.set->base_dir, "lmtp", NULL,
				   cmd->ctx.pool, set, error_r) < 0) {
		protocol_settings_free(set);
		return -1;
	}
	cmd->settings_read = TRUE;
	return 0;
}

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
