/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "llist.h"
#include "net.h"
#include "str.h"

#include "credential-file.h"
#include "pgsql-check.h"
#include "pgsql-connect.h"
#include "pgsql-parts.h"
#include "pgsql-private.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

/* Less than doveadm waits. */
#define CHECK_MSECS (8*1000)
/* Older ones notice too late that a host is gone. */
#define SERVER_VERSION_MIN 140000
/* Clocks are compared by messages that take some time themselves. */
#define CLOCKS_DIFFER_SECS 2

#define SCHEMA_FILE "schema-"STRINGIFY(PGSQL_SCHEMA_VERSION)".sql"
#define STRINGIFY(number) STRINGIFY2(number)
#define STRINGIFY2(number) #number

enum step {
	STEP_FACTS,
	STEP_VERSION,
	STEP_HOSTS,

	STEP_COUNT
};

/* Columns of STEP_FACTS, which looks at the catalogue only, so that no right is
   needed. */
enum fact {
	FACT_STANDBY,
	FACT_READ_ONLY,
	FACT_PID,
	FACT_MARK,
	FACT_DATABASE,
	FACT_ROLE,
	FACT_HAS_SCHEMA,
	FACT_MAY_USE_SCHEMA,
	FACT_LACKS,
	FACT_FOREIGN,
	FACT_NOT_VACUUMED,
	FACT_AUTOVACUUM,
	FACT_SYNCHRONOUS_COMMIT,
	FACT_FSYNC,
	FACT_FULL_PAGE_WRITES,
	FACT_STANDBY_AWAITED,
	FACT_STANDBY_NAMES,
	FACT_BLOCKERS,
	FACT_CLOCK
};

static const char *const queries[STEP_COUNT] = {
	/* as the role that the service is, whatever is set for it */
	[STEP_FACTS] =
		"SET statement_timeout = 0; SET lock_timeout = 0; "
		"SET ROLE NONE; SELECT pg_is_in_recovery(), "
		"current_setting('transaction_read_only') = 'on', "
		"pg_backend_pid(), "PGSQL_SESSION_MARK", "
		"current_database(), current_user, "
		"n.oid IS NOT NULL, "
		"coalesce(has_schema_privilege(n.oid, 'USAGE'), false), "
		PGSQL_LACKS", "
		"(SELECT string_agg(what || ' on ' || relname, ', ') FROM ("
		"SELECT 'trigger ' || tgname, tgrelid FROM pg_trigger "
		"WHERE NOT tgisinternal UNION ALL "
		"SELECT 'rule ' || rulename, ev_class FROM pg_rewrite "
		"UNION ALL SELECT 'row security', oid FROM pg_class "
		"WHERE relrowsecurity UNION ALL "
		"SELECT 'reference ' || conname, confrelid FROM pg_constraint "
		"JOIN pg_class AS c ON c.oid = conrelid "
		"WHERE contype = 'f' AND relnamespace <> n.oid) "
		"AS f (what, oid) JOIN pg_class AS t USING (oid) "
		"WHERE relnamespace = n.oid AND relkind = 'r'), "
		"(SELECT string_agg(relname, ', ') FROM pg_class "
		"WHERE relnamespace = n.oid AND relkind = 'r' AND "
		"reloptions && ARRAY['autovacuum_enabled=false', "
		"'autovacuum_enabled=off', 'autovacuum_enabled=no', "
		"'autovacuum_enabled=0']), "
		"current_setting('autovacuum'), "
		"current_setting('synchronous_commit'), "
		"current_setting('fsync'), "
		"current_setting('full_page_writes'), "
		"EXISTS (SELECT FROM pg_stat_activity "
		"WHERE "PGSQL_WAITS_FOR_STANDBY" AND "
		"state_change < clock_timestamp() - interval '1 s'), "
		"current_setting('synchronous_standby_names'), "
		/* services wait for each other for a moment only */
		"(SELECT string_agg(DISTINCT format('%s (%s, role %s)', b.pid, "
		"coalesce(nullif(b.application_name, ''), 'unnamed'), "
		"b.usename), ', ') FROM pg_stat_activity AS w, "
		"unnest(pg_blocking_pids(w.pid)) AS by (pid) "
		"JOIN pg_stat_activity AS b USING (pid) "
		"WHERE w.datname = current_database() AND "
		"w.usename = current_user AND w.wait_event_type = 'Lock' AND "
		"b.pid NOT IN (SELECT pid FROM pg_locks "
		"WHERE "PGSQL_LOCKS_HERE" AND "
		"classid = "PGSQL_LOCK_INSTANCE")), "
		"extract(epoch FROM clock_timestamp())::bigint "
		"FROM (SELECT) AS one LEFT JOIN pg_namespace AS n "
		"ON nspname = 'http_notify'",
	[STEP_VERSION] =
		"SELECT version, compatible FROM http_notify.version",
	/* how many slots each has */
	[STEP_HOSTS] =
		"SELECT encode(h.name, 'escape') || ' ' || (SELECT count(*) "
		"FROM pg_locks AS s WHERE s.pid = l.pid AND "
		"s.classid = "PGSQL_LOCK_SLOT") "
		"FROM (SELECT * FROM pg_locks WHERE "PGSQL_LOCKS_HERE" AND "
		"classid = "PGSQL_LOCK_HOST" AND granted) AS l "
		"JOIN http_notify.host AS h ON h.id = l.objid::bigint "
		"ORDER BY 1 LIMIT 100",
};

