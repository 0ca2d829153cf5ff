/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MOVE: into the queue that is configured, from the other one */
#include "lib.h"
#include "ioloop.h"
#include "ostream.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "admin-relay.h"
#include "move-back.h"
#include "queue.h"
#include "queue-hosts.h"
#include "spool.h"

/* How often to say how far it is. */
#define PROGRESS_MSECS 200

struct admin_move {
	struct admin_conn *conn;
	struct timeout *to_progress;
	/* what the spool had moved before */
	uint64_t moved_before;
};

void admin_move_abort(struct admin_conn *conn)
{
	struct admin_move *move = conn->move;

	if (move == NULL)
		return;
	conn->move = NULL;
	timeout_remove(&move->to_progress);
	i_free(move);
	if (conn->admin->move_back != NULL)
		move_back_stop(conn->admin->move_back);
}

static void
admin_move_end(struct admin_move *move, uint64_t moved, const char *error)
{
	struct admin_conn *conn = move->conn;

	admin_move_abort(conn);
	if (error == NULL)
		admin_conn_ok(conn, moved);
	else {
		admin_conn_fail(conn, t_strdup_printf("%"PRIu64" were moved, "
			"the others are where they were: %s", moved, error));
	}
}

/* What is in this host's queue is moved to the shared one by itself. */
static bool
admin_move_spool(struct admin_move *move, struct move_back_status *status_r)
{
	uint64_t left;

	i_zero(status_r);
	status_r->running = spool_get_progress(move->conn->admin->spool,
					       &status_r->moved, &left);
	status_r->moved -= move->moved_before;
	status_r->all = status_r->moved + left;
	return status_r->running;
}

static bool
admin_move_back(struct admin_move *move, struct move_back_status *status_r)
{
	move_back_get_status(move->conn->admin->move_back, status_r);
	return status_r->running;
}

static void admin_move_progress(struct admin_move *move)
{
	const char *row[HTTP_NOTIFY_ADMIN_PROGRESS_COUNT];
	struct move_back_status status;
	bool running;

	running = move->conn->admin->spool != NULL ?
		admin_move_spool(move, &status) :
		admin_move_back(move, &status);
	if (!running) {
		admin_move_end(move, status.moved, status.error);
		return;
	}
	row[HTTP_NOTIFY_ADMIN_PROGRESS_DONE] = admin_num(status.moved);
	row[HTTP_NOTIFY_ADMIN_PROGRESS_ALL] = admin_num(status.all);
	admin_conn_row(move->conn, row, N_ELEMENTS(row));
	if (o_stream_flush(move->conn->conn.output) < 0) {
		/* doveadm has left: that shows when its input is read */
		admin_move_end(move, status.moved, NULL);
	}
}

/* Meanwhile other hosts take it for one that shares the queue, and ask it. */
static void
admin_move_asked(const struct queue_message *message, void *context)
{
	static const char reason[] = "it has a queue of its own, and is moving "
		"there what is left in PostgreSQL";
	struct admin *admin = context;
	const struct queue_message answer = {
		.host = message->host, .talk = message->talk,
		.kind = RELAY_END, .data = reason, .size = strlen(reason)
	};

	if (message->kind == RELAY_ASK) {
		queue_message_send(move_back_get_queue(admin->move_back),
				   &answer);
	}
}

void admin_move_start(struct admin_conn *conn)
{
	struct admin *admin = conn->admin;
	struct admin_move *move;
	struct queue_state state;
	const char *error;
	uint64_t left;

	if (queue_is_absent(admin->queue)) {
		queue_get_state(admin->queue, &state);
		admin_conn_fail(conn, t_strdup_printf("PostgreSQL can't be "
			"used: %s", state.error));
		return;
	}
	if (admin->move_back != NULL &&
	    move_back_start(admin->move_back, &error) < 0) {
		admin_conn_fail(conn, error);
		return;
	}
	if (admin->move_back != NULL) {
		queue_set_message_callback(
			move_back_get_queue(admin->move_back),
			admin_move_asked, admin);
	}
	move = i_new(struct admin_move, 1);
	move->conn = conn;
	if (admin->spool != NULL) {
		(void)spool_get_progress(admin->spool, &move->moved_before,
					 &left);
	}
	move->to_progress = timeout_add_short(PROGRESS_MSECS,
					      admin_move_progress, move);
	conn->move = move;
}
