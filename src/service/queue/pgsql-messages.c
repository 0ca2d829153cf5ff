/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"

#include "monotonic.h"
#include "pgsql-lost.h"
#include "pgsql-messages.h"

/* How long these may take. doveadm waits for longer, to hear of it. */
#define ANSWER_MSECS (5*1000)
/* How old a count of what was given up may be: it reads all of that, and commits
   wait for it. */
#define LOST_COUNT_MSECS (10*1000)
/* How many to read at a time. */
#define TAKE_MAX 16

static void
no_answer(const struct pgsql_answer *answer ATTR_UNUSED,
	  void *context ATTR_UNUSED)
{
	/* whoever talks finds out that nothing comes */
}

void pgsql_messages_tidy(struct pgsql_queue *queue)
{
	const struct pgsql_params params = { .count = 0 };

	if (!pgsql_queue_is_ready(queue))
		return;
	pgsql_conn_add(queue->conn, PGSQL_MESSAGES_TIDY, &params);
	pgsql_conn_send(queue->conn, ANSWER_MSECS, no_answer, NULL);
}

/* Which hosts there are */

struct hosts_asked {
	struct pgsql_queue *queue;
	struct queue_hosts_read *read;
	bool lost;
};

static void
have_hosts(struct hosts_asked *asked, const PGresult *rows)
{
	ARRAY(struct queue_host) hosts;
	struct queue_host *host;
	int i;

	t_array_init(&hosts, 8);
	for (i = 0; i < PQntuples(rows); i++) {
		host = array_append_space(&hosts);
		host->number = pgsql_get_int(rows, i, 0);
		host->name = pgsql_get_str(rows, i, 1);
	}
	queue_engine_hosts(asked->read,
			   array_is_empty(&hosts) ? NULL : array_front(&hosts),
			   array_count(&hosts), NULL);
}

static void
hosts_answered(const struct pgsql_answer *answer, void *context)
{
	struct hosts_asked *asked = context;
	unsigned int idx = 2;

	if (answer->error != NULL) {
		queue_engine_hosts(asked->read, NULL, 0, t_strdup_printf(
			"PostgreSQL: %s", answer->error));
	} else {
		pgsql_queue_have_endpoints(asked->queue, answer->results[1]);
		if (asked->lost)
			pgsql_lost_counted(asked->queue, answer, &idx);
		have_hosts(asked, answer->results[0]);
	}
	i_free(asked);
}

static void
pgsql_messages_hosts(struct queue_engine *engine, struct queue_hosts_read *read)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);
	const struct pgsql_params none = { .count = 0 };
	struct pgsql_params params = { .count = 0 };
	int64_t now = http_notify_monotonic_msecs();
	struct hosts_asked *asked;

	if (!pgsql_queue_is_ready(queue)) {
		queue_engine_hosts(read, NULL, 0, pgsql_queue_unusable(queue));
		return;
	}
	asked = i_new(struct hosts_asked, 1);
	asked->queue = queue;
	asked->read = read;
	pgsql_params_add_int(&params, queue->host);
	pgsql_conn_add(queue->conn, PGSQL_HOSTS, &params);
	pgsql_conn_add(queue->conn, PGSQL_ENDPOINTS, &none);
	if (now >= queue->next_lost_count) {
		queue->next_lost_count = now + LOST_COUNT_MSECS;
		asked->lost = TRUE;
		pgsql_lost_count(queue);
	}
	pgsql_conn_send(queue->conn, ANSWER_MSECS, hosts_answered, asked);
	pgsql_messages_tidy(queue);
}

static int64_t pgsql_messages_number(struct queue_engine *engine)
{
	return pgsql_queue_of(engine)->host;
}

/* Sending */

static void
pgsql_messages_send(struct queue_engine *engine,
		    const struct queue_message *message)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);
	struct pgsql_params params = { .count = 0 };

	if (!pgsql_queue_is_ready(queue))
		return;
	pgsql_params_add_int(&params, message->host);
	pgsql_params_add_int(&params, queue->host);
	pgsql_params_add_int(&params, message->talk);
	pgsql_params_add_int(&params, message->kind);
	pgsql_params_add_int(&params, message->number);
	pgsql_params_add_bytes(&params, message->size == 0 ? "" : message->data,
			       message->size);
	pgsql_params_add_text(&params, pgsql_slots_channel(message->host));
	pgsql_params_add_text(&params, PGSQL_MESSAGE_PAYLOAD);
	pgsql_conn_add(queue->conn, PGSQL_MESSAGE_SEND, &params);
	pgsql_conn_send(queue->conn, ANSWER_MSECS, no_answer, NULL);
}

static void
pgsql_messages_retract(struct queue_engine *engine, int64_t host, int64_t talk)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);
	struct pgsql_params params = { .count = 0 };

	if (!pgsql_queue_is_ready(queue))
		return;
	pgsql_params_add_int(&params, host);
	pgsql_params_add_int(&params, queue->host);
	pgsql_params_add_int(&params, talk);
	pgsql_conn_add(queue->conn, PGSQL_MESSAGES_RETRACT, &params);
	pgsql_conn_send(queue->conn, ANSWER_MSECS, no_answer, NULL);
}

/* Receiving */

static void
have_message(struct pgsql_queue *queue, const PGresult *rows, int row)
{
	const struct queue_message message = {
		.host = pgsql_get_int(rows, row, 0),
		.talk = pgsql_get_int(rows, row, 1),
		.kind = pgsql_get_int(rows, row, 2),
		.number = pgsql_get_int(rows, row, 3),
		.data = PQgetvalue(rows, row, 4),
		.size = PQgetlength(rows, row, 4)
	};

	/* otherwise it is too old or too long */
	if (pgsql_get_int(rows, row, 5) != 0)
		queue_engine_message(queue->engine.queue, &message);
}

static void
messages_taken(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;
	int i, count;

	queue->taking_messages = FALSE;
	if (answer->error != NULL)
		return;
	count = PQntuples(answer->results[0]);
	if (count == TAKE_MAX || queue->more_messages)
		pgsql_messages_take(queue);
	for (i = 0; i < count; i++)
		have_message(queue, answer->results[0], i);
}

void pgsql_messages_take(struct pgsql_queue *queue)
{
	struct pgsql_params params = { .count = 0 };

	queue->more_messages = queue->taking_messages;
	if (queue->taking_messages || !pgsql_queue_is_ready(queue))
		return;
	queue->taking_messages = TRUE;
	pgsql_params_add_int(&params, queue->host);
	pgsql_params_add_int(&params, TAKE_MAX);
	pgsql_params_add_int(&params, QUEUE_MESSAGE_MAX);
	pgsql_conn_add(queue->conn, PGSQL_MESSAGES_TAKE, &params);
	pgsql_conn_send(queue->conn, ANSWER_MSECS, messages_taken, queue);
}

const struct queue_hosts_vfuncs pgsql_messages_vfuncs = {
	.number = pgsql_messages_number,
	.read = pgsql_messages_hosts,
	.send = pgsql_messages_send,
	.retract = pgsql_messages_retract,
};