struct pgsql_check {
	struct pgsql_check *prev, *next;
	struct pgsql_queue *queue;
	struct queue_check *check;

	struct pgsql_connect *connect;
	PGconn *pg;
	enum step step;
	PGresult *result;
	/* for the row of the tables */
	char *foreign;
	/* a duplicate of libpq's socket */
	int fd;
	struct io *io;
	struct timeout *to;
};

static void
row(struct pgsql_check *check, const char *link, const char *error,
    const char *note)
{
	queue_engine_checked(check->check, link, error, note);
}

static void pgsql_check_done(struct pgsql_check *check)
{
	struct queue_check *queue_check = check->check;

	DLLIST_REMOVE(&check->queue->checks, check);
	pgsql_connect_cancel(&check->connect);
	timeout_remove(&check->to);
	io_remove(&check->io);
	i_close_fd(&check->fd);
	PQclear(check->result);
	PQfinish(check->pg);
	i_free(check->foreign);
	i_free(check);
	queue_engine_check_done(queue_check);
}

static void pgsql_check_failed(struct pgsql_check *check, const char *error)
{
	row(check, "PostgreSQL", error, "");
	pgsql_check_done(check);
}

static void pgsql_check_timeout(struct pgsql_check *check)
{
	pgsql_check_failed(check, check->pg != NULL ?
			   "no answer to a query within 8 s" :
			   "no answer within 8 s: is the host in "
			   "http_notify_pgsql the right one, and does a "
			   "firewall let this host connect?");
}

static void add_note(string_t *notes, const char *note)
{
	if (str_len(notes) > 0)
		str_append(notes, "; ");
	str_append(notes, note);
}

/* The password */

/* Returns 0, or -1 after a row. */
static int
pgsql_check_password(struct pgsql_check *check, const char **password_r)
{
	const char *path = check->queue->conn_set.password_file;
	const char *error = NULL;
	struct stat st;
	int ret = 0;

	*password_r = NULL;
	if (*path == '\0')
		return 0;
	if (credential_file_read(path, password_r, &error) < 0)
		ret = -1;
	else {
		*password_r = t_strcut(*password_r, '\n');
		if (**password_r == '\0') {
			error = "has no password in its first line";
			ret = -1;
		} else if (stat(path, &st) == 0 && (st.st_mode & 0006) != 0) {
			error = "can be read or changed by all users of this "
				"host: chmod 0400";
		}
	}
	row(check, "PostgreSQL password", error == NULL ? NULL :
	    t_strdup_printf("%s %s (http_notify_pgsql_password_file)", path,
			    error), "");
	return ret;
}

/* The connection */

