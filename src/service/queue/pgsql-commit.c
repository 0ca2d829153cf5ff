/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"

#include "dovecot-compat.h"
#include "monotonic.h"
#include "pgsql-commit.h"
#include "pgsql-lost.h"
#include "pgsql-parts.h"
#include "pgsql-tidy.h"

/* Half of what mail processes wait by default (http_notify_handoff_timeout):
   what is not stored by then is stored on this host, in the other half. */
#define AWAITED_MSECS 250
/* If no mail process waits. */
#define COMMIT_MSECS (10*1000)

/* Integrity: an endpoint or a part is not there any more, or an id is taken. */
#define SQLSTATE_NULL "23502"
#define SQLSTATE_FOREIGN_KEY "23503"
#define SQLSTATE_UNIQUE "23505"
#define SQLSTATE_DISK_FULL "53100"

/* A conflict with another host, or too little space, may pass by itself. But not
   if so many commits in a row have failed that remove something, each of which
   is smaller than the one before. */
#define REMOVALS_REFUSED_MAX 5

/* The so many-th one that is added to the part. */
struct pgsql_place {
	struct pgsql_part *part;
	unsigned int number;
};

struct pgsql_commit {
	struct pgsql_queue *queue;
	/* NULL = none is under way */
	struct queue_changes *changes;
	/* monotonic */
	int64_t deadline;
	bool awaited;
	/* how many commits that remove something were refused in a row; others
	   may succeed meanwhile */
	unsigned int removals_refused;
	/* logged that what was removed is still there */
	bool kept_logged;
	/* endpoints or parts that had been deleted have been stored again */
	bool renewed_endpoints, renewed_parts;
	/* endpoints that got a number */
	ARRAY(struct queue_endpoint *) numbered;
	/* what gets a new id: what is put back for another endpoint, and then
	   what is added; where each of these goes, and each of their parts */
	ARRAY(struct queue_item *) items;
	ARRAY(struct pgsql_place) places;
	ARRAY(struct pgsql_part *) parts;
};

static void pgsql_commit_send_endpoints(struct pgsql_commit *commit);
static void pgsql_commit_send_parts(struct pgsql_commit *commit);
static void pgsql_commit_send(struct pgsql_commit *commit);

static void add(struct pgsql_commit *commit, enum pgsql_statement statement,
		const struct pgsql_params *params)
{
	pgsql_conn_add(commit->queue->conn, statement, params);
}

ARRAY_DEFINE_TYPE(int64, int64_t);

static void
params_add_array(struct pgsql_params *params, const ARRAY_TYPE(int64) *nums)
{
	unsigned int count;
	const int64_t *first = array_get(nums, &count);

	pgsql_params_add_ints(params, first, count);
}

static void pgsql_commit_end_batch(struct pgsql_commit *commit,
				   pgsql_answer_callback_t *callback)
{
	int64_t left = commit->deadline - http_notify_monotonic_msecs();

	pgsql_conn_send(commit->queue->conn, I_MAX(left, 1), callback, commit);
}

static void pgsql_commit_finish(struct pgsql_commit *commit, const char *error)
{
	struct queue_changes *changes = commit->changes;
	struct queue_endpoint *ep;
	struct queue_item *item;

	commit->changes = NULL;
	if (error != NULL) {
		array_foreach_elem(&commit->numbered, ep)
			ep->number = 0;
		array_foreach_elem(&changes->added, item)
			item->id = 0;
	}
	array_clear(&commit->numbered);
	array_clear(&commit->items);
	array_clear(&commit->places);
	array_clear(&commit->parts);
	queue_engine_committed(commit->queue->engine.queue, error);
}

/* Does the error say that numbers that are known are others'? Triggers, and tables
   that refer to these, may raise errors of the same kinds. */
