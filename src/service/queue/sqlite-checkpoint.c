/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"

#include "sqlite-checkpoint.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>

/* How often the ioloop looks whether the thread has ended. */
#define POLL_MSECS 5

struct sqlite_checkpoint {
	sqlite_checkpoint_callback_t *callback;
	void *context;

	/* the thread's while it runs, until it sets ended */
	sqlite3 *sqlite;
	int frames, done;
	bool ended;

	bool threaded;
	pthread_t thread;
	/* while it runs */
	struct timeout *to;
};

/* In the thread: nothing of Dovecot's is called here. */
static void *checkpoint_run(void *context)
{
	struct sqlite_checkpoint *cp = context;

	if (sqlite3_wal_checkpoint_v2(cp->sqlite, NULL,
				      SQLITE_CHECKPOINT_PASSIVE,
				      &cp->frames, &cp->done) != SQLITE_OK)
		cp->frames = cp->done = -1;
	__atomic_store_n(&cp->ended, TRUE, __ATOMIC_RELEASE);
	return NULL;
}

static void checkpoint_join(struct sqlite_checkpoint *cp)
{
	if (cp->threaded)
		(void)pthread_join(cp->thread, NULL);
	cp->threaded = FALSE;
	timeout_remove(&cp->to);
}

static void checkpoint_poll(struct sqlite_checkpoint *cp)
{
	if (!__atomic_load_n(&cp->ended, __ATOMIC_ACQUIRE))
		return;
	checkpoint_join(cp);
	cp->callback(cp->frames, cp->done, cp->context);
}

void sqlite_checkpoint_start(struct sqlite_checkpoint *cp)
{
	sigset_t all, old;

	if (cp->to != NULL)
		return;
	cp->to = timeout_add_short(POLL_MSECS, checkpoint_poll, cp);
	cp->ended = FALSE;
	if (sqlite3_threadsafe() != 0) {
		/* signals are for the ioloop's thread */
		(void)sigfillset(&all);
		(void)pthread_sigmask(SIG_SETMASK, &all, &old);
		cp->threaded = pthread_create(&cp->thread, NULL,
					      checkpoint_run, cp) == 0;
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (!cp->threaded) {
		/* rather than never */
		(void)checkpoint_run(cp);
	}
}

bool sqlite_checkpoint_is_running(const struct sqlite_checkpoint *cp)
{
	return cp->to != NULL;
}

int sqlite_checkpoint_init(const char *path,
			   sqlite_checkpoint_callback_t *callback,
			   void *context, struct sqlite_checkpoint **cp_r,
			   const char **error_r)
{
	struct sqlite_checkpoint *cp;

	cp = i_new(struct sqlite_checkpoint, 1);
	cp->callback = callback;
	cp->context = context;
	/* SQLite notices that there is a log when it reads something */
	if (sqlite3_open_v2(path, &cp->sqlite, SQLITE_OPEN_READWRITE |
			    SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_exec(cp->sqlite, "SELECT count(*) FROM clock",
			 NULL, NULL, NULL) != SQLITE_OK) {
		*error_r = t_strdup_printf("%s: open failed: %s", path,
					   sqlite3_errmsg(cp->sqlite));
		sqlite_checkpoint_deinit(&cp);
		return -1;
	}
	*cp_r = cp;
	return 0;
}

void sqlite_checkpoint_deinit(struct sqlite_checkpoint **_cp)
{
	struct sqlite_checkpoint *cp = *_cp;

	*_cp = NULL;
	if (cp == NULL)
		return;
	if (cp->to != NULL) {
		sqlite3_interrupt(cp->sqlite);
		checkpoint_join(cp);
	}
	(void)sqlite3_close(cp->sqlite);
	i_free(cp);
}
