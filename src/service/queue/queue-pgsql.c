/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue in PostgreSQL, which several hosts share.

   Each host stores and reads by one connection, in the order of asking. Another
   one (pgsql-slots.c) is for what it sends. When the former has been lost, it is
   not known whether what was sent last has been committed. So nothing is stored
   by another connection before the server has ended the former one, and the
   sessions, which are part of each transaction, have been read again: they tell
   which hand-offs are stored, when these come again. */
#include "lib.h"
#include "hostpid.h"
#include "ioloop.h"
#include "llist.h"

#include "dovecot-compat.h"
#include "monotonic.h"
#include "pgsql-check.h"
#include "pgsql-commit.h"
#include "pgsql-connect.h"
#include "pgsql-host.h"
#include "pgsql-lost.h"
#include "pgsql-messages.h"
#include "pgsql-parts.h"
#include "pgsql-tidy.h"
#include "queue-pgsql.h"

/* How long statements may take that no mail process waits for. */
#define OPEN_MSECS (10*1000)
/* less than doveadm waits */
#define READ_MSECS (8*1000)
/* How many reads may be under way: commits wait for these. Of those that ask for
   little there may be more, since they wait for a commit, which may be slow. */
#define READS_MAX 2
#define READS_SMALL_MAX 16
#define READ_SMALL_ROWS 64
/* After so many attempts that fail for the same reason, that is logged. */
#define LASTING_COUNT 5
/* How often to count what all hosts have given up. */
#define COUNT_MSECS (5*60*1000)
/* How often to try to get the lock while the server ends the former connection;
   the interval is doubled each time. */
#define LOCK_MIN_MSECS 20
#define LOCK_MAX_MSECS 1000
/* Another process that has the lock for longer than one that has died would have
   it (LIVE_SECS in pgsql-statements.c) is not this host's. */
#define OTHER_MSECS (15*1000)

#define NOT_CONNECTED "not connected yet"
#define STANDBY_AWAITED \
	"commits wait for a synchronous standby (synchronous_standby_names)"

static void pgsql_queue_lock(struct pgsql_queue *queue);
static void pgsql_queue_send_reads(struct pgsql_queue *queue);

struct pgsql_queue *pgsql_queue_of(struct queue_engine *engine)
{
	return container_of(engine, struct pgsql_queue, engine);
}

bool pgsql_queue_is_ready(const struct pgsql_queue *queue)
{
	return queue->ready && pgsql_conn_is_connected(queue->conn);
}

void pgsql_queue_other_tables(void)
{
	i_fatal("PostgreSQL's tables are others than before");
}

/* Log it once per spell; and what it was lost for may not be why it stays so. */
static void
pgsql_queue_trouble(struct pgsql_queue *queue, const char *error)
{
	struct queue *q = queue->engine.queue;
	bool first = !queue->in_trouble;

	queue_engine_state(q, error);
	if (!first && strcmp(error, queue->reason) == 0)
		queue->reason_count++;
	else {
		i_free(queue->reason);
		queue->reason = i_strdup(error);
		queue->reason_count = 1;
	}
	if (first) {
		e_error(queue_engine_down_event(q, error),
			"PostgreSQL can't be used: %s", error);
	} else if ((queue->reason_count == LASTING_COUNT ||
		    strcmp(error, STANDBY_AWAITED) == 0) &&
		   strcmp(error, queue->logged_reason) != 0)
		i_error("PostgreSQL can't be used: %s", error);
	else
		return;
	i_free(queue->logged_reason);
	queue->logged_reason = i_strdup(error);
	queue->in_trouble = TRUE;
}

static void pgsql_queue_trouble_ended(struct pgsql_queue *queue)
{
	struct queue *q = queue->engine.queue;

	if (queue->commit_failed)
		return;
	queue_engine_state(q, NULL);
	if (queue->in_trouble)
		e_info(queue_engine_up_event(q), "PostgreSQL can be used again");
	queue->in_trouble = queue->other_logged = FALSE;
}

void pgsql_queue_stored(struct pgsql_queue *queue, bool success)
{
	queue->commit_failed = !success;
	if (queue->in_trouble)
		pgsql_queue_trouble_ended(queue);
}

/* Why it can't be used. */
static const char *pgsql_queue_error(const struct pgsql_queue *queue)
{
	struct queue_state state;

	queue_get_state(queue->engine.queue, &state);
	return state.error != NULL ? state.error : NOT_CONNECTED;
}

