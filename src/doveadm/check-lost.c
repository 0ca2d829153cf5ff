/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "strnum.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "check.h"

/* What was given up of a user's. */
struct check_lost {
	unsigned int count;
	/* the latest one */
	const char *folder, *uid, *answer;
};

static void
check_lost_add(struct check_cmd_context *ctx, const char *const *row)
{
	pool_t pool = ctx->cmd.ctx.pool;
	const char *username = row[HTTP_NOTIFY_ADMIN_LOST_USERNAME];
	struct check_lost *lost;

	lost = hash_table_lookup(ctx->lost, username);
	if (lost == NULL) {
		lost = p_new(pool, struct check_lost, 1);
		username = p_strdup(pool, username);
		hash_table_insert(ctx->lost, username, lost);
	}
	lost->count++;
	lost->folder = p_strdup(pool, row[HTTP_NOTIFY_ADMIN_LOST_FOLDER]);
	lost->uid = p_strdup(pool, row[HTTP_NOTIFY_ADMIN_LOST_UID]);
	lost->answer = p_strdup(pool, row[HTTP_NOTIFY_ADMIN_LOST_ANSWER]);
}

void check_lost_read(struct check_cmd_context *ctx, const char *username)
{
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_LOST,
		.user_mask = username == NULL ? "*" : username,
		.endpoint_mask = "*", .folder_mask = "*", .host_mask = "*",
		.reason = ""
	};
	const char *const *row, *error;
	uint64_t count;
	int ret;

	hash_table_create(&ctx->lost, ctx->cmd.ctx.pool, 0, str_hash, strcmp);
	if (ctx->cmd.client == NULL)
		return;
	admin_client_send(ctx->cmd.client, &command);
	do T_BEGIN {
		ret = admin_client_read(ctx->cmd.client, TIMEOUT_MSECS,
					HTTP_NOTIFY_ADMIN_LOST_COUNT, &row,
					&count, &error);
		if (ret > 0)
			check_lost_add(ctx, row);
		else if (ret < 0)
			ctx->lost_error = p_strdup(ctx->cmd.ctx.pool, error);
	} T_END; while (ret > 0);
}

void check_lost(struct check_cmd_context *ctx, const char *username)
{
	const struct check_lost *lost = hash_table_lookup(ctx->lost, username);

	if (ctx->lost_error != NULL)
		check_row(ctx, "given up", ctx->lost_error);
	if (lost == NULL)
		return;
	check_row_ok("given up", t_strdup_printf("%u notifications, the last "
		"one for folder %s, uid %s: %s (doveadm http-notify lost "
		"-u %s)", lost->count, lost->folder, lost->uid, lost->answer,
		username));
}
