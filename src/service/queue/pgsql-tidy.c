/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* To change a mailbox's row with each notification would cost more than all else
   that is stored with it, since users are everywhere in the table. So messages
   are appended to announced_log, and gathered from there when it has become
   long: its index has them by mailbox. */
#include "lib.h"
#include "ioloop.h"

#include "dovecot-compat.h"
#include "pgsql-private.h"
#include "pgsql-tidy.h"

/* How many messages of this host's the log may have. */
#define LOG_MAX (64*1024)
/* How often one of the hosts tidies up, and each of them tries to. */
#define TIDY_SECS (60*60)
#define TRY_MSECS (10*60*1000)
/* Between steps, so that others get their turn. */
#define STEP_MSECS 10
#define ANSWER_MSECS (10*1000)
/* Endpoints and parts in which nothing was stored for so long are deleted, and
   hosts that last connected so long ago and are gone; and sessions, of hosts that
   have not come back. */
#define UNUSED_SECS (7*24*60*60)
#define SESSIONS_SECS (24*60*60)

enum job {
	JOB_LOG,
	JOB_ANNOUNCED,
	JOB_PARTS,
	JOB_ENDPOINTS,
	JOB_HOSTS,
	/* there is nothing to do */
	JOB_NONE
};

static const struct {
	enum pgsql_statement statement;
	/* rows in a step */
	unsigned int limit;
} jobs[] = {
	[JOB_LOG] = { PGSQL_TIDY_LOG, 256 },
	[JOB_ANNOUNCED] = { PGSQL_TIDY_ANNOUNCED, 2048 },
	[JOB_PARTS] = { PGSQL_TIDY_PARTS, 512 },
	[JOB_ENDPOINTS] = { PGSQL_TIDY_ENDPOINTS, 512 },
	[JOB_HOSTS] = { PGSQL_TIDY_HOSTS, 512 },
};

struct pgsql_tidy {
	struct pgsql_queue *queue;
	unsigned int announced_max;
	struct timeout *to_try, *to_step;

	enum job job;
	/* after JOB_LOG come the others */
	bool all;
	/* where the next step begins, and what the job's steps have counted */
	int64_t place, count;
	/* for how long JOB_ANNOUNCED keeps a mailbox */
	int64_t keep_secs;

	/* messages of this host's since the log was gathered, and mailboxes
	   that were new since all was done */
	unsigned int messages, mailboxes;
	/* what was logged of this spell */
	bool failed;
};

static void pgsql_tidy_step(struct pgsql_tidy *tidy);

static void pgsql_tidy_step_later(struct pgsql_tidy *tidy)
{
	if (tidy->to_step == NULL) {
		tidy->to_step = timeout_add_short(STEP_MSECS, pgsql_tidy_step,
						  tidy);
	}
}

static void pgsql_tidy_start(struct pgsql_tidy *tidy, enum job job)
{
	tidy->job = job;
	tidy->place = tidy->count = 0;
	pgsql_tidy_step_later(tidy);
}

/* After the last step of a job. */
static void pgsql_tidy_next_job(struct pgsql_tidy *tidy)
{
	if (tidy->job == JOB_LOG) {
		tidy->messages = 0;
		tidy->keep_secs = QUEUE_ANNOUNCED_KEEP_SECS;
		tidy->mailboxes += tidy->count;
		if (tidy->mailboxes > tidy->announced_max / 4)
			tidy->all = TRUE;
	} else if (tidy->job == JOB_ANNOUNCED &&
		   tidy->count > tidy->announced_max && tidy->keep_secs > 1) {
		/* by someone who may write to the hand-off socket, most
		   likely */
		tidy->keep_secs /= 2;
		pgsql_tidy_start(tidy, JOB_ANNOUNCED);
		return;
	}
	if (tidy->all && tidy->job + 1 < JOB_NONE) {
		if (tidy->job == JOB_ANNOUNCED)
			tidy->mailboxes = 0;
		pgsql_tidy_start(tidy, tidy->job + 1);
	} else {
		tidy->job = JOB_NONE;
		tidy->all = FALSE;
	}
}

/* Once per spell. A connection that was lost is logged by others. */
static void
pgsql_tidy_failed(struct pgsql_tidy *tidy, const struct pgsql_answer *answer)
{
	tidy->job = JOB_NONE;
	tidy->all = FALSE;
	/* another host begins to use what was to be deleted, or the like */
	if (str_begins_with(answer->sqlstate, "23") ||
	    str_begins_with(answer->sqlstate, "40"))
		return;
	if (!answer->unknown && !tidy->failed) {
		i_warning("Tidying up in PostgreSQL failed: %s",
			  answer->error);
		tidy->failed = TRUE;
	}
}

