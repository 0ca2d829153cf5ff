/* The queue in an SQLite file, in WAL mode.

   Every page that a commit touches is one more to write and to checksum, so
   there is one table without an index: the id has the endpoint's number in its
   upper bits, which keeps each endpoint's rows together and in order. What a
   hand-off costs does not depend on how much is queued, and nothing here needs
   more memory for a longer queue than SQLite's page cache of a fixed size. */
#include "lib.h"
#include "array.h"
#include "eacces-error.h"
#include "file-lock.h"
#include "ioloop.h"

#include "queue.h"

#include <sqlite3.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_FNAME "queue.sqlite"
/* Held by the process that has the queue open. Not a lock of SQLite's own, so
   that an admin can look into a live queue with the sqlite3 shell. */
#define QUEUE_LOCK_FNAME "queue.lock"
/* How long a service that was just started waits for its predecessor, which
   Dovecot has told to stop. */
#define QUEUE_LOCK_TIMEOUT_SECS 10

#define QUEUE_SCHEMA_VERSION 1

/* An id: the endpoint, and below it a number that ascends over all endpoints.
   2^40 notifications take years at any rate. */
#define ID_ENDPOINT_SHIFT 40
#define ID_FIRST(endpoint) ((endpoint) << ID_ENDPOINT_SHIFT)
#define ID_NUMBER(id) ((id) & ((INT64_C(1) << ID_ENDPOINT_SHIFT) - 1))

/* After a commit that failed. */
#define QUEUE_RETRY_MSECS 1000
/* An admin's sqlite3 shell may lock the queue for a moment. */
#define QUEUE_BUSY_MSECS 200
/* A session that has not ended, since its service was killed, is forgotten by
   the next one after this time: far more than a mail process ever waits before
   it sends again. */
#define QUEUE_SESSION_LIFETIME_SECS (10*60)

static const char *const schema[] = {
	"CREATE TABLE endpoint ("
	" id INTEGER PRIMARY KEY,"
	" key TEXT NOT NULL UNIQUE,"
	" options TEXT NOT NULL)",

	"CREATE TABLE notification ("
	" id INTEGER PRIMARY KEY,"
	" session BLOB NOT NULL,"
	" seq INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL DEFAULT 0,"
	" username TEXT NOT NULL,"
	" folder TEXT NOT NULL,"
	" uid INTEGER NOT NULL,"
	" body TEXT NOT NULL)",

	/* the latest hand-off of each mail process */
	"CREATE TABLE session ("
	" id BLOB PRIMARY KEY,"
	" seq INTEGER NOT NULL,"
	" used INTEGER NOT NULL) WITHOUT ROWID",
	NULL
};

enum queue_statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_ENDPOINT_SET,
	STATEMENT_ENDPOINT_GET,
	STATEMENT_ADD,
	STATEMENT_REMOVE,
	STATEMENT_SET_ATTEMPTS,
	STATEMENT_READ,
	STATEMENT_COUNT_ENDPOINT,
	STATEMENT_SESSION_SET,
	STATEMENT_SESSION_REMOVE,

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
	[STATEMENT_COUNT_ENDPOINT] =
		"SELECT count(*) FROM notification "
		"WHERE id > ?1 AND id <= ?2",
	/* changes a row only if it says something new */
	[STATEMENT_SESSION_SET] =
		"INSERT INTO session (id, seq, used) VALUES (?1, ?2, ?3) "
		"ON CONFLICT (id) DO UPDATE SET seq = ?2, used = ?3 "
		"WHERE seq < ?2",
	[STATEMENT_SESSION_REMOVE] =
		"DELETE FROM session WHERE id = ?1",
};

struct queue {
	char *path;
	int lock_fd;
	struct file_lock *lock;
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];

	queue_committed_callback_t *callback;
	void *context;

	struct timeout *to_commit, *to_retry;
	bool in_transaction;
	/* why the transaction has failed */
	char *error;
	/* so has the last one */
	bool failed;
	/* ids of items whose removal is not committed yet: should that fail,
	   the next transaction begins with removing them again */
	ARRAY(int64_t) removed;

	/* highest number given out, and highest number stored */
	int64_t last_number, committed_number;
};