const char *pgsql_queue_unusable(const struct pgsql_queue *queue)
{
	return t_strconcat("PostgreSQL can't be used: ",
			   pgsql_queue_error(queue), NULL);
}

/* Reading */

static void
fill_whole(const PGresult *rows, int row, struct queue_item *item)
{
	pgsql_get_guid(rows, row, 1, item->session);
	item->seq = pgsql_get_int(rows, row, 2);
	item->created = pgsql_get_int(rows, row, 3);
	item->expires = pgsql_get_int(rows, row, 4);
	item->attempts = pgsql_get_int(rows, row, 5);
	item->username = pgsql_get_str(rows, row, 6);
	item->folder = pgsql_get_str(rows, row, 7);
	item->uid = pgsql_get_int(rows, row, 8);
	item->body = pgsql_get_str(rows, row, 9);
	item->mailbox = pgsql_get_int(rows, row, 10);
}

static bool
read_row(struct queue_read *read, const PGresult *rows, int row)
{
	struct queue_item item = { .id = pgsql_get_int(rows, row, 0) };

	if (read->what == QUEUE_READ_LOST)
		pgsql_lost_fill(read->engine_context, rows, row, &item);
	else if (read->what == QUEUE_READ_WHOLE)
		fill_whole(rows, row, &item);
	else {
		item.username = pgsql_get_str(rows, row, 1);
		item.body_size = pgsql_get_int(rows, row, 2);
	}
	return queue_engine_read_row(read, &item);
}

/* An admin does not wait until it can be made by the next connection. */
static void
pgsql_queue_read_unmade(struct pgsql_queue *queue, struct queue_read *read)
{
	if (!read->awaited) {
		DLLIST2_APPEND(&queue->reads_head, &queue->reads_tail, read);
		return;
	}
	queue_engine_read_done(read, pgsql_queue_unusable(queue));
}

/* The lost connection is logged by others. */
static void
pgsql_queue_read_answered(const struct pgsql_answer *answer, void *context)
{
	struct queue_read *read = context;
	struct pgsql_queue *queue = read->engine_context;
	const PGresult *rows;
	int64_t size = 0;
	int i, count;

	queue->reading--;
	if (answer->unknown) {
		/* which is not logged for each read */
		queue_engine_state(queue->engine.queue, answer->error);
		pgsql_queue_read_unmade(queue, read);
		return;
	}
	pgsql_queue_send_reads(queue);
	if (answer->error != NULL) {
		queue_engine_read_done(read, t_strdup_printf("PostgreSQL: %s",
							     answer->error));
		return;
	}
	rows = answer->results[0];
	count = PQntuples(rows);
	for (i = 0; i < count; i++) {
		if (!read_row(read, rows, i))
			break;
	}
	if (read->what != QUEUE_READ_USERS && count > 0) {
		/* the last column has the size of all */
		size = pgsql_get_int(rows, count - 1, PQnfields(rows) - 1);
	}
	read->cut = size >= QUEUE_READ_SIZE_MAX;
	queue_engine_read_done(read, NULL);
}

static void
pgsql_queue_read_send(struct pgsql_queue *queue, struct queue_read *read)
{
	struct pgsql_params params = { .count = 0 };
	enum pgsql_statement statement;

	read->engine_context = queue;
	pgsql_params_add_int(&params, read->after_id);
	if (read->what == QUEUE_READ_LOST)
		statement = PGSQL_LOST_READ;
	else {
		if (read->part_number != 0) {
			params.count = 0;
			pgsql_params_add_int(&params, I_MAX(read->after_id,
				PGSQL_PART_FIRST_ID(read->part_number)));
		}
		/* never those of other parts */
		pgsql_params_add_int(&params, read->part_number == 0 ?
			read->last_id : I_MIN(read->last_id,
				PGSQL_PART_FIRST_ID(read->part_number + 1)));
		statement = read->part_number == 0 ? PGSQL_READ_ENDPOINT :
			read->what == QUEUE_READ_WHOLE ? PGSQL_READ_WHOLE :
			PGSQL_READ_USERS;
	}
	pgsql_params_add_int(&params, read->limit);
	if (statement != PGSQL_READ_USERS)
		pgsql_params_add_int(&params, QUEUE_READ_SIZE_MAX);
	if (statement == PGSQL_READ_ENDPOINT)
		pgsql_params_add_int(&params, read->endpoint_number);
	pgsql_conn_add(queue->conn, statement, &params);
	pgsql_conn_send(queue->conn, READ_MSECS, pgsql_queue_read_answered,
			read);
}

