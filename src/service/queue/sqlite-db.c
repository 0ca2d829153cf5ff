/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "eacces-error.h"

#include "queue-clock.h"
#include "monotonic.h"
#include "sqlite-db.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DB_FNAME "queue.sqlite"
/* and the time */
#define ASIDE_SUFFIX ".corrupt-"
/* Held by the process that has the queue open. Not a lock of SQLite's own, so
   that an admin can look into a live queue with the sqlite3 shell. */
#define LOCK_FNAME "queue.lock"
/* How long a service that was just started waits for its predecessor, which
   Dovecot has told to stop. */
#define LOCK_TIMEOUT_SECS 10
#define LOCK_RETRY_USECS (10*1000)

#define SCHEMA_VERSION 1
#define CLOCK_STOPPED "stopped"

/* That many corrupt files are kept, the newest ones. */
#define ASIDE_MAX 3

static const char *const schema[] = {
	"CREATE TABLE endpoint ("
	" id INTEGER PRIMARY KEY,"
	" key TEXT NOT NULL UNIQUE,"
	" options TEXT NOT NULL)",

	/* created and expires are times of queue_now() */
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

	/* how far the queue's time is ahead of the monotonic clock, which
	   starts anew when the host boots; and, as CLOCK_STOPPED, the time when
	   the queue was closed (behind the other row, since earlier versions
	   read the first one) */
	"CREATE TABLE clock ("
	" boot TEXT NOT NULL,"
	" offset INTEGER NOT NULL)",
	NULL
};

/* What former versions have not, and leave alone. So the schema's version is
   the same: an admin can go back to them. */
static const char *const lost_schema[] = {
	/* What was given up. notification was its id there; lost is when that
	   happened, another time of queue_now(). */
	"CREATE TABLE lost ("
	" id INTEGER PRIMARY KEY,"
	" notification INTEGER NOT NULL,"
	" session BLOB NOT NULL,"
	" seq INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" lost INTEGER NOT NULL,"
	" reason INTEGER NOT NULL,"
	" answer TEXT NOT NULL,"
	" attempts INTEGER NOT NULL,"
	" size INTEGER NOT NULL,"
	" username TEXT NOT NULL,"
	" folder TEXT NOT NULL,"
	" uid INTEGER NOT NULL,"
	" body TEXT NOT NULL)",

	/* what a start would have to read all of it for; last is the highest
	   number that one has ever had */
	"CREATE TABLE lost_count ("
	" endpoint INTEGER NOT NULL,"
	" reason INTEGER NOT NULL,"
	" rows INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL,"
	" last INTEGER NOT NULL,"
	" PRIMARY KEY (endpoint, reason)) WITHOUT ROWID",
	"CREATE TRIGGER lost_added AFTER INSERT ON lost BEGIN"
	" INSERT INTO lost_count VALUES (new.notification >> "
	SQLITE_DB_ENDPOINT_SHIFT_STR", new.reason, 1, new.size,"
	" new.notification & ((1 << "SQLITE_DB_ENDPOINT_SHIFT_STR") - 1))"
	" ON CONFLICT (endpoint, reason) DO UPDATE SET rows = rows + 1,"
	" bytes = bytes + excluded.bytes, last = max(last, excluded.last);"
	" END",
	"CREATE TRIGGER lost_removed AFTER DELETE ON lost BEGIN"
	" UPDATE lost_count SET rows = rows - 1, bytes = bytes - old.size"
	" WHERE endpoint = old.notification >> "SQLITE_DB_ENDPOINT_SHIFT_STR
	" AND reason = old.reason;"
	" DELETE FROM lost_count"
	" WHERE endpoint = old.notification >> "SQLITE_DB_ENDPOINT_SHIFT_STR
	" AND reason = old.reason AND rows = 0;"
	" END",
	/* Former versions don't know that it is needed, and might give its
	   number to another one. */
	"CREATE TRIGGER lost_endpoint BEFORE DELETE ON endpoint"
	" WHEN EXISTS (SELECT 1 FROM lost_count WHERE endpoint = old.id) BEGIN"
	" SELECT RAISE(IGNORE); END",
	NULL
};

