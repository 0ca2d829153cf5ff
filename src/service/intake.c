/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "connection.h"
#include "ioloop.h"
#include "istream.h"
#include "llist.h"
#include "ostream.h"
#include "str.h"
#include "str-sanitize.h"
#include "strnum.h"
#include "master-service.h"

#include "body-event.h"
#include "delivery.h"
#include "endpoint.h"
#include "events.h"
#include "handoff.h"
#include "intake.h"
#include "peer.h"

#include <sys/socket.h>

/* How many bytes of replies may wait for a client that does not read them. */
#define OUTPUT_MAX (64*1024)
/* How many clients may have a line at a time that is not small; half of these,
   if they have an owner. And how long each may take. */
#define LARGE_MAX 4
#define LARGE_MSECS (5*1000)

struct intake_client {
	struct connection conn;
	struct intake *intake;

	guid_128_t session;
	bool session_received;
	/* NULL = it may use any endpoint; else its user ID, and it has endpoints
	   of its own, so that nothing it does has an effect on those of
	   others */
	char *owner;
	/* it has broken the protocol */
	bool refused;

	/* notifications that are being stored */
	unsigned int pending;
	/* It has a line that is not small: until the end of the connection it
	   is one of LARGE_MAX. It waits to be, or until what another one of
	   them has handed off is stored. */
	bool large, large_waits;
	struct timeout *to_large;
};

/* A notification that is being stored. */
struct intake_pending {
	struct intake_pending *prev, *next;
	struct intake *intake;
	/* NULL = the client has left */
	struct intake_client *client;
	uint64_t seq;
	struct event *event;
};

struct intake {
	/* NULL = notifications are refused */
	struct delivery *delivery;
	struct event *event;
	const struct intake_settings *set;
	char *socket_path;
	struct connection_list *clients;
	struct intake_pending *pending;
	/* clients that are large, and those of them that have an owner */
	unsigned int large, large_owned;
	/* the one of them whose notification is being stored; NULL = none */
	const struct intake_client *large_storing;
};

static void intake_client_destroy(struct connection *conn);

/* Log that a client has broken the protocol, which happens once, since it is
   disconnected. error must repeat nothing that the client has sent: that may
   contain credentials, or anything else. Returns -1. */
static int
intake_client_refuse(struct intake_client *client, const char *error)
{
	e_error(client->conn.event, "Invalid hand-off: %s", error);
	client->refused = TRUE;
	return -1;
}

static void
intake_client_reply(struct intake_client *client, uint64_t seq,
		    const char *error)
{
	const struct http_notify_handoff_reply reply = {
		.seq = seq, .error = error
	};
	struct ostream *output = client->conn.output;

	if (client->refused)
		return;
	T_BEGIN {
		string_t *str = t_str_new(128);

		http_notify_handoff_append_reply(str, &reply);
		if (o_stream_send(output, str_data(str), str_len(str)) !=
		    (ssize_t)str_len(str) && output->stream_errno == 0) {
			(void)intake_client_refuse(client,
				"the replies are not read");
			/* we may be in the middle of reading its input, so it
			   is not freed here: the next read finds the end */
			(void)shutdown(client->conn.fd_in, SHUT_RDWR);
		}
	} T_END;
}

/* A large client has said what it has to say: its buffer is too large to be
   kept. */
static bool intake_client_is_done(const struct intake_client *client)
{
	return client->large && client->pending == 0 &&
		i_stream_get_data_size(client->conn.input) == 0;
}

static void intake_client_go_on(struct intake_client *client)
{
	client->large_waits = FALSE;
	connection_input_resume(&client->conn);
	i_stream_set_input_pending(client->conn.input, TRUE);
}

/* The other large ones go on. That they have waited is not their fault. */
static void intake_large_stored(struct intake *intake)
{
	struct intake_client *client;
	struct connection *conn;

	intake->large_storing = NULL;
	for (conn = intake->clients->connections; conn != NULL;
	     conn = conn->next) {
		client = container_of(conn, struct intake_client, conn);
		if (client->large && client->large_waits) {
			timeout_reset(client->to_large);
			intake_client_go_on(client);
		}
	}
}

