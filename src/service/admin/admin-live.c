/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WATCH: rows of what happens, until doveadm closes the connection */
#include "lib.h"
#include "ioloop.h"
#include "ostream.h"
#include "str-sanitize.h"
#include "wildcard-match.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "body-event.h"
#include "delivery.h"
#include "live.h"
#include "queue-item.h"

#include <time.h>

struct admin_live {
	struct live_watch watch;
	struct admin_conn *conn;
	char *user_mask;
	/* rows left out since doveadm does not read them */
	unsigned int left_out;
};

/* Returns the wall clock's time, which the log has as well. */
static const char *time_of_day(void)
{
	struct timeval now;
	struct tm *tm;

	if (gettimeofday(&now, NULL) < 0)
		i_fatal("gettimeofday() failed: %m");
	tm = localtime(&now.tv_sec);
	return t_strdup_printf("%02d:%02d:%02d.%03u", tm->tm_hour, tm->tm_min,
			       tm->tm_sec, (unsigned int)now.tv_usec / 1000);
}

static void
live_row(struct admin_live *live, const char *what,
	 const struct queue_item *item, const char *endpoint,
	 const char *detail)
{
	const char *row[HTTP_NOTIFY_ADMIN_LIVE_COUNT];

	row[HTTP_NOTIFY_ADMIN_LIVE_TIME] = time_of_day();
	row[HTTP_NOTIFY_ADMIN_LIVE_WHAT] = what;
	row[HTTP_NOTIFY_ADMIN_LIVE_USERNAME] = item == NULL ? "" :
		item->username;
	row[HTTP_NOTIFY_ADMIN_LIVE_FOLDER] = item == NULL ? "" : item->folder;
	row[HTTP_NOTIFY_ADMIN_LIVE_UID] = item == NULL ? "" :
		admin_num(item->uid);
	row[HTTP_NOTIFY_ADMIN_LIVE_MAIL_EVENT] = item == NULL ? "" :
		http_notify_body_event(item->body);
	row[HTTP_NOTIFY_ADMIN_LIVE_ENDPOINT] = endpoint;
	row[HTTP_NOTIFY_ADMIN_LIVE_DETAIL] = detail;
	admin_conn_row(live->conn, row, N_ELEMENTS(row));
}

static void
admin_live_happened(struct live_watch *watch, enum live_what what,
		    const struct queue_item *item, const char *endpoint,
		    const char *detail)
{
	struct admin_live *live = container_of(watch, struct admin_live, watch);

	if (!wildcard_match(item->username, live->user_mask))
		return;
	if (o_stream_get_buffer_used_size(live->conn->conn.output) >
	    ADMIN_OUTPUT_FULL) {
		live->left_out++;
		return;
	}
	T_BEGIN {
		if (live->left_out > 0) {
			live_row(live, "left out", NULL, "",
				 t_strdup_printf("%u rows", live->left_out));
			live->left_out = 0;
		}
		live_row(live, live_what_name(what), item, endpoint,
			 str_sanitize(detail, 256));
	} T_END;
}

void admin_live_start(struct admin_conn *conn,
		      const struct http_notify_admin_command *command)
{
	struct admin_live *live;

	live = i_new(struct admin_live, 1);
	live->watch.happened = admin_live_happened;
	live->conn = conn;
	live->user_mask = i_strdup(command->user_mask);
	conn->live = live;
	delivery_live_add(conn->admin->delivery, &live->watch);
	/* to see when doveadm leaves */
	connection_input_resume(&conn->conn);
}

void admin_live_abort(struct admin_conn *conn)
{
	struct admin_live *live = conn->live;

	if (live == NULL)
		return;
	conn->live = NULL;
	delivery_live_remove(conn->admin->delivery, &live->watch);
	i_free(live->user_mask);
	i_free(live);
}
