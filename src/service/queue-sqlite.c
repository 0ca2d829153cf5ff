/* The queue in an SQLite file, in WAL mode.

   Every page that a commit touches is one more to write and to checksum, so
   there is one table without an index: the id has the endpoint's number in its
   upper bits, which keeps each endpoint's rows together and in order. What a
   hand-off costs does not depend on how much is queued, and nothing here needs
   more memory for a longer queue than SQLite's page cache of a fixed size. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"

#include "queue.h"
#include "queue-db.h"

#include <stdlib.h>

/* An id: the endpoint, and below it a number that ascends over all endpoints.
   2^40 notifications take years at any rate. */
#define ID_ENDPOINT_SHIFT 40
#define ID_ENDPOINT_SHIFT_STR "40"
#define ID_FIRST(endpoint) ((endpoint) << ID_ENDPOINT_SHIFT)
#define ID_NUMBER(id) ((id) & ((INT64_C(1) << ID_ENDPOINT_SHIFT) - 1))

/* Less than this much free space (of 4 kB pages) is kept for the next time. */
#define SHRINK_MIN_PAGES 4096
/* After a commit that failed. */
#define QUEUE_RETRY_MSECS 1000
/* A session is forgotten when it has not been used for this time: far more than
   a mail process ever waits before it sends again. */
#define QUEUE_SESSION_LIFETIME_SECS 60

enum queue_statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_ENDPOINT_SET,
	STATEMENT_ENDPOINT_GET,
	STATEMENT_ENDPOINT_FORGET,
	STATEMENT_ADD,
	STATEMENT_REMOVE,
	STATEMENT_SET_ATTEMPTS,
	STATEMENT_READ,
	STATEMENT_SCAN,
	STATEMENT_SESSION_SET,
	STATEMENT_SESSION_FORGET,

	STATEMENT_COUNT
};

#define ITEM_COLUMNS \
	"id, session, seq, created, expires, attempts, " \
	"username, folder, uid, body"

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
		"WHERE notification.id >= ?1 << "ID_ENDPOINT_SHIFT_STR" AND "
		"notification.id < (?1 + 1) << "ID_ENDPOINT_SHIFT_STR")",
	[STATEMENT_ADD] =
		"INSERT INTO notification ("ITEM_COLUMNS") VALUES "
		"(?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9)",
	[STATEMENT_REMOVE] =
		"DELETE FROM notification WHERE id = ?1",
	[STATEMENT_SET_ATTEMPTS] =
		"UPDATE notification SET attempts = ?2 WHERE id = ?1",
	[STATEMENT_READ] =
		"SELECT "ITEM_COLUMNS" FROM notification "
		"WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
	[STATEMENT_SCAN] =
		"SELECT id, username FROM notification "
		"WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
	/* changes a row only if it says something new */
	[STATEMENT_SESSION_SET] =
		"INSERT INTO session (id, seq, used) VALUES (?1, ?2, ?3) "
		"ON CONFLICT (id) DO UPDATE SET seq = ?2, used = ?3 "
		"WHERE seq < ?2",
	[STATEMENT_SESSION_FORGET] =
		"DELETE FROM session WHERE used < ?1",
};

struct queue {
	struct queue_db db;
	sqlite3_stmt *statements[STATEMENT_COUNT];

	queue_committed_callback_t *callback;
	void *context;

	struct timeout *to_commit, *to_retry, *to_forget;
	bool in_transaction;
	/* why the transaction has failed */
	char *error;
	/* Ids of items whose removal is not committed yet: should that fail,
	   the next transaction begins with removing them again. Until then they
	   are in the database and not in the queue; those that a commit has
	   failed for are sorted, to be found. */
	ARRAY(int64_t) removed;
	unsigned int removed_sorted;

	/* highest number given out, and highest number stored */
	int64_t last_number, committed_number;
};

/* The database can't be used any more. The next process begins anew, which
   also brings the rest of the service to where a new queue needs it to be. */
static void ATTR_NORETURN queue_die_corrupt(struct queue *queue)
{
	queue_db_move_aside(&queue->db);
	i_fatal("Queue is corrupt");
}

