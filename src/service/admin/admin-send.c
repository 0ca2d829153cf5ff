/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PROBE and SEND: one notification to an endpoint, bypassing the queue or
   through it */
#include "lib.h"
#include "ioloop.h"
#include "llist.h"
#include "str-sanitize.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "answer.h"
#include "delivery.h"
#include "endpoint.h"
#include "endpoint-watch.h"
#include "monotonic.h"
#include "options.h"
#include "queue.h"
#include "sender.h"

/* How often SEND checks whether its endpoint is down. */
#define WATCH_MSECS 100

/* A request of PROBE. It may outlive its connection. */
struct admin_probe {
	struct admin_probe *prev, *next;
	struct admin *admin;
	/* NULL if doveadm has closed it */
	struct admin_conn *conn;
	char *label;
	int64_t sent;
};

/* A notification of SEND that is queued. It is freed with its connection. */
struct admin_watch {
	struct endpoint_watch watch;
	struct admin_conn *conn;
	/* it exists as long as something is queued for it */
	struct endpoint *ep;
	char *username;
	/* how long this has waited */
	unsigned int msecs;
	/* the endpoint was known to be down, and has been tried since */
	bool knocked;
	/* the last answer was of ANSWER_REFUSED */
	bool refused;
	struct timeout *to;
};

static void
request_row(struct admin_conn *conn, const char *label, const char *status,
	    const char *msecs, const char *reason)
{
	const char *row[HTTP_NOTIFY_ADMIN_REQUEST_COUNT];

	row[HTTP_NOTIFY_ADMIN_REQUEST_ENDPOINT] = label;
	row[HTTP_NOTIFY_ADMIN_REQUEST_STATUS] = status;
	row[HTTP_NOTIFY_ADMIN_REQUEST_MSECS] = msecs;
	row[HTTP_NOTIFY_ADMIN_REQUEST_REASON] = str_sanitize(reason, 256);
	admin_conn_row(conn, row, N_ELEMENTS(row));
}

static void
answer_row(struct admin_conn *conn, const char *label,
	   const struct answer *answer, unsigned int msecs)
{
	request_row(conn, label, admin_num(answer->status), admin_num(msecs),
		    answer->reason);
}

/* PROBE */

static void admin_probe_free(struct admin_probe *probe)
{
	DLLIST_REMOVE(&probe->admin->probes, probe);
	i_free(probe->label);
	i_free(probe);
}

void admin_probes_free(struct admin *admin)
{
	while (admin->probes != NULL)
		admin_probe_free(admin->probes);
}

static void admin_probe_answered(const struct answer *answer, void *context)
{
	struct admin_probe *probe = context;
	struct admin_conn *conn = probe->conn;

	if (conn != NULL) {
		answer_row(conn, probe->label, answer,
			   http_notify_monotonic_msecs() - probe->sent);
		if (--conn->probes_count == 0)
			admin_conn_ok(conn, 1);
	}
	admin_probe_free(probe);
}

static void
admin_probe_server(struct admin_conn *conn, const char *url,
		   const struct http_notify_options *options, const char *body)
{
	struct sender_target target;
	struct admin_probe *probe;
	guid_128_t key;

	sender_target_init(&target, url, options, pool_datastack_create());
	guid_128_generate(key);
	probe = i_new(struct admin_probe, 1);
	probe->admin = conn->admin;
	probe->conn = conn;
	probe->label = i_strdup(target.label);
	probe->sent = http_notify_monotonic_msecs();
	DLLIST_PREPEND(&conn->admin->probes, probe);
	conn->probes_count++;
	sender_put(conn->admin->sender, &target, body,
		   guid_128_to_string(key), admin_probe_answered, probe);
}

void admin_probe(struct admin_conn *conn,
		 const struct http_notify_admin_command *command)
{
	struct http_notify_options options;
	const char *error;

	if (http_notify_options_parse(command->options, pool_datastack_create(),
				      &options, &error) < 0) {
		admin_conn_fail(conn, error);
		return;
	}
	admin_probe_server(conn, options.url, &options, command->body);
	if (options.standby_url != NULL) {
		admin_probe_server(conn, options.standby_url, &options,
				   command->body);
	}
}

/* SEND */

/* Returns NULL if the endpoint or its standby is up, else why not. */
static const char *endpoint_why_down(const struct endpoint_status *status)
{
	if (status->state == HEALTH_UP ||
	    (status->have_standby && status->standby_state == HEALTH_UP))
		return NULL;
	return t_strdup_printf("%s for %"PRId64" s, %u queued: %s",
		health_state_name(status->state), status->state_secs,
		status->queued,
		status->last_error == NULL ? "" : status->last_error);
}

static void admin_watch_free(struct admin_watch *watch)
{
	watch->conn->watch = NULL;
	timeout_remove(&watch->to);
	i_free(watch->username);
	i_free(watch);
}

static void
admin_watch_answered(struct endpoint_watch *_watch, const char *label,
		     const struct answer *answer, unsigned int msecs)
{
	struct admin_watch *watch =
		container_of(_watch, struct admin_watch, watch);

	answer_row(watch->conn, label, answer, msecs);
	watch->refused = answer_classify(answer) == ANSWER_REFUSED;
}

static void
admin_watch_finished(struct endpoint_watch *_watch, const char *error)
{
	struct admin_watch *watch =
		container_of(_watch, struct admin_watch, watch);
	struct admin_conn *conn = watch->conn;

	/* the watch has been removed already */
	admin_watch_free(watch);
	if (error == NULL)
		admin_conn_ok(conn, 1);
	else
		admin_conn_fail(conn, error);
}