static const char *option_of(PGconn *pg, const char *keyword)
{
	PQconninfoOption *options = PQconninfo(pg), *option;
	const char *value = "";

	for (option = options; option != NULL && option->keyword != NULL;
	     option++) {
		if (strcmp(option->keyword, keyword) == 0 &&
		    option->val != NULL)
			value = t_strdup(option->val);
	}
	PQconninfoFree(options);
	return value;
}

/* Is it on another host, as far as the addresses tell? */
static bool is_remote(PGconn *pg)
{
	struct ip_addr here, there;

	return net_getsockname(PQsocket(pg), &here, NULL) == 0 &&
		net_getpeername(PQsocket(pg), &there, NULL) == 0 &&
		here.family != 0 && !net_ip_compare(&here, &there);
}

static void pgsql_check_tls(struct pgsql_check *check)
{
	bool gss = FALSE;
	const char *note = "";

#ifdef LIBPQ_HAS_PIPELINING
	gss = PQgssEncInUse(check->pg) != 0;
#endif
	if (gss || !is_remote(check->pg))
		;
	else if (PQsslInUse(check->pg) == 0) {
		note = "not used, so that notifications can be read on the way: "
			"add sslmode=verify-full to http_notify_pgsql";
	} else if (strcmp(option_of(check->pg, "sslmode"), "verify-full") != 0) {
		note = "used, but the server is not verified: add "
			"sslmode=verify-full to http_notify_pgsql, and sslrootcert";
	}
	row(check, "PostgreSQL TLS", NULL, note);
}

/* What it says */

static const char *fact(struct pgsql_check *check, enum fact fact)
{
	return PQgetvalue(check->result, 0, fact);
}

static bool is_true(struct pgsql_check *check, enum fact number)
{
	return *fact(check, number) == 't';
}

static const char *server_version(PGconn *pg)
{
	return t_strcut(PQparameterStatus(pg, "server_version"), ' ');
}

static const char *server_error(struct pgsql_check *check)
{
	if (is_true(check, FACT_STANDBY)) {
		return "it is a standby, which can't be written: let "
			"http_notify_pgsql name the primary, or all hosts of "
			"the cluster with target_session_attrs=read-write";
	}
	if (is_true(check, FACT_READ_ONLY)) {
		return t_strdup_printf("the role %s can only read "
			"(default_transaction_read_only)",
			fact(check, FACT_ROLE));
	}
	if (PQserverVersion(check->pg) < SERVER_VERSION_MIN) {
		return t_strdup_printf("it is PostgreSQL %s, and older than 14",
				       server_version(check->pg));
	}
	if (*fact(check, FACT_MARK) != '\0')
		return PGSQL_SESSION_SHARED;
	return NULL;
}

static const char *server_note(struct pgsql_check *check)
{
	string_t *notes = t_str_new(256);
	long long ahead;

	str_printfa(notes, "version %s on %s, database %s, role %s",
		    server_version(check->pg), PQhost(check->pg),
		    fact(check, FACT_DATABASE), fact(check, FACT_ROLE));
	/* a pool has numbers of its own for its clients */
	if (atoi(fact(check, FACT_PID)) != PQbackendPID(check->pg)) {
		add_note(notes, "by a pool of connections, which has to be one "
			 "of sessions (PgBouncer: pool_mode=session)");
	}
	if (strchr(option_of(check->pg, "host"), ',') != NULL &&
	    strcmp(option_of(check->pg, "target_session_attrs"), "any") == 0) {
		add_note(notes, "several hosts need "
			 "target_session_attrs=read-write in http_notify_pgsql");
	}
	ahead = atoll(fact(check, FACT_CLOCK)) - (long long)time(NULL);
	if (llabs(ahead) >= CLOCKS_DIFFER_SECS) {
		add_note(notes, t_strdup_printf("its clock, which counts, is "
			"%lld s %s this host's", llabs(ahead),
			ahead > 0 ? "ahead of" : "behind"));
	}
	return str_c(notes);
}