static void
pgsql_tidy_stepped(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_tidy *tidy = context;
	const PGresult *rows;
	int64_t looked_at;

	if (answer->error != NULL) {
		pgsql_tidy_failed(tidy, answer);
		return;
	}
	tidy->failed = FALSE;
	rows = answer->results[answer->count - 1];
	looked_at = pgsql_get_int(rows, 0, 1);
	tidy->count += pgsql_get_int(rows, 0, 2);
	if (looked_at < jobs[tidy->job].limit)
		pgsql_tidy_next_job(tidy);
	else {
		tidy->place = pgsql_get_int(rows, 0, 0);
		pgsql_tidy_step_later(tidy);
	}
}

static void pgsql_tidy_step(struct pgsql_tidy *tidy)
{
	struct pgsql_conn *conn = tidy->queue->conn;
	struct pgsql_params params = { .count = 0 };
	int64_t before;

	timeout_remove(&tidy->to_step);
	if (!pgsql_queue_is_ready(tidy->queue)) {
		tidy->job = JOB_NONE;
		tidy->all = FALSE;
		return;
	}
	before = queue_now(tidy->queue->engine.queue) -
		(tidy->job == JOB_ANNOUNCED ? tidy->keep_secs : UNUSED_SECS);
	pgsql_conn_add(conn, PGSQL_TIDY_ASYNC, &params);
	if (tidy->job == JOB_ANNOUNCED &&
	    tidy->keep_secs < QUEUE_ANNOUNCED_KEEP_SECS) {
		pgsql_params_add_int(&params, before);
		pgsql_conn_add(conn, PGSQL_TIDY_SINCE, &params);
		params.count = 0;
	}
	pgsql_params_add_int(&params, tidy->place);
	pgsql_params_add_int(&params, jobs[tidy->job].limit);
	if (tidy->job != JOB_LOG)
		pgsql_params_add_int(&params, before);
	pgsql_conn_add(conn, jobs[tidy->job].statement, &params);
	pgsql_conn_send(conn, ANSWER_MSECS, pgsql_tidy_stepped, tidy);
}

void pgsql_tidy_announced(struct pgsql_tidy *tidy, unsigned int messages)
{
	tidy->messages += messages;
	if (tidy->messages >= LOG_MAX && tidy->job == JOB_NONE)
		pgsql_tidy_start(tidy, JOB_LOG);
}

/* Each hour */

static void
pgsql_tidy_may_begin(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_tidy *tidy = context;

	if (answer->error != NULL) {
		pgsql_tidy_failed(tidy, answer);
		return;
	}
	if (PQntuples(answer->results[1]) == 0)
		return;
	tidy->all = TRUE;
	if (tidy->job == JOB_NONE)
		pgsql_tidy_start(tidy, JOB_LOG);
}

static void pgsql_tidy_try(struct pgsql_tidy *tidy)
{
	struct pgsql_conn *conn = tidy->queue->conn;
	int64_t now = queue_now(tidy->queue->engine.queue);
	struct pgsql_params params = { .count = 0 };

	if (!pgsql_queue_is_ready(tidy->queue) || tidy->all)
		return;
	pgsql_conn_add(conn, PGSQL_TIDY_ASYNC, &params);
	pgsql_params_add_int(&params, now);
	pgsql_params_add_int(&params, now - TIDY_SECS);
	pgsql_params_add_int(&params, now - SESSIONS_SECS);
	pgsql_conn_add(conn, PGSQL_TIDY_BEGIN, &params);
	pgsql_conn_send(conn, ANSWER_MSECS, pgsql_tidy_may_begin, tidy);
}

void pgsql_tidy_ready(struct pgsql_tidy *tidy)
{
	pgsql_tidy_try(tidy);
}

struct pgsql_tidy *
pgsql_tidy_init(struct pgsql_queue *queue, unsigned int announced_max)
{
	struct pgsql_tidy *tidy = i_new(struct pgsql_tidy, 1);

	tidy->queue = queue;
	tidy->announced_max = announced_max;
	tidy->job = JOB_NONE;
	tidy->to_try = timeout_add(TRY_MSECS, pgsql_tidy_try, tidy);
	return tidy;
}

void pgsql_tidy_deinit(struct pgsql_tidy **_tidy)
{
	struct pgsql_tidy *tidy = *_tidy;

	*_tidy = NULL;
	timeout_remove(&tidy->to_try);
	timeout_remove(&tidy->to_step);
	i_free(tidy);
}
