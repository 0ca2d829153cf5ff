/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "connection.h"
#include "ostream.h"
#include "str.h"
#include "strescape.h"
#include "master-service.h"

#include "admin.h"
#include "admin-conn.h"
#include "admin-protocol.h"
#include "admin-relay.h"
#include "queue-hosts.h"
#include "queue-item.h"
#include "monotonic.h"

static void
admin_conn_reply(struct admin_conn *conn, const char *kind,
		 const char *const *fields, unsigned int count)
{
	T_BEGIN {
		string_t *str = t_str_new(256);
		unsigned int i;

		str_append(str, kind);
		for (i = 0; i < count; i++) {
			str_append_c(str, '\t');
			str_append_tabescaped(str, fields[i]);
		}
		str_append_c(str, '\n');
		o_stream_nsend(conn->conn.output, str_data(str), str_len(str));
	} T_END;
}

void admin_conn_row(struct admin_conn *conn, const char *const *row,
		    unsigned int count)
{
	admin_conn_reply(conn, "ROW", row, count);
}

void admin_conn_ok(struct admin_conn *conn, uint64_t count)
{
	const char *field = t_strdup_printf("%"PRIu64, count);

	admin_conn_reply(conn, "OK", &field, 1);
	connection_input_resume(&conn->conn);
}

void admin_conn_fail(struct admin_conn *conn, const char *reason)
{
	admin_conn_reply(conn, "FAIL", &reason, 1);
	connection_input_resume(&conn->conn);
}

void admin_body_row(struct admin_conn *conn, const char *endpoint,
		    const struct queue_item *item)
{
	const char *row[HTTP_NOTIFY_ADMIN_BODY_COUNT];

	row[HTTP_NOTIFY_ADMIN_BODY_ENDPOINT] = endpoint;
	row[HTTP_NOTIFY_ADMIN_BODY_KEY] = queue_item_key(item);
	row[HTTP_NOTIFY_ADMIN_BODY_BODY] = item->body;
	admin_conn_row(conn, row, N_ELEMENTS(row));
}

const char *admin_num(int64_t value)
{
	return t_strdup_printf("%"PRId64, value);
}