static const char *tables_error(struct pgsql_check *check)
{
	const char *role = fact(check, FACT_ROLE);

	if (!is_true(check, FACT_HAS_SCHEMA)) {
		return t_strdup_printf("the database %s has none: as its owner, "
			"psql -d %s -f "SCHEMA_FILE" (in "
			"/usr/share/dovecot-http-notify/pgsql)",
			fact(check, FACT_DATABASE),
			fact(check, FACT_DATABASE));
	}
	if (!is_true(check, FACT_MAY_USE_SCHEMA)) {
		return t_strdup_printf("the role %s may not use them: "
			"GRANT http_notify TO %s", role, role);
	}
	if (*fact(check, FACT_LACKS) != '\0') {
		return t_strdup_printf("the role %s, by way of http_notify, "
			"lacks what "SCHEMA_FILE", or PostgreSQL by itself, "
			"grants: %s", role,
			fact(check, FACT_LACKS));
	}
	if (*fact(check, FACT_BLOCKERS) != '\0') {
		return t_strdup_printf("hosts wait for a lock of session %s: "
			"let it end its transaction, or SELECT "
			"pg_terminate_backend(<its number>)",
			fact(check, FACT_BLOCKERS));
	}
	return NULL;
}

static void pgsql_check_foreign(struct pgsql_check *check)
{
	if (*fact(check, FACT_FOREIGN) != '\0') {
		check->foreign = i_strdup_printf("there is more than "
			SCHEMA_FILE" makes, which may keep services from "
			"storing, or removing what they have sent: %s",
			fact(check, FACT_FOREIGN));
	}
}

static const char *vacuum_note(struct pgsql_check *check)
{
	if (strcmp(fact(check, FACT_AUTOVACUUM), "on") != 0)
		return "autovacuum is off, so that they grow: turn it on";
	if (*fact(check, FACT_NOT_VACUUMED) != '\0') {
		return t_strdup_printf("autovacuum is off for %s, so that it "
			"grows: turn it on", fact(check, FACT_NOT_VACUUMED));
	}
	return "";
}

static void pgsql_check_durability(struct pgsql_check *check)
{
	string_t *notes = t_str_new(256);
	const char *error = NULL;

	if (is_true(check, FACT_STANDBY_AWAITED)) {
		error = t_strdup_printf("commits wait for a synchronous "
			"standby: let those of synchronous_standby_names=%s "
			"connect, or change that",
			fact(check, FACT_STANDBY_NAMES));
	}
	if (strcmp(fact(check, FACT_SYNCHRONOUS_COMMIT), "off") == 0) {
		add_note(notes, "synchronous_commit=off: a crash of PostgreSQL "
			 "loses what it has stored last");
	}
	if (strcmp(fact(check, FACT_FSYNC), "on") != 0) {
		add_note(notes, "fsync=off: a power cut loses what is stored, "
			 "or all of it");
	}
	if (strcmp(fact(check, FACT_FULL_PAGE_WRITES), "on") != 0) {
		add_note(notes, "full_page_writes=off: a power cut may damage "
			 "what is stored");
	}
	row(check, "PostgreSQL durability", error, str_c(notes));
}

static const char *version_error(const PGresult *result)
{
	int64_t version, compatible;

	if (PQntuples(result) != 1 ||
	    str_to_int64(PQgetvalue(result, 0, 0), &version) < 0 ||
	    str_to_int64(PQgetvalue(result, 0, 1), &compatible) < 0)
		return "table version has not one row";
	if (pgsql_schema_is_usable(version, compatible))
		return NULL;
	return t_strdup_printf("they are of version %"PRId64", not %d: %s",
		version, PGSQL_SCHEMA_VERSION,
		version > PGSQL_SCHEMA_VERSION ?
		"upgrade dovecot-http-notify and its -pgsql on this host" :
		"as their owner, run "SCHEMA_FILE" (in "
		"/usr/share/dovecot-http-notify/pgsql)");
}

static void pgsql_check_hosts(struct pgsql_check *check)
{
	string_t *notes = t_str_new(256);
	int i;

	for (i = 0; i < PQntuples(check->result); i++) {
		str_printfa(notes, "%s%s", i == 0 ? "" : ", ",
			    PQgetvalue(check->result, i, 0));
	}
	if (i == 0)
		str_append(notes, "none");
	if (pgsql_parts_failing_reason(check->queue->parts) != NULL)
		return;
	row(check, "PostgreSQL hosts", NULL,
	    t_strdup_printf("of 256 slots, each has: %s", str_c(notes)));
}

