/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"

#include "queue-engine.h"
#include "sqlite-lost.h"

#include <sys/statvfs.h>

/* How much is left to what waits: this, or a tenth of a small disk. */
#define ROOM_MIN (64*1024*1024)

/* An endpoint's only part has its number. */
#define ENDPOINT_NUMBER(id) ((id) >> SQLITE_DB_ENDPOINT_SHIFT)

enum statement {
	STATEMENT_KEEP,
	STATEMENT_ADD,
	STATEMENT_FIND,
	STATEMENT_OLDEST,
	STATEMENT_DELETE,
	STATEMENT_READ,
	STATEMENT_FREE,

	STATEMENT_COUNT
};

static const char *const statements[STATEMENT_COUNT] = {
	[STATEMENT_KEEP] =
		"INSERT INTO lost (id, notification, session, seq, created, "
		"lost, reason, answer, attempts, size, username, folder, uid, "
		"body) SELECT ?1, id, session, seq, created, ?3, ?4, ?5, ?6, "
		"?7, username, folder, uid, body FROM notification "
		"WHERE id = ?2",
	[STATEMENT_ADD] =
		"INSERT INTO lost (id, notification, session, seq, created, "
		"lost, reason, answer, attempts, size, username, folder, uid, "
		"body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
		"?12, ?13, ?14)",
	[STATEMENT_FIND] =
		"SELECT id, notification, lost, reason, size FROM lost "
		"WHERE id = ?1",
	[STATEMENT_OLDEST] =
		"SELECT id, notification, lost, reason, size FROM lost "
		"ORDER BY id LIMIT 1",
	[STATEMENT_DELETE] =
		"DELETE FROM lost WHERE id = ?1",
	[STATEMENT_READ] =
		"SELECT id, notification, session, seq, created, lost, reason, "
		"answer, attempts, username, folder, uid, body FROM lost "
		"WHERE id > ?1 ORDER BY id LIMIT ?2",
	/* in bytes, of the file */
	[STATEMENT_FREE] =
		"SELECT freelist_count * page_size "
		"FROM pragma_freelist_count, pragma_page_size",
};

struct sqlite_lost {
	struct sqlite_db *db;
	struct queue *queue;
	sqlite3_stmt *statements[STATEMENT_COUNT];

	/* the highest id so far */
	int64_t last_id;
	/* by the transaction under way, and what is the oldest one then */
	bool changed;
	int64_t oldest;
};

/* A row, as STATEMENT_FIND and STATEMENT_OLDEST have it. */
struct row {
	int64_t id, lost;
	struct queue_lost_gone gone;
};

/* Run a statement that returns one row at most. Returns FALSE and error_r if it
   fails; id is 0 if there is no row. */
static bool
find(struct sqlite_lost *lost, enum statement idx, struct row *row_r,
     const char **error_r)
{
	sqlite3_stmt *stmt = lost->statements[idx];
	int ret;

	i_zero(row_r);
	ret = sqlite3_step(stmt);
	if (ret == SQLITE_ROW) {
		row_r->id = sqlite3_column_int64(stmt, 0);
		row_r->gone.endpoint_number =
			ENDPOINT_NUMBER(sqlite3_column_int64(stmt, 1));
		row_r->lost = sqlite3_column_int64(stmt, 2);
		row_r->gone.reason = sqlite3_column_int(stmt, 3);
		row_r->gone.size = sqlite3_column_int(stmt, 4);
	} else if (ret != SQLITE_DONE)
		*error_r = sqlite_db_error(lost->db, statements[idx]);
	(void)sqlite3_reset(stmt);
	return ret == SQLITE_ROW || ret == SQLITE_DONE;
}

static bool
run(struct sqlite_lost *lost, enum statement idx, const char **error_r)
{
	int ret = sqlite3_step(lost->statements[idx]);

	if (ret != SQLITE_DONE)
		*error_r = sqlite_db_error(lost->db, statements[idx]);
	(void)sqlite3_reset(lost->statements[idx]);
	return ret == SQLITE_DONE;
}

static bool
keep_one(struct sqlite_lost *lost, struct queue_given_up *up,
	 const char **error_r)
{
	sqlite3_stmt *stmt = lost->statements[STATEMENT_KEEP];

	sqlite3_bind_int64(stmt, 1, ++lost->last_id);
	sqlite3_bind_int64(stmt, 2, up->id);
	sqlite3_bind_int64(stmt, 3, up->loss.time);
	sqlite3_bind_int(stmt, 4, up->loss.reason);
	sqlite3_bind_text(stmt, 5, up->loss.answer, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 6, up->attempts);
	sqlite3_bind_int64(stmt, 7, up->size);
	if (!run(lost, STATEMENT_KEEP, error_r))
		return FALSE;
	up->kept = sqlite3_changes(lost->db->sqlite) > 0;
	lost->changed = TRUE;
	return TRUE;
}