static void admin_watch_give_up(struct admin_watch *watch, const char *reason)
{
	struct admin_conn *conn = watch->conn;

	delivery_unwatch(conn->admin->delivery, &watch->watch);
	admin_watch_free(watch);
	admin_conn_fail(conn, reason);
}

/* Try the endpoint now even if it is down, and end the user's wait for a retry:
   earlier notifications of the user have to be sent first. */
static void admin_watch_knock(struct admin_watch *watch)
{
	struct endpoint_status status;

	endpoint_get_status(watch->ep, &status);
	watch->knocked = endpoint_why_down(&status) != NULL;
	(void)endpoint_flush(watch->ep, watch->username);
}

/* If the endpoint is down, have it tried once more. If it is down after that as
   well, don't keep the admin waiting. */
static void admin_watch_look(struct admin_watch *watch)
{
	struct endpoint_status status;
	const char *why;

	endpoint_get_status(watch->ep, &status);
	why = status.in_flight > 0 ? NULL : endpoint_why_down(&status);
	watch->msecs += WATCH_MSECS;
	if (watch->refused) {
		admin_watch_give_up(watch, t_strdup_printf("refused: %s; it "
			"stays queued, and is given up if the endpoint accepts "
			"others", status.last_error));
	} else if (why != NULL && !watch->knocked)
		admin_watch_knock(watch);
	else if (why != NULL) {
		admin_watch_give_up(watch, t_strdup_printf("not delivered; it "
			"stays queued, since the endpoint is %s", why));
	} else if (watch->msecs >= HTTP_NOTIFY_ADMIN_SEND_SECS * 1000) {
		admin_watch_give_up(watch, t_strdup_printf("not delivered "
			"within %u seconds; it stays queued (%u queued for the "
			"endpoint, last error: %s)",
			HTTP_NOTIFY_ADMIN_SEND_SECS, status.queued,
			status.last_error == NULL ? "none" :
			status.last_error));
	}
}

/* If the endpoint is down even before the first attempt, say so in a row. */
static void state_row(struct admin_conn *conn, struct endpoint *ep)
{
	struct endpoint_status status;
	const char *why;

	endpoint_get_status(ep, &status);
	why = endpoint_why_down(&status);
	if (why != NULL)
		request_row(conn, endpoint_get_label(ep), "", "", why);
}

static void
admin_watch_start(struct admin_conn *conn, const struct delivery_stored *stored,
		  const char *username)
{
	struct admin_watch *watch;

	watch = i_new(struct admin_watch, 1);
	watch->conn = conn;
	watch->ep = stored->endpoint;
	watch->username = i_strdup(username);
	watch->watch.id = stored->id;
	watch->watch.answered = admin_watch_answered;
	watch->watch.finished = admin_watch_finished;
	watch->to = timeout_add_short(WATCH_MSECS, admin_watch_look, watch);
	conn->watch = watch;
	delivery_watch(conn->admin->delivery, &watch->watch);
	state_row(conn, stored->endpoint);
	admin_watch_knock(watch);
}

/* Why it is not in the queue yet, but beside it. */
static const char *why_spooled(struct admin *admin)
{
	struct queue_state state;

	queue_get_state(admin->queue, &state);
	return state.error == NULL ?
		"it is stored on this host, until what came before it has been "
		"moved into the queue" :
		t_strdup_printf("it is stored on this host until PostgreSQL "
				"can be used: %s", state.error);
}

static void admin_added(const struct delivery_stored *stored, void *context)
{
	struct admin_adding *adding = context;
	struct admin_conn *conn = adding->conn;

	if (conn != NULL) {
		conn->adding = NULL;
		if (stored->error != NULL)
			admin_conn_fail(conn, stored->error);
		else if (stored->spooled)
			admin_conn_fail(conn, why_spooled(conn->admin));
		else if (stored->elsewhere) {
			admin_conn_fail(conn, "it is queued, and another host "
					"sends it");
		} else
			admin_watch_start(conn, stored, adding->username);
	}
	i_free(adding->username);
	i_free(adding);
}

void admin_send(struct admin_conn *conn,
		const struct http_notify_admin_command *command)
{
	struct admin *admin = conn->admin;
	struct delivery_notification notification = {
		.seq = ++admin->last_seq, .username = command->username,
		.folder = command->folder, .uid = command->uid,
		.body = command->body, .options = command->options
	};
	struct admin_adding *adding;
	const char *error;

	guid_128_copy(notification.session, admin->session);
	adding = i_new(struct admin_adding, 1);
	adding->conn = conn;
	adding->username = i_strdup(command->username);
	if (delivery_add(admin->delivery, &notification, admin_added, adding,
			 &error) == 0) {
		conn->adding = adding;
		return;
	}
	i_free(adding->username);
	i_free(adding);
	admin_conn_fail(conn, error);
}

void admin_send_abort(struct admin_conn *conn)
{
	struct admin_probe *probe;

	for (probe = conn->admin->probes; probe != NULL; probe = probe->next) {
		if (probe->conn == conn)
			probe->conn = NULL;
	}
	if (conn->adding != NULL)
		conn->adding->conn = NULL;
	if (conn->watch != NULL) {
		delivery_unwatch(conn->admin->delivery, &conn->watch->watch);
		admin_watch_free(conn->watch);
	}
}
