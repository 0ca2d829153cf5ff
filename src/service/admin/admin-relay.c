/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HOSTS, and AT for another host: the side that asks */
#include "lib.h"
#include "hostpid.h"
#include "ioloop.h"
#include "llist.h"
#include "ostream.h"
#include "randgen.h"
#include "str.h"
#include "str-sanitize.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "admin-relay.h"
#include "dovecot-compat.h"
#include "handoff.h"
#include "monotonic.h"
#include "queue.h"
#include "queue-hosts.h"
#include "version-compat.h"

/* For how long another host may be silent. */
#define SILENT_MSECS 8000
/* No row is longer than what has been handed over. */
#define LINE_MAX_SIZE HTTP_NOTIFY_HANDOFF_LINE_MAX

struct admin_relay {
	struct admin_relay *prev, *next;
	struct admin_conn *conn;
	int64_t host, talk;
	/* monotonic, in milliseconds: when something last came */
	int64_t heard;
	struct timeout *to_alive;

	/* how many pieces have come; how many the other host knows of; what has
	   come of a line; whether the first one has */
	int64_t pieces, told;
	string_t *line;
	bool version_received;
};

/* HOSTS */

static void
admin_hosts_row(struct admin_conn *conn, int64_t number, const char *name)
{
	const char *row[HTTP_NOTIFY_ADMIN_HOST_COUNT];

	row[HTTP_NOTIFY_ADMIN_HOST_NUMBER] = admin_num(number);
	row[HTTP_NOTIFY_ADMIN_HOST_NAME] = name;
	row[HTTP_NOTIFY_ADMIN_HOST_TIME] = admin_num(conn->hosts_asked);
	admin_conn_row(conn, row, N_ELEMENTS(row));
}

static void
admin_hosts_have(const struct queue_host *hosts, unsigned int count,
		 const char *error, void *context)
{
	struct admin_conn *conn = context;
	unsigned int i;

	conn->hosts = NULL;
	admin_hosts_row(conn, queue_host_number(conn->admin->queue),
			my_hostname);
	for (i = 0; i < count; i++)
		admin_hosts_row(conn, hosts[i].number, hosts[i].name);
	if (error != NULL)
		admin_conn_fail(conn, error);
	else
		admin_conn_ok(conn, count + 1);
}

void admin_hosts(struct admin_conn *conn)
{
	/* what comes while it is asked is not of before */
	conn->hosts_asked = queue_now(conn->admin->queue);
	conn->hosts = queue_hosts_read(conn->admin->queue, admin_hosts_have,
				       conn);
}

/* Talking */

void admin_relay_send(struct admin *admin, int64_t host, int64_t talk,
		      enum relay_kind kind, int64_t number, const void *data,
		      size_t size)
{
	const struct queue_message message = {
		.host = host, .talk = talk, .kind = kind, .number = number,
		.data = data, .size = size
	};

	queue_message_send(admin->queue, &message);
}

void admin_relay_unknown(struct admin *admin,
			 const struct queue_message *message)
{
	static const char reason[] = "it does not know this command: a message "
		"to it was lost, or it has been started again";

	admin_relay_send(admin, message->host, message->talk, RELAY_END, 0,
			 reason, strlen(reason));
}

static void relay_go_on(struct admin_relay *relay, bool all)
{
	if (all)
		relay->told = relay->pieces;
	admin_relay_send(relay->conn->admin, relay->host, relay->talk,
			 RELAY_GO_ON, relay->told, NULL, 0);
}

static bool relay_output_is_full(struct admin_relay *relay)
{
	return o_stream_get_buffer_used_size(relay->conn->conn.output) >
		ADMIN_OUTPUT_FULL;
}

/* Ending */

void admin_relay_abort(struct admin_conn *conn)
{
	struct admin_relay *relay = conn->relay;
	struct admin *admin = conn->admin;

	queue_hosts_read_cancel(&conn->hosts);
	if (relay == NULL)
		return;
	conn->relay = NULL;
	if (conn->conn.output != NULL)
		o_stream_unset_flush_callback(conn->conn.output);
	/* a command that the host has not read by now is not run later */
	queue_messages_retract(admin->queue, relay->host, relay->talk);
	admin_relay_send(admin, relay->host, relay->talk, RELAY_END, 0,
			 NULL, 0);
	timeout_remove(&relay->to_alive);
	DLLIST_REMOVE(&admin->relays, relay);
	str_free(&relay->line);
	i_free(relay);
}

static void relay_fail(struct admin_relay *relay, const char *reason)
{
	struct admin_conn *conn = relay->conn;

	admin_relay_abort(conn);
	admin_conn_fail(conn, reason);
}

static void relay_alive(struct admin_relay *relay)
{
	struct queue_state state;

	if (http_notify_monotonic_msecs() - relay->heard <= SILENT_MSECS) {
		relay_go_on(relay, !relay_output_is_full(relay));
		return;
	}
	queue_get_state(relay->conn->admin->queue, &state);
	relay_fail(relay, state.error == NULL ? "it does not answer" :
		   t_strdup_printf("PostgreSQL can't be used: %s",
				   state.error));
}

/* What has come */

