/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HISTORY */
#include "lib.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "delivery.h"
#include "history.h"
#include "monotonic.h"

_Static_assert(HTTP_NOTIFY_ADMIN_HISTORY_COUNT -
	       HTTP_NOTIFY_ADMIN_HISTORY_DELAYS == HISTORY_DELAYS,
	       "each delay has a field");

static void
history_row(struct admin_conn *conn, const struct history_interval *interval,
	    int64_t ago)
{
	const char *row[HTTP_NOTIFY_ADMIN_HISTORY_COUNT];
	unsigned int i;

	row[HTTP_NOTIFY_ADMIN_HISTORY_AGO] = admin_num(ago);
	row[HTTP_NOTIFY_ADMIN_HISTORY_SECS] =
		admin_num(HISTORY_INTERVAL_SECS);
	row[HTTP_NOTIFY_ADMIN_HISTORY_STORED] = admin_num(interval->stored);
	row[HTTP_NOTIFY_ADMIN_HISTORY_DELIVERED] =
		admin_num(interval->delivered);
	row[HTTP_NOTIFY_ADMIN_HISTORY_RETRIED] = admin_num(interval->retried);
	row[HTTP_NOTIFY_ADMIN_HISTORY_REFUSED] = admin_num(interval->refused);
	row[HTTP_NOTIFY_ADMIN_HISTORY_DROPPED] = admin_num(interval->dropped);
	row[HTTP_NOTIFY_ADMIN_HISTORY_EXPIRED] = admin_num(interval->expired);
	row[HTTP_NOTIFY_ADMIN_HISTORY_QUEUED] = admin_num(interval->queued);
	row[HTTP_NOTIFY_ADMIN_HISTORY_DOWN] = admin_num(interval->down);
	for (i = 0; i < HISTORY_DELAYS; i++) {
		row[HTTP_NOTIFY_ADMIN_HISTORY_DELAYS + i] =
			admin_num(interval->delays[i]);
	}
	admin_conn_row(conn, row, N_ELEMENTS(row));
}

void admin_history(struct admin_conn *conn)
{
	const struct history *history = delivery_history(conn->admin->delivery);
	int64_t present_secs =
		(http_notify_monotonic_msecs() - history->began) / 1000;
	unsigned int before;

	for (before = history->before + 1; before-- > 0; ) T_BEGIN {
		history_row(conn, history_get(history, before),
			    present_secs + before * HISTORY_INTERVAL_SECS);
	} T_END;
	admin_conn_ok(conn, history->before + 1);
}