static bool
delete(struct sqlite_lost *lost, struct queue_changes *changes,
       const struct row *row, const char **error_r)
{
	sqlite3_bind_int64(lost->statements[STATEMENT_DELETE], 1, row->id);
	array_push_back(&changes->lost_gone, &row->gone);
	lost->changed = TRUE;
	return run(lost, STATEMENT_DELETE, error_r);
}

bool sqlite_lost_take(struct sqlite_lost *lost, struct queue_changes *changes,
		      int64_t lost_id, bool *taken_r, const char **error_r)
{
	struct row row;

	sqlite3_bind_int64(lost->statements[STATEMENT_FIND], 1, lost_id);
	if (!find(lost, STATEMENT_FIND, &row, error_r))
		return FALSE;
	*taken_r = row.id != 0;
	return row.id == 0 || delete(lost, changes, &row, error_r);
}

static bool
forget(struct sqlite_lost *lost, struct queue_changes *changes,
       const char **error_r)
{
	struct row row;
	unsigned int i;

	for (i = 0; i < changes->forget_lost_max; i++) {
		if (!find(lost, STATEMENT_OLDEST, &row, error_r))
			return FALSE;
		if (row.id == 0 || row.lost >= changes->forget_lost_before)
			break;
		if (!delete(lost, changes, &row, error_r))
			return FALSE;
		changes->lost_forgotten++;
	}
	return TRUE;
}

bool sqlite_lost_add(struct sqlite_lost *lost, const struct queue_item *item,
		     const char **error_r)
{
	sqlite3_stmt *stmt = lost->statements[STATEMENT_ADD];

	sqlite3_bind_int64(stmt, 1, ++lost->last_id);
	sqlite3_bind_int64(stmt, 2, item->id);
	sqlite3_bind_blob(stmt, 3, item->session, sizeof(item->session),
			  SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 4, item->seq);
	sqlite3_bind_int64(stmt, 5, item->created);
	sqlite3_bind_int64(stmt, 6, item->loss.time);
	sqlite3_bind_int(stmt, 7, item->loss.reason);
	sqlite3_bind_text(stmt, 8, item->loss.answer, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 9, item->attempts);
	sqlite3_bind_int64(stmt, 10, item->body_size);
	sqlite3_bind_text(stmt, 11, item->username, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 12, item->folder, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 13, item->uid);
	sqlite3_bind_text(stmt, 14, item->body, -1, SQLITE_STATIC);
	lost->changed = TRUE;
	return run(lost, STATEMENT_ADD, error_r);
}

bool sqlite_lost_has_room(struct sqlite_lost *lost,
			  const struct queue_changes *changes)
{
	sqlite3_stmt *stmt = lost->statements[STATEMENT_FREE];
	struct statvfs st;
	uint64_t room;

	if ((lost->oldest == 0 && array_is_empty(&changes->given_up)) ||
	    statvfs(lost->db->path, &st) < 0)
		return TRUE;
	room = (uint64_t)st.f_bavail * st.f_frsize;
	/* what is free in the file can be used as well */
	if (sqlite3_step(stmt) == SQLITE_ROW)
		room += sqlite3_column_int64(stmt, 0);
	(void)sqlite3_reset(stmt);
	return room >= I_MIN(ROOM_MIN,
			     (uint64_t)st.f_blocks * st.f_frsize / 10);
}

bool sqlite_lost_change(struct sqlite_lost *lost, struct queue_changes *changes,
			bool keep, const char **error_r)
{
	struct queue_given_up *up;
	int64_t id;
	bool taken;

	lost->changed = FALSE;
	array_clear(&changes->lost_gone);
	changes->lost_forgotten = 0;
	if (!forget(lost, changes, error_r))
		return FALSE;
	array_foreach_elem(&changes->dropped, id) {
		if (!sqlite_lost_take(lost, changes, id, &taken, error_r))
			return FALSE;
	}
	array_foreach_elem(&changes->given_up, up) {
		up->kept = FALSE;
		if (keep && !keep_one(lost, up, error_r))
			return FALSE;
	}
	return TRUE;
}

bool sqlite_lost_changed(struct sqlite_lost *lost, const char **error_r)
{
	struct row row;

	if (!lost->changed)
		return TRUE;
	if (!find(lost, STATEMENT_OLDEST, &row, error_r))
		return FALSE;
	lost->oldest = row.lost;
	return TRUE;
}

