#include "lib.h"
#include "connection.h"
#include "ioloop.h"
#include "llist.h"
#include "ostream.h"
#include "str.h"
#include "str-sanitize.h"
#include "strescape.h"
#include "wildcard-match.h"
#include "master-service.h"

#include "admin.h"
#include "admin-protocol.h"
#include "answer.h"
#include "delivery.h"
#include "endpoint.h"
#include "monotonic.h"
#include "options.h"
#include "queue.h"
#include "sender.h"

/* What may wait to be written before the queue is read on. */
#define OUTPUT_FULL (64*1024)
/* Rows of the queue read at a time, and how many times before others have their
   turn. */
#define READ_BATCH 64
#define READ_BATCHES_MAX 16

struct admin_client {
	struct connection conn;
	struct admin *admin;

	/* QUEUE or PURGE: where it is */
	bool purge;
	char *user_mask, *endpoint_mask;
	int64_t ep_id, after_id;
	uint64_t count;
	struct timeout *to_walk;

	/* PROBE: requests that are under way */
	unsigned int probes_count;

	/* SEND */
	bool added;
	struct endpoint_watch watch;
	bool watching;
	struct timeout *to_watched;
};

/* A request of PROBE. It outlives its client. */
struct admin_probe {
	struct admin_probe *prev, *next;
	struct admin *admin;
	/* NULL if it has left */
	struct admin_client *client;
	char *label;
	int64_t sent;
};

struct admin {
	struct queue *queue;
	struct delivery *delivery;
	struct sender *sender;
	struct event *event;
	struct connection_list *clients;
	struct admin_probe *probes;
	/* all SENDs are one session */
	uint64_t last_seq;
	guid_128_t session;
	/* monotonic, in milliseconds */
	int64_t started;
};

static void
admin_client_reply(struct admin_client *client, const char *const *fields)
{
	T_BEGIN {
		string_t *str = t_str_new(256);

		for (; *fields != NULL; fields++) {
			if (str_len(str) > 0)
				str_append_c(str, '\t');
			str_append_tabescaped(str, *fields);
		}
		str_append_c(str, '\n');
		o_stream_nsend(client->conn.output, str_data(str),
			       str_len(str));
	} T_END;
}

/* The answer's end. The next command may come. */
static void admin_client_ok(struct admin_client *client, uint64_t count)
{
	const char *const fields[] = {
		"OK", t_strdup_printf("%"PRIu64, count), NULL
	};

	admin_client_reply(client, fields);
	connection_input_resume(&client->conn);
}

static void admin_client_fail(struct admin_client *client, const char *reason)
{
	const char *const fields[] = { "FAIL", reason, NULL };

	admin_client_reply(client, fields);
	connection_input_resume(&client->conn);
}

/* STATUS */

static const char *num(int64_t value)
{
	return t_strdup_printf("%"PRId64, value);
}

static int64_t admin_oldest_secs(struct admin *admin, struct endpoint *ep)
{
	struct queue_item item;

	if (queue_read(admin->queue, endpoint_get_id(ep), 0, 1,
		       pool_datastack_create(), &item) == 0)
		return 0;
	return queue_now(admin->queue) - item.created;
}

static void
admin_client_status_row(struct admin_client *client, const char *state,
			int64_t oldest_secs,
			const struct endpoint_status *status)
{
	const char *fields[1 + HTTP_NOTIFY_ADMIN_STATUS_COUNT + 1];
	const char **row = fields + 1;

	i_zero(&fields);
	fields[0] = "ROW";
	row[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = status->url;
	row[HTTP_NOTIFY_ADMIN_STATUS_STATE] = state;
	row[HTTP_NOTIFY_ADMIN_STATUS_SINCE] = num(status->state_secs);
	row[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE] = status->have_standby ?
		health_state_name(status->standby_state) : "";
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED] = num(status->queued);
	row[HTTP_NOTIFY_ADMIN_STATUS_OLDEST] = num(oldest_secs);
	row[HTTP_NOTIFY_ADMIN_STATUS_IN_FLIGHT] = num(status->in_flight);
	row[HTTP_NOTIFY_ADMIN_STATUS_DELIVERED] =
		num(status->counters.delivered);
	row[HTTP_NOTIFY_ADMIN_STATUS_RETRIED] = num(status->counters.retried);
	row[HTTP_NOTIFY_ADMIN_STATUS_REFUSED] = num(status->counters.refused);
	row[HTTP_NOTIFY_ADMIN_STATUS_DROPPED] = num(status->counters.dropped);
	row[HTTP_NOTIFY_ADMIN_STATUS_EXPIRED] = num(status->counters.expired);
	row[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] =
		status->last_error == NULL ? "" : status->last_error;
	admin_client_reply(client, fields);
}