static void intake_pending_free(struct intake_pending *pending)
{
	if (pending->client != NULL)
		pending->client->pending--;
	DLLIST_REMOVE(&pending->intake->pending, pending);
	event_unref(&pending->event);
	i_free(pending);
}

static void
intake_stored(const struct delivery_stored *stored, void *context)
{
	struct intake_pending *pending = context;
	struct intake_client *client = pending->client;
	struct event *event = pending->event;

	if (client != NULL)
		intake_client_reply(client, pending->seq, stored->error);
	if (client != NULL && client == client->intake->large_storing)
		intake_large_stored(client->intake);
	if (stored->id != 0 || stored->spooled) {
		event_add_str(event, "endpoint",
			      endpoint_get_label(stored->endpoint));
		e_debug(event, "Queued for user=%s", str_sanitize(
			event_find_field_recursive_str(event, "user"), 128));
	}
	intake_pending_free(pending);
	if (client != NULL && intake_client_is_done(client))
		intake_client_destroy(&client->conn);
}

static struct intake_pending *
intake_pending_init(struct intake_client *client,
		    const struct http_notify_handoff *handoff)
{
	struct intake *intake = client->intake;
	struct intake_pending *pending;

	pending = i_new(struct intake_pending, 1);
	pending->intake = intake;
	pending->client = client;
	client->pending++;
	pending->seq = handoff->seq;
	pending->event = event_create(intake->event);
	event_set_name(pending->event, "http_notify_queued");
	event_add_str(pending->event, "user", handoff->username);
	event_add_str(pending->event, "folder", handoff->folder);
	event_add_int(pending->event, "uid", handoff->uid);
	event_add_str(pending->event, HTTP_NOTIFY_BODY_EVENT_FIELD,
		      http_notify_body_event(handoff->body));
	DLLIST_PREPEND(&intake->pending, pending);
	return pending;
}

static bool
words_are_same(const char *const *words1, const char *const *words2)
{
	for (; *words1 != NULL && *words2 != NULL; words1++, words2++) {
		if (strcmp(*words1, *words2) != 0)
			return FALSE;
	}
	return *words1 == *words2;
}

static bool
intake_client_may_use(struct intake_client *client, const char *const *options)
{
	const char *const *const *endpoint = client->intake->set->endpoints;

	if (client->owner == NULL)
		return TRUE;
	for (; *endpoint != NULL; endpoint++) {
		if (words_are_same(*endpoint, options))
			return TRUE;
	}
	return FALSE;
}

static void
intake_client_handoff(struct intake_client *client,
		      const struct http_notify_handoff *handoff)
{
	struct delivery_notification notification = {
		.seq = handoff->seq, .username = handoff->username,
		.folder = handoff->folder, .uid = handoff->uid,
		.uidvalidity = handoff->uidvalidity,
		.body = handoff->body, .options = handoff->options,
		.owner = client->owner
	};
	struct delivery *delivery = client->intake->delivery;
	struct intake_pending *pending;
	const char *error;

	if (delivery == NULL) {
		intake_client_reply(client, handoff->seq, "the service can't "
			"open its queue (its own line in the log says why)");
		return;
	}
	if (!intake_client_may_use(client, handoff->options)) {
		intake_client_reply(client, handoff->seq, t_strdup_printf(
			"processes of user ID %s may only use endpoints that "
			"dovecot.conf has, without variables, for all users "
			"(to allow others, make this the user or group of "
			"unix_listener "HTTP_NOTIFY_HANDOFF_SOCKET")",
			client->owner));
		return;
	}
	pending = intake_pending_init(client, handoff);
	guid_128_copy(notification.session, client->session);
	if (delivery_add(delivery, &notification, intake_stored, pending,
			 &error) < 0) {
		intake_client_reply(client, handoff->seq, error);
		intake_pending_free(pending);
	} else if (client->large) {
		/* Each takes milliseconds: one per commit, and what is small
		   does not wait for several. */
		client->intake->large_storing = client;
	}
}

