/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"

#include "pgsql-lost.h"
#include "pgsql-parts.h"

static void add(struct pgsql_queue *queue, enum pgsql_statement statement,
		const struct pgsql_params *params)
{
	pgsql_conn_add(queue->conn, statement, params);
}

/* Counting */

void pgsql_lost_count(struct pgsql_queue *queue)
{
	const struct pgsql_params params = { .count = 0 };

	add(queue, PGSQL_LOST_COUNT, &params);
	add(queue, PGSQL_LOST_OLDEST, &params);
}

void pgsql_lost_counted(struct pgsql_queue *queue,
			const struct pgsql_answer *answer, unsigned int *idx)
{
	struct queue *q = queue->engine.queue;
	const PGresult *rows = answer->results[(*idx)++];
	int i;

	queue_engine_recount_lost(q);
	for (i = 0; i < PQntuples(rows); i++) {
		int64_t reason = pgsql_get_int(rows, i, 1);

		if (reason < 0 || reason >= QUEUE_LOSS_REASON_COUNT)
			continue;
		queue_engine_have_lost(q, pgsql_get_int(rows, i, 0), reason,
				       pgsql_get_int(rows, i, 2),
				       pgsql_get_int(rows, i, 3));
	}
	queue_engine_lost_oldest(q,
		pgsql_get_int(answer->results[(*idx)++], 0, 0));
}

/* Changing */

static void
keep(struct pgsql_queue *queue, const struct queue_given_up *up)
{
	struct pgsql_params params = { .count = 0 };

	pgsql_params_add_int(&params, up->id);
	pgsql_params_add_int(&params, up->loss.time);
	pgsql_params_add_int(&params, up->loss.reason);
	pgsql_params_add_str(&params, up->loss.answer);
	pgsql_params_add_int(&params, up->attempts);
	pgsql_params_add_int(&params, up->size);
	pgsql_params_add_int(&params, queue->host);
	add(queue, PGSQL_LOST_KEEP, &params);
}

void pgsql_lost_change(struct pgsql_queue *queue,
		       const struct queue_changes *changes)
{
	struct pgsql_params params = { .count = 0 };
	struct queue_given_up *up;

	if (changes->forget_lost_max > 0) {
		pgsql_params_add_int(&params, changes->forget_lost_before);
		pgsql_params_add_int(&params, changes->forget_lost_max);
		add(queue, PGSQL_LOST_FORGET, &params);
	}
	if (!array_is_empty(&changes->dropped)) {
		params.count = 0;
		pgsql_params_add_ints(&params, array_front(&changes->dropped),
				      array_count(&changes->dropped));
		add(queue, PGSQL_LOST_DROP, &params);
	}
	array_foreach_elem(&changes->given_up, up)
		keep(queue, up);
}

static void
have_gone(struct queue_changes *changes, const PGresult *rows)
{
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		const struct queue_lost_gone gone = {
			.endpoint_number = pgsql_get_int(rows, i, 0),
			.reason = pgsql_get_int(rows, i, 1),
			.size = pgsql_get_int(rows, i, 2)
		};

		if (gone.reason < 0 || gone.reason >= QUEUE_LOSS_REASON_COUNT)
			continue;
		array_push_back(&changes->lost_gone, &gone);
	}
}

void pgsql_lost_changed(struct queue_changes *changes,
			const struct pgsql_answer *answer, unsigned int *idx)
{
	struct queue_given_up *up;

	array_clear(&changes->lost_gone);
	changes->lost_forgotten = 0;
	if (changes->forget_lost_max > 0) {
		have_gone(changes, answer->results[(*idx)++]);
		changes->lost_forgotten = array_count(&changes->lost_gone);
	}
	if (!array_is_empty(&changes->dropped))
		have_gone(changes, answer->results[(*idx)++]);
	array_foreach_elem(&changes->given_up, up) {
		/* one that was not there has been kept by a commit that was
		   not confirmed */
		up->kept = TRUE;
		(*idx)++;
	}
}

void pgsql_lost_resend(struct pgsql_queue *queue,
		       const struct queue_item *item)
{
	struct pgsql_params params = { .count = 0 };

	pgsql_params_add_int(&params, item->lost_id);
	pgsql_params_add_int(&params, item->expires);
	add(queue, PGSQL_LOST_RESEND, &params);
}