static void admin_client_status(struct admin_client *client)
{
	struct admin *admin = client->admin;
	struct endpoint_status status, total;
	struct endpoint *ep = NULL;
	int64_t id = 0, oldest, total_oldest = 0;
	uint64_t count = 0;

	i_zero(&total);
	total.url = HTTP_NOTIFY_ADMIN_TOTAL;
	total.state_secs =
		(http_notify_monotonic_msecs() - admin->started) / 1000;
	total.counters = *delivery_counters(admin->delivery);
	while ((ep = delivery_next_endpoint(admin->delivery,
					    id)) != NULL) T_BEGIN {
		id = endpoint_get_id(ep);
		endpoint_get_status(ep, &status);
		oldest = admin_oldest_secs(admin, ep);
		admin_client_status_row(client, health_state_name(status.state),
					oldest, &status);
		total.queued += status.queued;
		total.in_flight += status.in_flight;
		total_oldest = I_MAX(total_oldest, oldest);
		count++;
	} T_END;
	admin_client_status_row(client, "", total_oldest, &total);
	admin_client_ok(client, count);
}

/* QUEUE and PURGE: all that matches, some in each turn of the ioloop */

static struct endpoint *
admin_client_next_endpoint(struct admin_client *client, int64_t after_id)
{
	struct endpoint_status status;
	struct endpoint *ep;

	while ((ep = delivery_next_endpoint(client->admin->delivery,
					    after_id)) != NULL) {
		after_id = endpoint_get_id(ep);
		endpoint_get_status(ep, &status);
		if (wildcard_match(status.url, client->endpoint_mask))
			break;
	}
	return ep;
}

static void
admin_client_queue_row(struct admin_client *client, const char *url,
		       const struct queue_item *item, int64_t now)
{
	const char *fields[1 + HTTP_NOTIFY_ADMIN_QUEUE_COUNT + 1];
	const char **row = fields + 1;

	i_zero(&fields);
	fields[0] = "ROW";
	row[HTTP_NOTIFY_ADMIN_QUEUE_USERNAME] = item->username;
	row[HTTP_NOTIFY_ADMIN_QUEUE_ENDPOINT] = url;
	row[HTTP_NOTIFY_ADMIN_QUEUE_FOLDER] = item->folder;
	row[HTTP_NOTIFY_ADMIN_QUEUE_UID] = num(item->uid);
	row[HTTP_NOTIFY_ADMIN_QUEUE_AGE] = num(now - item->created);
	/* its end may not have been looked at yet */
	row[HTTP_NOTIFY_ADMIN_QUEUE_EXPIRES_IN] =
		num(I_MAX(item->expires - now, 0));
	row[HTTP_NOTIFY_ADMIN_QUEUE_ATTEMPTS] = num(item->attempts);
	admin_client_reply(client, fields);
}

/* Returns FALSE after the endpoint's last one. */
static bool
admin_client_walk_batch(struct admin_client *client, struct endpoint *ep)
{
	struct queue *queue = client->admin->queue;
	struct endpoint_status status;
	struct queue_item *items;
	int64_t now = queue_now(queue);
	unsigned int i, count;

	endpoint_get_status(ep, &status);
	items = t_new(struct queue_item, READ_BATCH);
	count = queue_read(queue, endpoint_get_id(ep), client->after_id,
			   READ_BATCH, pool_datastack_create(), items);
	for (i = 0; i < count; i++) {
		client->after_id = items[i].id;
		if (!wildcard_match(items[i].username, client->user_mask))
			continue;
		if (!client->purge) {
			admin_client_queue_row(client, status.url, &items[i],
					       now);
		} else if (!endpoint_purge(ep, &items[i]))
			continue;
		client->count++;
	}
	return count == READ_BATCH;
}

