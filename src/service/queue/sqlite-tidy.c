/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"

#include "monotonic.h"
#include "sqlite-checkpoint.h"
#include "sqlite-tidy.h"

/* How long to wait after a commit or a failure, and from one step to the
   next. */
#define TIDY_MSECS (5*1000)
#define TIDY_STEP_MSECS 25
/* How long a step that shrinks the file may last. If the host is busy it cuts
   off this number of pages nevertheless. */
#define STEP_MAX_MSECS 4
#define STEP_MIN_PAGES 32
/* How much one cuts off the log. */
#define STEP_LOG_SIZE (8*1024*1024)

/* The log is written back to the file whenever it has grown by so many frames
   (of one page, 4 kB, each). Once all of it is in the file, the next commit
   starts at the log's beginning again, which flushes the disk once. */
#define CHECKPOINT_FRAMES 1000
/* How long the log may become, unless another process keeps reading. */
#define LOG_MAX_FRAMES 4096
#define LOG_MAX_STR "16 MB"
#define FRAME_HEADER_SIZE 24
/* How many times the thread tries to catch up with a log that is longer. */
#define CATCH_UP_MAX 8

/* The file is shrunk when more pages than this, and more than are in use, are
   free. A quarter of this number, or half of what is in use, stays free. */
#define SHRINK_MIN_PAGES 4096
/* A file of an earlier version can be shrunk in steps only after it has been
   copied as a whole. That is done when no more pages than this are in use. */
#define COPY_MAX_PAGES 1024

struct sqlite_tidy {
	struct sqlite_db *db;
	sqlite_tidy_callback_t *callback;
	void *context;
	struct sqlite_checkpoint *checkpoint;
	struct timeout *to;

	/* the log's frames; how many of them the last checkpoint saw, and how
	   many it left in the file */
	int frames, seen, done;
	/* in bytes */
	int64_t frame_size;
	/* the last checkpoint did not get to the end of what it saw */
	bool unfinished;
	/* tries of the thread to catch up so far */
	unsigned int catching_up;
	/* the callback is to be called when the log can begin anew */
	bool reclaiming;

	/* the file was made by this version, or has been copied */
	bool can_shrink;
	bool shrinking;
	/* the file has not been cut where its pages end, which a checkpoint
	   does if it gets to the log's end */
	bool uncut;
	/* a reader holds up the checkpoint, or it has failed */
	bool stuck;
	/* the last step failed */
	bool failed;
	/* what has been logged of this spell */
	bool in_trouble, log_is_long;
};

static void tidy_step(struct sqlite_tidy *tidy);

static void tidy_later(struct sqlite_tidy *tidy, unsigned int msecs)
{
	if (tidy->to == NULL)
		tidy->to = timeout_add_short(msecs, tidy_step, tidy);
}

/* Once per spell. */
static void tidy_failed(struct sqlite_tidy *tidy, const char *error)
{
	tidy->failed = TRUE;
	/* an admin's sqlite3 shell may be at it */
	if (!tidy->in_trouble &&
	    (sqlite3_errcode(tidy->db->sqlite) & 0xff) != SQLITE_BUSY) {
		i_warning("Queue's files can't be shrunk: %s", error);
		tidy->in_trouble = TRUE;
	}
	if (sqlite3_get_autocommit(tidy->db->sqlite) == 0)
		(void)sqlite_db_exec(tidy->db, "ROLLBACK", &error);
}

/* The log */

static int tidy_committed(void *context, sqlite3 *sqlite ATTR_UNUSED,
			  const char *name ATTR_UNUSED, int frames)
{
	struct sqlite_tidy *tidy = context;

	if (frames < tidy->seen) {
		/* it began anew */
		tidy->seen = 0;
	}
	tidy->frames = frames;
	if (frames - tidy->seen >= CHECKPOINT_FRAMES)
		sqlite_checkpoint_start(tidy->checkpoint);
	tidy_later(tidy, TIDY_MSECS);
	return SQLITE_OK;
}

static void tidy_say_log_is_long(struct sqlite_tidy *tidy)
{
	if (!tidy->log_is_long) {
		i_warning("%s-wal has grown beyond "LOG_MAX_STR", since "
			  "another process keeps reading %s: end its "
			  "transaction", tidy->db->path, tidy->db->path);
	}
	tidy->log_is_long = TRUE;
}

/* While the thread was at it, commits have added to the log. Each time these
   are fewer, so that in the end the ioloop can do the rest itself if it must.
   Returns FALSE if the thread is not to go on. */
static bool tidy_catch_up(struct sqlite_tidy *tidy, bool must)
{
	if (++tidy->catching_up < CATCH_UP_MAX) {
		sqlite_checkpoint_start(tidy->checkpoint);
		return TRUE;
	}
	if (must)
		(void)sqlite3_wal_checkpoint(tidy->db->sqlite, NULL);
	return FALSE;
}