/* Likewise: what has been announced. */
static const char *const announced_schema[] = {
	/* see queue_item.mailbox */
	"ALTER TABLE notification ADD COLUMN mailbox INTEGER NOT NULL"
	" DEFAULT 0",

	/* what has left the queue, one row a commit (sqlite-announced.c); id
	   counts the messages */
	"CREATE TABLE announced_log ("
	" id INTEGER PRIMARY KEY,"
	" messages BLOB NOT NULL)",

	/* used is the time of queue_now() when uids were last added; mailbox 0
	   has the time since when anything is remembered */
	"CREATE TABLE announced ("
	" mailbox INTEGER PRIMARY KEY,"
	" used INTEGER NOT NULL,"
	" uids BLOB NOT NULL)",
	NULL
};

const char *sqlite_db_error(struct sqlite_db *db, const char *what)
{
	return t_strdup_printf("%s: %s failed: %s", db->path, what,
			       sqlite3_errmsg(db->sqlite));
}

bool sqlite_db_is_corrupt(struct sqlite_db *db)
{
	int errcode = sqlite3_errcode(db->sqlite);

	return errcode == SQLITE_CORRUPT || errcode == SQLITE_NOTADB;
}

int sqlite_db_exec(struct sqlite_db *db, const char *sql, const char **error_r)
{
	if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	*error_r = sqlite_db_error(db, sql);
	return -1;
}