static const char *queue_sqlite_error(struct queue *queue, const char *what)
{
	return t_strdup_printf("%s: %s failed: %s", queue->path, what,
			       sqlite3_errmsg(queue->db));
}

/* Runs a statement that returns no rows, and resets it. */
static int queue_step(struct queue *queue, enum queue_statement idx)
{
	sqlite3_stmt *stmt = queue->statements[idx];
	int ret;

	ret = sqlite3_step(stmt);
	(void)sqlite3_reset(stmt);
	return ret == SQLITE_DONE ? 0 : -1;
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
		queue->error = i_strdup(queue_sqlite_error(queue, what));
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

static void queue_retry(struct queue *queue)
{
	const char *error;

	timeout_remove(&queue->to_retry);
	(void)queue_begin(queue, &error);
}

static void queue_commit(struct queue *queue)
{
	timeout_remove(&queue->to_commit);
	timeout_remove(&queue->to_retry);

	if (queue->error == NULL && queue_step(queue, STATEMENT_COMMIT) < 0)
		queue_fail(queue, "COMMIT");
	queue->failed = queue->error != NULL;
	if (!queue->failed) {
		array_clear(&queue->removed);
		queue->committed_number = queue->last_number;
	} else {
		/* some errors have rolled back by themselves */
		if (!sqlite3_get_autocommit(queue->db))
			(void)queue_step(queue, STATEMENT_ROLLBACK);
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

static int
queue_open_lock(struct queue *queue, const char *directory,
		const char **error_r)
{
	struct file_lock_settings set = {
		.lock_method = FILE_LOCK_METHOD_FCNTL,
	};
	const char *path = t_strconcat(directory, "/"QUEUE_LOCK_FNAME, NULL);
	int ret;

	queue->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (queue->lock_fd == -1) {
		const char *reason = errno == EACCES ?
			eacces_error_get_creating("open", path) :
			t_strdup_printf("open(%s) failed: %m", path);
		*error_r = t_strdup_printf("%s (the queue's directory must "
			"exist, with mode 0700, and belong to the user that "
			"the service runs as)", reason);
		return -1;
	}
	ret = file_wait_lock(queue->lock_fd, path, F_WRLCK, &set,
			     QUEUE_LOCK_TIMEOUT_SECS, &queue->lock, error_r);
	if (ret == 0) {
		*error_r = t_strdup_printf("another process has locked %s for "
			"over %u seconds", path, QUEUE_LOCK_TIMEOUT_SECS);
	}
	return ret > 0 ? 0 : -1;
}

static int
queue_exec(struct queue *queue, const char *sql, const char **error_r)
{
	if (sqlite3_exec(queue->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	*error_r = queue_sqlite_error(queue, sql);
	return -1;
}

/* The first column of a statement's only row. */
static int
queue_get_int(struct queue *queue, const char *sql, int64_t *num_r,
	      const char **error_r)
{
	sqlite3_stmt *stmt;
	int ret = -1;

	if (sqlite3_prepare_v2(queue->db, sql, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		*num_r = sqlite3_column_int64(stmt, 0);
		ret = 0;
	} else {
		*error_r = queue_sqlite_error(queue, sql);
	}
	(void)sqlite3_finalize(stmt);
	return ret;
}

static int queue_open_schema(struct queue *queue, const char **error_r)
{
	const char *const *sql;
	int64_t version;

	if (queue_get_int(queue, "PRAGMA user_version", &version, error_r) < 0)
		return -1;
	if (version == QUEUE_SCHEMA_VERSION)
		return 0;
	if (version != 0) {
		*error_r = t_strdup_printf("%s: was written by a newer version "
			"(schema %"PRId64", this one knows %d)",
			queue->path, version, QUEUE_SCHEMA_VERSION);
		return -1;
	}

	if (queue_exec(queue, "BEGIN IMMEDIATE", error_r) < 0)
		return -1;
	for (sql = schema; *sql != NULL; sql++) {
		if (queue_exec(queue, *sql, error_r) < 0)
			return -1;
	}
	return queue_exec(queue, t_strdup_printf(
		"PRAGMA user_version = %d; COMMIT", QUEUE_SCHEMA_VERSION),
		error_r);
}

static int
queue_open_db(struct queue *queue, bool sync_full, const char **error_r)
{
	enum queue_statement i;
	mode_t old_umask;
	int ret;

	/* SQLite's files have the notifications and the endpoints'
	   credentials in them */
	old_umask = umask(0077);
	ret = sqlite3_open_v2(queue->path, &queue->db, SQLITE_OPEN_READWRITE |
			      SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (ret == SQLITE_OK) {
		ret = sqlite3_exec(queue->db, "PRAGMA journal_mode = WAL",
				   NULL, NULL, NULL);
	}
	(void)umask(old_umask);
	if (ret != SQLITE_OK) {
		*error_r = queue_sqlite_error(queue, "open");
		return -1;
	}
	(void)sqlite3_busy_timeout(queue->db, QUEUE_BUSY_MSECS);
	if (queue_exec(queue, t_strdup_printf("PRAGMA synchronous = %s",
			sync_full ? "FULL" : "NORMAL"), error_r) < 0 ||
	    queue_open_schema(queue, error_r) < 0 ||
	    queue_exec(queue, t_strdup_printf(
			"DELETE FROM session WHERE used < %"PRId64,
			(int64_t)ioloop_time - QUEUE_SESSION_LIFETIME_SECS),
			error_r) < 0 ||
	    queue_get_int(queue, t_strdup_printf(
			"SELECT coalesce(max(id & %"PRId64"), 0) "
			"FROM notification", ID_NUMBER(-1)),
			&queue->last_number, error_r) < 0)
		return -1;
	queue->committed_number = queue->last_number;

	for (i = 0; i < STATEMENT_COUNT; i++) {
		ret = sqlite3_prepare_v3(queue->db, statements[i], -1,
					 SQLITE_PREPARE_PERSISTENT,
					 &queue->statements[i], NULL);
		if (ret != SQLITE_OK) {
			*error_r = queue_sqlite_error(queue, statements[i]);
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
	for (i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(queue->statements[i]);
	(void)sqlite3_close(queue->db);
	if (queue->lock != NULL)
		file_unlock(&queue->lock);
	i_close_fd(&queue->lock_fd);
	array_free(&queue->removed);
	i_free(queue->error);
	i_free(queue->path);
	i_free(queue);
}

int queue_init(const char *directory, bool sync_full,
	       queue_committed_callback_t *callback, void *context,
	       struct queue **queue_r, const char **error_r)
{
	struct queue *queue;

	queue = i_new(struct queue, 1);
	queue->path = i_strconcat(directory, "/"QUEUE_FNAME, NULL);
	queue->lock_fd = -1;
	queue->callback = callback;
	queue->context = context;
	i_array_init(&queue->removed, 64);

	if (queue_open_lock(queue, directory, error_r) < 0 ||
	    queue_open_db(queue, sync_full, error_r) < 0) {
		queue_close(&queue);
		return -1;
	}
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
	   transaction's fate. */
	if (queue->in_transaction)
		queue_commit(queue);

	sqlite3_bind_text(set, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_text(set, 2, options, -1, SQLITE_STATIC);
	sqlite3_bind_text(get, 1, key, -1, SQLITE_STATIC);
	if (queue_step(queue, STATEMENT_ENDPOINT_SET) == 0 &&
	    sqlite3_step(get) == SQLITE_ROW) {
		*endpoint_r = sqlite3_column_int64(get, 0);
		ret = 0;
	} else {
		*error_r = queue_sqlite_error(queue, "storing an endpoint");
	}
	(void)sqlite3_reset(get);
	return ret;
}

void queue_endpoints_foreach(struct queue *queue,
			     queue_endpoint_callback_t *callback,
			     void *context)
{
	static const char *sql = "SELECT id, options FROM endpoint";
	sqlite3_stmt *stmt;
	const char *error;

	if (queue_exec(queue, t_strdup_printf(
			"DELETE FROM endpoint WHERE NOT EXISTS ("
			"SELECT 1 FROM notification WHERE "
			"notification.id >= endpoint.id << %u AND "
			"notification.id < (endpoint.id + 1) << %u)",
			ID_ENDPOINT_SHIFT, ID_ENDPOINT_SHIFT), &error) < 0)
		i_error("%s", error);
	if (sqlite3_prepare_v2(queue->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
		i_error("%s", queue_sqlite_error(queue, sql));
		return;
	}
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		callback(sqlite3_column_int64(stmt, 0),
			 (const char *)sqlite3_column_text(stmt, 1), context);
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
	sqlite3_bind_int64(stmt, 3, ioloop_time);
	if (queue_step(queue, STATEMENT_SESSION_SET) < 0)
		return -1;
	return sqlite3_changes(queue->db);
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

void queue_session_end(struct queue *queue, const guid_128_t session)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_SESSION_REMOVE];
	const char *error;

	if (queue_begin(queue, &error) < 0)
		return;
	sqlite3_bind_blob(stmt, 1, session, GUID_128_SIZE, SQLITE_STATIC);
	if (queue_step(queue, STATEMENT_SESSION_REMOVE) < 0)
		queue_fail(queue, "DELETE");
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

static unsigned int
queue_read_range(struct queue *queue, int64_t after_id, int64_t last_id,
		 unsigned int limit, pool_t pool, struct queue_item *items_r)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_READ];
	unsigned int count = 0;
	int ret;

	sqlite3_bind_int64(stmt, 1, after_id);
	sqlite3_bind_int64(stmt, 2, last_id);
	sqlite3_bind_int64(stmt, 3, limit);
	while ((ret = sqlite3_step(stmt)) == SQLITE_ROW)
		queue_item_fill(stmt, pool, &items_r[count++]);
	if (ret != SQLITE_DONE)
		i_error("%s", queue_sqlite_error(queue, "SELECT"));
	(void)sqlite3_reset(stmt);
	return count;
}

/* The last one that is stored. */
static int64_t queue_last_id(struct queue *queue, int64_t endpoint)
{
	return ID_FIRST(endpoint) + queue->committed_number;
}

unsigned int
queue_read(struct queue *queue, int64_t endpoint, int64_t after_id,
	   unsigned int limit, pool_t pool, struct queue_item *items_r)
{
	return queue_read_range(queue, I_MAX(after_id, ID_FIRST(endpoint)),
				queue_last_id(queue, endpoint), limit,
				pool, items_r);
}

bool queue_read_item(struct queue *queue, int64_t id, pool_t pool,
		     struct queue_item *item_r)
{
	return ID_NUMBER(id) <= queue->committed_number &&
		queue_read_range(queue, id - 1, id, 1, pool, item_r) > 0;
}

unsigned int queue_count(struct queue *queue, int64_t endpoint)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_COUNT_ENDPOINT];
	unsigned int count = 0;

	sqlite3_bind_int64(stmt, 1, ID_FIRST(endpoint));
	sqlite3_bind_int64(stmt, 2, queue_last_id(queue, endpoint));
	if (sqlite3_step(stmt) == SQLITE_ROW)
		count = sqlite3_column_int(stmt, 0);
	(void)sqlite3_reset(stmt);
	return count;
}

bool queue_is_failing(struct queue *queue)
{
	return queue->failed || queue->error != NULL;
}

void queue_remove(struct queue *queue, int64_t id)
{
	const char *error;

	if (queue_begin(queue, &error) == 0 && queue_delete(queue, id) < 0)
		queue_fail(queue, "DELETE");
	array_push_back(&queue->removed, &id);
}

void queue_set_attempts(struct queue *queue, int64_t id, unsigned int attempts)
{
	sqlite3_stmt *stmt = queue->statements[STATEMENT_SET_ATTEMPTS];
	const char *error;

	/* lost on failure: an attempt more is no harm */
	if (queue_begin(queue, &error) < 0)
		return;
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, attempts);
	if (queue_step(queue, STATEMENT_SET_ATTEMPTS) < 0)
		queue_fail(queue, "UPDATE");
}
