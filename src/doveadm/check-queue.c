/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the service says of its queue, which is the same for all users. */
#include "lib.h"
#include "array.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "check.h"

struct check_queue_row {
	/* error: NULL = none */
	const char *link, *error, *note;
};

static void
check_queue_add(struct check_cmd_context *ctx, const char *link,
		const char *error, const char *note)
{
	pool_t pool = ctx->cmd.ctx.pool;
	struct check_queue_row *row = array_append_space(&ctx->queue);

	row->link = p_strdup(pool, link);
	row->error = *error == '\0' ? NULL : p_strdup(pool, error);
	row->note = p_strdup(pool, note);
}

/* The row of totals of STATUS. */
static void
check_queue_state(struct check_cmd_context *ctx, const char *const *total)
{
	const char *state = total[HTTP_NOTIFY_ADMIN_STATUS_QUEUE];
	const char *secs = total[HTTP_NOTIFY_ADMIN_STATUS_QUEUE_SINCE];
	const char *spooled = total[HTTP_NOTIFY_ADMIN_STATUS_SPOOLED];
	const char *why = total[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR];
	const char *error = "", *note = "";

	if (strcmp(state, HTTP_NOTIFY_ADMIN_QUEUE_UP) == 0)
		return;
	if (strcmp(state, HTTP_NOTIFY_ADMIN_QUEUE_MOVING) == 0) {
		note = t_strdup_printf("%s notifications that were stored on "
			"this host meanwhile are still being moved", spooled);
	} else if (strcmp(state, HTTP_NOTIFY_ADMIN_QUEUE_SPOOLING) == 0) {
		error = t_strdup_printf("PostgreSQL has been out of use for "
			"%s s, so notifications are stored on this host, and "
			"wait (%s of them): %s", secs, spooled, why);
	} else {
		error = t_strdup_printf("it has not been writable for %s s, so "
			"notifications are refused: %s", secs, why);
	}
	check_queue_add(ctx, "queue", error, note);
}

void check_queue_read(struct check_cmd_context *ctx, const char *const *total)
{
	static const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_CHECK
	};
	const char *const *row, *error;
	uint64_t count;
	int ret;

	p_array_init(&ctx->queue, ctx->cmd.ctx.pool, 8);
	if (ctx->cmd.client == NULL)
		return;
	check_queue_state(ctx, total);
	admin_client_send(ctx->cmd.client, &command);
	do T_BEGIN {
		ret = admin_client_read(ctx->cmd.client, TIMEOUT_MSECS,
					HTTP_NOTIFY_ADMIN_CHECK_COUNT, &row,
					&count, &error);
		if (ret > 0) {
			check_queue_add(ctx, row[HTTP_NOTIFY_ADMIN_CHECK_LINK],
					row[HTTP_NOTIFY_ADMIN_CHECK_ERROR],
					row[HTTP_NOTIFY_ADMIN_CHECK_NOTE]);
		} else if (ret < 0)
			service_cmd_disconnect(&ctx->cmd, error);
	} T_END; while (ret > 0);
}

void check_queue(struct check_cmd_context *ctx)
{
	const struct check_queue_row *row;

	array_foreach(&ctx->queue, row) {
		if (row->error == NULL)
			check_row_ok(row->link, row->note);
		else
			check_row(ctx, row->link, row->error);
	}
}