/* Runs a statement that returns no rows, and resets it. */
static int queue_step(struct queue *queue, enum queue_statement idx)
{
	sqlite3_stmt *stmt = queue->statements[idx];
	int ret;

	ret = sqlite3_step(stmt);
	(void)sqlite3_reset(stmt);
	if (ret == SQLITE_DONE)
		return 0;
	if (queue_db_is_corrupt(&queue->db))
		queue_die_corrupt(queue);
	return -1;
}

static int queue_delete(struct queue *queue, int64_t id)
{
	sqlite3_bind_int64(queue->statements[STATEMENT_REMOVE], 1, id);
	return queue_step(queue, STATEMENT_REMOVE);
}

/* A statement of the transaction has failed: it will be rolled back, since
   nobody knows what of it is there. */
static void queue_fail(struct queue *queue, const char *what)
{
	if (queue->error == NULL)
		queue->error = i_strdup(queue_db_error(&queue->db, what));
}

static void queue_commit(struct queue *queue);

/* Returns -1 if the transaction has failed. */
static int queue_begin(struct queue *queue, const char **error_r)
{
	int64_t id;

	if (!queue->in_transaction) {
		queue->in_transaction = TRUE;
		queue->to_commit = timeout_add_short(0, queue_commit, queue);
		if (queue_step(queue, STATEMENT_BEGIN) < 0)
			queue_fail(queue, "BEGIN");
		array_foreach_elem(&queue->removed, id) {
			if (queue->error == NULL && queue_delete(queue, id) < 0)
				queue_fail(queue, "DELETE");
		}
	}
	if (queue->error != NULL) {
		*error_r = t_strdup(queue->error);
		return -1;
	}
	return 0;
}

/* The same for a change that no one waits for: if the queue can't be written,
   that shows soon enough, and each try may take as long as a lock is waited
   for and begins with all removals. */
static int queue_begin_unless_retry(struct queue *queue)
{
	const char *error;

	if (!queue->in_transaction && queue->to_retry != NULL)
		return -1;
	return queue_begin(queue, &error);
}

static void queue_retry(struct queue *queue)
{
	const char *error;

	timeout_remove(&queue->to_retry);
	(void)queue_begin(queue, &error);
}

static int id_cmp(const int64_t *id1, const int64_t *id2)
{
	return *id1 < *id2 ? -1 : *id1 > *id2;
}

static bool queue_is_removed(struct queue *queue, int64_t id)
{
	const int64_t *ids;
	unsigned int i, count;

	if (queue->in_transaction && queue->error == NULL) {
		/* it has been deleted */
		return FALSE;
	}
	ids = array_get(&queue->removed, &count);
	if (bsearch(&id, ids, queue->removed_sorted, sizeof(*ids),
		    (int (*)(const void *, const void *))id_cmp) != NULL)
		return TRUE;
	for (i = queue->removed_sorted; i < count; i++) {
		if (ids[i] == id)
			return TRUE;
	}
	return FALSE;
}

static void queue_commit(struct queue *queue)
{
	timeout_remove(&queue->to_commit);
	timeout_remove(&queue->to_retry);

	if (queue->error == NULL && queue_step(queue, STATEMENT_COMMIT) < 0)
		queue_fail(queue, "COMMIT");
	if (queue->error == NULL) {
		array_clear(&queue->removed);
		queue->removed_sorted = 0;
		queue->committed_number = queue->last_number;
	} else {
		/* some errors have rolled back by themselves */
		if (!sqlite3_get_autocommit(queue->db.sqlite))
			(void)queue_step(queue, STATEMENT_ROLLBACK);
		array_sort(&queue->removed, id_cmp);
		queue->removed_sorted = array_count(&queue->removed);
		if (!array_is_empty(&queue->removed)) {
			queue->to_retry = timeout_add(QUEUE_RETRY_MSECS,
						      queue_retry, queue);
		}
	}
	queue->in_transaction = FALSE;
	T_BEGIN {
		const char *error = t_strdup(queue->error);

		i_free(queue->error);
		queue->callback(error, queue->context);
	} T_END;
}

