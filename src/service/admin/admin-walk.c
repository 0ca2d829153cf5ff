/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* STATUS, QUEUE, PURGE, FLUSH and BODY QUEUE, for all endpoints that match and
   for what is queued for them */
#include "lib.h"
#include "ostream.h"
#include "str.h"
#include "str-sanitize.h"
#include "wildcard-match.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "body-event.h"
#include "delivery.h"
#include "endpoint.h"
#include "endpoint-names.h"
#include "monotonic.h"
#include "queue.h"
#include "queue-lost.h"

/* How many rows of the queue to read at a time. */
#define READ_BATCH 64

struct admin_walk {
	struct admin_conn *conn;
	enum http_notify_admin_verb verb;
	char *user_mask, *endpoint_mask;
	struct endpoint_names *names;

	/* the number of the present endpoint, the last id of its queue that has
	   been read, and the read that is under way */
	unsigned int number;
	int64_t after_id;
	struct queue_read *read;
	/* which ones to read of each endpoint: those above first_id; and how
	   many at a time, 1 = no more than that */
	int64_t first_id, last_id;
	unsigned int limit;

	uint64_t count;
	/* STATUS: for all endpoints together */
	struct endpoint_status total;
	int64_t total_oldest_secs;
};

static void admin_walk_on(struct admin_walk *walk);

/* Returns the first matching endpoint with this or a higher number, and sets
   *number to its number. Returns NULL if there is none. A NULL mask matches
   all. */
static struct endpoint *
next_endpoint(struct admin *admin, const struct endpoint_names *names,
	      const char *mask, unsigned int *number, const char **name_r,
	      struct endpoint_status *status_r)
{
	struct endpoint *ep;

	*number -= 1;
	while ((ep = delivery_next_endpoint(admin->delivery,
					    number)) != NULL) {
		endpoint_get_status(ep, status_r);
		*name_r = endpoint_names_get(names, status_r->url, *number);
		if (mask == NULL ||
		    endpoint_name_matches(*name_r, status_r->url, mask))
			break;
	}
	return ep;
}

/* STATUS */

static const char *status_events(const struct endpoint_counters *counters)
{
	string_t *str = t_str_new(64);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(counters->delivered_of); i++) {
		if (counters->delivered_of[i] == 0)
			continue;
		str_printfa(str, "%s%s=%"PRIu64, str_len(str) == 0 ? "" : " ",
			    http_notify_mail_event_name(i),
			    counters->delivered_of[i]);
	}
	return str_c(str);
}

static void
status_row(struct admin_walk *walk, const char *name, const char *state,
	   int64_t oldest_secs, const struct endpoint_status *status,
	   const struct queue_lost_stats *lost)
{
	const char *row[HTTP_NOTIFY_ADMIN_STATUS_COUNT];

	row[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = name;
	row[HTTP_NOTIFY_ADMIN_STATUS_STATE] = state;
	row[HTTP_NOTIFY_ADMIN_STATUS_SINCE] = admin_num(status->state_secs);
	row[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE] = status->have_standby ?
		health_state_name(status->standby_state) : "";
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED] = admin_num(status->queued);
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_BYTES] =
		admin_num(status->queued_bytes);
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_PERCENT] =
		admin_num(delivery_queue_percent(walk->conn->admin->delivery,
						 status->queued,
						 status->queued_bytes));
	row[HTTP_NOTIFY_ADMIN_STATUS_OLDEST] = admin_num(oldest_secs);
	row[HTTP_NOTIFY_ADMIN_STATUS_IN_FLIGHT] = admin_num(status->in_flight);
	row[HTTP_NOTIFY_ADMIN_STATUS_DELIVERED] =
		admin_num(status->counters.delivered);
	row[HTTP_NOTIFY_ADMIN_STATUS_RETRIED] =
		admin_num(status->counters.retried);
	row[HTTP_NOTIFY_ADMIN_STATUS_REFUSED] =
		admin_num(status->counters.refused);
	row[HTTP_NOTIFY_ADMIN_STATUS_DROPPED] =
		admin_num(status->counters.dropped);
	row[HTTP_NOTIFY_ADMIN_STATUS_EXPIRED] =
		admin_num(status->counters.expired);
	row[HTTP_NOTIFY_ADMIN_STATUS_KEPT_REFUSED] =
		admin_num(lost->rows[QUEUE_LOSS_REFUSED]);
	row[HTTP_NOTIFY_ADMIN_STATUS_KEPT_DROPPED] =
		admin_num(lost->rows[QUEUE_LOSS_DROPPED]);
	row[HTTP_NOTIFY_ADMIN_STATUS_KEPT_EXPIRED] =
		admin_num(lost->rows[QUEUE_LOSS_EXPIRED]);
	row[HTTP_NOTIFY_ADMIN_STATUS_KEPT_OLDEST] = admin_num(
		lost->oldest == 0 ? 0 : I_MAX(0,
		queue_now(walk->conn->admin->queue) - lost->oldest));
	row[HTTP_NOTIFY_ADMIN_STATUS_FORGOTTEN] = admin_num(lost->forgotten);
	row[HTTP_NOTIFY_ADMIN_STATUS_EVENTS] = status_events(&status->counters);
	row[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] =
		status->last_error == NULL ? "" : status->last_error;
	admin_conn_row(walk->conn, row, N_ELEMENTS(row));
}

