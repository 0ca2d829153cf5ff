/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue in an SQLite file, in WAL mode.

   Every page that a commit touches has to be written and checksummed. So
   notifications are in one table without an index: the id has the endpoint's
   number in its upper bits, which keeps each endpoint's rows together and in
   order. That is the number of the endpoint's only part, too. What a hand-off
   costs does not depend on how much is queued, and nor does the memory used
   here: SQLite's page cache has a fixed size.
   sqlite-tidy.c keeps the files small. What leaves the queue is remembered by
   sqlite-announced.c.

   If the file turns out to be corrupt, it is moved aside and the process ends,
   so that the next one begins with an empty queue. */
#include "lib.h"
#include "array.h"

#include "queue-engine.h"
#include "sqlite-announced.h"
#include "sqlite-db.h"
#include "sqlite-lost.h"
#include "sqlite-tidy.h"

#define SHIFT SQLITE_DB_ENDPOINT_SHIFT_STR
#define FIRST_ID(endpoint) ((int64_t)(endpoint) << SQLITE_DB_ENDPOINT_SHIFT)
#define ID_NUMBER(id) ((id) & (FIRST_ID(1) - 1))

enum statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_ENDPOINT_SET,
	STATEMENT_ENDPOINT_GET,
	STATEMENT_ENDPOINT_FORGET,
	STATEMENT_ADD,
	STATEMENT_ADD_AGAIN,
	STATEMENT_REMOVING,
	STATEMENT_REMOVE,
	STATEMENT_SET_ATTEMPTS,
	STATEMENT_READ_WHOLE,
	STATEMENT_READ_USERS,
	STATEMENT_SESSION_SET,
	STATEMENT_SESSION_FORGET,

	STATEMENT_COUNT
};

#define ITEM_COLUMNS \
	"id, session, seq, created, expires, attempts, " \
	"username, folder, uid, body, mailbox"

#define ITEM_VALUES \
	"notification ("ITEM_COLUMNS") VALUES " \
	"(?1, ?2, ?3, ?4, ?5, ?11, ?6, ?7, ?8, ?9, ?10)"

static const char *const statements[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_ENDPOINT_SET] =
		"INSERT INTO endpoint (key, options) VALUES (?1, ?2) "
		"ON CONFLICT (key) DO UPDATE SET options = ?2",
	[STATEMENT_ENDPOINT_GET] =
		"SELECT id FROM endpoint WHERE key = ?1",
	[STATEMENT_ENDPOINT_FORGET] =
		"DELETE FROM endpoint WHERE id = ?1 AND NOT EXISTS ("
		"SELECT 1 FROM notification "
		"WHERE notification.id >= ?1 << "SHIFT" AND "
		"notification.id < (?1 + 1) << "SHIFT")",
	[STATEMENT_ADD] =
		"INSERT INTO "ITEM_VALUES,
	[STATEMENT_ADD_AGAIN] =
		"INSERT OR IGNORE INTO "ITEM_VALUES,
	[STATEMENT_REMOVING] =
		"SELECT mailbox, uid FROM notification WHERE id = ?1",
	[STATEMENT_REMOVE] =
		"DELETE FROM notification WHERE id = ?1",
	[STATEMENT_SET_ATTEMPTS] =
		"UPDATE notification SET attempts = ?2 WHERE id = ?1",
	[STATEMENT_READ_WHOLE] =
		"SELECT "ITEM_COLUMNS" FROM notification "
		"WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
	[STATEMENT_READ_USERS] =
		"SELECT id, username FROM notification "
		"WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
	[STATEMENT_SESSION_SET] =
		"INSERT INTO session (id, seq, used) VALUES (?1, ?2, ?3) "
		"ON CONFLICT (id) DO UPDATE SET seq = ?2, used = ?3",
	[STATEMENT_SESSION_FORGET] =
		"DELETE FROM session WHERE used < ?1",
};

struct sqlite_queue {
	struct queue_engine engine;
	struct sqlite_db db;
	struct sqlite_tidy *tidy;
	struct sqlite_lost *lost;
	struct sqlite_announced *announced;
	sqlite3_stmt *statements[STATEMENT_COUNT];

	/* the highest ID_NUMBER() so far */
	int64_t last_number;

	/* of the transaction under way: endpoints that were given a number, and
	   those whose rows were deleted */
	ARRAY(struct queue_endpoint *) numbered, deleted;
};