/* Returns FALSE if the answer has ended, and so has the relay. */
static bool relay_line(struct admin_relay *relay, const char *line)
{
	struct ostream *output = relay->conn->conn.output;
	struct admin_conn *conn = relay->conn;

	if (!relay->version_received) {
		relay->version_received = TRUE;
		if (version_string_verify(line, HTTP_NOTIFY_ADMIN_NAME,
					  HTTP_NOTIFY_ADMIN_VERSION_MAJOR))
			return TRUE;
		relay_fail(relay, "its service is of another version");
		return FALSE;
	}
	if (str_begins_with(line, "ROW\t") ||
	    strcmp(line, HTTP_NOTIFY_ADMIN_WAIT) == 0) {
		o_stream_nsend_str(output, line);
		o_stream_nsend_str(output, "\n");
		return TRUE;
	}
	if (!str_begins_with(line, "OK\t") &&
	    !str_begins_with(line, "FAIL\t")) {
		relay_fail(relay, "its answer is not understood");
		return FALSE;
	}
	admin_relay_abort(conn);
	o_stream_nsend_str(output, line);
	o_stream_nsend_str(output, "\n");
	connection_input_resume(&conn->conn);
	return FALSE;
}

static bool
relay_lines(struct admin_relay *relay, const char *data, size_t size)
{
	const char *end;
	bool on = TRUE;

	while (on && (end = memchr(data, '\n', size)) != NULL) T_BEGIN {
		str_append_data(relay->line, data, end - data);
		size -= end + 1 - data;
		data = end + 1;
		on = relay_line(relay, t_strdup(str_c(relay->line)));
		if (on)
			str_truncate(relay->line, 0);
	} T_END;
	if (on)
		str_append_data(relay->line, data, size);
	return on;
}

static void
relay_piece(struct admin_relay *relay, const struct queue_message *message)
{
	if (message->size > 0)
		relay->pieces++;
	if (message->number != relay->pieces) {
		relay_fail(relay, "a part of its answer is missing");
		return;
	}
	if (!relay_lines(relay, message->data, message->size))
		return;
	if (str_len(relay->line) > LINE_MAX_SIZE)
		relay_fail(relay, "its answer is not understood");
	else if (relay_output_is_full(relay))
		o_stream_set_flush_pending(relay->conn->conn.output, TRUE);
	else if (relay->pieces - relay->told >= RELAY_WINDOW / 2)
		relay_go_on(relay, TRUE);
}

static int admin_relay_flush(struct admin_conn *conn)
{
	struct admin_relay *relay = conn->relay;
	int ret = o_stream_flush(conn->conn.output);

	if (ret >= 0 && !relay_output_is_full(relay) &&
	    relay->pieces - relay->told >= RELAY_WINDOW / 2)
		relay_go_on(relay, TRUE);
	return ret;
}

static void
relay_ended(struct admin_relay *relay, const struct queue_message *message)
{
	relay_fail(relay, message->size == 0 ?
		   "it has ended the connection (its log says why)" :
		   str_sanitize(t_strndup(message->data, message->size), 256));
}

static struct admin_relay *
admin_relay_find(struct admin *admin, const struct queue_message *message)
{
	struct admin_relay *relay;

	for (relay = admin->relays; relay != NULL; relay = relay->next) {
		if (relay->host == message->host &&
		    relay->talk == message->talk)
			return relay;
	}
	return NULL;
}

void admin_relay_message(const struct queue_message *message, void *context)
{
	struct admin *admin = context;
	struct admin_relay *relay = admin_relay_find(admin, message);

	if (relay == NULL)
		admin_relayed_message(admin, message);
	else {
		relay->heard = http_notify_monotonic_msecs();
		if (message->kind == RELAY_PIECE)
			relay_piece(relay, message);
		else if (message->kind == RELAY_END)
			relay_ended(relay, message);
	}
}

/* Asking */

static int64_t new_talk(void)
{
	uint64_t talk;

	random_fill(&talk, sizeof(talk));
	return talk >> 1;
}

void admin_relay_start(struct admin_conn *conn,
		       const struct http_notify_admin_command *command)
{
	struct admin *admin = conn->admin;
	string_t *line = t_str_new(256);
	struct admin_relay *relay;

	http_notify_admin_append(line, command);
	if (str_len(line) > QUEUE_MESSAGE_MAX) {
		admin_conn_fail(conn, "the command is too long");
		return;
	}
	relay = i_new(struct admin_relay, 1);
	relay->conn = conn;
	relay->host = command->host;
	relay->talk = new_talk();
	relay->heard = http_notify_monotonic_msecs();
	relay->line = str_new(default_pool, 256);
	DLLIST_PREPEND(&admin->relays, relay);
	conn->relay = relay;
	o_stream_set_flush_callback(conn->conn.output, admin_relay_flush, conn);
	/* to see when doveadm leaves */
	connection_input_resume(&conn->conn);
	admin_relay_send(admin, relay->host, relay->talk, RELAY_ASK, 0,
			 str_data(line), str_len(line));
	relay->to_alive = timeout_add(RELAY_ALIVE_MSECS, relay_alive, relay);
}