static void
status_endpoint(struct admin_walk *walk, struct endpoint *ep, const char *name,
		const struct endpoint_status *status,
		const struct queue_read_result *oldest)
{
	struct queue *queue = walk->conn->admin->queue;
	struct queue_lost_stats lost;
	int64_t secs = oldest->count == 0 ? 0 :
		queue_now(queue) - oldest->items[0]->created;

	queue_lost_get_stats(queue, endpoint_get_queue(ep), &lost);
	status_row(walk, name, health_state_name(status->state), secs, status,
		   &lost);
	walk->total.queued += status->queued;
	walk->total.queued_bytes += status->queued_bytes;
	walk->total.in_flight += status->in_flight;
	walk->total_oldest_secs = I_MAX(walk->total_oldest_secs, secs);
	walk->count++;
}

static void status_total(struct admin_walk *walk)
{
	struct admin *admin = walk->conn->admin;
	struct queue_lost_stats lost;

	walk->total.state_secs =
		(http_notify_monotonic_msecs() - admin->started) / 1000;
	walk->total.counters = *delivery_counters(admin->delivery);
	queue_lost_get_stats(admin->queue, NULL, &lost);
	status_row(walk, HTTP_NOTIFY_ADMIN_TOTAL, "", walk->total_oldest_secs,
		   &walk->total, &lost);
}

/* QUEUE and PURGE */

static void
queue_row(struct admin_walk *walk, const char *name,
	  const struct queue_item *item, int64_t now)
{
	const char *row[HTTP_NOTIFY_ADMIN_QUEUE_COUNT];

	row[HTTP_NOTIFY_ADMIN_QUEUE_USERNAME] = item->username;
	row[HTTP_NOTIFY_ADMIN_QUEUE_ENDPOINT] = name;
	row[HTTP_NOTIFY_ADMIN_QUEUE_FOLDER] = item->folder;
	row[HTTP_NOTIFY_ADMIN_QUEUE_UID] = admin_num(item->uid);
	row[HTTP_NOTIFY_ADMIN_QUEUE_MAIL_EVENT] =
		http_notify_body_event(item->body);
	row[HTTP_NOTIFY_ADMIN_QUEUE_AGE] = admin_num(now - item->created);
	/* it may have expired, but not been given up yet */
	row[HTTP_NOTIFY_ADMIN_QUEUE_EXPIRES_IN] =
		admin_num(I_MAX(item->expires - now, 0));
	row[HTTP_NOTIFY_ADMIN_QUEUE_ATTEMPTS] = admin_num(item->attempts);
	row[HTTP_NOTIFY_ADMIN_QUEUE_ID] = admin_num(item->id);
	admin_conn_row(walk->conn, row, N_ELEMENTS(row));
}

static void
walk_items(struct admin_walk *walk, struct endpoint *ep, const char *name,
	   const struct queue_read_result *result)
{
	int64_t now = queue_now(walk->conn->admin->queue);
	unsigned int i;

	for (i = 0; i < result->count; i++) T_BEGIN {
		const struct queue_item *item = result->items[i];
		bool matches = wildcard_match(item->username, walk->user_mask);

		if (walk->verb == HTTP_NOTIFY_ADMIN_BODY)
			admin_body_row(walk->conn, name, item);
		else if (matches && walk->verb == HTTP_NOTIFY_ADMIN_QUEUE)
			queue_row(walk, name, item, now);
		else if (matches)
			matches = endpoint_purge(ep, item);
		if (matches)
			walk->count++;
	} T_END;
}

/* Walking */

void admin_walk_abort(struct admin_conn *conn)
{
	struct admin_walk *walk = conn->walk;

	if (walk == NULL)
		return;
	conn->walk = NULL;
	if (conn->conn.output != NULL)
		o_stream_unset_flush_callback(conn->conn.output);
	queue_read_cancel(&walk->read);
	endpoint_names_deinit(&walk->names);
	i_free(walk->user_mask);
	i_free(walk->endpoint_mask);
	i_free(walk);
}