/* The database is corrupt and can't be used any more. The process ends, since
   the rest of the service would have to start anew with an empty queue, too. */
static void ATTR_NORETURN sqlite_queue_die_corrupt(struct sqlite_queue *queue)
{
	sqlite_db_move_aside(&queue->db);
	i_fatal("Queue is corrupt");
}

/* Run a statement that returns no rows, and reset it. Returns FALSE and error_r
   if it fails. */
static bool
run(struct sqlite_queue *queue, enum statement idx, const char **error_r)
{
	sqlite3_stmt *stmt = queue->statements[idx];
	int ret;

	ret = sqlite3_step(stmt);
	if (ret != SQLITE_DONE) {
		if (sqlite_db_is_corrupt(&queue->db))
			sqlite_queue_die_corrupt(queue);
		*error_r = sqlite_db_error(&queue->db,
			t_strcut(statements[idx], ' '));
	}
	(void)sqlite3_reset(stmt);
	return ret == SQLITE_DONE;
}

/* Committing */

static bool
set_endpoint(struct sqlite_queue *queue, struct queue_endpoint *ep,
	     const char **error_r)
{
	sqlite3_stmt *set = queue->statements[STATEMENT_ENDPOINT_SET];
	sqlite3_stmt *get = queue->statements[STATEMENT_ENDPOINT_GET];
	int ret;

	sqlite3_bind_text(set, 1, ep->key, -1, SQLITE_STATIC);
	sqlite3_bind_text(set, 2, ep->options, -1, SQLITE_STATIC);
	if (!run(queue, STATEMENT_ENDPOINT_SET, error_r))
		return FALSE;
	sqlite3_bind_text(get, 1, ep->key, -1, SQLITE_STATIC);
	ret = sqlite3_step(get);
	if (ret != SQLITE_ROW)
		*error_r = sqlite_db_error(&queue->db, "SELECT");
	else if (ep->number == 0) {
		ep->number = sqlite3_column_int64(get, 0);
		array_push_back(&queue->numbered, &ep);
	}
	(void)sqlite3_reset(get);
	return ret == SQLITE_ROW;
}

static bool
forget_endpoint(struct sqlite_queue *queue, struct queue_endpoint *ep,
		const char **error_r)
{
	if (ep->number == 0) {
		/* it has never been stored */
		return TRUE;
	}
	sqlite3_bind_int64(queue->statements[STATEMENT_ENDPOINT_FORGET], 1,
			   ep->number);
	if (!run(queue, STATEMENT_ENDPOINT_FORGET, error_r))
		return FALSE;
	if (sqlite3_changes(queue->db.sqlite) > 0)
		array_push_back(&queue->deleted, &ep);
	return TRUE;
}

static bool
set_session(struct sqlite_queue *queue, const struct queue_session *session,
	    const char **error_r)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_SESSION_SET];

	sqlite3_bind_blob(stmt, 1, session->id, sizeof(session->id),
			  SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, session->seq);
	sqlite3_bind_int64(stmt, 3, session->used);
	return run(queue, STATEMENT_SESSION_SET, error_r);
}

/* Add an item with the id that it has. */
static bool
insert(struct sqlite_queue *queue, enum statement idx,
       const struct queue_item *item, const char **error_r)
{
	sqlite3_stmt *stmt = queue->statements[idx];

	sqlite3_bind_int64(stmt, 1, item->id);
	sqlite3_bind_blob(stmt, 2, item->session, sizeof(item->session),
			  SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, item->seq);
	sqlite3_bind_int64(stmt, 4, item->created);
	sqlite3_bind_int64(stmt, 5, item->expires);
	sqlite3_bind_text(stmt, 6, item->username, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 7, item->folder, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 8, item->uid);
	sqlite3_bind_text(stmt, 9, item->body, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 10, item->mailbox);
	sqlite3_bind_int64(stmt, 11, item->attempts);
	return run(queue, idx, error_r);
}

static bool
add(struct sqlite_queue *queue, struct queue_item *item, const char **error_r)
{
	item->id = FIRST_ID(item->endpoint->number) +
		++queue->last_number;
	if (queue_item_is_lost(item) && item->lost_id == 0)
		return sqlite_lost_add(queue->lost, item, error_r);
	return insert(queue, STATEMENT_ADD, item, error_r);
}

