/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOST, RESEND, DROP and BODY LOST, for all notifications that were given up
   and match */
#include "lib.h"
#include "hostpid.h"
#include "ostream.h"
#include "str-sanitize.h"
#include "wildcard-match.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "body-event.h"
#include "delivery.h"
#include "endpoint.h"
#include "endpoint-names.h"
#include "loss.h"
#include "monotonic.h"
#include "queue.h"
#include "queue-hosts.h"
#include "queue-lost.h"

/* How many to read, and to put back by one commit, at a time. */
#define READ_BATCH 128
/* How often to say how far it is. */
#define PROGRESS_MSECS 200

struct admin_lost {
	/* NULL if doveadm has closed it; then it lives until what is being put
	   back has been */
	struct admin_conn *conn;
	struct delivery *delivery;
	enum http_notify_admin_verb verb;
	char *user_mask, *endpoint_mask, *folder_mask, *host_mask, *reason;
	/* those given up since then, by queue_now() */
	int64_t since;
	/* BODY: only this one */
	int64_t id;
	/* RESEND: the number of the endpoint that gets them; 0 = their own */
	unsigned int to;
	struct endpoint_names *names;

	/* the last lost_id that has been read, the read that is under way, and
	   notifications being put back */
	int64_t after_id;
	struct queue_read *read;
	unsigned int resending;
	/* there may be more to read */
	bool more;
	/* why something could not be put back */
	char *error;

	uint64_t count, looked_at, all;
	/* monotonic, in milliseconds */
	int64_t next_progress;
};

static void admin_lost_on(struct admin_lost *lost);

/* Which one gave it up? */
static const char *host_name(const struct queue_item *item)
{
	return item->loss.host.name == NULL ? my_hostname :
		item->loss.host.name;
}

static void
lost_row(struct admin_lost *lost, const char *name,
	 const struct queue_item *item)
{
	int64_t now = queue_now(lost->conn->admin->queue);
	const char *row[HTTP_NOTIFY_ADMIN_LOST_COUNT];

	row[HTTP_NOTIFY_ADMIN_LOST_USERNAME] = item->username;
	row[HTTP_NOTIFY_ADMIN_LOST_ENDPOINT] = name;
	row[HTTP_NOTIFY_ADMIN_LOST_FOLDER] = item->folder;
	row[HTTP_NOTIFY_ADMIN_LOST_UID] = admin_num(item->uid);
	row[HTTP_NOTIFY_ADMIN_LOST_MAIL_EVENT] =
		http_notify_body_event(item->body);
	row[HTTP_NOTIFY_ADMIN_LOST_REASON] =
		loss_reason_name(item->loss.reason);
	row[HTTP_NOTIFY_ADMIN_LOST_FIRST] =
		admin_num(I_MAX(now - item->created, 0));
	row[HTTP_NOTIFY_ADMIN_LOST_LAST] =
		admin_num(I_MAX(now - item->loss.time, 0));
	row[HTTP_NOTIFY_ADMIN_LOST_ATTEMPTS] = admin_num(item->attempts);
	row[HTTP_NOTIFY_ADMIN_LOST_HOST] = host_name(item);
	row[HTTP_NOTIFY_ADMIN_LOST_ID] = admin_num(item->lost_id);
	row[HTTP_NOTIFY_ADMIN_LOST_ANSWER] = item->loss.answer;
	admin_conn_row(lost->conn, row, N_ELEMENTS(row));
}

static void lost_progress(struct admin_lost *lost)
{
	const char *row[HTTP_NOTIFY_ADMIN_PROGRESS_COUNT];
	int64_t now = http_notify_monotonic_msecs();

	if (now < lost->next_progress)
		return;
	lost->next_progress = now + PROGRESS_MSECS;
	row[HTTP_NOTIFY_ADMIN_PROGRESS_DONE] = admin_num(lost->looked_at);
	row[HTTP_NOTIFY_ADMIN_PROGRESS_ALL] =
		admin_num(I_MAX(lost->all, lost->looked_at));
	admin_conn_row(lost->conn, row, N_ELEMENTS(row));
}

/* Ending */

static void admin_lost_free(struct admin_lost *lost)
{
	endpoint_names_deinit(&lost->names);
	i_free(lost->user_mask);
	i_free(lost->endpoint_mask);
	i_free(lost->folder_mask);
	i_free(lost->host_mask);
	i_free(lost->reason);
	i_free(lost->error);
	i_free(lost);
}

