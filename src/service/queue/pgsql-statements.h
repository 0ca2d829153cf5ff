/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_STATEMENTS_H
#define HTTP_NOTIFY_PGSQL_STATEMENTS_H

/* The version of the tables (pgsql/schema-*.sql) that they are for. */
#define PGSQL_SCHEMA_VERSION 1
/* Are they for tables that have this in the table version? */
static inline bool pgsql_schema_is_usable(int64_t version, int64_t compatible)
{
	return version >= PGSQL_SCHEMA_VERSION &&
		compatible <= PGSQL_SCHEMA_VERSION;
}

/* See PGSQL_VERSION. A server is known by when it was started. */
#define PGSQL_SERVER \
	"SELECT version, compatible, " \
	"(extract(epoch FROM clock_timestamp()) * 1000)::bigint, " \
	"(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, " \
	PGSQL_SESSION_MARK" " \
	"FROM http_notify.version"

#define PGSQL_SERVER_MARK 4

/* An id is its part's number, shifted by so many bits, and a number in it; the
   tables have limits for both. */
#define PGSQL_PART_SHIFT 36
#define PGSQL_PART_SHIFT_STR "36"
#define PGSQL_PART_NUMBER(id) ((id) >> PGSQL_PART_SHIFT)
/* The id before all of the part's. */
#define PGSQL_PART_FIRST_ID(number) ((int64_t)(number) << PGSQL_PART_SHIFT)

/* What schema-*.sql grants; what all may call, unless somebody has revoked it; and,
   as an expression, what of both the role lacks, as text, or NULL. */
#define PGSQL_GRANTS \
	"('version', 'SELECT'), " \
	"('host', 'SELECT INSERT UPDATE DELETE'), " \
	"('endpoint', 'SELECT INSERT UPDATE DELETE'), " \
	"('part', 'SELECT INSERT UPDATE DELETE'), " \
	"('notification', 'SELECT INSERT UPDATE DELETE'), " \
	"('lost', 'SELECT INSERT UPDATE DELETE'), " \
	"('session', 'SELECT INSERT UPDATE DELETE'), " \
	"('announced_log', 'SELECT INSERT UPDATE DELETE'), " \
	"('announced', 'SELECT INSERT UPDATE DELETE'), " \
	"('message', 'SELECT INSERT UPDATE DELETE'), " \
	"('tidy', 'SELECT UPDATE')"
#define PGSQL_FUNCTIONS \
	"ARRAY['pg_advisory_lock_shared(int4,int4)', " \
	"'pg_try_advisory_lock(int4,int4)', " \
	"'pg_advisory_unlock(int4,int4)', " \
	"'pg_try_advisory_xact_lock(int8)', " \
	"'pg_terminate_backend(int4,int8)', 'pg_notify(text,text)']"
#define PGSQL_LACKS \
	"(SELECT string_agg(lack, ', ') FROM (SELECT r || ' on ' || t " \
	"FROM (VALUES "PGSQL_GRANTS") AS w (t, rights) CROSS JOIN LATERAL " \
	"unnest(string_to_array(rights, ' ')) AS r " \
	"LEFT JOIN pg_class AS c ON relname = t AND relnamespace = (" \
	"SELECT oid FROM pg_namespace WHERE nspname = 'http_notify') " \
	"WHERE has_table_privilege(c.oid, r) IS NOT TRUE UNION ALL " \
	"SELECT 'EXECUTE on ' || f FROM unnest("PGSQL_FUNCTIONS") AS f " \
	"WHERE NOT has_function_privilege(to_regprocedure(f), 'EXECUTE')) " \
	"AS l (lack))"

/* A row of pg_stat_activity: it has committed, but not on a synchronous standby
   yet. NULL = not known: it is another role's. */
#define PGSQL_WAITS_FOR_STANDBY \
	"datname = current_database() AND wait_event = 'SyncRep'"

/* What a host sends by the connection by which it stores and reads. */
enum pgsql_statement {
	/* () -> version, the oldest one that is compatible, the clock in
	   msecs, the server, the session's mark */
	PGSQL_VERSION,
	/* () -> rights that the role has not, as text that may be empty */
	PGSQL_RIGHTS,
	/* (guid, name) -> number */
	PGSQL_HOST,
	/* (host, name) -> host, or no row */
	PGSQL_HOST_NAME,
	/* (instance) */
	PGSQL_INSTANCE,
	/* (host) -> got it? as 1 or 0 */
	PGSQL_WRITER_LOCK,
	/* End the sessions of this process's former connection for storing, and
	   of other processes of the host unless these live: (host, instance).
	   But not those that wait for a standby, since that would have others
	   see what is not on it. */
	PGSQL_WRITER_KILL,
	/* Those that do: likewise -> address */
	PGSQL_WRITER_OTHER,
	/* Does any host wait for a standby, for longer than mail processes
	   would? () -> a row without columns if so */
	PGSQL_STANDBY_AWAITED,
	/* Those that are not there as they are known: (endpoints, keys) ->
	   endpoint, is there another one of this number? as 1 or 0 */
	PGSQL_ENDPOINTS_CHECK,
	/* Likewise: (numbers, endpoints, slots, highest ids) */
	PGSQL_PARTS_CHECK,
	/* (host) -> id, seq, added */
	PGSQL_SESSIONS,
	/* Those for which something is queued or was given up: () -> number,
	   key, options */
	PGSQL_ENDPOINTS,
	/* Parts with something queued in them: (slots, after a part, limit) ->
	   number, and for those in the slots: endpoint, slot, highest id, the
	   endpoint's key and options */
	PGSQL_LOOK,