/* Put one back that was given up. A former version may have used its id for
   another one. */
static bool
resend(struct sqlite_queue *queue, struct queue_changes *changes,
       struct queue_item *item, const char **error_r)
{
	bool taken;

	if (!sqlite_lost_take(queue->lost, changes, item->lost_id, &taken,
			      error_r))
		return FALSE;
	if (!taken) {
		item->id = 0;
		return TRUE;
	}
	if (item->id == 0)
		return add(queue, item, error_r);
	if (!insert(queue, STATEMENT_ADD_AGAIN, item, error_r))
		return FALSE;
	return sqlite3_changes(queue->db.sqlite) > 0 ||
		add(queue, item, error_r);
}

static bool
remove_one(struct sqlite_queue *queue, int64_t id, const char **error_r)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_REMOVING];
	int ret;

	sqlite3_bind_int64(stmt, 1, id);
	ret = sqlite3_step(stmt);
	if (ret == SQLITE_ROW && sqlite3_column_int64(stmt, 0) != 0) {
		sqlite_announced_add(queue->announced,
				     sqlite3_column_int64(stmt, 0),
				     sqlite3_column_int64(stmt, 1));
	} else if (ret != SQLITE_ROW && ret != SQLITE_DONE)
		*error_r = sqlite_db_error(&queue->db, "SELECT");
	(void)sqlite3_reset(stmt);
	if (ret != SQLITE_ROW)
		return ret == SQLITE_DONE;
	sqlite3_bind_int64(queue->statements[STATEMENT_REMOVE], 1, id);
	return run(queue, STATEMENT_REMOVE, error_r);
}

static bool
change(struct sqlite_queue *queue, struct queue_changes *changes, bool keep,
       const char **error_r)
{
	const struct queue_attempts *attempts;
	const struct queue_session *session;
	struct queue_endpoint *ep;
	struct queue_item *item;
	sqlite3_stmt *stmt;
	int64_t id;

	if (!sqlite_lost_change(queue->lost, changes, keep, error_r))
		return FALSE;
	sqlite_announced_begin(queue->announced);
	array_foreach_elem(&changes->removed, id) {
		if (!remove_one(queue, id, error_r))
			return FALSE;
	}
	if (!sqlite_announced_write(queue->announced, error_r))
		return FALSE;
	stmt = queue->statements[STATEMENT_SET_ATTEMPTS];
	array_foreach(&changes->attempts, attempts) {
		sqlite3_bind_int64(stmt, 1, attempts->id);
		sqlite3_bind_int64(stmt, 2, attempts->attempts);
		if (!run(queue, STATEMENT_SET_ATTEMPTS, error_r))
			return FALSE;
	}
	array_foreach_elem(&changes->endpoints, ep) {
		if (!set_endpoint(queue, ep, error_r))
			return FALSE;
	}
	array_foreach_elem(&changes->forgotten, ep) {
		if (!forget_endpoint(queue, ep, error_r))
			return FALSE;
	}
	array_foreach(&changes->sessions, session) {
		if (!set_session(queue, session, error_r))
			return FALSE;
	}
	array_foreach_elem(&changes->resent, item) {
		if (!resend(queue, changes, item, error_r))
			return FALSE;
	}
	array_foreach_elem(&changes->added, item) {
		if (!add(queue, item, error_r))
			return FALSE;
	}
	if (changes->forget_sessions_before != 0) {
		sqlite3_bind_int64(queue->statements[STATEMENT_SESSION_FORGET],
				   1, changes->forget_sessions_before);
		return run(queue, STATEMENT_SESSION_FORGET, error_r);
	}
	return TRUE;
}

/* An endpoint has its part when something is stored for it. */
static void set_part(struct queue *queue, struct queue_item *item)
{
	struct queue_endpoint *ep = item->endpoint;

	item->part = ep->parts != NULL ? ep->parts :
		queue_engine_have_part(queue, ep, ep->number, 0);
}

/* Numbers and ids are given as the rows are written, and taken back if those
   are not stored. */