/* Dovecot's own function for this would log the line that was received. */
static int
intake_client_handshake_args(struct connection *conn, const char *const *args)
{
	struct intake_client *client =
		container_of(conn, struct intake_client, conn);
	unsigned int major_version, minor_version;

	if (str_array_length(args) != 4 || strcmp(args[0], "VERSION") != 0 ||
	    strcmp(args[1], HTTP_NOTIFY_HANDOFF_NAME) != 0 ||
	    str_to_uint(args[2], &major_version) < 0 ||
	    str_to_uint(args[3], &minor_version) < 0)
		return intake_client_refuse(client, "VERSION expected");
	return connection_verify_version(conn, args[1], major_version,
					 minor_version) < 0 ? -1 : 1;
}

static int
intake_client_input_args(struct connection *conn, const char *const *args)
{
	struct intake_client *client =
		container_of(conn, struct intake_client, conn);
	struct http_notify_handoff handoff;
	const char *error;

	if (!client->session_received) {
		if (http_notify_handoff_parse_session(args, client->session,
						      &error) < 0)
			return intake_client_refuse(client, error);
		if (client->owner != NULL &&
		    delivery_session_is_of_message(client->session)) {
			/* it would be taken for others' */
			return intake_client_refuse(client,
				"SESSION is one that the service makes");
		}
		client->session_received = TRUE;
		return 1;
	}
	if (http_notify_handoff_parse(args, &handoff, &error) < 0)
		return intake_client_refuse(client, error);
	intake_client_handoff(client, &handoff);
	if (intake_client_is_done(client)) {
		/* it is waiting for the reply */
		(void)o_stream_flush(conn->output);
		return -1;
	}
	return client->refused ? -1 : 1;
}

/* Lines that are not small */

static bool intake_client_may_be_large(const struct intake_client *client)
{
	const struct intake *intake = client->intake;

	return intake->large < LARGE_MAX &&
		(client->owner == NULL ||
		 intake->large_owned < LARGE_MAX / 2);
}

static void intake_client_large_timeout(struct intake_client *client)
{
	if (client->pending > 0 || client->large_waits) {
		/* what is being stored takes so long */
		return;
	}
	(void)intake_client_refuse(client, "a long line takes too long");
	intake_client_destroy(&client->conn);
}

static void intake_client_large_begin(struct intake_client *client)
{
	client->large = TRUE;
	client->intake->large++;
	if (client->owner != NULL)
		client->intake->large_owned++;
	client->to_large = timeout_add(LARGE_MSECS,
				       intake_client_large_timeout, client);
	i_stream_set_max_buffer_size(client->conn.input,
				     HTTP_NOTIFY_HANDOFF_LINE_MAX);
}

/* A large client leaves, so that another one can go on: the one that has been
   connected the longest, which is the last one. */
static void intake_client_large_end(struct intake_client *client)
{
	struct intake *intake = client->intake;
	struct intake_client *other, *next = NULL;
	struct connection *conn;

	intake->large--;
	if (client->owner != NULL)
		intake->large_owned--;
	timeout_remove(&client->to_large);
	if (intake->large_storing == client)
		intake_large_stored(intake);
	for (conn = intake->clients->connections; conn != NULL;
	     conn = conn->next) {
		other = container_of(conn, struct intake_client, conn);
		if (other->large_waits && !other->large &&
		    intake_client_may_be_large(other))
			next = other;
	}
	if (next != NULL)
		intake_client_go_on(next);
}

/* Is it large now, or has it to wait? */
static bool intake_client_must_wait(struct intake_client *client)
{
	const struct intake_client *storing = client->intake->large_storing;

	if (!client->large && client->session_received &&
	    i_stream_get_data_size(client->conn.input) >=
	    HTTP_NOTIFY_HANDOFF_SMALL_LINE_MAX) {
		if (!intake_client_may_be_large(client))
			return TRUE;
		intake_client_large_begin(client);
	}
	return client->large && storing != NULL && storing != client;
}

static void intake_client_input(struct connection *conn)
{
	struct intake_client *client =
		container_of(conn, struct intake_client, conn);

	if (!intake_client_must_wait(client))
		connection_input_default(conn);
	else {
		client->large_waits = TRUE;
		connection_input_halt(conn);
	}
}