static unsigned int reads_max(const struct queue_read *read)
{
	return read->limit < READ_SMALL_ROWS ? READS_SMALL_MAX : READS_MAX;
}

static void pgsql_queue_send_reads(struct pgsql_queue *queue)
{
	struct queue_read *read;

	while (pgsql_queue_is_ready(queue) &&
	       (read = queue->reads_head) != NULL &&
	       queue->reading < reads_max(read)) {
		DLLIST2_REMOVE(&queue->reads_head, &queue->reads_tail, read);
		queue->reading++;
		pgsql_queue_read_send(queue, read);
	}
}

static void
pgsql_queue_read(struct queue_engine *engine, struct queue_read *read)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);

	if (!pgsql_queue_is_ready(queue)) {
		pgsql_queue_read_unmade(queue, read);
		return;
	}
	DLLIST2_APPEND(&queue->reads_head, &queue->reads_tail, read);
	pgsql_queue_send_reads(queue);
}

static void
pgsql_queue_announced(const struct pgsql_answer *answer, void *context)
{
	struct queue_announced_read *read = context;
	const PGresult *rows;
	int i;

	if (answer->error != NULL) {
		queue_engine_announced(read, t_strdup_printf("PostgreSQL: %s",
							     answer->error));
		return;
	}
	read->since = pgsql_get_int(answer->results[0], 0, 0);
	rows = answer->results[1];
	for (i = 0; i < PQntuples(rows); i++) {
		seq_range_array_add_range(&read->uids,
					  pgsql_get_int(rows, i, 0),
					  pgsql_get_int(rows, i, 1));
	}
	queue_engine_announced(read, NULL);
}

static void
pgsql_queue_read_announced(struct queue_engine *engine,
			   struct queue_announced_read *read)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);
	struct pgsql_params params = { .count = 0 };

	if (!pgsql_queue_is_ready(queue)) {
		queue_engine_announced(read, pgsql_queue_unusable(queue));
		return;
	}
	pgsql_conn_add(queue->conn, PGSQL_ANNOUNCED_SINCE, &params);
	pgsql_params_add_int(&params, read->mailbox);
	pgsql_conn_add(queue->conn, PGSQL_ANNOUNCED_READ, &params);
	pgsql_conn_send(queue->conn, READ_MSECS, pgsql_queue_announced, read);
}

/* Opening */

static void
pgsql_queue_have_sessions(struct pgsql_queue *queue, const PGresult *rows)
{
	/* they are needed until what was not confirmed comes again */
	struct queue_session session = {
		.used = queue_now(queue->engine.queue)
	};
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		pgsql_get_guid(rows, i, 0, session.id);
		session.seq = pgsql_get_int(rows, i, 1);
		session.added = pgsql_get_int(rows, i, 2);
		queue_engine_have_session(queue->engine.queue, &session);
	}
}

void pgsql_queue_have_endpoints(struct pgsql_queue *queue,
				const PGresult *rows)
{
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		(void)queue_engine_have_endpoint(queue->engine.queue,
			pgsql_get_int(rows, i, 0), pgsql_get_str(rows, i, 1),
			pgsql_get_str(rows, i, 2));
	}
}

/* One that is not there was deleted because nothing was queued for it, unless
   its parts say that there was. */
static void
pgsql_queue_checked_endpoints(struct pgsql_queue *queue, const PGresult *rows)
{
	struct queue *q = queue->engine.queue;
	struct queue_endpoint *ep;
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		if (pgsql_get_int(rows, i, 1) != 0)
			pgsql_queue_other_tables();
		ep = queue_engine_get_endpoint(q, pgsql_get_int(rows, i, 0));
		queue_engine_endpoint_gone(q, ep);
	}
}

/* Drop the connection because of its answer, if that is an error. */
static bool
pgsql_queue_failed(struct pgsql_queue *queue, const struct pgsql_answer *answer)
{
	if (answer->error != NULL && !answer->unknown)
		pgsql_conn_fail(queue->conn, answer->error);
	return answer->error != NULL;
}