static void
set_numbers(struct sqlite_queue *queue, struct queue_changes *changes,
	    bool committed)
{
	struct queue_endpoint *ep;
	struct queue_item *item;

	if (committed) {
		array_foreach_elem(&queue->deleted, ep)
			ep->number = 0;
		array_foreach_elem(&changes->resent, item) {
			if (item->id != 0)
				set_part(queue->engine.queue, item);
		}
		array_foreach_elem(&changes->added, item) {
			if (!queue_item_is_lost(item))
				set_part(queue->engine.queue, item);
		}
	} else {
		array_foreach_elem(&queue->numbered, ep)
			ep->number = 0;
		array_foreach_elem(&changes->added, item)
			item->id = 0;
	}
	array_clear(&queue->numbered);
	array_clear(&queue->deleted);
}

/* keep: keep what is given up. Returns FALSE and error_r if nothing of it was
   done; then errcode_r is SQLite's. */
static bool
transact(struct sqlite_queue *queue, struct queue_changes *changes, bool keep,
	 int *errcode_r, const char **error_r)
{
	const char *rollback_error;
	bool committed;

	committed = run(queue, STATEMENT_BEGIN, error_r) &&
		change(queue, changes, keep, error_r) &&
		sqlite_lost_changed(queue->lost, error_r) &&
		run(queue, STATEMENT_COMMIT, error_r);
	if (!committed) {
		if (sqlite_db_is_corrupt(&queue->db))
			sqlite_queue_die_corrupt(queue);
		*errcode_r = sqlite3_errcode(queue->db.sqlite);
		/* after some errors SQLite has rolled back by itself */
		if (sqlite3_get_autocommit(queue->db.sqlite) == 0)
			(void)run(queue, STATEMENT_ROLLBACK, &rollback_error);
	}
	set_numbers(queue, changes, committed);
	return committed;
}

static void
sqlite_queue_commit(struct queue_engine *engine, struct queue_changes *changes)
{
	struct sqlite_queue *queue =
		container_of(engine, struct sqlite_queue, engine);
	bool keep = sqlite_lost_has_room(queue->lost, changes);
	const char *error;
	int errcode;

	/* what is given up needs more space than its removal alone */
	if (transact(queue, changes, keep, &errcode, &error) ||
	    (errcode == SQLITE_FULL && sqlite_tidy_make_room(queue->tidy) &&
	     transact(queue, changes, keep, &errcode, &error)) ||
	    (errcode == SQLITE_FULL && !array_is_empty(&changes->given_up) &&
	     transact(queue, changes, FALSE, &errcode, &error))) {
		sqlite_lost_committed(queue->lost);
		sqlite_announced_committed(queue->announced);
		error = NULL;
	} else if (errcode == SQLITE_FULL && !array_is_empty(&changes->added))
		keep = FALSE;
	if (!keep)
		queue_engine_full(engine->queue);
	queue_engine_committed(engine->queue, error);
}

static void sqlite_queue_reclaim(struct queue_engine *engine, bool scarce)
{
	struct sqlite_queue *queue =
		container_of(engine, struct sqlite_queue, engine);

	sqlite_tidy_reclaim(queue->tidy, scarce);
}

static void sqlite_queue_reclaimed(void *context)
{
	struct sqlite_queue *queue = context;

	queue_engine_reclaimed(queue->engine.queue);
}

/* Reading */

static void
fill_whole(sqlite3_stmt *stmt, struct queue_item *item)
{
	if (sqlite3_column_bytes(stmt, 1) == sizeof(item->session)) {
		memcpy(item->session, sqlite3_column_blob(stmt, 1),
		       sizeof(item->session));
	}
	item->seq = sqlite3_column_int64(stmt, 2);
	item->created = sqlite3_column_int64(stmt, 3);
	item->expires = sqlite3_column_int64(stmt, 4);
	item->attempts = sqlite3_column_int64(stmt, 5);
	item->username = (const char *)sqlite3_column_text(stmt, 6);
	item->folder = (const char *)sqlite3_column_text(stmt, 7);
	item->uid = sqlite3_column_int64(stmt, 8);
	item->body = (const char *)sqlite3_column_text(stmt, 9);
	item->mailbox = sqlite3_column_int64(stmt, 10);
}

/* The body's size is in the row, but SQL's functions would read the body for it.
   *body is for the next call, and to be closed at the end. Returns SQLITE_ROW
   or an error. */
static int
fill_users(struct sqlite_queue *queue, sqlite3_stmt *stmt, sqlite3_blob **body,
	   struct queue_item *item)
{
	int ret;