static void intake_client_destroy(struct connection *conn)
{
	struct intake_client *client =
		container_of(conn, struct intake_client, conn);
	struct intake *intake = client->intake;
	struct intake_pending *pending;

	for (pending = intake->pending; pending != NULL;
	     pending = pending->next) {
		if (pending->client == client)
			pending->client = NULL;
	}
	if (conn->disconnect_reason == CONNECTION_DISCONNECT_BUFFER_FULL)
		(void)intake_client_refuse(client, "a line is too long");
	connection_deinit(conn);
	if (client->large)
		intake_client_large_end(client);
	i_free(client->owner);
	i_free(client);
	master_service_client_connection_destroyed(master_service);
}

static const struct connection_settings intake_client_settings = {
	.service_name_in = HTTP_NOTIFY_HANDOFF_NAME,
	.service_name_out = HTTP_NOTIFY_HANDOFF_NAME,
	.major_version = HTTP_NOTIFY_HANDOFF_VERSION_MAJOR,
	.minor_version = HTTP_NOTIFY_HANDOFF_VERSION_MINOR,
	.input_max_size = HTTP_NOTIFY_HANDOFF_SMALL_LINE_MAX,
	.output_max_size = OUTPUT_MAX,
};

static const struct connection_vfuncs intake_client_vfuncs = {
	.destroy = intake_client_destroy,
	.input = intake_client_input,
	.handshake_args = intake_client_handshake_args,
	.input_args = intake_client_input_args,
};

/* Returns the client that has been idle the longest, maybe of those with an
   owner only, and how many of these there are. */
static struct connection *
intake_find_oldest(struct intake *intake, bool owned, unsigned int *owned_r)
{
	struct connection *conn, *oldest = NULL;

	*owned_r = 0;
	for (conn = intake->clients->connections; conn != NULL;
	     conn = conn->next) {
		const struct intake_client *client =
			container_of(conn, struct intake_client, conn);

		if (client->owner != NULL)
			(*owned_r)++;
		if ((client->owner != NULL || !owned) &&
		    (oldest == NULL || conn->last_input <= oldest->last_input))
			oldest = conn;
	}
	return oldest;
}

/* With as many clients as the service may have, no more are accepted. So the
   client that has been idle the longest is disconnected: a mail process that
   finds its connection closed makes another one. Those with an owner leave half
   of the room to the others. */
static void intake_make_room(struct intake *intake)
{
	struct connection *oldest;
	unsigned int max = intake->set->max_clients, owned;

	if (intake->clients->connections_count < max)
		return;
	oldest = intake_find_oldest(intake, FALSE, &owned);
	if (owned > max / 2)
		oldest = intake_find_oldest(intake, TRUE, &owned);
	intake_client_destroy(oldest);
}

void intake_connected(struct intake *intake,
		      struct master_service_connection *conn)
{
	struct intake_client *client;
	uid_t uid;

	master_service_client_connection_accept(conn);
	fd_close_on_exec(conn->fd, TRUE);
	client = i_new(struct intake_client, 1);
	client->intake = intake;
	if (!peer_is_trusted(conn->fd, intake->socket_path, &uid))
		client->owner = i_strdup(dec2str(uid));
	connection_init_server(intake->clients, &client->conn, conn->name,
			       conn->fd, conn->fd);
	client->conn.last_input = ioloop_time;
	intake_make_room(intake);
}

bool intake_has_clients(const struct intake *intake)
{
	return intake->clients->connections != NULL;
}

void intake_set_delivery(struct intake *intake, struct delivery *delivery)
{
	intake->delivery = delivery;
}

struct intake *intake_init(const struct intake_settings *set)
{
	struct intake *intake;

	intake = i_new(struct intake, 1);
	intake->set = set;
	intake->socket_path = i_strconcat(set->base_dir,
		"/"HTTP_NOTIFY_HANDOFF_SOCKET, NULL);
	intake->event = event_create(NULL);
	event_add_category(intake->event, &event_category_http_notify);
	intake->clients = connection_list_init(&intake_client_settings,
					       &intake_client_vfuncs);
	return intake;
}

void intake_deinit(struct intake **_intake)
{
	struct intake *intake = *_intake;

	*_intake = NULL;
	i_assert(intake->pending == NULL);
	connection_list_deinit(&intake->clients);
	event_unref(&intake->event);
	i_free(intake->socket_path);
	i_free(intake);
}
