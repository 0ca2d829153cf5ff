/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHECK */
#include "lib.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "queue.h"

static void
admin_check_row(const struct queue_check_row *found, void *context)
{
	struct admin_conn *conn = context;
	const char *row[HTTP_NOTIFY_ADMIN_CHECK_COUNT];

	if (found == NULL) {
		conn->check = NULL;
		admin_conn_ok(conn, 1);
		return;
	}
	row[HTTP_NOTIFY_ADMIN_CHECK_LINK] = found->link;
	row[HTTP_NOTIFY_ADMIN_CHECK_ERROR] =
		found->error == NULL ? "" : found->error;
	row[HTTP_NOTIFY_ADMIN_CHECK_NOTE] = found->note;
	admin_conn_row(conn, row, N_ELEMENTS(row));
}

void admin_check(struct admin_conn *conn)
{
	conn->check = queue_check(conn->admin->queue, admin_check_row, conn);
}

void admin_check_abort(struct admin_conn *conn)
{
	queue_check_cancel(&conn->check);
}