static int queue_open(struct queue *queue, const char **error_r)
{
	struct queue_db *db = &queue->db;
	enum queue_statement i;
	int ret;

	if (queue_db_get_int(db, t_strdup_printf(
			/* the last one of each endpoint has its highest */
			"SELECT coalesce(max((SELECT max(notification.id) "
			"FROM notification WHERE notification.id < "
			"(endpoint.id + 1) << "ID_ENDPOINT_SHIFT_STR") "
			"& %"PRId64"), 0) FROM endpoint", ID_NUMBER(-1)),
			&queue->last_number, error_r) < 0)
		return -1;
	queue->committed_number = queue->last_number;

	for (i = 0; i < STATEMENT_COUNT; i++) {
		ret = sqlite3_prepare_v3(db->sqlite, statements[i], -1,
					 SQLITE_PREPARE_PERSISTENT,
					 &queue->statements[i], NULL);
		if (ret != SQLITE_OK) {
			*error_r = queue_db_error(db, statements[i]);
			return -1;
		}
	}
	return 0;
}

static void queue_close(struct queue **_queue)
{
	struct queue *queue = *_queue;
	enum queue_statement i;

	*_queue = NULL;
	timeout_remove(&queue->to_commit);
	timeout_remove(&queue->to_retry);
	timeout_remove(&queue->to_forget);
	for (i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(queue->statements[i]);
	queue_db_close(&queue->db);
	array_free(&queue->removed);
	i_free(queue->error);
	i_free(queue);
}

static void queue_forget_sessions(struct queue *queue)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_SESSION_FORGET];

	if (queue_begin_unless_retry(queue) < 0)
		return;
	sqlite3_bind_int64(stmt, 1,
			   queue_now(queue) - QUEUE_SESSION_LIFETIME_SECS);
	if (queue_step(queue, STATEMENT_SESSION_FORGET) < 0)
		queue_fail(queue, "DELETE");
}

int queue_init(const char *directory, bool sync_full,
	       queue_committed_callback_t *callback, void *context,
	       struct queue **queue_r, const char **error_r)
{
	struct queue *queue;

	queue = i_new(struct queue, 1);
	queue->callback = callback;
	queue->context = context;
	i_array_init(&queue->removed, 64);

	if (queue_db_open(directory, sync_full, &queue->db, error_r) < 0) {
		queue_close(&queue);
		return -1;
	}
	if (queue_open(queue, error_r) < 0) {
		if (queue_db_is_corrupt(&queue->db))
			queue_die_corrupt(queue);
		queue_close(&queue);
		return -1;
	}
	queue->to_forget = timeout_add(QUEUE_SESSION_LIFETIME_SECS*1000,
				       queue_forget_sessions, queue);
	queue_forget_sessions(queue);
	*queue_r = queue;
	return 0;
}

void queue_deinit(struct queue **queue)
{
	if ((*queue)->in_transaction)
		queue_commit(*queue);
	queue_close(queue);
}

int queue_endpoint_set(struct queue *queue, const char *key,
		       const char *options, int64_t *endpoint_r,
		       const char **error_r)
{
	sqlite3_stmt *set = queue->statements[STATEMENT_ENDPOINT_SET];
	sqlite3_stmt *get = queue->statements[STATEMENT_ENDPOINT_GET];
	int ret = -1;

	/* What is added from now on refers to it, so it must not share their
	   transaction's fate. The callback may have begun another one. */
	while (queue->in_transaction)
		queue_commit(queue);

	sqlite3_bind_text(set, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_text(set, 2, options, -1, SQLITE_STATIC);
	sqlite3_bind_text(get, 1, key, -1, SQLITE_STATIC);
	if (queue_step(queue, STATEMENT_ENDPOINT_SET) == 0 &&
	    sqlite3_step(get) == SQLITE_ROW) {
		*endpoint_r = sqlite3_column_int64(get, 0);
		ret = 0;
	} else {
		*error_r = queue_db_error(&queue->db, "storing an endpoint");
	}
	(void)sqlite3_reset(get);
	return ret;
}

void queue_endpoint_forget(struct queue *queue, int64_t endpoint)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_ENDPOINT_FORGET];
	const char *error;

	if (queue_begin(queue, &error) < 0)
		return;
	sqlite3_bind_int64(stmt, 1, endpoint);
	if (queue_step(queue, STATEMENT_ENDPOINT_FORGET) < 0)
		queue_fail(queue, "DELETE");
}