static void admin_walk_end(struct admin_walk *walk)
{
	struct admin_conn *conn = walk->conn;
	uint64_t count = walk->count;

	if (walk->verb == HTTP_NOTIFY_ADMIN_STATUS)
		status_total(walk);
	else if (walk->verb == HTTP_NOTIFY_ADMIN_PURGE) {
		e_info(conn->admin->event, "Purged %"PRIu64" notifications "
		       "(user=%s endpoint=%s)", count,
		       str_sanitize(walk->user_mask, 128),
		       str_sanitize(walk->endpoint_mask, 128));
	}
	admin_walk_abort(conn);
	/* even if doveadm has left: that shows when its input is read */
	admin_conn_ok(conn, count);
}

static struct endpoint *
admin_walk_endpoint(struct admin_walk *walk, const char **name_r,
		    struct endpoint_status *status_r)
{
	unsigned int old_number = walk->number;
	struct endpoint *ep;

	ep = next_endpoint(walk->conn->admin, walk->names, walk->endpoint_mask,
			   &walk->number, name_r, status_r);
	if (walk->number != old_number)
		walk->after_id = walk->first_id;
	return ep;
}

static void
admin_walk_read(const struct queue_read_result *result, void *context)
{
	struct admin_walk *walk = context;
	unsigned int number = walk->number;
	struct endpoint_status status;
	struct endpoint *ep;
	const char *name;

	walk->read = NULL;
	ep = admin_walk_endpoint(walk, &name, &status);
	/* otherwise the endpoint has been forgotten in the meantime */
	if (ep != NULL && walk->number == number) {
		if (walk->verb == HTTP_NOTIFY_ADMIN_STATUS)
			status_endpoint(walk, ep, name, &status, result);
		else
			walk_items(walk, ep, name, result);
		walk->after_id = result->read_to;
		if (walk->limit == 1 || !result->more) {
			walk->number++;
			walk->after_id = walk->first_id;
		}
	}
	admin_walk_on(walk);
}

static void admin_walk_on(struct admin_walk *walk)
{
	struct ostream *output = walk->conn->conn.output;
	struct endpoint_status status;
	struct endpoint *ep;
	const char *name;

	if (output->stream_errno == 0 &&
	    o_stream_get_buffer_used_size(output) > ADMIN_OUTPUT_FULL) {
		/* continue when doveadm has read it */
		o_stream_set_flush_pending(output, TRUE);
		return;
	}
	ep = output->stream_errno != 0 ? NULL :
		admin_walk_endpoint(walk, &name, &status);
	if (ep == NULL) {
		admin_walk_end(walk);
		return;
	}
	walk->read = queue_read_endpoint(walk->conn->admin->queue,
		endpoint_get_queue(ep), walk->after_id, walk->last_id,
		walk->limit, admin_walk_read, walk);
}

static int admin_walk_flush(struct admin_conn *conn)
{
	int ret;

	/* also after an error, which ends the walk */
	if ((ret = o_stream_flush(conn->conn.output)) != 0 &&
	    conn->walk->read == NULL)
		admin_walk_on(conn->walk);
	return ret;
}

void admin_walk_start(struct admin_conn *conn,
		      const struct http_notify_admin_command *command)
{
	struct admin_walk *walk;

	walk = i_new(struct admin_walk, 1);
	walk->conn = conn;
	walk->verb = command->verb;
	walk->user_mask = i_strdup(command->user_mask);
	walk->endpoint_mask = i_strdup(command->endpoint_mask);
	walk->names = endpoint_names_init(conn->admin->delivery);
	walk->number = 1;
	walk->last_id = INT64_MAX;
	walk->limit = READ_BATCH;
	if (command->verb == HTTP_NOTIFY_ADMIN_STATUS)
		walk->limit = 1;
	else if (command->verb == HTTP_NOTIFY_ADMIN_BODY) {
		walk->limit = 1;
		walk->last_id = command->id;
		walk->after_id = walk->first_id = command->id - 1;
	}
	conn->walk = walk;
	o_stream_set_flush_callback(conn->conn.output, admin_walk_flush, conn);
	admin_walk_on(walk);
}

void admin_flush(struct admin_conn *conn,
		 const struct http_notify_admin_command *command)
{
	struct admin *admin = conn->admin;
	struct endpoint_names *names = endpoint_names_init(admin->delivery);
	struct endpoint_status status;
	unsigned int number = 1;
	uint64_t count = 0;
	struct endpoint *ep;
	const char *name;

	while ((ep = next_endpoint(admin, names, command->endpoint_mask,
				   &number, &name, &status)) != NULL) T_BEGIN {
		count += endpoint_flush(ep, command->user_mask);
		number++;
	} T_END;
	endpoint_names_deinit(&names);
	admin_conn_ok(conn, count);
}