static void admin_client_walk_end(struct admin_client *client)
{
	if (client->purge) {
		e_info(client->admin->event, "Purged %"PRIu64" notifications "
		       "(user=%s endpoint=%s)", client->count,
		       str_sanitize(client->user_mask, 128),
		       str_sanitize(client->endpoint_mask, 128));
	}
	i_free(client->user_mask);
	i_free(client->endpoint_mask);
	o_stream_unset_flush_callback(client->conn.output);
	/* also if it has left: that shows when its input is read */
	admin_client_ok(client, client->count);
}

static void admin_client_walk(struct admin_client *client)
{
	struct ostream *output = client->conn.output;
	struct endpoint *ep;
	unsigned int i;
	bool more;

	timeout_remove(&client->to_walk);
	for (i = 0; i < READ_BATCHES_MAX; i++) {
		if (output->stream_errno != 0) {
			admin_client_walk_end(client);
			return;
		}
		if (o_stream_get_buffer_used_size(output) > OUTPUT_FULL) {
			/* until it has been read */
			o_stream_set_flush_pending(output, TRUE);
			return;
		}
		ep = admin_client_next_endpoint(client, client->ep_id - 1);
		if (ep == NULL) {
			admin_client_walk_end(client);
			return;
		}
		if (endpoint_get_id(ep) != client->ep_id) {
			client->ep_id = endpoint_get_id(ep);
			client->after_id = 0;
		}
		T_BEGIN {
			more = admin_client_walk_batch(client, ep);
		} T_END;
		if (!more)
			client->ep_id++;
	}
	client->to_walk = timeout_add_short(0, admin_client_walk, client);
}

static int admin_client_flush(struct admin_client *client)
{
	int ret;

	/* also after an error */
	if ((ret = o_stream_flush(client->conn.output)) != 0 &&
	    client->to_walk == NULL)
		admin_client_walk(client);
	return ret;
}

static void
admin_client_walk_start(struct admin_client *client,
			const struct http_notify_admin_command *command)
{
	client->purge = command->verb == HTTP_NOTIFY_ADMIN_PURGE;
	client->user_mask = i_strdup(command->user_mask);
	client->endpoint_mask = i_strdup(command->endpoint_mask);
	client->ep_id = 1;
	client->after_id = 0;
	client->count = 0;
	o_stream_set_flush_callback(client->conn.output, admin_client_flush,
				    client);
	admin_client_walk(client);
}

/* FLUSH */

static void
admin_client_flush_waits(struct admin_client *client,
			 const struct http_notify_admin_command *command)
{
	struct delivery *delivery = client->admin->delivery;
	struct endpoint_status status;
	struct endpoint *ep;
	uint64_t count = 0;
	int64_t id = 0;

	while ((ep = delivery_next_endpoint(delivery, id)) != NULL) T_BEGIN {
		id = endpoint_get_id(ep);
		endpoint_get_status(ep, &status);
		if (wildcard_match(status.url, command->endpoint_mask))
			count += endpoint_flush(ep, command->user_mask);
	} T_END;
	admin_client_ok(client, count);
}

/* PROBE */

static void
admin_client_request_row(struct admin_client *client, const char *label,
			 const struct answer *answer, unsigned int msecs)
{
	const char *fields[1 + HTTP_NOTIFY_ADMIN_REQUEST_COUNT + 1];
	const char **row = fields + 1;

	i_zero(&fields);
	fields[0] = "ROW";
	row[HTTP_NOTIFY_ADMIN_REQUEST_ENDPOINT] = label;
	row[HTTP_NOTIFY_ADMIN_REQUEST_STATUS] = num(answer->status);
	row[HTTP_NOTIFY_ADMIN_REQUEST_MSECS] = num(msecs);
	row[HTTP_NOTIFY_ADMIN_REQUEST_REASON] =
		str_sanitize(answer->reason, 256);

	admin_client_reply(client, fields);
}

static void admin_probe_free(struct admin_probe *probe)
{
	DLLIST_REMOVE(&probe->admin->probes, probe);
	i_free(probe->label);
	i_free(probe);
}