void admin_lost_abort(struct admin_conn *conn)
{
	struct admin_lost *lost = conn->lost;

	if (lost == NULL)
		return;
	conn->lost = NULL;
	if (conn->conn.output != NULL)
		o_stream_unset_flush_callback(conn->conn.output);
	queue_read_cancel(&lost->read);
	if (lost->verb == HTTP_NOTIFY_ADMIN_RESEND)
		delivery_resend_end(lost->delivery);
	lost->conn = NULL;
	if (lost->resending == 0)
		admin_lost_free(lost);
}

static void admin_lost_log(struct admin_lost *lost)
{
	struct event *event = lost->conn->admin->event;
	const char *filter = t_strdup_printf(
		"user=%s endpoint=%s folder=%s host=%s reason=%s",
		str_sanitize(lost->user_mask, 128),
		str_sanitize(lost->endpoint_mask, 128),
		str_sanitize(lost->folder_mask, 128),
		str_sanitize(lost->host_mask, 128),
		str_sanitize(lost->reason, 128));

	if (lost->verb == HTTP_NOTIFY_ADMIN_RESEND) {
		e_info(event, "Sending %"PRIu64" notifications again that were "
		       "given up (%s)", lost->count, filter);
	} else if (lost->verb == HTTP_NOTIFY_ADMIN_DROP) {
		e_info(event, "Dropped %"PRIu64" notifications that were given "
		       "up (%s)", lost->count, filter);
	}
}

static void admin_lost_end(struct admin_lost *lost)
{
	struct admin_conn *conn = lost->conn;
	const char *error = t_strdup(lost->error);
	uint64_t count = lost->count;

	if (error != NULL && lost->verb == HTTP_NOTIFY_ADMIN_RESEND) {
		error = t_strdup_printf("%"PRIu64" were put back into the "
			"queue, the others are still kept: %s", count, error);
	}
	admin_lost_log(lost);
	admin_lost_abort(conn);
	if (error != NULL)
		admin_conn_fail(conn, error);
	else
		admin_conn_ok(conn, count);
}

/* Each one */

static void admin_lost_resent(const char *error, bool gone, void *context)
{
	struct admin_lost *lost = context;

	lost->resending--;
	if (error == NULL && !gone)
		lost->count++;
	else if (error != NULL && lost->error == NULL)
		lost->error = i_strdup(error);
	if (lost->resending > 0)
		return;
	if (lost->conn == NULL)
		admin_lost_free(lost);
	else if (lost->read == NULL)
		admin_lost_on(lost);
}

static void
admin_lost_resend(struct admin_lost *lost, const struct queue_item *item)
{
	const char *error;

	if (lost->error != NULL)
		return;
	if (delivery_resend(lost->delivery, item, lost->to, admin_lost_resent,
			    lost, &error) < 0)
		lost->error = i_strdup(error);
	else
		lost->resending++;
}

/* Several may have the same name. */
static bool
admin_lost_matches_host(struct admin_lost *lost, const struct queue_item *item)
{
	if (strcmp(lost->host_mask, HTTP_NOTIFY_ADMIN_HERE) == 0) {
		return item->loss.host.number ==
			queue_host_number(lost->conn->admin->queue);
	}
	return wildcard_match_icase(host_name(item), lost->host_mask);
}

static bool
admin_lost_matches(struct admin_lost *lost, const struct queue_item *item,
		   const char **name_r)
{
	struct endpoint_status status;
	struct endpoint *ep;
	unsigned int number;

	if (item->loss.time < lost->since ||
	    (lost->id != 0 && item->lost_id != lost->id) ||
	    (lost->reason[0] != '\0' &&
	     strcmp(loss_reason_name(item->loss.reason), lost->reason) != 0) ||
	    !wildcard_match(item->username, lost->user_mask) ||
	    !wildcard_match(item->folder, lost->folder_mask) ||
	    !admin_lost_matches_host(lost, item))
		return FALSE;
	ep = delivery_find_endpoint(item->endpoint, &number);
	if (ep == NULL)
		return FALSE;
	endpoint_get_status(ep, &status);
	*name_r = endpoint_names_get(lost->names, ep, status.url, number);
	return endpoint_names_match(lost->names, ep, status.url, number,
				    lost->endpoint_mask);
}