void pgsql_lost_resend_to(struct pgsql_queue *queue,
			  const struct queue_item *item, int64_t part_number,
			  int64_t from_end)
{
	struct pgsql_params params = { .count = 0 };

	pgsql_params_add_int(&params, item->lost_id);
	pgsql_params_add_int(&params, item->expires);
	pgsql_params_add_int(&params, part_number);
	pgsql_params_add_int(&params, from_end);
	add(queue, PGSQL_LOST_RESEND_TO, &params);
}

bool pgsql_lost_resent(struct queue_changes *changes,
		       const struct pgsql_answer *answer, unsigned int *idx)
{
	const PGresult *rows = answer->results[(*idx)++];

	have_gone(changes, rows);
	return PQntuples(rows) > 0;
}

void pgsql_lost_add(struct pgsql_queue *queue, const struct queue_item *item,
		    int64_t part_number, int64_t from_end)
{
	struct pgsql_params params = { .count = 0 };

	pgsql_params_add_int(&params, part_number);
	pgsql_params_add_int(&params, from_end);
	pgsql_params_add_bytes(&params, item->session, sizeof(item->session));
	pgsql_params_add_int(&params, item->seq);
	pgsql_params_add_int(&params, item->created);
	pgsql_params_add_int(&params, item->loss.time);
	pgsql_params_add_int(&params, item->loss.reason);
	pgsql_params_add_str(&params, item->loss.answer);
	pgsql_params_add_int(&params, item->attempts);
	pgsql_params_add_int(&params, item->body_size);
	pgsql_params_add_str(&params, item->username);
	pgsql_params_add_str(&params, item->folder);
	pgsql_params_add_int(&params, item->uid);
	pgsql_params_add_str(&params, item->body);
	pgsql_params_add_int(&params, queue->host);
	add(queue, PGSQL_LOST_ADD, &params);
}

static bool lost_changes(const struct queue_changes *changes)
{
	struct queue_item *item;

	array_foreach_elem(&changes->added, item) {
		if (queue_item_is_lost(item))
			return TRUE;
	}
	return changes->forget_lost_max > 0 ||
		!array_is_empty(&changes->dropped) ||
		!array_is_empty(&changes->given_up) ||
		!array_is_empty(&changes->resent);
}

void pgsql_lost_end(struct pgsql_queue *queue,
		    const struct queue_changes *changes)
{
	const struct pgsql_params params = { .count = 0 };

	if (lost_changes(changes))
		add(queue, PGSQL_LOST_OLDEST, &params);
}

void pgsql_lost_ended(struct pgsql_queue *queue,
		      const struct queue_changes *changes,
		      const struct pgsql_answer *answer, unsigned int *idx)
{
	if (lost_changes(changes)) {
		queue_engine_lost_oldest(queue->engine.queue,
			pgsql_get_int(answer->results[(*idx)++], 0, 0));
	}
}

/* Reading */

void pgsql_lost_fill(struct pgsql_queue *queue, const PGresult *rows, int row,
		     struct queue_item *item)
{
	struct queue *q = queue->engine.queue;
	int64_t endpoint = pgsql_get_int(rows, row, 13);

	item->lost_id = pgsql_get_int(rows, row, 0);
	item->id = pgsql_get_int(rows, row, 1);
	pgsql_get_guid(rows, row, 2, item->session);
	item->seq = pgsql_get_int(rows, row, 3);
	item->created = pgsql_get_int(rows, row, 4);
	item->loss.time = pgsql_get_int(rows, row, 5);
	item->loss.reason = pgsql_get_int(rows, row, 6);
	item->loss.answer = pgsql_get_str(rows, row, 7);
	item->attempts = pgsql_get_int(rows, row, 8);
	item->username = pgsql_get_str(rows, row, 9);
	item->folder = pgsql_get_str(rows, row, 10);
	item->uid = pgsql_get_int(rows, row, 11);
	item->body = pgsql_get_str(rows, row, 12);
	item->loss.host.number = pgsql_get_int(rows, row, 17);
	item->loss.host.name = pgsql_get_str(rows, row, 18);
	item->endpoint = queue_engine_get_endpoint(q, endpoint);
	if (item->endpoint == NULL) {
		item->endpoint = queue_engine_have_endpoint(q, endpoint,
			pgsql_get_str(rows, row, 14),
			pgsql_get_str(rows, row, 15));
	}
	/* whoever sends it is to be told if it is put back */
	(void)pgsql_parts_have(queue->parts, endpoint,
			       pgsql_get_int(rows, row, 16),
			       PGSQL_PART_NUMBER(item->id));
}
