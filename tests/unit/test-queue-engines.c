/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "imap-util.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "queue-announced.h"
#include "queue-engine.h"
#ifdef HTTP_NOTIFY_HAVE_PGSQL
#include "queue-pgsql.h"

#include <libpq-fe.h>
#endif

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test-common.h"
#include "test-queue-engines.h"

const char *test_engine = "sqlite";

static char *base;
static struct ioloop *ioloop;

const char *test_pgsql(void)
{
#ifdef HTTP_NOTIFY_HAVE_PGSQL
	return getenv("HTTP_NOTIFY_TEST_PGSQL");
#else
	return NULL;
#endif
}

static bool is_pgsql(void)
{
	return strcmp(test_engine, "pgsql") == 0;
}

/* An admin's */

#ifdef HTTP_NOTIFY_HAVE_PGSQL
static int64_t pgsql_sql(const char *sql)
{
	int64_t num = 0;
	PGconn *conn;
	PGresult *result;

	conn = PQconnectdb(t_strconcat(test_pgsql(), " user=postgres "
		"options='-c search_path=http_notify -c "
		"client_min_messages=warning'", NULL));
	if (PQstatus(conn) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(conn));
	result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK &&
	    PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(conn));
	if (PQntuples(result) > 0)
		num = atoll(PQgetvalue(result, 0, 0));
	PQclear(result);
	PQfinish(conn);
	return num;
}
#endif