static void admin_probe_answered(const struct answer *answer, void *context)
{
	struct admin_probe *probe = context;
	struct admin_client *client = probe->client;

	if (client != NULL) {
		admin_client_request_row(client, probe->label, answer,
			http_notify_monotonic_msecs() - probe->sent);
		if (--client->probes_count == 0)
			admin_client_ok(client, 1);
	}
	admin_probe_free(probe);
}

static void
admin_client_probe_server(struct admin_client *client, const char *url,
			  const struct http_notify_options *options,
			  const char *body)
{
	struct sender_target target;
	struct admin_probe *probe;
	guid_128_t key;

	sender_target_init(&target, url, options, pool_datastack_create());
	guid_128_generate(key);
	probe = i_new(struct admin_probe, 1);
	probe->admin = client->admin;
	probe->client = client;
	probe->label = i_strdup(target.label);
	probe->sent = http_notify_monotonic_msecs();
	DLLIST_PREPEND(&client->admin->probes, probe);
	client->probes_count++;
	sender_put(client->admin->sender, &target, body,
		   guid_128_to_string(key), admin_probe_answered, probe);
}

static void
admin_client_probe(struct admin_client *client,
		   const struct http_notify_admin_command *command)
{
	struct http_notify_options options;
	const char *error;

	if (http_notify_options_parse(command->options, pool_datastack_create(),
				      &options, &error) < 0) {
		admin_client_fail(client, error);
		return;
	}
	admin_client_probe_server(client, options.url, &options,
				  command->body);
	if (options.standby_url != NULL) {
		admin_client_probe_server(client, options.standby_url,
					  &options, command->body);
	}
}

/* SEND */

static void admin_client_unwatch(struct admin_client *client)
{
	timeout_remove(&client->to_watched);
	if (client->watching)
		delivery_unwatch(client->admin->delivery, &client->watch);
	client->watching = FALSE;
}

static void
admin_watch_answered(struct endpoint_watch *watch, const char *label,
		     const struct answer *answer, unsigned int msecs)
{
	struct admin_client *client =
		container_of(watch, struct admin_client, watch);

	admin_client_request_row(client, label, answer, msecs);
}

static void
admin_watch_finished(struct endpoint_watch *watch, const char *error)
{
	struct admin_client *client =
		container_of(watch, struct admin_client, watch);

	/* it is not watched any more */
	client->watching = FALSE;
	admin_client_unwatch(client);
	if (error == NULL)
		admin_client_ok(client, 1);
	else
		admin_client_fail(client, error);
}

static void admin_client_watched(struct admin_client *client)
{
	admin_client_unwatch(client);
	admin_client_fail(client, t_strdup_printf("not delivered within %u "
		"seconds; it stays queued", HTTP_NOTIFY_ADMIN_SEND_SECS));
}

static int
admin_client_add(struct admin_client *client,
		 const struct http_notify_admin_command *command,
		 const char **error_r)
{
	struct admin *admin = client->admin;
	struct queue_item item;
	struct endpoint *ep;
	unsigned int max_age_secs;

	i_zero(&item);
	item.username = command->username;
	item.folder = command->folder;
	item.uid = command->uid;
	item.body = command->body;
	if (delivery_endpoint_get(admin->delivery, command->options,
				  &ep, &max_age_secs, error_r) < 0)
		return -1;
	item.endpoint = endpoint_get_id(ep);
	guid_128_copy(item.session, admin->session);
	item.seq = ++admin->last_seq;
	item.created = queue_now(admin->queue);
	item.expires = item.created + max_age_secs;
	if (queue_add(admin->queue, &item, error_r) < 0)
		return -1;
	client->watch.id = item.id;
	client->watch.answered = admin_watch_answered;
	client->watch.finished = admin_watch_finished;
	client->added = client->watching = TRUE;
	delivery_watch(admin->delivery, &client->watch);
	client->to_watched = timeout_add(HTTP_NOTIFY_ADMIN_SEND_SECS * 1000,
					 admin_client_watched, client);
	return 0;
}

static void
admin_client_send(struct admin_client *client,
		  const struct http_notify_admin_command *command)
{
	const char *error;

	if (admin_client_add(client, command, &error) < 0)
		admin_client_fail(client, error);
}

