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

#include "monotonic.h"
#include "pgsql-commit.h"
#include "pgsql-connect.h"
#include "pgsql-host.h"
#include "pgsql-lost.h"
#include "pgsql-parts.h"
#include "queue-pgsql.h"

/* How long statements may take that no mail process waits for. */
#define OPEN_MSECS (10*1000)
#define READ_MSECS (10*1000)
/* How many reads may be under way: commits wait for these. */
#define READS_MAX 2
/* How often to count what all hosts have given up. */
#define COUNT_MSECS (5*60*1000)
/* How often to try to get the lock while the server ends the former
   connection. */
#define LOCK_MSECS 20

static void pgsql_queue_lock(struct pgsql_queue *queue);
static void pgsql_queue_send_reads(struct pgsql_queue *queue);

static struct pgsql_queue *pgsql_queue_of(struct queue_engine *engine)
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

/* Once per spell. */
static void
pgsql_queue_trouble(struct pgsql_queue *queue, const char *error)
{
	if (!queue->in_trouble)
		i_error("PostgreSQL can't be used: %s", error);
	queue->in_trouble = TRUE;
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

/* The lost connection is logged by others, and the read made by the next
   one. */
static void
pgsql_queue_read_answered(const struct pgsql_answer *answer, void *context)
{
	struct queue_read *read = context;
	struct pgsql_queue *queue = read->engine_context;
	const PGresult *rows;
	int i, count;

	queue->reading--;
	if (answer->unknown) {
		DLLIST2_APPEND(&queue->reads_head, &queue->reads_tail, read);
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
		read->cut = pgsql_get_int(rows, count - 1,
			PQnfields(rows) - 1) >= QUEUE_READ_SIZE_MAX;
	}
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
				QUEUE_PART_FIRST_ID(read->part_number)));
		}
		pgsql_params_add_int(&params, read->last_id);
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

static void pgsql_queue_send_reads(struct pgsql_queue *queue)
{
	struct queue_read *read;

	while (pgsql_queue_is_ready(queue) && queue->reading < READS_MAX &&
	       (read = queue->reads_head) != NULL) {
		DLLIST2_REMOVE(&queue->reads_head, &queue->reads_tail, read);
		queue->reading++;
		pgsql_queue_read_send(queue, read);
	}
}

static void
pgsql_queue_read(struct queue_engine *engine, struct queue_read *read)
{
	struct pgsql_queue *queue = pgsql_queue_of(engine);

	if (read->part_number == 0 && !pgsql_queue_is_ready(queue)) {
		queue_engine_read_done(read, "PostgreSQL can't be used");
		return;
	}
	DLLIST2_APPEND(&queue->reads_head, &queue->reads_tail, read);
	pgsql_queue_send_reads(queue);
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

static void
pgsql_queue_have_endpoints(struct pgsql_queue *queue, const PGresult *rows)
{
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		(void)queue_engine_have_endpoint(queue->engine.queue,
			pgsql_get_int(rows, i, 0), pgsql_get_str(rows, i, 1),
			pgsql_get_str(rows, i, 2));
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
	if (pgsql_get_int(answer->results[0], 0, 0) != 0 ||
	    pgsql_get_int(answer->results[1], 0, 0) != 0)
		pgsql_queue_other_tables();
	/* What is being added was compared with the sessions as they were: it
	   fails, and comes again. */
	queue_flush(q);
	pgsql_queue_have_sessions(queue, answer->results[2]);
	pgsql_queue_have_endpoints(queue, answer->results[3]);
	pgsql_lost_counted(queue, answer, &idx);
	queue->ready = TRUE;
	if (queue->in_trouble)
		i_info("PostgreSQL can be used again");
	queue->in_trouble = FALSE;
	pgsql_parts_ready(queue->parts);
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

static void pgsql_queue_load(struct pgsql_queue *queue)
{
	struct pgsql_params params = { .count = 0 };
	const struct pgsql_params none = { .count = 0 };

	pgsql_queue_check(queue);
	pgsql_params_add_int(&params, queue->host);
	pgsql_conn_add(queue->conn, PGSQL_SESSIONS, &params);
	pgsql_conn_add(queue->conn, PGSQL_ENDPOINTS, &none);
	pgsql_lost_count(queue);
	pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_loaded, queue);
}

static void
pgsql_queue_locked(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;

	if (pgsql_queue_failed(queue, answer))
		return;
	if (pgsql_get_int(answer->results[1], 0, 0) == 1)
		pgsql_queue_load(queue);
	else {
		queue->to_lock = timeout_add_short(LOCK_MSECS,
						   pgsql_queue_lock, queue);
	}
}

/* The server ends this host's former connection, if it is not aware that it has
   been lost. */
static void pgsql_queue_lock(struct pgsql_queue *queue)
{
	struct pgsql_params params = { .count = 0 };

	timeout_remove(&queue->to_lock);
	pgsql_params_add_int(&params, queue->host);
	pgsql_conn_add(queue->conn, PGSQL_WRITER_KILL, &params);
	pgsql_conn_add(queue->conn, PGSQL_WRITER_LOCK, &params);
	pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_locked, queue);
}