/* Returns FALSE if there is nothing more to ask. */
static bool pgsql_check_step(struct pgsql_check *check)
{
	const char *error;

	switch (check->step) {
	case STEP_FACTS:
		row(check, "PostgreSQL", server_error(check),
		    server_note(check));
		pgsql_check_tls(check);
		pgsql_check_durability(check);
		error = tables_error(check);
		pgsql_check_foreign(check);
		if (error != NULL)
			row(check, "PostgreSQL tables", error, "");
		else
			row(check, "PostgreSQL autovacuum", NULL,
			    vacuum_note(check));
		return error == NULL;
	case STEP_VERSION:
		error = version_error(check->result);
		row(check, "PostgreSQL tables", error,
		    check->foreign == NULL ? "" : check->foreign);
		return error == NULL;
	case STEP_HOSTS:
		pgsql_check_hosts(check);
		return FALSE;
	case STEP_COUNT:
		break;
	}
	i_unreached();
}

static void pgsql_check_ask(struct pgsql_check *check, enum step step)
{
	check->step = step;
	if (PQsendQuery(check->pg, queries[step]) == 0)
		pgsql_check_failed(check, PQerrorMessage(check->pg));
}

static void pgsql_check_answered(struct pgsql_check *check)
{
	if (PQresultStatus(check->result) != PGRES_TUPLES_OK) {
		pgsql_check_failed(check,
			t_strcut(PQresultErrorMessage(check->result), '\n'));
	} else if (!pgsql_check_step(check))
		pgsql_check_done(check);
	else {
		PQclear(check->result);
		check->result = NULL;
		pgsql_check_ask(check, check->step + 1);
	}
}

static void pgsql_check_input(struct pgsql_check *check)
{
	PGresult *result;

	if (PQconsumeInput(check->pg) == 0) {
		pgsql_check_failed(check,
			t_strcut(PQerrorMessage(check->pg), '\n'));
		return;
	}
	while (PQisBusy(check->pg) == 0) {
		result = PQgetResult(check->pg);
		if (result == NULL) {
			pgsql_check_answered(check);
			return;
		}
		PQclear(check->result);
		check->result = result;
	}
}

static void
pgsql_check_connected(PGconn *pg, const char *error, void *context)
{
	struct pgsql_check *check = context;

	check->connect = NULL;
	if (error != NULL) {
		pgsql_check_failed(check, t_strconcat(error,
			" (by http_notify_pgsql; PostgreSQL's log may say more)",
			NULL));
		return;
	}
	check->pg = pg;
	check->fd = fcntl(PQsocket(pg), F_DUPFD_CLOEXEC, 0);
	if (check->fd == -1) {
		pgsql_check_failed(check,
				   t_strdup_printf("dup() failed: %m"));
		return;
	}
	check->io = io_add(check->fd, IO_READ, pgsql_check_input, check);
	pgsql_check_ask(check, STEP_FACTS);
}

void pgsql_check_start(struct pgsql_queue *queue,
		       struct queue_check *queue_check)
{
	struct pgsql_check *check = i_new(struct pgsql_check, 1);
	const char *password, *failing;

	check->queue = queue;
	check->check = queue_check;
	check->fd = -1;
	DLLIST_PREPEND(&queue->checks, check);
	if (pgsql_check_password(check, &password) < 0) {
		check->to = timeout_add_short(0, pgsql_check_done, check);
		return;
	}
	failing = pgsql_parts_failing_reason(queue->parts);
	if (failing != NULL) {
		row(check, "PostgreSQL hosts", t_strdup_printf("this host "
			"stores notifications there, but can't send any: %s",
			failing), "");
	}
	check->to = timeout_add(CHECK_MSECS, pgsql_check_timeout, check);
	check->connect = pgsql_connect_start(queue->conn_set.conninfo, password,
		"http-notify check", pgsql_check_connected, check);
}

void pgsql_checks_stop(struct pgsql_queue *queue)
{
	while (queue->checks != NULL)
		pgsql_check_done(queue->checks);
}