static int64_t sqlite_sql(struct test_host *host, const char *sql)
{
	int64_t num = 0;
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(t_strconcat(host->directory,
		"/queue.sqlite", NULL), &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	if (sqlite3_step(stmt) == SQLITE_ROW)
		num = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return num;
}

int64_t test_sql(struct test_host *host, const char *sql)
{
#ifdef HTTP_NOTIFY_HAVE_PGSQL
	if (is_pgsql())
		return pgsql_sql(sql);
#endif
	return sqlite_sql(host, sql);
}

void test_fail(struct test_host *host, const char *what)
{
	if (!is_pgsql()) {
		(void)test_sql(host, t_strdup_printf("CREATE TRIGGER failure "
			"BEFORE %s BEGIN SELECT RAISE(ABORT, 'made to fail'); "
			"END", what));
		return;
	}
	(void)test_sql(host, "CREATE OR REPLACE FUNCTION failure() "
		"RETURNS trigger AS $$ BEGIN RAISE 'made to fail'; END $$ "
		"LANGUAGE plpgsql");
	(void)test_sql(host, t_strdup_printf("CREATE TRIGGER failure BEFORE "
		"%s FOR EACH ROW EXECUTE FUNCTION failure()", what));
}

void test_stop_failing(struct test_host *host)
{
	(void)test_sql(host, is_pgsql() ?
		       "DROP FUNCTION IF EXISTS failure CASCADE" :
		       "DROP TRIGGER failure");
}

/* Hosts */

static void
host_committed(const char *error, void *context)
{
	struct test_host *host = context;

	host->commits++;
	i_free(host->error);
	host->error = i_strdup(error);
	io_loop_stop(ioloop);
}

static void
tell(struct test_host *host, const char *what, const struct queue_part *part)
{
	str_printfa(host->told, "%s:%"PRId64" ", what,
		    queue_part_last_id(part) - part->before_id);
}

static void host_endpoint(struct queue_endpoint *ep ATTR_UNUSED,
			  const char *options ATTR_UNUSED,
			  void *context ATTR_UNUSED)
{
}

static void host_claimed(struct queue_part *part, void *context)
{
	struct test_host *host = context;

	tell(host, "claimed", part);
	array_push_back(&host->parts, &part);
}

static void host_grown(struct queue_part *part, void *context)
{
	tell(context, "grown", part);
}

static void host_look_again(struct queue_part *part, void *context)
{
	tell(context, "again", part);
}

static void
host_lose_part(struct test_host *host, struct queue_part *part)
{
	struct queue_part *const *partp;

	array_foreach(&host->parts, partp) {
		if (*partp == part) {
			array_delete(&host->parts,
				     array_foreach_idx(&host->parts, partp), 1);
			break;
		}
	}
}

static void host_release(struct queue_part *part, void *context)
{
	struct test_host *host = context;

	tell(host, "release", part);
	if (host->releases) {
		host_lose_part(host, part);
		queue_part_released(host->queue, &part);
	}
}

static void host_revoked(struct queue_part *part, void *context)
{
	tell(context, "revoked", part);
	host_lose_part(context, part);
}

static const struct queue_part_vfuncs part_vfuncs = {
	.endpoint = host_endpoint,
	.claimed = host_claimed,
	.grown = host_grown,
	.look_again = host_look_again,
	.release = host_release,
	.revoked = host_revoked
};

void test_turn(unsigned int msecs)
{
	struct timeout *to = timeout_add_short(msecs, io_loop_stop, ioloop);

	io_loop_run(ioloop);
	timeout_remove(&to);
}

const char *test_try_commit(struct test_host *host)
{
	static unsigned int count;
	struct queue_endpoint *ep;

	/* so that there is something in any case */
	ep = queue_endpoint_set(host->queue, "other", dec2str(++count));
	do {
		host->commits = 0;
		queue_flush(host->queue);
		while (host->commits == 0)
			test_turn(100);
	} while (host->error == NULL && ep->changed);
	return host->error;
}

void test_commit(struct test_host *host)
{
	const char *error = test_try_commit(host);

	if (error != NULL)
		fail_msg("%s", error);
}

struct asked {
	struct test_announced answer;
	bool answered;
};

static void
have_announced(const struct queue_announced_result *result, void *context)
{
	struct asked *asked = context;
	string_t *str = t_str_new(64);

	assert_null(result->error);
	imap_write_seq_range(str, result->uids);
	assert_true(i_strocpy(asked->answer.uids, str_c(str),
			      sizeof(asked->answer.uids)) == 0);
	asked->answer.secs = result->secs;
	asked->answered = TRUE;
}

struct test_announced
test_ask_announced(struct test_host *host, int64_t mailbox)
{
	struct asked asked = { .answered = FALSE };

	(void)queue_announced_read(host->queue, mailbox, have_announced,
				   &asked);
	test_until(asked.answered);
	return asked.answer;
}

int test_queue_init(const struct queue_settings *set, struct queue **queue_r,
		    const char **error_r)
{
	const struct queue_engine_vfuncs *engine = &queue_engine_sqlite;

#ifdef HTTP_NOTIFY_HAVE_PGSQL
	if (is_pgsql())
		engine = &queue_engine_pgsql;
#endif
	return queue_init(engine, set, queue_r, error_r);
}

void test_host_open_only(struct test_host *host)
{
	struct queue_settings set = {
		.directory = host->directory,
		.pgsql = test_pgsql(), .pgsql_password_file = "",
		.lost_keep_secs = 7*24*60*60,
		.lost_max_rows = 1000, .lost_max_bytes = 1024*1024,
		.announced_max = host->announced_max
	};
	const char *error;

	if (test_queue_init(&set, &host->queue, &error) < 0)
		fail_msg("%s", error);
	queue_set_committed_callback(host->queue, host_committed, host);
	queue_claim(host->queue, &part_vfuncs, host);
}

void test_host_open(struct test_host *host)
{
	test_host_open_only(host);
	do {
		(void)queue_endpoint_set(host->queue, "key", "options");
		(void)queue_endpoint_set(host->queue, "key",
					 "options of today");
		test_turn(5);
	} while (host->commits == 0 || host->error != NULL);
}

void test_host_close(struct test_host *host)
{
	queue_unclaim(host->queue);
	queue_deinit(&host->queue);
	array_clear(&host->parts);
	str_truncate(host->told, 0);
	host->commits = 0;
}

void test_host_init(struct test_host *host, const char *name)
{
	i_zero(host);
	host->directory = i_strconcat(base, "/", name, NULL);
	if (mkdir(host->directory, 0700) < 0)
		fail_msg("mkdir(%s) failed", host->directory);
	host->told = str_new(default_pool, 256);
	host->releases = TRUE;
	i_array_init(&host->parts, 16);
	test_host_open(host);
}

void test_host_deinit(struct test_host *host)
{
	if (host->queue != NULL)
		test_host_close(host);
	array_free(&host->parts);
	str_free(&host->told);
	i_free(host->error);
	i_free(host->directory);
}

void test_queues_init(void)
{
	const char *tmp = getenv("TMPDIR");

	base = i_strconcat(tmp == NULL ? "/tmp" : tmp, "/test-queue.XXXXXX",
			   NULL);
	if (mkdtemp(base) == NULL)
		fail_msg("mkdtemp(%s) failed", base);
	ioloop = io_loop_create();
	if (is_pgsql()) {
		test_stop_failing(NULL);
		(void)test_sql(NULL, "TRUNCATE notification, part, endpoint, "
			       "lost, session, host, announced_log, "
			       "announced, message");
		(void)test_sql(NULL, "UPDATE version SET version = 1, "
			       "compatible = 1");
		(void)test_sql(NULL, "UPDATE tidy SET begun = 0, "
			       "announced_since = "
			       "extract(epoch FROM now())");
	}
	(void)alarm(300);
}

void test_queues_deinit(void)
{
	const char *error;

	(void)alarm(0);
	io_loop_destroy(&ioloop);
	if (unlink_directory(base, UNLINK_DIRECTORY_FLAG_RMDIR, &error) < 0)
		i_fatal("%s", error);
	i_free(base);
}