	/* (key, options) -> number */
	PGSQL_ENDPOINT_SET,
	/* Which of these have something queued: (endpoints) -> endpoint */
	PGSQL_ENDPOINTS_QUEUED,
	/* Make those that there are not: (endpoints, slots) */
	PGSQL_PARTS_MAKE,
	/* (endpoints, slots) -> endpoint, slot, number */
	PGSQL_PARTS_GET,
	/* Nobody else stores in these until the end of the transaction:
	   (numbers, how many are added) -> number, highest id */
	PGSQL_PARTS_COUNT,
	/* Items, whose ids are their parts' last ones plus numbers that are not
	   positive: (parts, these, sessions, seqs, created, expires, usernames,
	   folders, uids, mailboxes, bodies, attempts) */
	PGSQL_ADD,
	/* (ids) */
	PGSQL_REMOVE,
	/* Is any of these still there? (ids) -> a row without columns if so */
	PGSQL_KEPT,
	/* (ids, attempts); of an id that is there twice, the first one counts */
	PGSQL_SET_ATTEMPTS,
	/* (host, ids, seqs, added, used) */
	PGSQL_SESSIONS_SET,
	/* (host, time) */
	PGSQL_SESSIONS_FORGET,

	/* (after, up to, limit, size) -> id, ..., size so far */
	PGSQL_READ_WHOLE,
	/* (after, up to, limit) -> id, username, the body's size */
	PGSQL_READ_USERS,
	/* (after, up to, limit, size, endpoint) -> as PGSQL_READ_WHOLE */
	PGSQL_READ_ENDPOINT,

	/* () -> endpoint, reason, rows, bytes */
	PGSQL_LOST_COUNT,
	/* () -> when the oldest one was given up; 0 = there is none */
	PGSQL_LOST_OLDEST,
	/* (id of the notification, time, reason, answer, attempts, size,
	   host) */
	PGSQL_LOST_KEEP,
	/* One that another queue has kept: (part, this, session, seq, created,
	   time, reason, answer, attempts, size, username, folder, uid, body,
	   host); its id as for PGSQL_ADD */
	PGSQL_LOST_ADD,
	/* (ids) -> endpoint, reason, size */
	PGSQL_LOST_DROP,
	/* The oldest ones before a time: (time, how many) -> likewise */
	PGSQL_LOST_FORGET,
	/* Put back into the queue: (id, expires) -> likewise */
	PGSQL_LOST_RESEND,
	/* And for another endpoint: (id, expires, part, number as for
	   PGSQL_ADD) -> likewise */
	PGSQL_LOST_RESEND_TO,
	/* (after, limit, size) -> id, ..., size so far */
	PGSQL_LOST_READ,

	/* () -> time */
	PGSQL_ANNOUNCED_SINCE,
	/* (mailbox) -> first UID, last UID */
	PGSQL_ANNOUNCED_READ,

	/* For pgsql-tidy.c: may this host begin? And delete sessions of hosts
	   that have not come back: (time, others must have begun before, not
	   used since) -> 1, or no row */
	PGSQL_TIDY_BEGIN,
	/* Steps of it, each from somewhere on: (after, limit, ...) -> where the
	   next one begins, how many it has looked at, another number. Nothing
	   waits for the disk because of them. */
	PGSQL_TIDY_ASYNC,
	/* () -> mailboxes that are new */
	PGSQL_TIDY_LOG,
	/* (not used since) -> mailboxes that are left */
	PGSQL_TIDY_ANNOUNCED,
	/* (not used since) -> those that are deleted */
	PGSQL_TIDY_PARTS,
	PGSQL_TIDY_ENDPOINTS,
	PGSQL_TIDY_HOSTS,
	/* (time): what was announced before is not all remembered */
	PGSQL_TIDY_SINCE,

	/* () -> what is queued, what is kept */
	PGSQL_COUNT,

	/* (channel, payload) */
	PGSQL_NOTIFY,

	/* All but this one that hold the host lock: (host) -> number, name */
	PGSQL_HOSTS,
	/* (to, from, talk, kind, number, data, channel, payload) */
	PGSQL_MESSAGE_SEND,
	/* Those to a host, which are deleted: (host, how many, size) -> from,
	   talk, kind, number, data, is it neither old nor larger? as 1 or 0 */
	PGSQL_MESSAGES_TAKE,
	/* Delete what has not been taken: (to, from, talk) */
	PGSQL_MESSAGES_RETRACT,
	/* Delete what is old. */
	PGSQL_MESSAGES_TIDY,

	PGSQL_STATEMENT_COUNT
};

extern const char *const pgsql_statements[PGSQL_STATEMENT_COUNT];

#endif