static bool is_of_other_tables(const struct pgsql_answer *answer)
{
	static const char *const sqlstates[] = {
		SQLSTATE_NULL, SQLSTATE_FOREIGN_KEY, SQLSTATE_UNIQUE, NULL
	};
	static const char *const tables[] = {
		"http_notify.part", "http_notify.notification",
		"http_notify.lost", NULL
	};

	return str_array_find(sqlstates, answer->sqlstate) &&
		str_array_find(tables, answer->table);
}

static bool pgsql_commit_may_pass(struct pgsql_commit *commit,
				  const struct pgsql_answer *answer)
{
	bool full = strcmp(answer->sqlstate, SQLSTATE_DISK_FULL) == 0;

	if (full)
		queue_engine_full(commit->queue->engine.queue);
	if (!array_is_empty(&commit->changes->removed))
		commit->removals_refused++;
	return (full || str_begins_with(answer->sqlstate, "40")) &&
		commit->removals_refused < REMOVALS_REFUSED_MAX;
}

/* After errors that do not pass, the connection may be of no use, such as to a
   server that has become a standby. */
static void
pgsql_commit_failed(struct pgsql_commit *commit,
		    const struct pgsql_answer *answer)
{
	if (answer->unknown) {
		pgsql_commit_finish(commit, t_strdup_printf("PostgreSQL: %s, "
			"so this may be stored there", answer->error));
		return;
	}
	if (is_of_other_tables(answer))
		pgsql_queue_other_tables();
	if (!pgsql_commit_may_pass(commit, answer)) {
		pgsql_queue_stored(commit->queue, FALSE);
		pgsql_conn_fail(commit->queue->conn, answer->error);
	}
	pgsql_commit_finish(commit, t_strdup_printf("PostgreSQL: %s",
						    answer->error));
}

/* First, if need be, a transaction for endpoints */

static void
pgsql_commit_endpoints_set(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_commit *commit = context;
	struct queue_endpoint *ep;
	int64_t number;
	unsigned int i = 0;

	if (answer->error != NULL) {
		pgsql_commit_failed(commit, answer);
		return;
	}
	array_foreach_elem(&commit->changes->endpoints, ep) {
		number = pgsql_get_int(answer->results[i++], 0, 0);
		if (ep->number == number)
			continue;
		if (ep->number != 0) {
			queue_engine_endpoint_gone(
				commit->queue->engine.queue, ep);
		}
		ep->number = number;
		array_push_back(&commit->numbered, &ep);
	}
	pgsql_commit_send_parts(commit);
}

static int
endpoint_cmp(struct queue_endpoint *const *ep1,
	     struct queue_endpoint *const *ep2)
{
	return strcmp((*ep1)->key, (*ep2)->key);
}

/* All hosts lock the rows in the same order. */
static void pgsql_commit_send_endpoints(struct pgsql_commit *commit)
{
	struct queue_endpoint *ep;

	array_sort(&commit->changes->endpoints, endpoint_cmp);
	array_foreach_elem(&commit->changes->endpoints, ep) {
		struct pgsql_params params = { .count = 0 };

		pgsql_params_add_str(&params, ep->key);
		pgsql_params_add_str(&params, ep->options);
		add(commit, PGSQL_ENDPOINT_SET, &params);
	}
	pgsql_commit_end_batch(commit, pgsql_commit_endpoints_set);
}

/* Some of those that are needed have been deleted, since they were not used for
   long (pgsql-tidy.c): store them again. */
static void pgsql_commit_renew_endpoints(struct pgsql_commit *commit)
{
	struct queue_changes *changes = commit->changes;
	struct queue_endpoint *ep;
	struct queue_item *item;
	bool listed;

	commit->renewed_endpoints = TRUE;
	array_foreach_elem(&commit->items, item) {
		listed = FALSE;
		array_foreach_elem(&changes->endpoints, ep)
			listed = listed || ep == item->endpoint;
		if (!listed)
			array_push_back(&changes->endpoints, &item->endpoint);
	}
	pgsql_commit_send_endpoints(commit);
}

/* Then another one for parts */