void queue_endpoints_foreach(struct queue *queue,
			     queue_endpoint_callback_t *callback,
			     void *context)
{
	static const char *sql = "SELECT id, options FROM endpoint";
	sqlite3_stmt *stmt;
	int ret;

	ret = sqlite3_prepare_v2(queue->db.sqlite, sql, -1, &stmt, NULL);
	while (ret == SQLITE_OK || ret == SQLITE_ROW) {
		ret = sqlite3_step(stmt);
		if (ret != SQLITE_ROW)
			break;
		callback(sqlite3_column_int64(stmt, 0),
			 (const char *)sqlite3_column_text(stmt, 1), context);
	}
	if (ret != SQLITE_DONE) {
		if (queue_db_is_corrupt(&queue->db))
			queue_die_corrupt(queue);
		i_error("%s", queue_db_error(&queue->db, sql));
	}
	(void)sqlite3_finalize(stmt);
}

/* Returns 1 if this is the session's highest seq, 0 if not. */
static int
queue_session_set(struct queue *queue, const struct queue_item *item)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_SESSION_SET];

	sqlite3_bind_blob(stmt, 1, item->session, sizeof(item->session),
			  SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, item->seq);
	sqlite3_bind_int64(stmt, 3, queue_now(queue));
	if (queue_step(queue, STATEMENT_SESSION_SET) < 0)
		return -1;
	return sqlite3_changes(queue->db.sqlite);
}

int queue_add(struct queue *queue, struct queue_item *item,
	      const char **error_r)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_ADD];
	int ret;

	if (queue_begin(queue, error_r) < 0)
		return -1;
	if ((ret = queue_session_set(queue, item)) == 0)
		return 0;

	item->id = ID_FIRST(item->endpoint) + queue->last_number + 1;
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
	if (ret < 0 || queue_step(queue, STATEMENT_ADD) < 0) {
		queue_fail(queue, "INSERT");
		*error_r = t_strdup(queue->error);
		return -1;
	}
	queue->last_number++;
	return 1;
}

static const char *
column_strdup(sqlite3_stmt *stmt, int column, pool_t pool)
{
	return p_strdup(pool, (const char *)sqlite3_column_text(stmt, column));
}

static void
queue_item_fill(sqlite3_stmt *stmt, pool_t pool, struct queue_item *item_r)
{
	i_zero(item_r);
	item_r->id = sqlite3_column_int64(stmt, 0);
	item_r->endpoint = item_r->id >> ID_ENDPOINT_SHIFT;
	if (sqlite3_column_bytes(stmt, 1) == sizeof(item_r->session)) {
		memcpy(item_r->session, sqlite3_column_blob(stmt, 1),
		       sizeof(item_r->session));
	}
	item_r->seq = sqlite3_column_int64(stmt, 2);
	item_r->created = sqlite3_column_int64(stmt, 3);
	item_r->expires = sqlite3_column_int64(stmt, 4);
	item_r->attempts = sqlite3_column_int64(stmt, 5);
	item_r->username = column_strdup(stmt, 6, pool);
	item_r->folder = column_strdup(stmt, 7, pool);
	item_r->uid = sqlite3_column_int64(stmt, 8);
	item_r->body = column_strdup(stmt, 9, pool);
}

/* Begin reading at most limit rows with ids above after_id, up to last_id. */
static sqlite3_stmt *
queue_select(struct queue *queue, enum queue_statement idx, int64_t after_id,
	     int64_t last_id, unsigned int limit)
{
	sqlite3_stmt *stmt = queue->statements[idx];

	sqlite3_bind_int64(stmt, 1, after_id);
	sqlite3_bind_int64(stmt, 2, last_id);
	sqlite3_bind_int64(stmt, 3, limit);
	return stmt;
}