static void
pgsql_queue_loaded(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;
	struct queue *q = queue->engine.queue;
	unsigned int idx = 4;

	if (pgsql_queue_failed(queue, answer))
		return;
	if (PQntuples(answer->results[6]) == 0) {
		/* deleted meanwhile (pgsql-tidy.c): make it anew */
		pgsql_conn_fail(queue->conn,
				"this host's row is not there any more");
		return;
	}
	pgsql_queue_checked_endpoints(queue, answer->results[0]);
	pgsql_parts_checked(queue->parts, answer->results[1]);
	/* What is being added was compared with the sessions as they were: it
	   fails, and comes again. */
	queue_flush(q);
	pgsql_queue_have_sessions(queue, answer->results[2]);
	pgsql_queue_have_endpoints(queue, answer->results[3]);
	pgsql_lost_counted(queue, answer, &idx);
	queue->ready = TRUE;
	queue->unmade = 0;
	pgsql_queue_trouble_ended(queue);
	pgsql_parts_ready(queue->parts);
	pgsql_tidy_ready(queue->tidy);
	pgsql_queue_send_reads(queue);
	queue_flush(q);
}

/* Commits are answered in the order of asking, so that what this host counts by
   itself agrees. */
static void
pgsql_queue_counted(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;
	unsigned int idx = 0;

	if (!pgsql_queue_failed(queue, answer))
		pgsql_lost_counted(queue, answer, &idx);
}

static void pgsql_queue_count(struct pgsql_queue *queue)
{
	if (pgsql_queue_is_ready(queue)) {
		pgsql_lost_count(queue);
		pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_counted,
				queue);
		pgsql_messages_tidy(queue);
	}
}

/* After a failover, what was stored last may not be there. */
static void pgsql_queue_check(struct pgsql_queue *queue)
{
	const struct queue_endpoint *ep =
		queue_engine_endpoints(queue->engine.queue);
	struct pgsql_params params = { .count = 0 };
	struct pgsql_array numbers, keys;

	pgsql_array_init_ints(&numbers);
	pgsql_array_init_bytes(&keys);
	for (; ep != NULL; ep = ep->next) {
		if (ep->stored) {
			pgsql_array_add_int(&numbers, ep->number);
			pgsql_array_add_str(&keys, ep->key);
		}
	}
	pgsql_params_add_array(&params, &numbers);
	pgsql_params_add_array(&params, &keys);
	pgsql_conn_add(queue->conn, PGSQL_ENDPOINTS_CHECK, &params);
	pgsql_parts_check(queue->parts);
}

/* What a former connection has committed may not be on a synchronous standby. So
   something is written as well: it is answered when all of that is there, too,
   and only if commits are. */
static void pgsql_queue_load(struct pgsql_queue *queue)
{
	struct pgsql_params params = { .count = 0 };
	const struct pgsql_params none = { .count = 0 };

	pgsql_queue_check(queue);
	pgsql_params_add_int(&params, queue->host);
	pgsql_conn_add(queue->conn, PGSQL_SESSIONS, &params);
	pgsql_conn_add(queue->conn, PGSQL_ENDPOINTS, &none);
	pgsql_lost_count(queue);
	pgsql_params_add_str(&params, my_hostname);
	pgsql_conn_add(queue->conn, PGSQL_HOST_NAME, &params);
	pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_loaded, queue);
}

/* Two services that took the slots and sessions of each other would both do
   nothing else: this one leaves them to the other. */
static void
pgsql_queue_other_lives(struct pgsql_queue *queue, const char *address)
{
	int64_t msecs = http_notify_monotonic_msecs() - queue->locking_since;

	pgsql_parts_stop(queue->parts);
	if (msecs < OTHER_MSECS || queue->other_logged)
		return;
	queue->other_logged = TRUE;
	/* whatever was logged before */
	queue->in_trouble = FALSE;
	pgsql_queue_trouble(queue, t_strdup_printf("another service, connected "
		"from %s, has the identity of this host: one has a copy of the "
		"other's %s. Remove that file on the host with the copy, and "
		"restart Dovecot there", address, queue->guid_path));
}