static void
pgsql_commit_parts_made(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_commit *commit = context;
	const PGresult *rows;
	int i;

	if (strcmp(answer->sqlstate, SQLSTATE_FOREIGN_KEY) == 0 &&
	    !commit->renewed_endpoints) {
		pgsql_commit_renew_endpoints(commit);
		return;
	}
	if (answer->error != NULL) {
		pgsql_commit_failed(commit, answer);
		return;
	}
	rows = answer->results[1];
	for (i = 0; i < PQntuples(rows); i++) {
		(void)pgsql_parts_have(commit->queue->parts,
				       pgsql_get_int(rows, i, 0),
				       pgsql_get_int(rows, i, 1),
				       pgsql_get_int(rows, i, 2));
	}
	/* one may have been deleted just when it was found to be there */
	pgsql_commit_send_parts(commit);
}

static void pgsql_commit_send_parts(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };
	ARRAY_TYPE(int64) endpoints, slots;
	struct queue_item *item;
	int64_t slot;

	t_array_init(&endpoints, 8);
	t_array_init(&slots, 8);
	array_foreach_elem(&commit->items, item) {
		slot = pgsql_parts_slot(item);
		if (pgsql_parts_find(commit->queue->parts,
				     item->endpoint->number, slot) != NULL)
			continue;
		array_push_back(&endpoints, &item->endpoint->number);
		array_push_back(&slots, &slot);
	}
	if (array_is_empty(&slots)) {
		pgsql_commit_send(commit);
		return;
	}
	params_add_array(&params, &endpoints);
	params_add_array(&params, &slots);
	add(commit, PGSQL_PARTS_MAKE, &params);
	add(commit, PGSQL_PARTS_GET, &params);
	pgsql_commit_end_batch(commit, pgsql_commit_parts_made);
}

/* The changes */

/* Nothing is added to it by putting something back into it, but it is used. */
static void
pgsql_commit_use_part(struct pgsql_commit *commit, struct pgsql_part *part)
{
	struct pgsql_part *other;

	array_foreach_elem(&commit->parts, other) {
		if (other == part)
			return;
	}
	part->adding = 0;
	array_push_back(&commit->parts, &part);
}

static void pgsql_commit_find_parts(struct pgsql_commit *commit)
{
	struct pgsql_place *place;
	struct pgsql_part *part;
	struct queue_item *item;

	array_foreach_elem(&commit->items, item) {
		part = pgsql_parts_find(commit->queue->parts,
					item->endpoint->number,
					pgsql_parts_slot(item));
		i_assert(part != NULL);
		part->adding = 0;
		place = array_append_space(&commit->places);
		place->part = part;
	}
	array_foreach_modifiable(&commit->places, place) {
		place->number = ++place->part->adding;
		if (place->number == 1)
			array_push_back(&commit->parts, &place->part);
	}
	array_foreach_elem(&commit->changes->resent, item) {
		part = item->id == 0 ? NULL :
			pgsql_parts_find_number(commit->queue->parts,
				PGSQL_PART_NUMBER(item->id));
		if (part != NULL)
			pgsql_commit_use_part(commit, part);
	}
}

/* Count what is added to the parts, which also locks them. */
static void pgsql_commit_count(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };
	ARRAY_TYPE(int64) numbers, added;
	struct pgsql_part *part;
	int64_t count;

	if (array_is_empty(&commit->parts))
		return;
	t_array_init(&numbers, 16);
	t_array_init(&added, 16);
	array_foreach_elem(&commit->parts, part) {
		count = part->adding;
		array_push_back(&numbers, &part->number);
		array_push_back(&added, &count);
	}
	params_add_array(&params, &numbers);
	params_add_array(&params, &added);
	add(commit, PGSQL_PARTS_COUNT, &params);
}

/* How many are added after it, as a number that is not positive. */
static int64_t pgsql_place_from_end(const struct pgsql_place *place)
{
	return (int64_t)place->number - place->part->adding;
}