static void tidy_reclaimed(struct sqlite_tidy *tidy)
{
	if (tidy->reclaiming) {
		tidy->reclaiming = FALSE;
		tidy->callback(tidy->context);
	}
}

static void tidy_checkpoint_ended(int frames, int done, void *context)
{
	struct sqlite_tidy *tidy = context;
	bool is_long = tidy->frames > LOG_MAX_FRAMES;

	/* Our own commits hold it up as well, but not twice at one place. */
	bool stuck = frames >= 0 && done < frames && done == tidy->done;

	tidy->seen = frames < 0 || frames > tidy->frames ? 0 : frames;
	tidy->done = done;
	tidy->unfinished = frames < 0 || done < frames;
	if (!tidy->unfinished)
		tidy->log_is_long = FALSE;
	tidy->stuck = stuck || frames < 0;
	if (stuck && is_long)
		tidy_say_log_is_long(tidy);
	if (frames >= 0 && !stuck && tidy->frames > done &&
	    (is_long || tidy->reclaiming || tidy->uncut) &&
	    tidy_catch_up(tidy, is_long))
		return;
	tidy->catching_up = 0;
	tidy_reclaimed(tidy);
}

void sqlite_tidy_reclaim(struct sqlite_tidy *tidy, bool scarce)
{
	tidy->reclaiming = TRUE;
	if (scarce || tidy->frames > LOG_MAX_FRAMES)
		sqlite_checkpoint_start(tidy->checkpoint);
	else
		tidy_reclaimed(tidy);
}

bool sqlite_tidy_make_room(struct sqlite_tidy *tidy)
{
	int frames, done;

	return sqlite3_wal_checkpoint_v2(tidy->db->sqlite, NULL,
					 SQLITE_CHECKPOINT_PASSIVE,
					 &frames, &done) == SQLITE_OK &&
		frames > 0 && done == frames;
}

/* Cut a piece off a log that had to grow. SQLite would cut it all off at once,
   which takes a second for two gigabytes. Returns FALSE if there is nothing to
   do. */
static bool tidy_log(struct sqlite_tidy *tidy)
{
	const int64_t max = LOG_MAX_FRAMES * tidy->frame_size;
	sqlite3_file *file;
	sqlite3_int64 size;
	const char *error;

	if (tidy->unfinished ||
	    sqlite3_file_control(tidy->db->sqlite, NULL,
				 SQLITE_FCNTL_JOURNAL_POINTER,
				 &file) != SQLITE_OK ||
	    file->pMethods == NULL ||
	    file->pMethods->xFileSize(file, &size) != SQLITE_OK ||
	    size <= max + STEP_LOG_SIZE)
		return FALSE;
	/* This starts at the log's beginning again, and tidy_committed() learns
	   how long the log is, whoever has written to it. */
	if (sqlite_db_exec(tidy->db, "UPDATE clock SET offset = offset",
			   &error) < 0) {
		tidy_failed(tidy, error);
		return FALSE;
	}
	if (tidy->frames > LOG_MAX_FRAMES / 2)
		return FALSE;
	if (file->pMethods->xTruncate(file, size - STEP_LOG_SIZE) !=
	    SQLITE_OK) {
		tidy_failed(tidy, t_strdup_printf(
			"%s-wal: ftruncate() failed: %m", tidy->db->path));
		return FALSE;
	}
	return TRUE;
}

/* The file */

static int tidy_shrink(struct sqlite_tidy *tidy, const char **error_r)
{
	int64_t deadline = http_notify_monotonic_msecs() + STEP_MAX_MSECS;
	unsigned int pages = 0;
	sqlite3_stmt *stmt;
	int ret;

	if (sqlite_db_exec(tidy->db, "BEGIN IMMEDIATE", error_r) < 0)
		return -1;
	/* each step is one page */
	ret = sqlite3_prepare_v2(tidy->db->sqlite, "PRAGMA incremental_vacuum",
				 -1, &stmt, NULL);
	while (ret == SQLITE_OK || ret == SQLITE_ROW) {
		ret = sqlite3_step(stmt);
		if (++pages >= STEP_MIN_PAGES &&
		    http_notify_monotonic_msecs() >= deadline)
			break;
	}
	if (ret != SQLITE_ROW && ret != SQLITE_DONE)
		*error_r = sqlite_db_error(tidy->db, "incremental_vacuum");
	(void)sqlite3_finalize(stmt);
	if (ret != SQLITE_ROW && ret != SQLITE_DONE)
		return -1;
	return sqlite_db_exec(tidy->db, "COMMIT", error_r);
}

/* VACUUM makes the file one that can be shrunk. */
static int tidy_copy(struct sqlite_tidy *tidy, const char **error_r)
{
	if (sqlite_db_exec(tidy->db, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM",
			   error_r) < 0)
		return -1;
	tidy->can_shrink = TRUE;
	return 0;
}