void sqlite_lost_committed(struct sqlite_lost *lost)
{
	if (lost->changed)
		queue_engine_lost_oldest(lost->queue, lost->oldest);
}

int sqlite_lost_read(struct sqlite_lost *lost, struct queue_read *read)
{
	sqlite3_stmt *stmt = lost->statements[STATEMENT_READ];
	int ret;

	sqlite3_bind_int64(stmt, 1, read->after_id);
	sqlite3_bind_int64(stmt, 2, read->limit);
	while ((ret = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct queue_item item = {
			.lost_id = sqlite3_column_int64(stmt, 0),
			.id = sqlite3_column_int64(stmt, 1),
			.seq = sqlite3_column_int64(stmt, 3),
			.created = sqlite3_column_int64(stmt, 4),
			.loss.time = sqlite3_column_int64(stmt, 5),
			.loss.reason = sqlite3_column_int(stmt, 6),
			.loss.answer =
				(const char *)sqlite3_column_text(stmt, 7),
			.attempts = sqlite3_column_int(stmt, 8),
			.username = (const char *)sqlite3_column_text(stmt, 9),
			.folder = (const char *)sqlite3_column_text(stmt, 10),
			.uid = sqlite3_column_int64(stmt, 11),
			.body = (const char *)sqlite3_column_text(stmt, 12),
		};

		if (sqlite3_column_bytes(stmt, 2) == sizeof(item.session)) {
			memcpy(item.session, sqlite3_column_blob(stmt, 2),
			       sizeof(item.session));
		}
		item.endpoint = queue_engine_get_endpoint(lost->queue,
			ENDPOINT_NUMBER(item.id));
		if (!queue_engine_read_row(read, &item))
			break;
	}
	(void)sqlite3_reset(stmt);
	return ret;
}

/* Opening */

static int load(struct sqlite_lost *lost, int64_t *last_number,
		const char **error_r)
{
	static const char *sql =
		"SELECT endpoint, reason, rows, bytes, last FROM lost_count";
	sqlite3_stmt *stmt;
	int ret;

	ret = sqlite3_prepare_v2(lost->db->sqlite, sql, -1, &stmt, NULL);
	while (ret == SQLITE_OK || ret == SQLITE_ROW) {
		ret = sqlite3_step(stmt);
		if (ret != SQLITE_ROW)
			break;
		*last_number = I_MAX(*last_number,
				     sqlite3_column_int64(stmt, 4));
		queue_engine_have_lost(lost->queue,
			sqlite3_column_int64(stmt, 0),
			sqlite3_column_int(stmt, 1),
			sqlite3_column_int(stmt, 2),
			sqlite3_column_int64(stmt, 3));
	}
	if (ret != SQLITE_DONE) {
		*error_r = sqlite_db_error(lost->db,
					   "counting what was given up");
	}
	(void)sqlite3_finalize(stmt);
	return ret == SQLITE_DONE ? 0 : -1;
}

static int prepare(struct sqlite_lost *lost, const char **error_r)
{
	enum statement i;
	int ret;

	for (i = 0; i < STATEMENT_COUNT; i++) {
		ret = sqlite3_prepare_v3(lost->db->sqlite, statements[i], -1,
					 SQLITE_PREPARE_PERSISTENT,
					 &lost->statements[i], NULL);
		if (ret != SQLITE_OK) {
			*error_r = sqlite_db_error(lost->db, statements[i]);
			return -1;
		}
	}
	return 0;
}

int sqlite_lost_init(struct sqlite_db *db, struct queue *queue,
		     int64_t *last_number, struct sqlite_lost **lost_r,
		     const char **error_r)
{
	struct sqlite_lost *lost;
	struct row row;

	lost = i_new(struct sqlite_lost, 1);
	lost->db = db;
	lost->queue = queue;
	if (prepare(lost, error_r) < 0 ||
	    load(lost, last_number, error_r) < 0 ||
	    sqlite_db_get_int(db, "SELECT coalesce(max(id), 0) FROM lost",
			      &lost->last_id, error_r) < 0 ||
	    !find(lost, STATEMENT_OLDEST, &row, error_r)) {
		sqlite_lost_deinit(&lost);
		return -1;
	}
	lost->oldest = row.lost;
	queue_engine_lost_oldest(queue, row.lost);
	*lost_r = lost;
	return 0;
}

void sqlite_lost_deinit(struct sqlite_lost **_lost)
{
	struct sqlite_lost *lost = *_lost;
	enum statement i;

	*_lost = NULL;
	if (lost == NULL)
		return;
	for (i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(lost->statements[i]);
	i_free(lost);
}