/* The places of what is added are after those of what is put back. */
static const struct pgsql_place *
pgsql_commit_added_places(struct pgsql_commit *commit)
{
	unsigned int count;
	const struct pgsql_place *places = array_get(&commit->places, &count);

	return places + count - array_count(&commit->changes->added);
}

static void pgsql_commit_attempts(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };
	const struct queue_attempts *attempts;
	ARRAY_TYPE(int64) ids, counts;
	unsigned int i;
	int64_t count;

	if (array_is_empty(&commit->changes->attempts))
		return;
	t_array_init(&ids, 16);
	t_array_init(&counts, 16);
	/* the latest ones first */
	for (i = array_count(&commit->changes->attempts); i > 0; i--) {
		attempts = array_idx(&commit->changes->attempts, i - 1);
		count = attempts->attempts;
		array_push_back(&ids, &attempts->id);
		array_push_back(&counts, &count);
	}
	params_add_array(&params, &ids);
	params_add_array(&params, &counts);
	add(commit, PGSQL_SET_ATTEMPTS, &params);
}

static void pgsql_commit_sessions(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };
	const struct queue_session *session;
	struct pgsql_array ids, seqs, added, used;

	if (array_is_empty(&commit->changes->sessions))
		return;
	pgsql_array_init_bytes(&ids);
	pgsql_array_init_ints(&seqs);
	pgsql_array_init_ints(&added);
	pgsql_array_init_ints(&used);
	array_foreach(&commit->changes->sessions, session) {
		pgsql_array_add_bytes(&ids, session->id, sizeof(session->id));
		pgsql_array_add_int(&seqs, session->seq);
		pgsql_array_add_int(&added, session->added);
		pgsql_array_add_int(&used, session->used);
	}
	pgsql_params_add_int(&params, commit->queue->host);
	pgsql_params_add_array(&params, &ids);
	pgsql_params_add_array(&params, &seqs);
	pgsql_params_add_array(&params, &added);
	pgsql_params_add_array(&params, &used);
	add(commit, PGSQL_SESSIONS_SET, &params);
}

static void pgsql_commit_forget_sessions(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };

	if (commit->changes->forget_sessions_before == 0)
		return;
	pgsql_params_add_int(&params, commit->queue->host);
	pgsql_params_add_int(&params, commit->changes->forget_sessions_before);
	add(commit, PGSQL_SESSIONS_FORGET, &params);
}

/* What is added, a column each. */
enum column {
	COLUMN_PART,
	COLUMN_FROM_END,
	COLUMN_SESSION,
	COLUMN_SEQ,
	COLUMN_CREATED,
	COLUMN_EXPIRES,
	COLUMN_USERNAME,
	COLUMN_FOLDER,
	COLUMN_UID,
	COLUMN_MAILBOX,
	COLUMN_BODY,
	COLUMN_ATTEMPTS,

	COLUMN_COUNT
};

static void
columns_add(struct pgsql_array *columns, const struct queue_item *item,
	    const struct pgsql_place *place)
{
	pgsql_array_add_int(&columns[COLUMN_PART], place->part->number);
	pgsql_array_add_int(&columns[COLUMN_FROM_END],
			    pgsql_place_from_end(place));
	pgsql_array_add_bytes(&columns[COLUMN_SESSION], item->session,
			      sizeof(item->session));
	pgsql_array_add_int(&columns[COLUMN_SEQ], item->seq);
	pgsql_array_add_int(&columns[COLUMN_CREATED], item->created);
	pgsql_array_add_int(&columns[COLUMN_EXPIRES], item->expires);
	pgsql_array_add_str(&columns[COLUMN_USERNAME], item->username);
	pgsql_array_add_str(&columns[COLUMN_FOLDER], item->folder);
	pgsql_array_add_int(&columns[COLUMN_UID], item->uid);
	pgsql_array_add_int(&columns[COLUMN_MAILBOX], item->mailbox);
	pgsql_array_add_str(&columns[COLUMN_BODY], item->body);
	pgsql_array_add_int(&columns[COLUMN_ATTEMPTS], item->attempts);
}

