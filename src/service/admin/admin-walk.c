/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* STATUS, QUEUE, SPOOLED, PURGE, FLUSH and BODY QUEUE, for all endpoints that
   match and for what is queued for them */
#include "lib.h"
#include "ioloop.h"
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
#include "queue-hosts.h"
#include "queue-lost.h"
#include "spool.h"

#include <sys/socket.h>

/* How many rows of the queue to read at a time. */
#define READ_BATCH 64
/* How many endpoints to look at in one turn of the ioloop that have nothing to be
   read. */
#define ENDPOINTS_BATCH 256

struct admin_walk {
	struct admin_conn *conn;
	enum http_notify_admin_verb verb;
	char *user_mask, *endpoint_mask;
	/* by queue_now() */
	int64_t until;
	struct endpoint_names *names;

	/* only what this host sends; names are for others, too; begin with what
	   is in the spool, of each endpoint; that is being read */
	bool here, numbered, spool_first, spooled;
	/* the number of the present endpoint; and if here is set, of its part;
	   the last id of its queue, or of that, that has been read; and the read
	   that is under way */
	unsigned int number;
	int64_t part_number;
	int64_t after_id;
	struct queue_read *read;
	struct io *io;
	/* why something could not be read */
	char *error;
	/* which ones to read of each endpoint: those above first_id; and how
	   many at a time, 1 = no more than that */
	int64_t first_id, last_id;
	unsigned int limit;

	/* monotonic, in milliseconds: when it began, or said that it goes on */
	int64_t said;
	uint64_t count;
	/* STATUS: for all endpoints together */
	struct endpoint_status total;
	int64_t oldest_secs, total_oldest_secs;
};

static void admin_walk_on(struct admin_walk *walk);

/* Returns the first matching endpoint with this or a higher number, and sets
   *number to its number. Returns NULL if there is none. A NULL mask matches
   all. numbered: its name has a number in any case */
static struct endpoint *
next_endpoint(struct admin *admin, const struct endpoint_names *names,
	      const char *mask, bool numbered, unsigned int *number,
	      const char **name_r, struct endpoint_status *status_r)
{
	struct endpoint *ep;

	*number -= 1;
	while ((ep = delivery_next_endpoint(admin->delivery,
					    number)) != NULL) {
		endpoint_get_status(ep, status_r);
		if (mask == NULL || endpoint_names_match(names, ep,
				status_r->url, *number, mask))
			break;
	}
	if (ep != NULL) {
		*name_r = numbered ?
			endpoint_names_numbered(names, ep, status_r->url,
						*number) :
			endpoint_names_get(names, ep, status_r->url, *number);
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

/* Of the queue; in rows of endpoints "" and 0. */
struct status_queue {
	const char *state;
	int64_t secs;
};

/* Also returns why it can't be written; NULL = it can. */
static struct status_queue
status_queue(struct admin *admin, const char **error_r)
{
	const struct spool *spool = delivery_get_spool(admin->delivery);
	struct status_queue status = {
		.state = HTTP_NOTIFY_ADMIN_QUEUE_UP
	};
	struct queue_state state;

	queue_get_state(admin->queue, &state);
	if (spool != NULL && spool_get_used(spool, &state.since))
		status.state = HTTP_NOTIFY_ADMIN_QUEUE_MOVING;
	/* the shared one may have committed something else */
	if (state.error == NULL && admin->spool != NULL)
		state.error = spool_get_error(admin->spool);
	if (state.error != NULL) {
		status.state = admin->spool != NULL ?
			HTTP_NOTIFY_ADMIN_QUEUE_SPOOLING :
			HTTP_NOTIFY_ADMIN_QUEUE_DOWN;
	}
	status.secs = (http_notify_monotonic_msecs() - state.since) / 1000;
	*error_r = state.error;
	return status;
}

/* ep: NULL = all */
static struct spool_amount
status_spooled(struct admin *admin, const struct queue_endpoint *ep)
{
	const struct spool *spool = delivery_get_spool(admin->delivery);
	static const struct spool_amount none = { .number = 0 };

	return spool == NULL ? none : spool_get_queued(spool, ep);
}

/* What is spooled has a limit of its own, as high. */
static unsigned int
status_percent(struct delivery *delivery, const struct endpoint_status *status,
	       const struct spool_amount *spooled)
{
	return I_MAX(delivery_queue_percent(delivery, status->queued,
					    status->queued_bytes),
		     delivery_queue_percent(delivery, spooled->number,
					    spooled->bytes));
}

/* ep: NULL = this is the row of totals */
static void
status_row(struct admin_walk *walk, const char *name, const char *state,
	   int64_t oldest_secs, const struct endpoint_status *status,
	   const struct queue_endpoint *ep, const struct status_queue *queue)
{
	struct admin *admin = walk->conn->admin;
	const struct spool_amount spooled = status_spooled(admin, ep);
	const char *row[HTTP_NOTIFY_ADMIN_STATUS_COUNT];
	struct queue_lost_stats lost;

	queue_lost_get_stats(admin->queue, ep, &lost);
	row[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = name;
	row[HTTP_NOTIFY_ADMIN_STATUS_STATE] = state;
	row[HTTP_NOTIFY_ADMIN_STATUS_SINCE] = admin_num(status->state_secs);
	row[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE] = status->have_standby ?
		health_state_name(status->standby_state) : "";
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED] =
		admin_num((int64_t)status->queued + spooled.number);
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_BYTES] =
		admin_num(status->queued_bytes + spooled.bytes);
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_PERCENT] = admin_num(
		status_percent(admin->delivery, status, &spooled));
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
		admin_num(lost.rows[QUEUE_LOSS_REFUSED]);
	row[HTTP_NOTIFY_ADMIN_STATUS_KEPT_DROPPED] =
		admin_num(lost.rows[QUEUE_LOSS_DROPPED]);
	row[HTTP_NOTIFY_ADMIN_STATUS_KEPT_EXPIRED] =
		admin_num(lost.rows[QUEUE_LOSS_EXPIRED]);
	row[HTTP_NOTIFY_ADMIN_STATUS_KEPT_OLDEST] = admin_num(
		lost.oldest == 0 ? 0 :
		I_MAX(0, queue_now(admin->queue) - lost.oldest));
	row[HTTP_NOTIFY_ADMIN_STATUS_FORGOTTEN] = admin_num(lost.forgotten);
	row[HTTP_NOTIFY_ADMIN_STATUS_SPOOLED] = admin_num(spooled.number);
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUE] = queue->state;
	row[HTTP_NOTIFY_ADMIN_STATUS_QUEUE_SINCE] = admin_num(queue->secs);
	row[HTTP_NOTIFY_ADMIN_STATUS_EVENTS] = status_events(&status->counters);
	row[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] =
		status->last_error == NULL ? "" : status->last_error;
	admin_conn_row(walk->conn, row, N_ELEMENTS(row));
}