static void
admin_lost_item(struct admin_lost *lost, const struct queue_item *item)
{
	const char *name;

	if (!admin_lost_matches(lost, item, &name))
		return;
	switch (lost->verb) {
	case HTTP_NOTIFY_ADMIN_RESEND:
		/* counted when it has been */
		admin_lost_resend(lost, item);
		return;
	case HTTP_NOTIFY_ADMIN_DROP:
		queue_lost_drop(lost->conn->admin->queue, item->lost_id);
		break;
	case HTTP_NOTIFY_ADMIN_BODY:
		admin_body_row(lost->conn, name, item);
		break;
	default:
		lost_row(lost, name, item);
		break;
	}
	lost->count++;
}

/* Walking */

static void
admin_lost_read(const struct queue_read_result *result, void *context)
{
	struct admin_lost *lost = context;
	unsigned int i;

	lost->read = NULL;
	lost->more = result->more && lost->verb != HTTP_NOTIFY_ADMIN_BODY;
	lost->after_id = result->read_to;
	if (result->error != NULL && lost->error == NULL)
		lost->error = i_strdup(result->error);
	for (i = 0; i < result->count; i++) T_BEGIN {
		admin_lost_item(lost, result->items[i]);
	} T_END;
	lost->looked_at += result->count;
	if (lost->verb == HTTP_NOTIFY_ADMIN_RESEND ||
	    lost->verb == HTTP_NOTIFY_ADMIN_DROP)
		lost_progress(lost);
	if (lost->resending == 0)
		admin_lost_on(lost);
}

static void admin_lost_on(struct admin_lost *lost)
{
	struct ostream *output = lost->conn->conn.output;

	if (output->stream_errno == 0 &&
	    o_stream_get_buffer_used_size(output) > ADMIN_OUTPUT_FULL) {
		/* continue when doveadm has read it */
		o_stream_set_flush_pending(output, TRUE);
		return;
	}
	if (output->stream_errno != 0 || !lost->more || lost->error != NULL) {
		admin_lost_end(lost);
		return;
	}
	lost->read = queue_lost_read(lost->conn->admin->queue, lost->after_id,
		lost->verb == HTTP_NOTIFY_ADMIN_BODY ? 1 : READ_BATCH,
		admin_lost_read, lost);
}

static int admin_lost_flush(struct admin_conn *conn)
{
	int ret;

	/* also after an error, which ends the walk */
	if ((ret = o_stream_flush(conn->conn.output)) != 0 &&
	    conn->lost->read == NULL && conn->lost->resending == 0)
		admin_lost_on(conn->lost);
	return ret;
}

void admin_lost_start(struct admin_conn *conn,
		      const struct http_notify_admin_command *command)
{
	struct admin *admin = conn->admin;
	struct admin_lost *lost;

	lost = i_new(struct admin_lost, 1);
	lost->conn = conn;
	lost->delivery = admin->delivery;
	lost->verb = command->verb;
	if (command->verb == HTTP_NOTIFY_ADMIN_BODY) {
		lost->id = command->id;
		lost->after_id = command->id - 1;
	}
	lost->user_mask = i_strdup(command->user_mask);
	lost->endpoint_mask = i_strdup(command->endpoint_mask);
	lost->folder_mask = i_strdup(command->folder_mask);
	lost->host_mask = i_strdup(command->host_mask);
	lost->reason = i_strdup(command->reason);
	if (command->max_secs > 0)
		lost->since = queue_now(admin->queue) - command->max_secs;
	lost->names = endpoint_names_init(admin->delivery,
					  queue_is_shared(admin->queue));
	if (command->to != NULL) {
		lost->to = endpoint_names_find(lost->names, admin->delivery,
					       command->to);
		if (lost->to == 0) {
			lost->error = i_strdup("there is no endpoint of the "
				"name in --to, as status shows them");
		}
	}
	lost->more = TRUE;
	lost->all = queue_lost_total(admin->queue);
	conn->lost = lost;
	if (command->verb == HTTP_NOTIFY_ADMIN_RESEND)
		delivery_resend_begin(admin->delivery);
	o_stream_set_flush_callback(conn->conn.output, admin_lost_flush, conn);
	admin_lost_on(lost);
}