/* These are the first ones of those that get a new id. */
static void pgsql_commit_resent(struct pgsql_commit *commit)
{
	const struct pgsql_place *place;
	struct queue_item *item;
	unsigned int i = 0;

	array_foreach_elem(&commit->changes->resent, item) {
		if (item->id != 0) {
			pgsql_lost_resend(commit->queue, item);
			continue;
		}
		place = array_idx(&commit->places, i++);
		pgsql_lost_resend_to(commit->queue, item, place->part->number,
				     pgsql_place_from_end(place));
	}
}

static void pgsql_commit_lost(struct pgsql_commit *commit)
{
	const struct pgsql_place *place = pgsql_commit_added_places(commit);
	struct queue_item *item;

	array_foreach_elem(&commit->changes->added, item) {
		if (queue_item_is_lost(item)) {
			pgsql_lost_add(commit->queue, item, place->part->number,
				       pgsql_place_from_end(place));
		}
		place++;
	}
}

static void pgsql_commit_items(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };
	struct pgsql_array columns[COLUMN_COUNT];
	const struct pgsql_place *place;
	struct queue_item *item;
	unsigned int i;

	if (array_is_empty(&commit->changes->added))
		return;
	for (i = 0; i < COLUMN_COUNT; i++) {
		if (i == COLUMN_SESSION || i == COLUMN_USERNAME ||
		    i == COLUMN_FOLDER || i == COLUMN_BODY)
			pgsql_array_init_bytes(&columns[i]);
		else
			pgsql_array_init_ints(&columns[i]);
	}
	place = pgsql_commit_added_places(commit);
	array_foreach_elem(&commit->changes->added, item) {
		if (!queue_item_is_lost(item))
			columns_add(columns, item, place);
		place++;
	}
	for (i = 0; i < COLUMN_COUNT; i++)
		pgsql_params_add_array(&params, &columns[i]);
	add(commit, PGSQL_ADD, &params);
}

static void pgsql_commit_removed(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };
	unsigned int count;
	const int64_t *ids = array_get(&commit->changes->removed, &count);

	if (count > 0) {
		pgsql_params_add_ints(&params, ids, count);
		add(commit, PGSQL_REMOVE, &params);
	}
}

static void pgsql_commit_forgotten(struct pgsql_commit *commit)
{
	struct pgsql_params params = { .count = 0 };
	ARRAY_TYPE(int64) numbers;
	struct queue_endpoint *ep;

	if (array_is_empty(&commit->changes->forgotten))
		return;
	t_array_init(&numbers, 16);
	array_foreach_elem(&commit->changes->forgotten, ep)
		array_push_back(&numbers, &ep->number);
	params_add_array(&params, &numbers);
	add(commit, PGSQL_ENDPOINTS_QUEUED, &params);
}

/* The answer */

static void
pgsql_commit_took_parts(struct pgsql_commit *commit, const PGresult *rows)
{
	struct pgsql_part *part;
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		part = pgsql_parts_find_number(commit->queue->parts,
					       pgsql_get_int(rows, i, 0));
		part->before_id = pgsql_get_int(rows, i, 1) - part->adding;
	}
}

/* Those that are put back are told first, by the results from *idx on: another
   host may have taken them, which leaves a gap in the ids of another endpoint's
   part. */
static void
pgsql_commit_took_resent(struct pgsql_commit *commit,
			 const struct pgsql_answer *answer, unsigned int *idx)
{
	const struct pgsql_place *place;
	struct pgsql_part *part;
	struct queue_item *item;
	int64_t before_id = 0;
	unsigned int i = 0;

	array_foreach_elem(&commit->changes->resent, item) {
		if (item->id != 0) {
			part = pgsql_parts_find_number(commit->queue->parts,
				PGSQL_PART_NUMBER(item->id));
		} else {
			place = array_idx(&commit->places, i++);
			part = place->part;
			item->id = part->before_id + place->number;
			before_id = item->id - 1;
		}
		if (!pgsql_lost_resent(commit->changes, answer, idx))
			item->id = 0;
		else if (part != NULL) {
			pgsql_parts_stored(commit->queue->parts, part, item,
					   before_id);
		}
		before_id = 0;
	}
}