int sqlite_db_get_int(struct sqlite_db *db, const char *sql, int64_t *num_r,
		     const char **error_r)
{
	sqlite3_stmt *stmt;
	int ret = -1;

	if (sqlite3_prepare_v2(db->sqlite, sql, -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW) {
		*num_r = sqlite3_column_int64(stmt, 0);
		ret = 0;
	} else {
		*error_r = sqlite_db_error(db, sql);
	}
	(void)sqlite3_finalize(stmt);
	return ret;
}

int64_t sqlite_db_time(const struct sqlite_db *db)
{
	return queue_clock_time(db->time_offset);
}

/* The latest time that is known. */
static int sqlite_db_get_latest(struct sqlite_db *db, int64_t *latest_r,
				const char **error_r)
{
	return sqlite_db_get_int(db, "SELECT coalesce(max(t), 0) FROM ("
		"SELECT max(created) AS t FROM notification UNION ALL "
		"SELECT max(used) FROM session UNION ALL "
		"SELECT * FROM (SELECT lost FROM lost "
		"ORDER BY id DESC LIMIT 1) UNION ALL "
		"SELECT max(offset) FROM clock WHERE boot = '"CLOCK_STOPPED"')",
		latest_r, error_r);
}

/* The queue has a time of its own, since Dovecot's is that of the wall clock,
   which may jump by hours. */
/* What can't be written now, on a full disk or while another process has locked
   the file, can be done without: some of the time does not count then. */
static int
sqlite_db_write_time(struct sqlite_db *db, const char *sql, const char **error_r)
{
	int code;

	if (sqlite_db_exec(db, t_strconcat("BEGIN IMMEDIATE; ", sql, "; COMMIT",
					   NULL), error_r) == 0)
		return 0;
	code = sqlite3_errcode(db->sqlite);
	if (sqlite3_get_autocommit(db->sqlite) == 0)
		(void)sqlite_db_exec(db, "ROLLBACK", error_r);
	return code == SQLITE_FULL || code == SQLITE_BUSY ? 0 : -1;
}

static int sqlite_db_open_time(struct sqlite_db *db, const char **error_r)
{
	const char *boot = queue_clock_boot();
	int64_t latest;

	if (sqlite_db_get_int(db, t_strdup_printf("SELECT count(*) FROM clock "
			"WHERE boot = '%s'", boot), &latest, error_r) < 0)
		return -1;
	if (latest > 0) {
		return sqlite_db_get_int(db, t_strdup_printf(
			"SELECT offset FROM clock WHERE boot = '%s'", boot),
			&db->time_offset, error_r);
	}

	if (sqlite_db_get_latest(db, &latest, error_r) < 0)
		return -1;
	db->time_offset = queue_clock_offset(latest);
	return sqlite_db_write_time(db, t_strdup_printf("DELETE FROM clock; "
		"INSERT INTO clock (boot, offset) VALUES ('%s', %"PRId64")",
		boot, db->time_offset), error_r);
}

/* For the next boot. */
static void sqlite_db_close_time(struct sqlite_db *db)
{
	const char *error;

	(void)sqlite_db_write_time(db, t_strdup_printf("DELETE FROM clock "
		"WHERE boot = '"CLOCK_STOPPED"'; "
		"INSERT INTO clock (boot, offset) "
		"VALUES ('"CLOCK_STOPPED"', %"PRId64")",
		sqlite_db_time(db)), &error);
}

static int sqlite_db_open_lock(struct sqlite_db *db, const char *directory,
			      const char **error_r)
{
	const struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	const char *path = t_strconcat(directory, "/"LOCK_FNAME, NULL);
	int64_t deadline = http_notify_monotonic_msecs() +
		LOCK_TIMEOUT_SECS*1000;

	db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (db->lock_fd == -1) {
		const char *reason = errno == EACCES ?
			eacces_error_get_creating("open", path) :
			t_strdup_printf("open(%s) failed: %m", path);
		*error_r = t_strdup_printf("%s (the queue's directory must "
			"exist, with mode 0700, and belong to the user that "
			"the service runs as)", reason);
		return -1;
	}
	/* Dovecot's own function for this is different in 2.3.16. */
	while (fcntl(db->lock_fd, F_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES) {
			*error_r = t_strdup_printf("fcntl(%s) failed: %m",
						   path);
			return -1;
		}
		if (http_notify_monotonic_msecs() >= deadline) {
			*error_r = t_strdup_printf("another process has locked "
				"%s for over %u seconds", path,
				LOCK_TIMEOUT_SECS);
			return -1;
		}
		usleep(LOCK_RETRY_USECS);
	}
	return 0;
}

static int sqlite_db_create(struct sqlite_db *db, const char *const *sql,
			    const char *end, const char **error_r)
{
	if (sqlite_db_exec(db, "BEGIN IMMEDIATE", error_r) < 0)
		return -1;
	for (; *sql != NULL; sql++) {
		if (sqlite_db_exec(db, *sql, error_r) < 0)
			return -1;
	}
	return sqlite_db_exec(db, end, error_r);
}

/* last: what the schema makes last */
static int sqlite_db_add_schema(struct sqlite_db *db, const char *const *sql,
				const char *last, const char **error_r)
{
	int64_t have;

	if (sqlite_db_get_int(db, t_strdup_printf("SELECT count(*) "
			"FROM sqlite_master WHERE name = '%s'", last), &have,
			error_r) < 0)
		return -1;
	return have > 0 ? 0 : sqlite_db_create(db, sql, "COMMIT", error_r);
}

static int sqlite_db_open_schema(struct sqlite_db *db, const char **error_r)
{
	int64_t version;

	if (sqlite_db_get_int(db, "PRAGMA user_version", &version, error_r) < 0)
		return -1;
	if (version == 0) {
		if (sqlite_db_create(db, schema, t_strdup_printf(
				"PRAGMA user_version = %d; COMMIT",
				SCHEMA_VERSION), error_r) < 0)
			return -1;
	} else if (version != SCHEMA_VERSION) {
		*error_r = t_strdup_printf("%s: was written by a newer version "
			"(schema %"PRId64", this one knows %d)",
			db->path, version, SCHEMA_VERSION);
		return -1;
	}
	if (sqlite_db_add_schema(db, lost_schema, "lost_endpoint",
				 error_r) < 0)
		return -1;
	return sqlite_db_add_schema(db, announced_schema, "announced",
				    error_r);
}

/* What has an effect on a new file only, and before it has anything in it. It
   writes to others, too, which a full disk would not allow. */
static int sqlite_db_begin_file(struct sqlite_db *db)
{
	const char *error;
	int64_t pages;

	if (sqlite_db_get_int(db, "PRAGMA page_count", &pages, &error) < 0)
		return -1;
	return pages > 0 ? 0 :
		sqlite_db_exec(db, "PRAGMA auto_vacuum = INCREMENTAL", &error);
}

static int
sqlite_db_open_file(struct sqlite_db *db, bool sync_full, const char **error_r)
{
	mode_t old_umask;
	int ret;

	/* SQLite's files contain notifications and endpoints' credentials */
	old_umask = umask(0077);
	ret = sqlite3_open_v2(db->path, &db->sqlite, SQLITE_OPEN_READWRITE |
			      SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (ret == SQLITE_OK) {
		(void)sqlite3_busy_timeout(db->sqlite, SQLITE_DB_BUSY_MSECS);
		ret = sqlite_db_begin_file(db) < 0 ? SQLITE_ERROR :
			sqlite3_exec(db->sqlite, "PRAGMA journal_mode = WAL",
				     NULL, NULL, NULL);
	}
	(void)umask(old_umask);
	if (ret != SQLITE_OK) {
		*error_r = sqlite_db_error(db, "open");
		return -1;
	}
	/* Debian's SQLite would write each page again, with zeros, that a
	   removal frees */
	if (sqlite_db_exec(db, t_strdup_printf("PRAGMA synchronous = %s; "
			"PRAGMA secure_delete = FAST",
			sync_full ? "FULL" : "NORMAL"), error_r) < 0 ||
	    sqlite_db_open_schema(db, error_r) < 0)
		return -1;
	if (sqlite_db_open_time(db, error_r) < 0)
		return -1;
	db->opened = TRUE;
	return 0;
}

static int aside_cmp(const int64_t *secs1, const int64_t *secs2)
{
	return *secs1 < *secs2 ? 1 : *secs1 == *secs2 ? 0 : -1;
}

/* Makes room for one more. */
static void sqlite_db_remove_asides(struct sqlite_db *db)
{
	const char *prefix = DB_FNAME""ASIDE_SUFFIX, *path, *rest;
	const char *directory = t_strdup_until(db->path,
					       strrchr(db->path, '/'));
	ARRAY(int64_t) asides;
	struct dirent *entry;
	int64_t secs;
	unsigned int i;
	DIR *dir;

	dir = opendir(directory);
	if (dir == NULL)
		return;
	t_array_init(&asides, 16);
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		rest = entry->d_name + strlen(prefix);
		if (str_to_int64(rest, &secs) == 0)
			array_push_back(&asides, &secs);
	}
	(void)closedir(dir);
	array_sort(&asides, aside_cmp);
	for (i = ASIDE_MAX - 1; i < array_count(&asides); i++) {
		path = t_strdup_printf("%s"ASIDE_SUFFIX"%"PRId64, db->path,
				       *array_idx(&asides, i));
		i_unlink_if_exists(path);
		i_unlink_if_exists(t_strconcat(path, "-wal", NULL));
	}
}

void sqlite_db_move_aside(struct sqlite_db *db)
{
	/* what SQLite appends to the name; the shared memory (-shm) is not
	   worth keeping */
	static const char *const suffixes[] = { "-wal", "" };
	const char *error = sqlite_db_error(db, "reading");
	const char *aside;
	unsigned int i;

	sqlite_db_remove_asides(db);
	aside = t_strdup_printf("%s"ASIDE_SUFFIX"%"PRId64, db->path,
				(int64_t)time(NULL));
	/* rename before closing: closing could change the files */
	for (i = 0; i < N_ELEMENTS(suffixes); i++) {
		const char *from = t_strconcat(db->path, suffixes[i], NULL);
		const char *to = t_strconcat(aside, suffixes[i], NULL);

		if (rename(from, to) < 0 && errno != ENOENT)
			i_fatal("rename(%s, %s) failed: %m", from, to);
	}
	i_unlink_if_exists(t_strconcat(db->path, "-shm", NULL));
	(void)sqlite3_close_v2(db->sqlite);
	db->sqlite = NULL;
	i_error("Queue is corrupt; starting an empty one, all that was queued "
		"is lost (try: sqlite3 %s .recover): %s", aside, error);
}

void sqlite_db_remove(const char *directory)
{
	static const char *const names[] = {
		DB_FNAME"-wal", DB_FNAME"-shm", DB_FNAME, LOCK_FNAME
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(names); i++) {
		i_unlink_if_exists(t_strconcat(directory, "/", names[i],
					       NULL));
	}
}

int sqlite_db_open(const char *directory, bool sync_full,
		  struct sqlite_db *db_r, const char **error_r)
{
	struct sqlite_db *db = db_r;

	i_zero(db);
	db->path = i_strconcat(directory, "/"DB_FNAME, NULL);
	db->lock_fd = -1;
	if (sqlite_db_open_lock(db, directory, error_r) < 0)
		return -1;
	if (sqlite_db_open_file(db, sync_full, error_r) == 0)
		return 0;
	if (!sqlite_db_is_corrupt(db))
		return -1;
	sqlite_db_move_aside(db);
	return sqlite_db_open_file(db, sync_full, error_r);
}

void sqlite_db_close(struct sqlite_db *db)
{
	if (db->opened)
		sqlite_db_close_time(db);
	(void)sqlite3_close(db->sqlite);
	db->sqlite = NULL;
	i_close_fd(&db->lock_fd);
	i_free(db->path);
}