static bool tidy_file_is_longer(struct sqlite_tidy *tidy, int64_t pages)
{
	const int64_t page_size = tidy->frame_size - FRAME_HEADER_SIZE;
	sqlite3_file *file;
	sqlite3_int64 size;

	return sqlite3_file_control(tidy->db->sqlite, NULL,
				    SQLITE_FCNTL_FILE_POINTER,
				    &file) == SQLITE_OK &&
		file->pMethods != NULL &&
		file->pMethods->xFileSize(file, &size) == SQLITE_OK &&
		size > pages * page_size;
}

/* Returns FALSE if there is nothing to do. */
static bool tidy_file(struct sqlite_tidy *tidy)
{
	int64_t pages, free_pages, used;
	bool more = FALSE;
	const char *error;
	int ret;

	ret = sqlite_db_get_int(tidy->db, "PRAGMA page_count", &pages, &error);
	if (ret == 0) {
		ret = sqlite_db_get_int(tidy->db, "PRAGMA freelist_count",
					&free_pages, &error);
	}
	if (ret < 0) {
		tidy_failed(tidy, error);
		return FALSE;
	}
	used = pages - free_pages;
	if (!tidy->can_shrink) {
		more = used <= COPY_MAX_PAGES;
		if (more)
			ret = tidy_copy(tidy, &error);
	} else {
		tidy->shrinking = tidy->shrinking ?
			free_pages > I_MAX(SHRINK_MIN_PAGES / 4, used / 2) :
			free_pages > I_MAX(SHRINK_MIN_PAGES, used);
		more = tidy->shrinking;
		if (more)
			ret = tidy_shrink(tidy, &error);
	}
	if (ret < 0) {
		tidy_failed(tidy, error);
		return FALSE;
	}
	tidy->uncut = !more && tidy_file_is_longer(tidy, pages);
	if (tidy->uncut)
		sqlite_checkpoint_start(tidy->checkpoint);
	return more;
}

/* Nothing is shrunk during a checkpoint, which would never see the log's end
   then. */
static void tidy_step(struct sqlite_tidy *tidy)
{
	bool more = !tidy->stuck;

	tidy->failed = FALSE;
	if (tidy->unfinished)
		sqlite_checkpoint_start(tidy->checkpoint);
	if (!sqlite_checkpoint_is_running(tidy->checkpoint)) T_BEGIN {
		/* not now, rather than wait */
		(void)sqlite3_busy_timeout(tidy->db->sqlite, 0);
		more = tidy_log(tidy) || tidy_file(tidy);
		if (!tidy->failed)
			tidy->in_trouble = FALSE;
		(void)sqlite3_busy_timeout(tidy->db->sqlite,
					   SQLITE_DB_BUSY_MSECS);
	} T_END;
	timeout_remove(&tidy->to);
	if (more)
		tidy_later(tidy, TIDY_STEP_MSECS);
	else if (tidy->unfinished || tidy->uncut || tidy->failed)
		tidy_later(tidy, TIDY_MSECS);
}

int sqlite_tidy_init(struct sqlite_db *db, sqlite_tidy_callback_t *callback,
		     void *context, struct sqlite_tidy **tidy_r,
		     const char **error_r)
{
	struct sqlite_tidy *tidy;
	int64_t page_size, auto_vacuum;

	tidy = i_new(struct sqlite_tidy, 1);
	tidy->db = db;
	tidy->callback = callback;
	tidy->context = context;
	if (sqlite_db_get_int(db, "PRAGMA page_size", &page_size,
			      error_r) < 0 ||
	    sqlite_db_get_int(db, "PRAGMA auto_vacuum", &auto_vacuum,
			      error_r) < 0 ||
	    sqlite_checkpoint_init(db->path, tidy_checkpoint_ended, tidy,
				   &tidy->checkpoint, error_r) < 0) {
		sqlite_tidy_deinit(&tidy);
		return -1;
	}
	tidy->frame_size = page_size + FRAME_HEADER_SIZE;
	tidy->can_shrink = auto_vacuum != 0;
	(void)sqlite3_wal_hook(db->sqlite, tidy_committed, tidy);
	tidy_later(tidy, TIDY_STEP_MSECS);
	*tidy_r = tidy;
	return 0;
}

void sqlite_tidy_deinit(struct sqlite_tidy **_tidy)
{
	struct sqlite_tidy *tidy = *_tidy;

	*_tidy = NULL;
	if (tidy == NULL)
		return;
	(void)sqlite3_wal_hook(tidy->db->sqlite, NULL, NULL);
	timeout_remove(&tidy->to);
	sqlite_checkpoint_deinit(&tidy->checkpoint);
	i_free(tidy);
}
