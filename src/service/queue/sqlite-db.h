/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SQLITE_DB_H
#define HTTP_NOTIFY_SQLITE_DB_H

#include <sqlite3.h>

/* An admin's sqlite3 shell may lock the queue for a moment. */
#define SQLITE_DB_BUSY_MSECS 200

/* An id in the database: the endpoint's number, and in the lower bits a number
   that ascends over all endpoints. 2^40 notifications take years at any rate. */
#define SQLITE_DB_ENDPOINT_SHIFT 40
#define SQLITE_DB_ENDPOINT_SHIFT_STR "40"

/* The SQLite database of the queue: its schema, opening it for one process at a
   time, and what to do if the file is corrupt. */
struct sqlite_db {
	char *path;
	sqlite3 *sqlite;
	int lock_fd;
	/* it could be opened, so that time_offset is known */
	bool opened;
	/* seconds by which the queue's time is ahead of the monotonic clock */
	int64_t time_offset;
};

/* Open or create the database in directory. A corrupt file is moved aside,
   which is logged, and a new one is made. Returns 0, or -1 and error_r; db_r
   has to be closed in both cases. */
int sqlite_db_open(const char *directory, bool sync_full,
		  struct sqlite_db *db_r, const char **error_r);
void sqlite_db_close(struct sqlite_db *db);

/* See queue_now(). */
int64_t sqlite_db_time(const struct sqlite_db *db);

/* Run a statement that returns nothing. Returns 0, or -1 and error_r. */
int sqlite_db_exec(struct sqlite_db *db, const char *sql, const char **error_r);
/* Get the first column of a statement's first row. Returns 0, or -1 and
   error_r. */
int sqlite_db_get_int(struct sqlite_db *db, const char *sql, int64_t *num_r,
		     const char **error_r);
/* Why the last call of SQLite failed; what names it in the text. */
const char *sqlite_db_error(struct sqlite_db *db, const char *what);

/* Has the last call of SQLite found the file to be corrupt? */
bool sqlite_db_is_corrupt(struct sqlite_db *db);
/* The database is corrupt: rename its files, close it, and log that. The lock
   is kept. */
void sqlite_db_move_aside(struct sqlite_db *db);
/* Remove the files of the database in directory, which must not be open; not
   those of corrupt ones. */
void sqlite_db_remove(const char *directory);

#endif