static void
status_endpoint(struct admin_walk *walk, struct endpoint *ep, const char *name,
		const struct endpoint_status *status)
{
	static const struct status_queue none = { .state = "" };

	status_row(walk, name, health_state_name(status->state),
		   walk->oldest_secs, status, endpoint_get_queue(ep), &none);
	walk->total.queued += status->queued;
	walk->total.queued_bytes += status->queued_bytes;
	walk->total.in_flight += status->in_flight;
	walk->total_oldest_secs = I_MAX(walk->total_oldest_secs,
					walk->oldest_secs);
	walk->count++;
}

/* The first one of a part is its oldest one. */
static void
status_part(struct admin_walk *walk, const struct queue_read_result *oldest)
{
	if (oldest->count > 0) {
		walk->oldest_secs = I_MAX(walk->oldest_secs,
			queue_now(walk->conn->admin->queue) -
			oldest->items[0]->created);
	}
}

static void status_total(struct admin_walk *walk)
{
	struct admin *admin = walk->conn->admin;
	const struct status_queue queue =
		status_queue(admin, &walk->total.last_error);

	walk->total.state_secs =
		(http_notify_monotonic_msecs() - admin->started) / 1000;
	walk->total.counters = *delivery_counters(admin->delivery);
	status_row(walk, HTTP_NOTIFY_ADMIN_TOTAL, "", walk->total_oldest_secs,
		   &walk->total, NULL, &queue);
}

/* QUEUE, SPOOLED and PURGE */