static void
admin_conn_run(struct admin_conn *conn,
	       const struct http_notify_admin_command *command)
{
	if (command->at && command->host != 0 &&
	    command->host != queue_host_number(conn->admin->queue)) {
		admin_relay_start(conn, command);
		return;
	}
	switch (command->verb) {
	case HTTP_NOTIFY_ADMIN_HOSTS:
		admin_hosts(conn);
		break;
	case HTTP_NOTIFY_ADMIN_STATUS:
	case HTTP_NOTIFY_ADMIN_QUEUE:
	case HTTP_NOTIFY_ADMIN_SPOOLED:
	case HTTP_NOTIFY_ADMIN_PURGE:
		admin_walk_start(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_HISTORY:
		admin_history(conn);
		break;
	case HTTP_NOTIFY_ADMIN_CHECK:
		admin_check(conn);
		break;
	case HTTP_NOTIFY_ADMIN_LOST:
	case HTTP_NOTIFY_ADMIN_RESEND:
	case HTTP_NOTIFY_ADMIN_DROP:
		admin_lost_start(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_WATCH:
		admin_live_start(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_BODY:
		if (command->lost)
			admin_lost_start(conn, command);
		else
			admin_walk_start(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_MOVE:
		admin_move_start(conn);
		break;
	case HTTP_NOTIFY_ADMIN_FLUSH:
		admin_flush(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_PROBE:
		admin_probe(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_SEND:
		admin_send(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_ANNOUNCED:
		admin_announced(conn, command);
		break;
	case HTTP_NOTIFY_ADMIN_ANNOUNCE:
		admin_announce(conn, command);
		break;
	}
}

static int
admin_conn_input_args(struct connection *connection, const char *const *args)
{
	struct admin_conn *conn =
		container_of(connection, struct admin_conn, conn);
	struct http_notify_admin_command command;
	const char *error;

	if (conn->live != NULL || conn->relay != NULL) {
		e_error(connection->event, "Invalid command: before the end of "
			"the former one");
		return -1;
	}
	if (http_notify_admin_parse(args, &command, &error) < 0) {
		e_error(connection->event, "Invalid command: %s", error);
		return -1;
	}
	if (conn->is_relayed && (!command.at ||
	    command.host != queue_host_number(conn->admin->queue))) {
		e_error(connection->event,
			"Invalid command: another host's, but not for this one");
		return -1;
	}
	/* One command at a time: input is resumed at the end of the answer. */
	connection_input_halt(connection);
	if (conn->admin->queue == NULL)
		admin_conn_fail(conn, conn->admin->queue_error);
	else
		admin_conn_run(conn, &command);
	return connection->io == NULL ? 0 : 1;
}

static void admin_conn_destroy(struct connection *connection)
{
	struct admin_conn *conn =
		container_of(connection, struct admin_conn, conn);

	admin_walk_abort(conn);
	admin_lost_abort(conn);
	admin_live_abort(conn);
	admin_move_abort(conn);
	admin_announced_abort(conn);
	admin_send_abort(conn);
	admin_check_abort(conn);
	admin_relay_abort(conn);
	connection_deinit(connection);
	if (!conn->is_relayed)
		master_service_client_connection_destroyed(master_service);
	i_free(conn);
}

static const struct connection_settings admin_conn_settings = {
	.service_name_in = HTTP_NOTIFY_ADMIN_NAME,
	.service_name_out = HTTP_NOTIFY_ADMIN_NAME,
	.major_version = HTTP_NOTIFY_ADMIN_VERSION_MAJOR,
	.minor_version = HTTP_NOTIFY_ADMIN_VERSION_MINOR,
	.input_max_size = HTTP_NOTIFY_ADMIN_LINE_MAX,
	.output_max_size = SIZE_MAX,
};

static const struct connection_vfuncs admin_conn_vfuncs = {
	.destroy = admin_conn_destroy,
	.input_args = admin_conn_input_args,
};

static void
admin_conn_init(struct admin *admin, const char *name, int fd, bool is_relayed)
{
	struct admin_conn *conn;

	conn = i_new(struct admin_conn, 1);
	conn->admin = admin;
	conn->is_relayed = is_relayed;
	connection_init_server(admin->conns, &conn->conn, name, fd, fd);
}

void admin_connected(struct admin *admin,
		     struct master_service_connection *service_conn)
{
	master_service_client_connection_accept(service_conn);
	fd_close_on_exec(service_conn->fd, TRUE);
	admin_conn_init(admin, service_conn->name, service_conn->fd, FALSE);
}

void admin_conn_init_relayed(struct admin *admin, int fd)
{
	admin_conn_init(admin, "another host's doveadm", fd, TRUE);
}

void admin_set_queue_error(struct admin *admin, const char *error)
{
	i_free(admin->queue_error);
	admin->queue_error = i_strdup_printf("the queue can't be opened, so "
		"that notifications are refused: %s", error);
}

void admin_set_queue(struct admin *admin, struct queue *queue,
		     struct queue *local, struct delivery *delivery)
{
	i_free(admin->queue_error);
	admin->queue = queue;
	admin->local = local;
	admin->delivery = delivery;
	queue_set_message_callback(queue, admin_relay_message, admin);
}

struct admin *admin_init(struct sender *sender)
{
	struct admin *admin;

	admin = i_new(struct admin, 1);
	admin->queue_error = i_strdup("the queue is not open yet");
	admin->sender = sender;
	admin->event = event_create(NULL);
	guid_128_generate(admin->session);
	admin->started = http_notify_monotonic_msecs();
	admin->conns = connection_list_init(&admin_conn_settings,
					    &admin_conn_vfuncs);
	return admin;
}

void admin_set_moving(struct admin *admin, struct spool *spool,
		      struct move_back *move_back)
{
	admin->spool = spool;
	admin->move_back = move_back;
}

void admin_stop(struct admin *admin)
{
	struct connection *conn;

	admin_relayed_end_all(admin);
	queue_set_message_callback(admin->queue, NULL, NULL);
	for (conn = admin->conns->connections; conn != NULL;
	     conn = conn->next) {
		admin_lost_abort(container_of(conn, struct admin_conn, conn));
		admin_live_abort(container_of(conn, struct admin_conn, conn));
		admin_move_abort(container_of(conn, struct admin_conn, conn));
		admin_relay_abort(container_of(conn, struct admin_conn, conn));
		admin_announced_abort(
			container_of(conn, struct admin_conn, conn));
	}
}

void admin_deinit(struct admin **_admin)
{
	struct admin *admin = *_admin;

	*_admin = NULL;
	connection_list_deinit(&admin->conns);
	admin_probes_free(admin);
	event_unref(&admin->event);
	i_free(admin->queue_error);
	i_free(admin);
}