static void pgsql_commit_took_items(struct pgsql_commit *commit)
{
	const struct pgsql_place *place = pgsql_commit_added_places(commit);
	unsigned int announced = 0;
	struct queue_item *item;

	array_foreach_elem(&commit->changes->added, item) {
		struct pgsql_part *part = place->part;

		item->id = part->before_id + place++->number;
		if (queue_item_is_lost(item))
			continue;
		if (item->mailbox != 0)
			announced++;
		pgsql_parts_stored(commit->queue->parts, part, item,
				   item->id - 1);
	}
	pgsql_tidy_announced(commit->queue->tidy, announced);
}

static void
pgsql_commit_took_forgotten(struct pgsql_commit *commit, const PGresult *rows)
{
	struct queue_endpoint *ep;
	bool queued;
	int i;

	array_foreach_elem(&commit->changes->forgotten, ep) {
		queued = FALSE;
		for (i = 0; i < PQntuples(rows) && !queued; i++)
			queued = pgsql_get_int(rows, i, 0) == ep->number;
		if (!queued)
			ep->number = 0;
	}
}

/* Likewise of parts, which the first statement has not found. Returns FALSE if
   there are none. */
static bool pgsql_commit_renew_parts(struct pgsql_commit *commit,
				     const struct pgsql_answer *answer)
{
	const PGresult *rows;
	struct pgsql_part *part;
	bool found, gone = FALSE;
	int i;

	if (strcmp(answer->sqlstate, SQLSTATE_NULL) != 0 ||
	    commit->renewed_parts || array_is_empty(&commit->parts))
		return FALSE;
	rows = answer->results[0];
	array_foreach_elem(&commit->parts, part) {
		found = FALSE;
		for (i = 0; i < PQntuples(rows) && !found; i++)
			found = pgsql_get_int(rows, i, 0) == part->number;
		if (!found)
			pgsql_parts_gone(commit->queue->parts, part);
		gone = gone || !found;
	}
	if (!gone)
		return FALSE;
	commit->renewed_parts = TRUE;
	array_clear(&commit->places);
	array_clear(&commit->parts);
	pgsql_commit_send_parts(commit);
	return TRUE;
}

/* Nothing waits for it. */
static void
pgsql_commit_have_kept(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;

	if (answer->error != NULL || PQntuples(answer->results[0]) == 0 ||
	    queue->commit->kept_logged)
		return;
	i_error("PostgreSQL keeps notifications that were deleted, which are "
		"sent again after a restart (has http_notify.notification a "
		"trigger, a rule or row security?)");
	queue->commit->kept_logged = TRUE;
}

/* If fewer were deleted than there should be, they may be still there, or have
   been deleted before: by another host, or when that was not confirmed. */
static void
pgsql_commit_took_removed(struct pgsql_commit *commit, PGresult *removed)
{
	struct pgsql_params params = { .count = 0 };
	unsigned int done, count;
	const int64_t *ids = array_get(&commit->changes->removed, &count);

	commit->removals_refused = 0;
	if (commit->kept_logged ||
	    (str_to_uint(PQcmdTuples(removed), &done) == 0 && done >= count))
		return;
	pgsql_params_add_ints(&params, ids, count);
	add(commit, PGSQL_KEPT, &params);
	pgsql_conn_send(commit->queue->conn, COMMIT_MSECS,
			pgsql_commit_have_kept, commit->queue);
}