	item->username = (const char *)sqlite3_column_text(stmt, 1);
	ret = *body != NULL ? sqlite3_blob_reopen(*body, item->id) :
		sqlite3_blob_open(queue->db.sqlite, "main", "notification",
				  "body", item->id, 0, body);
	if (ret != SQLITE_OK)
		return ret;
	item->body_size = sqlite3_blob_bytes(*body);
	return SQLITE_ROW;
}

/* Returns NULL if SQLite's answer is none. */
static const char *read_error(struct sqlite_queue *queue, int ret)
{
	if (ret == SQLITE_DONE || ret == SQLITE_ROW)
		return NULL;
	if (sqlite_db_is_corrupt(&queue->db))
		sqlite_queue_die_corrupt(queue);
	return sqlite_db_error(&queue->db, "SELECT");
}

/* Returns NULL or an error. */
static const char *
read_rows(struct sqlite_queue *queue, struct queue_read *read)
{
	sqlite3_stmt *stmt =
		queue->statements[read->what == QUEUE_READ_WHOLE ?
				  STATEMENT_READ_WHOLE : STATEMENT_READ_USERS];
	sqlite3_blob *body = NULL;
	const char *error;
	int ret;

	sqlite3_bind_int64(stmt, 1, I_MAX(read->after_id,
		FIRST_ID(read->endpoint_number)));
	sqlite3_bind_int64(stmt, 2, I_MIN(read->last_id,
		FIRST_ID(read->endpoint_number + 1)));
	sqlite3_bind_int64(stmt, 3, read->limit);
	while ((ret = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct queue_item item = {
			.id = sqlite3_column_int64(stmt, 0)
		};

		if (read->what == QUEUE_READ_WHOLE)
			fill_whole(stmt, &item);
		else
			ret = fill_users(queue, stmt, &body, &item);
		if (ret != SQLITE_ROW || !queue_engine_read_row(read, &item))
			break;
	}
	error = read_error(queue, ret);
	(void)sqlite3_reset(stmt);
	(void)sqlite3_blob_close(body);
	return error;
}

static void
sqlite_queue_read(struct queue_engine *engine, struct queue_read *read)
{
	struct sqlite_queue *queue =
		container_of(engine, struct sqlite_queue, engine);
	const char *error;

	error = read->what == QUEUE_READ_LOST ?
		read_error(queue, sqlite_lost_read(queue->lost, read)) :
		read_rows(queue, read);
	queue_engine_read_done(read, error);
}

static void
sqlite_queue_read_announced(struct queue_engine *engine,
			    struct queue_announced_read *read)
{
	struct sqlite_queue *queue =
		container_of(engine, struct sqlite_queue, engine);

	sqlite_announced_read(queue->announced, read);
}

/* The rest */

static int64_t sqlite_queue_now(struct queue_engine *engine)
{
	struct sqlite_queue *queue =
		container_of(engine, struct sqlite_queue, engine);

	return sqlite_db_time(&queue->db);
}

/* Opening */

static int load_endpoints(struct sqlite_queue *queue, const char **error_r)
{
	/* an endpoint's last notification has the highest number */
	static const char *sql = "SELECT id, key, options, coalesce("
		"(SELECT max(notification.id) FROM notification "
		"WHERE notification.id >= endpoint.id << "
		SHIFT" AND notification.id < "
		"(endpoint.id + 1) << "SHIFT"), 0) "
		"FROM endpoint ORDER BY id";
	struct queue_endpoint *ep;
	sqlite3_stmt *stmt;
	int64_t last_id;
	int ret;

	ret = sqlite3_prepare_v2(queue->db.sqlite, sql, -1, &stmt, NULL);
	while (ret == SQLITE_OK || ret == SQLITE_ROW) {
		ret = sqlite3_step(stmt);
		if (ret != SQLITE_ROW)
			break;
		last_id = sqlite3_column_int64(stmt, 3);
		queue->last_number = I_MAX(queue->last_number,
					   ID_NUMBER(last_id));
		ep = queue_engine_have_endpoint(queue->engine.queue,
			sqlite3_column_int64(stmt, 0),
			(const char *)sqlite3_column_text(stmt, 1),
			(const char *)sqlite3_column_text(stmt, 2));
		if (last_id > 0) {
			(void)queue_engine_have_part(queue->engine.queue, ep,
						     ep->number, last_id);
		}
	}
	if (ret != SQLITE_DONE)
		*error_r = sqlite_db_error(&queue->db, "reading endpoints");
	(void)sqlite3_finalize(stmt);
	return ret == SQLITE_DONE ? 0 : -1;
}

static int load_sessions(struct sqlite_queue *queue, const char **error_r)
{
	static const char *sql = "SELECT id, seq, used FROM session";
	struct queue_session session;
	sqlite3_stmt *stmt;
	int ret;

	ret = sqlite3_prepare_v2(queue->db.sqlite, sql, -1, &stmt, NULL);
	while (ret == SQLITE_OK || ret == SQLITE_ROW) {
		ret = sqlite3_step(stmt);
		if (ret != SQLITE_ROW)
			break;
		if (sqlite3_column_bytes(stmt, 0) != sizeof(session.id))
			continue;
		memcpy(session.id, sqlite3_column_blob(stmt, 0),
		       sizeof(session.id));
		session.seq = sqlite3_column_int64(stmt, 1);
		session.used = sqlite3_column_int64(stmt, 2);
		/* all numbers below the highest one count as added */
		session.added = UINT64_MAX;
		queue_engine_have_session(queue->engine.queue, &session);
	}
	if (ret != SQLITE_DONE)
		*error_r = sqlite_db_error(&queue->db, "reading sessions");
	(void)sqlite3_finalize(stmt);
	return ret == SQLITE_DONE ? 0 : -1;
}

static int prepare(struct sqlite_queue *queue, const char **error_r)
{
	enum statement i;
	int ret;

	for (i = 0; i < STATEMENT_COUNT; i++) {
		ret = sqlite3_prepare_v3(queue->db.sqlite, statements[i], -1,
					 SQLITE_PREPARE_PERSISTENT,
					 &queue->statements[i], NULL);
		if (ret != SQLITE_OK) {
			*error_r = sqlite_db_error(&queue->db, statements[i]);
			return -1;
		}
	}
	return 0;
}

static void sqlite_queue_deinit(struct queue_engine *engine)
{
	struct sqlite_queue *queue =
		container_of(engine, struct sqlite_queue, engine);
	enum statement i;

	sqlite_tidy_deinit(&queue->tidy);
	sqlite_lost_deinit(&queue->lost);
	sqlite_announced_deinit(&queue->announced);
	for (i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(queue->statements[i]);
	sqlite_db_close(&queue->db);
	array_free(&queue->numbered);
	array_free(&queue->deleted);
	i_free(queue);
}

static int
sqlite_queue_init(struct queue *q, const struct queue_settings *set,
		  struct queue_engine **engine_r, const char **error_r)
{
	struct sqlite_queue *queue;

	queue = i_new(struct sqlite_queue, 1);
	queue->engine.v = &queue_engine_sqlite;
	queue->engine.queue = q;
	i_array_init(&queue->numbered, 4);
	i_array_init(&queue->deleted, 4);
	if (sqlite_db_open(set->directory, set->sync_full, &queue->db,
			   error_r) < 0) {
		sqlite_queue_deinit(&queue->engine);
		return -1;
	}
	if (prepare(queue, error_r) < 0 ||
	    load_endpoints(queue, error_r) < 0 ||
	    load_sessions(queue, error_r) < 0 ||
	    sqlite_lost_init(&queue->db, q, &queue->last_number, &queue->lost,
			     error_r) < 0 ||
	    sqlite_announced_init(&queue->db, set, &queue->announced,
				  error_r) < 0 ||
	    sqlite_tidy_init(&queue->db, sqlite_queue_reclaimed, queue,
			     &queue->tidy, error_r) < 0) {
		if (sqlite_db_is_corrupt(&queue->db))
			sqlite_queue_die_corrupt(queue);
		sqlite_queue_deinit(&queue->engine);
		return -1;
	}
	*engine_r = &queue->engine;
	return 0;
}

const struct queue_engine_vfuncs queue_engine_sqlite = {
	.name = "sqlite",
	.part_shift = SQLITE_DB_ENDPOINT_SHIFT,
	.init = sqlite_queue_init,
	.deinit = sqlite_queue_deinit,
	.commit = sqlite_queue_commit,
	.reclaim = sqlite_queue_reclaim,
	.read = sqlite_queue_read,
	.read_announced = sqlite_queue_read_announced,
	.now = sqlite_queue_now,
};