static void
pgsql_queue_locked(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;
	const PGresult *other;
	bool standby_awaited;

	if (pgsql_queue_failed(queue, answer))
		return;
	standby_awaited = PQntuples(answer->results[3]) > 0;
	if (standby_awaited && !queue->other_logged)
		pgsql_queue_trouble(queue, STANDBY_AWAITED);
	if (pgsql_get_int(answer->results[1], 0, 0) == 1) {
		pgsql_queue_load(queue);
		return;
	}
	if (!standby_awaited && !queue->other_logged) {
		queue_engine_state(queue->engine.queue, "a former connection "
				   "of this host has not ended yet");
	}
	other = answer->results[2];
	if (PQntuples(other) > 0)
		pgsql_queue_other_lives(queue, pgsql_get_str(other, 0, 0));
	queue->to_lock = timeout_add_short(queue->lock_msecs, pgsql_queue_lock,
					   queue);
	queue->lock_msecs = I_MIN(queue->lock_msecs * 2, LOCK_MAX_MSECS);
}

/* The server ends this host's former connections, if it is not aware that they
   have been lost. */
static void pgsql_queue_lock(struct pgsql_queue *queue)
{
	struct pgsql_params host = { .count = 0 }, both = { .count = 0 };
	const struct pgsql_params none = { .count = 0 };

	timeout_remove(&queue->to_lock);
	pgsql_params_add_int(&host, queue->host);
	pgsql_params_add_int(&both, queue->host);
	pgsql_params_add_int(&both, queue->instance);
	pgsql_conn_add(queue->conn, PGSQL_WRITER_KILL, &both);
	pgsql_conn_add(queue->conn, PGSQL_WRITER_LOCK, &host);
	pgsql_conn_add(queue->conn, PGSQL_WRITER_OTHER, &both);
	pgsql_conn_add(queue->conn, PGSQL_STANDBY_AWAITED, &none);
	pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_locked, queue);
}

static void
pgsql_queue_have_host(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;

	if (pgsql_queue_failed(queue, answer))
		return;
	queue->host = pgsql_get_int(answer->results[0], 0, 0);
	queue->lock_msecs = LOCK_MIN_MSECS;
	queue->locking_since = http_notify_monotonic_msecs();
	pgsql_queue_lock(queue);
}

bool pgsql_queue_check_version(struct pgsql_queue *queue, const PGresult *rows)
{
	int64_t version = 0, compatible = 0;

	if (PQntuples(rows) > 0) {
		version = pgsql_get_int(rows, 0, 0);
		compatible = pgsql_get_int(rows, 0, 1);
	}
	if (pgsql_schema_is_usable(version, compatible))
		return TRUE;
	pgsql_conn_fail(queue->conn, t_strdup_printf(
		"its tables are of version %"PRId64", not %d (%s)", version,
		PGSQL_SCHEMA_VERSION, version < PGSQL_SCHEMA_VERSION ?
		"upgrade them by pgsql/schema-*.sql" :
		"upgrade dovecot-http-notify on this host"));
	return FALSE;
}

static void
pgsql_queue_may_use(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;
	struct pgsql_params params = { .count = 0 }, instance = { .count = 0 };
	const char *missing;

	if (pgsql_queue_failed(queue, answer) ||
	    !pgsql_conn_check_mark(queue->conn, answer->results[0],
				   PGSQL_SERVER_MARK))
		return;
	if (!pgsql_queue_check_version(queue, answer->results[0])) {
		pgsql_parts_stop(queue->parts);
		return;
	}
	missing = pgsql_get_str(answer->results[1], 0, 0);
	if (*missing != '\0') {
		pgsql_parts_stop(queue->parts);
		/* functions come last */
		pgsql_conn_fail(queue->conn, t_strdup_printf("its role lacks "
			"%s (%s)", missing, str_begins_with(missing, "EXECUTE") ?
			"GRANT that to PUBLIC" :
			"GRANT http_notify TO the role"));
		return;
	}
	queue->clock_offset = pgsql_get_int(answer->results[0], 0, 2) -
		http_notify_monotonic_msecs();
	queue->server = pgsql_get_int(answer->results[0], 0, 3);
	pgsql_params_add_bytes(&params, queue->guid, sizeof(queue->guid));
	pgsql_params_add_str(&params, my_hostname);
	pgsql_conn_add(queue->conn, PGSQL_HOST, &params);
	pgsql_params_add_int(&instance, queue->instance);
	pgsql_conn_add(queue->conn, PGSQL_INSTANCE, &instance);
	pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_have_host, queue);
}