/* ahead: by how much the queue's clock is ahead of the one of its times */
static void
queue_row(struct admin_walk *walk, const char *name,
	  const struct queue_item *item, int64_t ahead)
{
	int64_t now = queue_now(walk->conn->admin->queue) - ahead;
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
	struct spool *spool = !walk->spooled ? NULL :
		delivery_get_spool(walk->conn->admin->delivery);
	int64_t ahead = spool == NULL ? 0 : spool_clock_ahead(spool);
	/* two clocks do not tick at the same time */
	int64_t slack = spool == NULL ? 0 : 1;
	unsigned int i;

	for (i = 0; i < result->count; i++) T_BEGIN {
		const struct queue_item *item = result->items[i];
		bool matches = item->created + ahead - slack <= walk->until &&
			wildcard_match(item->username, walk->user_mask);

		if (walk->verb == HTTP_NOTIFY_ADMIN_BODY)
			admin_body_row(walk->conn, name, item);
		else if (matches && walk->verb != HTTP_NOTIFY_ADMIN_PURGE)
			queue_row(walk, name, item, ahead);
		else if (matches && walk->spooled)
			matches = spool_remove(spool, item);
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
	/* also if doveadm has left before the end */
	if (walk->verb == HTTP_NOTIFY_ADMIN_PURGE) {
		e_info(conn->admin->event, "Purged %"PRIu64" notifications "
		       "(user=%s endpoint=%s)", walk->count,
		       str_sanitize(walk->user_mask, 128),
		       str_sanitize(walk->endpoint_mask, 128));
	}
	if (conn->conn.output != NULL)
		o_stream_unset_flush_callback(conn->conn.output);
	io_remove(&walk->io);
	queue_read_cancel(&walk->read);
	endpoint_names_deinit(&walk->names);
	i_free(walk->user_mask);
	i_free(walk->endpoint_mask);
	i_free(walk->error);
	i_free(walk);
}

static void admin_walk_end(struct admin_walk *walk)
{
	struct admin_conn *conn = walk->conn;
	const char *error = t_strdup(walk->error);
	uint64_t count = walk->count;

	if (walk->verb == HTTP_NOTIFY_ADMIN_STATUS) {
		status_total(walk);
		/* it says what it knows */
		error = NULL;
	} else if (walk->verb == HTTP_NOTIFY_ADMIN_PURGE && error != NULL &&
		   count > 0) {
		error = t_strdup_printf("%s; %"PRIu64" were purged", error,
					count);
	}
	admin_walk_abort(conn);
	if (error != NULL)
		admin_conn_fail(conn, error);
	else
		admin_conn_ok(conn, count);
}

static void admin_walk_begin_endpoint(struct admin_walk *walk)
{
	walk->spooled = walk->spool_first;
	walk->part_number = 0;
	walk->after_id = walk->first_id;
	walk->oldest_secs = 0;
}

static struct endpoint *
admin_walk_endpoint(struct admin_walk *walk, const char **name_r,
		    struct endpoint_status *status_r)
{
	unsigned int old_number = walk->number;
	struct endpoint *ep;

	ep = next_endpoint(walk->conn->admin, walk->names, walk->endpoint_mask,
			   walk->numbered, &walk->number, name_r, status_r);
	if (walk->number != old_number)
		admin_walk_begin_endpoint(walk);
	return ep;
}

static void admin_walk_next_endpoint(struct admin_walk *walk)
{
	walk->number++;
	admin_walk_begin_endpoint(walk);
}

/* Go on with what follows what is in the spool, with the next part, or with the
   next endpoint. */
static void admin_walk_next(struct admin_walk *walk)
{
	if (walk->spooled && walk->verb == HTTP_NOTIFY_ADMIN_PURGE)
		walk->spooled = FALSE;
	else if (walk->here && !walk->spooled)
		walk->part_number++;
	else {
		admin_walk_next_endpoint(walk);
		return;
	}
	walk->after_id = walk->first_id;
}

static void admin_walk_goes_on(struct admin_walk *walk)
{
	int64_t now = http_notify_monotonic_msecs();

	if (now - walk->said < HTTP_NOTIFY_ADMIN_WAIT_SECS * 1000)
		return;
	walk->said = now;
	o_stream_nsend_str(walk->conn->conn.output,
			   HTTP_NOTIFY_ADMIN_WAIT"\n");
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
	if (result->error != NULL && walk->error == NULL)
		walk->error = i_strdup(result->error);
	ep = admin_walk_endpoint(walk, &name, &status);
	/* otherwise the endpoint has been forgotten in the meantime */
	if (ep != NULL && walk->number == number) {
		if (walk->verb == HTTP_NOTIFY_ADMIN_STATUS)
			status_part(walk, result);
		else
			walk_items(walk, ep, name, result);
		walk->after_id = result->read_to;
		if (walk->limit == 1 || !result->more)
			admin_walk_next(walk);
	}
	admin_walk_goes_on(walk);
	admin_walk_on(walk);
}

/* Returns FALSE if there is nothing. */
static bool
admin_walk_read_spool(struct admin_walk *walk,
		      const struct queue_endpoint *queue_ep)
{
	struct spool *spool = delivery_get_spool(walk->conn->admin->delivery);

	if (spool != NULL) {
		walk->read = spool_read(spool, queue_ep, walk->after_id,
					walk->last_id, walk->limit,
					admin_walk_read, walk);
	}
	return walk->read != NULL;
}

/* Read on. Returns FALSE if the endpoint has nothing more to be read. */
static bool
admin_walk_read_on(struct admin_walk *walk, const struct endpoint *ep)
{
	struct queue_endpoint *queue_ep = endpoint_get_queue(ep);
	struct queue *queue = walk->conn->admin->queue;
	int64_t old_number = walk->part_number;
	struct queue_part *part;

	if (walk->spooled) {
		if (admin_walk_read_spool(walk, queue_ep))
			return TRUE;
		if (walk->verb != HTTP_NOTIFY_ADMIN_PURGE)
			return FALSE;
		walk->spooled = FALSE;
	}
	if (!walk->here) {
		walk->read = queue_read_endpoint(queue, queue_ep,
			walk->after_id, walk->last_id, walk->limit,
			admin_walk_read, walk);
		return TRUE;
	}
	part = queue_endpoint_next_part(queue_ep, &walk->part_number);
	if (part == NULL)
		return FALSE;
	if (walk->part_number != old_number)
		walk->after_id = walk->first_id;
	walk->read = queue_read(queue, part, QUEUE_READ_WHOLE, walk->after_id,
				walk->last_id, walk->limit, admin_walk_read,
				walk);
	queue_read_set_awaited(walk->read);
	return TRUE;
}

/* Returns TRUE if that is for later. */
static bool admin_walk_endpoint_on(struct admin_walk *walk)
{
	struct ostream *output = walk->conn->conn.output;
	struct endpoint_status status;
	struct endpoint *ep;
	const char *name;

	if (output->stream_errno == 0 &&
	    o_stream_get_buffer_used_size(output) > ADMIN_OUTPUT_FULL) {
		/* continue when doveadm has read it */
		o_stream_set_flush_pending(output, TRUE);
		return TRUE;
	}
	ep = output->stream_errno != 0 ? NULL :
		admin_walk_endpoint(walk, &name, &status);
	if (ep == NULL) {
		admin_walk_end(walk);
		return TRUE;
	}
	if (admin_walk_read_on(walk, ep))
		return TRUE;
	if (walk->verb == HTTP_NOTIFY_ADMIN_STATUS)
		status_endpoint(walk, ep, name, &status);
	admin_walk_next_endpoint(walk);
	return FALSE;
}

static void admin_walk_on(struct admin_walk *walk)
{
	struct ostream *output = walk->conn->conn.output;
	unsigned int left = ENDPOINTS_BATCH;
	bool later;

	do T_BEGIN {
		later = admin_walk_endpoint_on(walk);
	} T_END; while (!later && --left > 0);
	if (!later)
		o_stream_set_flush_pending(output, TRUE);
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

/* Is it the next command, or has doveadm left? Then the rest is not done. */
static void admin_walk_input(struct admin_walk *walk)
{
	struct admin_conn *conn = walk->conn;
	ssize_t ret;
	char byte;

	ret = recv(conn->conn.fd_in, &byte, sizeof(byte), MSG_PEEK);
	if (ret < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (ret > 0) {
		io_remove(&walk->io);
		return;
	}
	admin_walk_abort(conn);
	/* ends the connection */
	connection_input_resume(&conn->conn);
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
	walk->until = command->until == 0 ? INT64_MAX : command->until;
	/* what others send, they have to remove */
	walk->here = command->at ||
		command->verb == HTTP_NOTIFY_ADMIN_STATUS ||
		command->verb == HTTP_NOTIFY_ADMIN_PURGE;
	walk->numbered = command->at &&
		command->verb == HTTP_NOTIFY_ADMIN_STATUS;
	walk->spool_first = command->verb == HTTP_NOTIFY_ADMIN_SPOOLED ||
		command->verb == HTTP_NOTIFY_ADMIN_PURGE || command->spooled;
	walk->names = endpoint_names_init(conn->admin->delivery,
					  queue_is_shared(conn->admin->queue));
	walk->said = http_notify_monotonic_msecs();
	walk->number = 1;
	walk->last_id = INT64_MAX;
	walk->limit = READ_BATCH;
	if (command->verb == HTTP_NOTIFY_ADMIN_STATUS)
		walk->limit = 1;
	else if (command->verb == HTTP_NOTIFY_ADMIN_BODY) {
		walk->limit = 1;
		walk->last_id = command->id;
		walk->first_id = command->id - 1;
	}
	admin_walk_begin_endpoint(walk);
	conn->walk = walk;
	o_stream_set_flush_callback(conn->conn.output, admin_walk_flush, conn);
	walk->io = io_add(conn->conn.fd_in, IO_READ, admin_walk_input, walk);
	admin_walk_on(walk);
}

void admin_flush(struct admin_conn *conn,
		 const struct http_notify_admin_command *command)
{
	struct admin *admin = conn->admin;
	struct endpoint_names *names = endpoint_names_init(admin->delivery,
		queue_is_shared(admin->queue));
	struct endpoint_status status;
	unsigned int number = 1;
	uint64_t count = 0;
	struct endpoint *ep;
	const char *name;

	while ((ep = next_endpoint(admin, names, command->endpoint_mask,
				   FALSE, &number, &name,
				   &status)) != NULL) T_BEGIN {
		count += endpoint_flush(ep, command->user_mask);
		number++;
	} T_END;
	endpoint_names_deinit(&names);
	admin_conn_ok(conn, count);
}