void admin_committed(struct admin *admin, const char *error)
{
	struct connection *conn;

	for (conn = admin->clients->connections; conn != NULL;
	     conn = conn->next) {
		struct admin_client *client =
			container_of(conn, struct admin_client, conn);

		if (client->added && error != NULL) {
			admin_client_unwatch(client);
			admin_client_fail(client, error);
		}
		client->added = FALSE;
	}
}

/* Connections */

static void
admin_client_run(struct admin_client *client,
		 const struct http_notify_admin_command *command)
{
	switch (command->verb) {
	case HTTP_NOTIFY_ADMIN_STATUS:
		admin_client_status(client);
		break;
	case HTTP_NOTIFY_ADMIN_QUEUE:
	case HTTP_NOTIFY_ADMIN_PURGE:
		admin_client_walk_start(client, command);
		break;
	case HTTP_NOTIFY_ADMIN_FLUSH:
		admin_client_flush_waits(client, command);
		break;
	case HTTP_NOTIFY_ADMIN_PROBE:
		admin_client_probe(client, command);
		break;
	case HTTP_NOTIFY_ADMIN_SEND:
		admin_client_send(client, command);
		break;
	}
}

static int
admin_client_input_args(struct connection *conn, const char *const *args)
{
	struct admin_client *client =
		container_of(conn, struct admin_client, conn);
	struct http_notify_admin_command command;
	const char *error;

	if (http_notify_admin_parse(args, &command, &error) < 0) {
		e_error(conn->event, "Invalid command: %s", error);
		return -1;
	}
	/* One command at a time: the answer's end resumes. */
	connection_input_halt(conn);
	admin_client_run(client, &command);
	return conn->io == NULL ? 0 : 1;
}

static void admin_client_destroy(struct connection *conn)
{
	struct admin_client *client =
		container_of(conn, struct admin_client, conn);
	struct admin_probe *probe;

	for (probe = client->admin->probes; probe != NULL;
	     probe = probe->next) {
		if (probe->client == client)
			probe->client = NULL;
	}
	admin_client_unwatch(client);
	timeout_remove(&client->to_walk);
	connection_deinit(conn);
	i_free(client->user_mask);
	i_free(client->endpoint_mask);
	i_free(client);
	master_service_client_connection_destroyed(master_service);
}

static const struct connection_settings admin_client_settings = {
	.service_name_in = HTTP_NOTIFY_ADMIN_NAME,
	.service_name_out = HTTP_NOTIFY_ADMIN_NAME,
	.major_version = HTTP_NOTIFY_ADMIN_VERSION_MAJOR,
	.minor_version = HTTP_NOTIFY_ADMIN_VERSION_MINOR,
	.input_max_size = HTTP_NOTIFY_ADMIN_LINE_MAX,
	.output_max_size = SIZE_MAX,
};

static const struct connection_vfuncs admin_client_vfuncs = {
	.destroy = admin_client_destroy,
	.input_args = admin_client_input_args,
};

void admin_connected(struct admin *admin,
		     struct master_service_connection *conn)
{
	struct admin_client *client;

	master_service_client_connection_accept(conn);
	client = i_new(struct admin_client, 1);
	client->admin = admin;
	connection_init_server(admin->clients, &client->conn, conn->name,
			       conn->fd, conn->fd);
}

struct admin *admin_init(struct queue *queue, struct delivery *delivery,
			 struct sender *sender)
{
	struct admin *admin;

	admin = i_new(struct admin, 1);
	admin->queue = queue;
	admin->delivery = delivery;
	admin->sender = sender;
	admin->event = event_create(NULL);
	guid_128_generate(admin->session);
	admin->started = http_notify_monotonic_msecs();
	admin->clients = connection_list_init(&admin_client_settings,
					      &admin_client_vfuncs);
	return admin;
}

void admin_deinit(struct admin **_admin)
{
	struct admin *admin = *_admin;

	*_admin = NULL;
	connection_list_deinit(&admin->clients);
	while (admin->probes != NULL) {
		/* the sender has given it up */
		admin_probe_free(admin->probes);
	}
	event_unref(&admin->event);
	i_free(admin);
}