static void
pgsql_commit_answered(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_commit *commit = context;
	struct queue_changes *changes = commit->changes;
	struct queue_item *item;
	unsigned int idx = 0;

	if (pgsql_commit_renew_parts(commit, answer))
		return;
	if (answer->error != NULL) {
		pgsql_commit_failed(commit, answer);
		return;
	}
	if (!array_is_empty(&commit->parts))
		pgsql_commit_took_parts(commit, answer->results[idx++]);
	pgsql_lost_changed(changes, answer, &idx);
	if (!array_is_empty(&changes->removed))
		pgsql_commit_took_removed(commit, answer->results[idx++]);
	pgsql_commit_took_resent(commit, answer, &idx);
	array_foreach_elem(&changes->added, item)
		idx += queue_item_is_lost(item) ? 1 : 0;
	pgsql_lost_ended(commit->queue, changes, answer, &idx);
	if (!array_is_empty(&changes->forgotten))
		pgsql_commit_took_forgotten(commit, answer->results[idx++]);
	pgsql_commit_took_items(commit);
	if (commit->removals_refused == 0)
		pgsql_queue_stored(commit->queue, TRUE);
	pgsql_commit_finish(commit, NULL);
}

/* First come those whose results are looked at. */
static void pgsql_commit_send(struct pgsql_commit *commit)
{
	struct queue_changes *changes = commit->changes;

	pgsql_commit_find_parts(commit);
	pgsql_commit_count(commit);
	pgsql_lost_change(commit->queue, changes);
	pgsql_commit_removed(commit);
	pgsql_commit_resent(commit);
	pgsql_commit_lost(commit);
	pgsql_lost_end(commit->queue, changes);
	pgsql_commit_forgotten(commit);
	pgsql_commit_attempts(commit);
	pgsql_commit_sessions(commit);
	pgsql_commit_forget_sessions(commit);
	pgsql_commit_items(commit);
	pgsql_commit_end_batch(commit, pgsql_commit_answered);
}

void pgsql_commit_begin(struct pgsql_commit *commit,
			struct queue_changes *changes)
{
	struct queue_item *item;

	i_assert(commit->changes == NULL);

	commit->changes = changes;
	array_foreach_elem(&changes->resent, item) {
		if (item->id == 0)
			array_push_back(&commit->items, &item);
	}
	array_append_array(&commit->items, &changes->added);
	commit->awaited = changes->awaited;
	commit->renewed_endpoints = commit->renewed_parts = FALSE;
	commit->deadline = http_notify_monotonic_msecs() +
		(changes->awaited ? AWAITED_MSECS : COMMIT_MSECS);
	if (!array_is_empty(&changes->endpoints))
		pgsql_commit_send_endpoints(commit);
	else
		pgsql_commit_send_parts(commit);
}

void pgsql_commit_hurry(struct pgsql_commit *commit)
{
	int64_t deadline = http_notify_monotonic_msecs() + AWAITED_MSECS;

	if (commit->changes == NULL || commit->awaited)
		return;
	commit->awaited = TRUE;
	commit->deadline = I_MIN(commit->deadline, deadline);
	pgsql_conn_hurry(commit->queue->conn, AWAITED_MSECS, commit);
}

bool pgsql_commit_is_busy(const struct pgsql_commit *commit)
{
	return commit->changes != NULL;
}

struct pgsql_commit *pgsql_commit_init(struct pgsql_queue *queue)
{
	struct pgsql_commit *commit;

	commit = i_new(struct pgsql_commit, 1);
	commit->queue = queue;
	i_array_init(&commit->numbered, 4);
	i_array_init(&commit->items, 64);
	i_array_init(&commit->places, 64);
	i_array_init(&commit->parts, 16);
	return commit;
}

void pgsql_commit_deinit(struct pgsql_commit **_commit)
{
	struct pgsql_commit *commit = *_commit;

	*_commit = NULL;
	array_free(&commit->numbered);
	array_free(&commit->items);
	array_free(&commit->places);
	array_free(&commit->parts);
	i_free(commit);
}