static void pgsql_queue_connected(void *context)
{
	struct pgsql_queue *queue = context;
	const struct pgsql_params none = { .count = 0 };

	pgsql_conn_add(queue->conn, PGSQL_VERSION, &none);
	pgsql_conn_add(queue->conn, PGSQL_RIGHTS, &none);
	pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_may_use, queue);
}

static void pgsql_queue_disconnected(const char *error, void *context)
{
	struct pgsql_queue *queue = context;
	struct queue_read *read, *next;

	/* it can't even be made, and not because the server is slow for all:
	   others should send */
	if (!queue->ready && ++queue->unmade == LASTING_COUNT)
		pgsql_parts_stop(queue->parts);
	queue->ready = FALSE;
	timeout_remove(&queue->to_lock);
	pgsql_queue_trouble(queue, error);
	for (read = queue->reads_head; read != NULL; read = next) {
		next = read->next;
		if (!read->awaited)
			continue;
		DLLIST2_REMOVE(&queue->reads_head, &queue->reads_tail, read);
		pgsql_queue_read_unmade(queue, read);
	}
}

/* The rest */

static void
pgsql_queue_commit(struct queue_engine *engine, struct queue_changes *changes)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);

	if (pgsql_queue_is_ready(queue))
		pgsql_commit_begin(queue->commit, changes);
	else
		queue_engine_committed(engine->queue,
				       t_strdup(pgsql_queue_error(queue)));
}

static void
pgsql_queue_wait(struct queue_engine *engine, unsigned int msecs)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);
	int64_t until = http_notify_monotonic_msecs() + msecs;

	while (pgsql_commit_is_busy(queue->commit))
		pgsql_conn_wait(queue->conn, until);
}

static void pgsql_queue_hurry(struct queue_engine *engine)
{
	pgsql_commit_hurry(pgsql_queue_of(engine)->commit);
}

static void pgsql_queue_recount_lost(struct queue_engine *engine)
{
	pgsql_queue_count(pgsql_queue_of(engine));
}

static bool pgsql_queue_forgets_lost(struct queue_engine *engine)
{
	return pgsql_parts_sends_first(pgsql_queue_of(engine)->parts);
}

static void pgsql_queue_reclaim(struct queue_engine *engine,
				bool scarce ATTR_UNUSED)
{
	/* autovacuum does */
	queue_engine_reclaimed(engine->queue);
}

static void
pgsql_queue_have_counts(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;
	struct queue_counts counts = { .queued = 0 };

	if (pgsql_queue_failed(queue, answer)) {
		queue_engine_counted(queue->engine.queue, NULL, t_strdup_printf(
			"PostgreSQL: %s", answer->error));
		return;
	}
	counts.queued = pgsql_get_int(answer->results[0], 0, 0);
	counts.lost = pgsql_get_int(answer->results[0], 0, 1);
	queue_engine_counted(queue->engine.queue, &counts, NULL);
}

static void pgsql_queue_count_all(struct queue_engine *engine)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);
	const struct pgsql_params none = { .count = 0 };

	if (!pgsql_queue_is_ready(queue)) {
		queue_engine_counted(engine->queue, NULL,
				     pgsql_queue_unusable(queue));
		return;
	}
	pgsql_conn_add(queue->conn, PGSQL_COUNT, &none);
	pgsql_conn_send(queue->conn, READ_MSECS, pgsql_queue_have_counts,
			queue);
}

static void pgsql_queue_check_settings(struct queue_engine *engine,
				       struct queue_check *check)
{
	pgsql_check_start(pgsql_queue_of(engine), check);
}

static int64_t pgsql_queue_now(struct queue_engine *engine)
{
	return (http_notify_monotonic_msecs() +
		pgsql_queue_of(engine)->clock_offset) / 1000;
}

static void pgsql_queue_claim(struct queue_engine *engine)
{
	pgsql_parts_claim(pgsql_queue_of(engine)->parts);
}

static bool pgsql_queue_may_send(struct queue_engine *engine)
{
	return pgsql_parts_may_send(pgsql_queue_of(engine)->parts);
}

static void pgsql_queue_part_released(struct queue_engine *engine,
				      struct queue_part *part)
{
	pgsql_parts_part_released(pgsql_queue_of(engine)->parts, part);
}