static void
pgsql_queue_have_host(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_queue *queue = context;
	const PGresult *version;

	if (pgsql_queue_failed(queue, answer))
		return;
	version = answer->results[1];
	if (PQntuples(version) != 1 ||
	    pgsql_get_int(version, 0, 0) != PGSQL_SCHEMA_VERSION) {
		pgsql_conn_fail(queue->conn, t_strdup_printf(
			"its tables are of version %s, not %d (schema-*.sql)",
			PQntuples(version) != 1 ? "?" :
			dec2str(pgsql_get_int(version, 0, 0)),
			PGSQL_SCHEMA_VERSION));
		return;
	}
	queue->clock_offset = pgsql_get_int(version, 0, 1) -
		http_notify_monotonic_msecs();
	queue->host = pgsql_get_int(answer->results[2], 0, 0);
	pgsql_queue_lock(queue);
}

static void pgsql_queue_connected(void *context)
{
	struct pgsql_queue *queue = context;
	const struct pgsql_params none = { .count = 0 };
	struct pgsql_params params = { .count = 0 };

	pgsql_params_add_bytes(&params, queue->guid, sizeof(queue->guid));
	pgsql_params_add_str(&params, my_hostname);
	pgsql_conn_add(queue->conn, PGSQL_SESSION, &none);
	pgsql_conn_add(queue->conn, PGSQL_VERSION, &none);
	pgsql_conn_add(queue->conn, PGSQL_HOST, &params);
	pgsql_conn_send(queue->conn, OPEN_MSECS, pgsql_queue_have_host, queue);
}

static void pgsql_queue_disconnected(const char *error, void *context)
{
	struct pgsql_queue *queue = context;

	queue->ready = FALSE;
	timeout_remove(&queue->to_lock);
	pgsql_queue_trouble(queue, error);
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
				       "PostgreSQL can't be used");
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

static void pgsql_queue_reclaim(struct queue_engine *engine,
				bool scarce ATTR_UNUSED)
{
	/* autovacuum does */
	queue_engine_reclaimed(engine->queue);
}

static void
pgsql_queue_read_announced(struct queue_engine *engine ATTR_UNUSED,
			   struct queue_announced_read *read)
{
	queue_engine_announced(read, "a queue in PostgreSQL does not remember "
			       "what was announced");
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
	pgsql_conn_deinit(&queue->conn);
	while ((read = queue->reads_head) != NULL) {
		DLLIST2_REMOVE(&queue->reads_head, &queue->reads_tail, read);
		queue_engine_read_done(read, NULL);
	}
	pgsql_parts_deinit(&queue->parts);
	pgsql_commit_deinit(&queue->commit);
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
	guid_128_t guid;

	if (pgsql_connect_check(set->pgsql, error_r) < 0) {
		*error_r = t_strconcat("http_notify_pgsql ", *error_r, NULL);
		return -1;
	}
	if (pgsql_host_guid(set->directory, guid, error_r) < 0)
		return -1;
	queue = i_new(struct pgsql_queue, 1);
	queue->engine.v = &queue_engine_pgsql;
	queue->engine.queue = q;
	guid_128_copy(queue->guid, guid);
	queue->clock_offset = (int64_t)ioloop_time * 1000 -
		http_notify_monotonic_msecs();
	queue->conn_set.conninfo = set->pgsql;
	queue->conn_set.password_file = set->pgsql_password_file;
	queue->conn_set.application_name = "http-notify";
	queue->conn_set.prepare_msecs = OPEN_MSECS;
	queue->commit = pgsql_commit_init(queue);
	queue->parts = pgsql_parts_init(queue);
	conn_set = queue->conn_set;
	conn_set.statements = pgsql_statements;
	conn_set.statements_count = PGSQL_STATEMENT_COUNT;
	queue->conn = pgsql_conn_init(&conn_set, &conn_vfuncs, queue);
	queue->to_count = timeout_add(COUNT_MSECS, pgsql_queue_count, queue);
	*engine_r = &queue->engine;
	return 0;
}

const struct queue_engine_vfuncs queue_engine_pgsql = {
	.name = "pgsql",
	.spooled = TRUE,
	.init = pgsql_queue_init,
	.wait = pgsql_queue_wait,
	.deinit = pgsql_queue_deinit,
	.claim = pgsql_queue_claim,
	.part_released = pgsql_queue_part_released,
	.commit = pgsql_queue_commit,
	.hurry = pgsql_queue_hurry,
	.recount_lost = pgsql_queue_recount_lost,
	.reclaim = pgsql_queue_reclaim,
	.read = pgsql_queue_read,
	.read_announced = pgsql_queue_read_announced,
	.now = pgsql_queue_now,
};