/* Returns 1 with the next row, 0 after the last one, -1 on error. */
static int queue_select_next(struct queue *queue, sqlite3_stmt *stmt)
{
	int ret = sqlite3_step(stmt);

	if (ret == SQLITE_ROW)
		return 1;
	(void)sqlite3_reset(stmt);
	if (ret == SQLITE_DONE)
		return 0;
	if (queue_db_is_corrupt(&queue->db))
		queue_die_corrupt(queue);
	i_error("%s", queue_db_error(&queue->db, "SELECT"));
	if (queue->in_transaction && sqlite3_get_autocommit(queue->db.sqlite)) {
		/* it was rolled back because of that */
		queue_fail(queue, "SELECT");
	}
	return -1;
}

int64_t queue_last_id(struct queue *queue, int64_t endpoint)
{
	return ID_FIRST(endpoint) + queue->committed_number;
}

unsigned int
queue_read(struct queue *queue, int64_t endpoint, int64_t after_id,
	   unsigned int limit, pool_t pool, struct queue_item *items_r)
{
	sqlite3_stmt *stmt =
		queue_select(queue, STATEMENT_READ,
			     I_MAX(after_id, ID_FIRST(endpoint)),
			     queue_last_id(queue, endpoint), limit);
	unsigned int count = 0;

	while (queue_select_next(queue, stmt) > 0) {
		queue_item_fill(stmt, pool, &items_r[count]);
		if (!queue_is_removed(queue, items_r[count].id))
			count++;
	}
	return count;
}

int queue_read_item(struct queue *queue, int64_t id, pool_t pool,
		    struct queue_item *item_r)
{
	sqlite3_stmt *stmt;
	int ret;

	if (ID_NUMBER(id) > queue->committed_number ||
	    queue_is_removed(queue, id))
		return 0;
	stmt = queue_select(queue, STATEMENT_READ, id - 1, id, 1);
	if ((ret = queue_select_next(queue, stmt)) > 0) {
		queue_item_fill(stmt, pool, item_r);
		(void)sqlite3_reset(stmt);
	}
	return ret;
}

int queue_scan(struct queue *queue, int64_t endpoint, int64_t *cursor,
	       int64_t last_id, unsigned int limit,
	       queue_scan_callback_t *callback, void *context)
{
	int64_t end = I_MIN(last_id, queue_last_id(queue, endpoint));
	sqlite3_stmt *stmt =
		queue_select(queue, STATEMENT_SCAN,
			     I_MAX(*cursor, ID_FIRST(endpoint)), end, limit);
	unsigned int count = 0;
	int ret;

	while ((ret = queue_select_next(queue, stmt)) > 0) {
		int64_t id = sqlite3_column_int64(stmt, 0);

		count++;
		*cursor = id;
		if (!queue_is_removed(queue, id)) {
			callback(id, (const char *)sqlite3_column_text(stmt, 1),
				 context);
		}
	}
	if (ret < 0)
		return -1;
	if (count == limit)
		return 1;
	*cursor = I_MAX(*cursor, end);
	return 0;
}

int64_t queue_now(struct queue *queue)
{
	return queue_db_time(&queue->db);
}

void queue_shrink(struct queue *queue)
{
	struct queue_db *db = &queue->db;
	int64_t pages, free_pages;
	const char *error;

	if (queue->in_transaction)
		return;
	if (queue_db_get_int(db, "PRAGMA page_count", &pages, &error) < 0 ||
	    queue_db_get_int(db, "PRAGMA freelist_count", &free_pages,
			     &error) < 0 ||
	    (free_pages > SHRINK_MIN_PAGES && free_pages > pages / 2 &&
	     queue_db_exec(db, "VACUUM", &error) < 0))
		i_warning("%s", error);
}

void queue_remove(struct queue *queue, int64_t id)
{
	if (queue_begin_unless_retry(queue) == 0 && queue_delete(queue, id) < 0)
		queue_fail(queue, "DELETE");
	array_push_back(&queue->removed, &id);
}

void queue_set_attempts(struct queue *queue, int64_t id, unsigned int attempts)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_SET_ATTEMPTS];

	/* lost on failure: an attempt more is no harm */
	if (queue_begin_unless_retry(queue) < 0)
		return;
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, attempts);
	if (queue_step(queue, STATEMENT_SET_ATTEMPTS) < 0)
		queue_fail(queue, "UPDATE");
}