static void pgsql_queue_deinit(struct queue_engine *engine)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);
	struct queue_read *read;

	timeout_remove(&queue->to_lock);
	timeout_remove(&queue->to_count);
	pgsql_checks_stop(queue);
	pgsql_conn_deinit(&queue->conn);
	while ((read = queue->reads_head) != NULL) {
		DLLIST2_REMOVE(&queue->reads_head, &queue->reads_tail, read);
		queue_engine_read_done(read, NULL);
	}
	pgsql_tidy_deinit(&queue->tidy);
	pgsql_parts_deinit(&queue->parts);
	pgsql_commit_deinit(&queue->commit);
	i_free(queue->reason);
	i_free(queue->logged_reason);
	i_free(queue->guid_path);
	i_free(queue);
}

static int
pgsql_queue_init(struct queue *q, const struct queue_settings *set,
		 struct queue_engine **engine_r, const char **error_r)
{
	static const struct pgsql_conn_vfuncs conn_vfuncs = {
		.connected = pgsql_queue_connected,
		.disconnected = pgsql_queue_disconnected
	};
	struct pgsql_conn_settings conn_set;
	struct pgsql_queue *queue;
	const char *path;
	guid_128_t guid;

	if (pgsql_connect_check(set->pgsql, error_r) < 0) {
		*error_r = t_strconcat("http_notify_pgsql ", *error_r, NULL);
		return -1;
	}
	if (pgsql_host_guid(set->directory, guid, &path, error_r) < 0)
		return -1;
	queue = i_new(struct pgsql_queue, 1);
	queue->engine.v = &queue_engine_pgsql;
	queue->engine.queue = q;
	queue_engine_state(q, NOT_CONNECTED);
	guid_128_copy(queue->guid, guid);
	queue->guid_path = i_strdup(path);
	queue->instance = i_rand_minmax(1, INT32_MAX);
	queue->clock_offset = (int64_t)ioloop_time * 1000 -
		http_notify_monotonic_msecs();
	queue->conn_set.conninfo = set->pgsql;
	queue->conn_set.password_file = set->pgsql_password_file;
	queue->conn_set.application_name = "http-notify";
	queue->conn_set.prepare_msecs = OPEN_MSECS;
	queue->commit = pgsql_commit_init(queue);
	queue->parts = pgsql_parts_init(queue);
	queue->tidy = pgsql_tidy_init(queue, set->announced_max > 0 ?
				      set->announced_max : QUEUE_ANNOUNCED_MAX);
	conn_set = queue->conn_set;
	/* A queue's tables are not as they were when they were analysed last:
	   empty, or a million rows. So an index is always used, and there is
	   nothing to plan anew for each execution. */
	conn_set.session = PGSQL_SET_SESSION(
		", ('plan_cache_mode', 'force_generic_plan')"
		", ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off')"
		", ('max_parallel_workers_per_gather', '0')");
	conn_set.statements = pgsql_statements;
	conn_set.statements_count = PGSQL_STATEMENT_COUNT;
	queue->conn = pgsql_conn_init(&conn_set, &conn_vfuncs, queue);
	queue->to_count = timeout_add(COUNT_MSECS, pgsql_queue_count, queue);
	*engine_r = &queue->engine;
	return 0;
}

const struct queue_engine_vfuncs queue_engine_pgsql = {
	.name = "pgsql",
	.part_shift = PGSQL_PART_SHIFT,
	.spooled = TRUE,
	.announced_when_added = TRUE,
	.exact_sessions = TRUE,
	.gather_msecs = 5,
	.init = pgsql_queue_init,
	.wait = pgsql_queue_wait,
	.deinit = pgsql_queue_deinit,
	.claim = pgsql_queue_claim,
	.may_send = pgsql_queue_may_send,
	.part_released = pgsql_queue_part_released,
	.commit = pgsql_queue_commit,
	.hurry = pgsql_queue_hurry,
	.recount_lost = pgsql_queue_recount_lost,
	.forgets_lost = pgsql_queue_forgets_lost,
	.reclaim = pgsql_queue_reclaim,
	.read = pgsql_queue_read,
	.read_announced = pgsql_queue_read_announced,
	.count = pgsql_queue_count_all,
	.check = pgsql_queue_check_settings,
	.now = pgsql_queue_now,
	.hosts = &pgsql_messages_vfuncs,
};
