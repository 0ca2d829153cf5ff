/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "pgsql-conn.h"
#include "pgsql-slots.h"
#include "pgsql-statements.h"

#define WRITER_LOCKS \
	"locktype = 'advisory' AND objsubid = 2 AND database = (SELECT oid " \
	"FROM pg_database WHERE datname = current_database()) AND " \
	"classid = "PGSQL_LOCK_WRITER

/* The ids of a part. */
#define FIRST_ID(part) "("part" << 40)"
#define QUEUED_IN(part) \
	"EXISTS (SELECT FROM http_notify.notification AS n " \
	"WHERE n.id > "FIRST_ID(part)" AND n.id < "FIRST_ID("("part" + 1)")")"

#define ITEM_COLUMNS \
	"id, session, seq, created, expires, attempts, username, folder, " \
	"uid, body"
#define LOST_COLUMNS \
	"id, notification, session, seq, created, lost, reason, answer, " \
	"attempts, username, folder, uid, body, endpoint, key, options, slot"
/* The rows of a query, until their bodies are this large. */
#define UP_TO_SIZE(columns, size, query) \
	"SELECT "columns", bytes FROM (SELECT *, " \
	"sum(octet_length(body)) OVER (ORDER BY id)::bigint AS bytes " \
	"FROM ("query") AS q) AS r " \
	"WHERE bytes - octet_length(body) < "size" ORDER BY id"

/* The parts with something in them, as a table. From one part's rows to the next
   one's, so that parts that are empty cost nothing. */
#define WITH_QUEUED \
	"WITH RECURSIVE queued (part) AS (" \
	"SELECT (SELECT id >> 40 FROM http_notify.notification " \
	"ORDER BY id LIMIT 1) UNION ALL " \
	"SELECT (SELECT id >> 40 FROM http_notify.notification " \
	"WHERE id >= "FIRST_ID("(part + 1)")" ORDER BY id LIMIT 1) " \
	"FROM queued WHERE part IS NOT NULL) "

/* Rows of parts that the query deletes from what was given up. */
#define GONE(query) \
	"WITH gone AS ("query") SELECT p.endpoint, gone.reason, gone.size " \
	"FROM gone JOIN http_notify.part AS p " \
	"ON p.id = gone.notification >> 40"

const char *const pgsql_statements[PGSQL_STATEMENT_COUNT] = {
	[PGSQL_SESSION] = PGSQL_SET_SESSION(),
	[PGSQL_VERSION] =
		"SELECT version, "
		"(extract(epoch FROM clock_timestamp()) * 1000)::bigint "
		"FROM http_notify.version",
	[PGSQL_HOST] =
		"INSERT INTO http_notify.host (guid, name) "
		"VALUES ($1::bytea, $2::bytea) "
		"ON CONFLICT (guid) DO UPDATE SET name = $2::bytea "
		"RETURNING id",
	[PGSQL_WRITER_LOCK] =
		"SELECT pg_try_advisory_lock("PGSQL_LOCK_WRITER", "
		"$1::bigint::int)::int::bigint",
	[PGSQL_WRITER_KILL] =
		"SELECT pg_terminate_backend(pid) FROM pg_locks "
		"WHERE "WRITER_LOCKS" AND objid = $1::bigint AND granted AND "
		"pid <> pg_backend_pid()",
	[PGSQL_ENDPOINTS_CHECK] =
		"SELECT count(*) FROM unnest($1::bigint[], $2::bytea[]) "
		"AS w (id, key) WHERE NOT EXISTS ("
		"SELECT FROM http_notify.endpoint AS e "
		"WHERE e.id = w.id AND e.key = w.key)",
	[PGSQL_PARTS_CHECK] =
		"SELECT count(*) FROM unnest($1::bigint[], $2::bigint[], "
		"$3::bigint[], $4::bigint[]) AS w (id, endpoint, slot, last_id) "
		"WHERE NOT EXISTS (SELECT FROM http_notify.part AS p "
		"WHERE p.id = w.id AND p.endpoint = w.endpoint AND "
		"p.slot = w.slot AND "FIRST_ID("p.id")" + p.last >= w.last_id)",
	[PGSQL_SESSIONS] =
		"SELECT id, seq, added FROM http_notify.session "
		"WHERE host = $1::bigint",
	[PGSQL_ENDPOINTS] =
		WITH_QUEUED
		"SELECT id, key, options FROM http_notify.endpoint "
		"WHERE id IN (SELECT endpoint FROM http_notify.part "
		"WHERE id IN (SELECT part FROM queued UNION "
		"SELECT notification >> 40 FROM http_notify.lost)) "
		"ORDER BY id",
	[PGSQL_LOOK] =
		WITH_QUEUED
		"SELECT p.id, p.endpoint, p.slot, "FIRST_ID("p.id")" + p.last, "
		"e.key, e.options FROM queued "
		"JOIN http_notify.part AS p ON p.id = queued.part "
		"JOIN http_notify.endpoint AS e ON e.id = p.endpoint "
		"WHERE p.slot = ANY($1::bigint[])",

	[PGSQL_ENDPOINT_SET] =
		"WITH old AS (UPDATE http_notify.endpoint "
		"SET options = $2::bytea "
		"WHERE sha256(key) = sha256($1::bytea) RETURNING id), "
		"new AS (INSERT INTO http_notify.endpoint (key, options) "
		"SELECT $1::bytea, $2::bytea "
		"WHERE NOT EXISTS (SELECT FROM old) "
		"ON CONFLICT (sha256(key)) DO UPDATE SET options = $2::bytea "
		"RETURNING id) SELECT id FROM old UNION ALL SELECT id FROM new",
	[PGSQL_ENDPOINTS_QUEUED] =
		"SELECT DISTINCT endpoint FROM http_notify.part AS p "
		"WHERE endpoint = ANY($1::bigint[]) AND "QUEUED_IN("p.id"),
	[PGSQL_PARTS_MAKE] =
		"INSERT INTO http_notify.part (endpoint, slot) "
		"SELECT endpoint, slot FROM "
		"unnest($1::bigint[], $2::bigint[]) AS w (endpoint, slot) "
		"WHERE NOT EXISTS (SELECT FROM http_notify.part AS p "
		"WHERE p.endpoint = w.endpoint AND p.slot = w.slot) "
		"ORDER BY 1, 2 ON CONFLICT (endpoint, slot) DO NOTHING",
	[PGSQL_PARTS_GET] =
		"SELECT endpoint, slot, id FROM http_notify.part "
		"JOIN unnest($1::bigint[], $2::bigint[]) AS w (endpoint, slot) "
		"USING (endpoint, slot)",
	[PGSQL_PARTS_LOCK] =
		"SELECT id, "FIRST_ID("id")" + last FROM http_notify.part "
		"WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE",
	[PGSQL_PARTS_COUNT] =
		"UPDATE http_notify.part AS p SET last = last + w.added "
		"FROM unnest($1::bigint[], $2::bigint[]) AS w (id, added) "
		"WHERE p.id = w.id",
	[PGSQL_ADD] =
		"INSERT INTO http_notify.notification ("ITEM_COLUMNS") SELECT "
		"(SELECT "FIRST_ID("id")" + last + after "
		"FROM http_notify.part WHERE id = part), "
		"session, seq, created, expires, 0, username, folder, uid, "
		"body FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], "
		"$4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], "
		"$8::bytea[], $9::bigint[], $10::bytea[]) AS w (part, after, "
		"session, seq, created, expires, username, folder, uid, body)",
	[PGSQL_REMOVE] =
		"DELETE FROM http_notify.notification "
		"WHERE id = ANY($1::bigint[])",
	[PGSQL_SET_ATTEMPTS] =
		"UPDATE http_notify.notification AS n "
		"SET attempts = w.attempts FROM (SELECT DISTINCT ON (id) * "
		"FROM unnest($1::bigint[], $2::bigint[]) "
		"WITH ORDINALITY AS v (id, attempts, number) "
		"ORDER BY id, number DESC) AS w WHERE n.id = w.id",
	[PGSQL_SESSIONS_SET] =
		"INSERT INTO http_notify.session AS s "
		"(host, id, seq, added, used) SELECT $1::bigint, w.* FROM "
		"unnest($2::bytea[], $3::bigint[], $4::bigint[], "
		"$5::bigint[]) AS w "
		"ON CONFLICT (id) DO UPDATE SET host = excluded.host, "
		"seq = excluded.seq, added = excluded.added, "
		"used = excluded.used",
	/* and those of hosts that have not come back for a day */
	[PGSQL_SESSIONS_FORGET] =
		"DELETE FROM http_notify.session "
		"WHERE host = $1::bigint AND used < $2::bigint OR id IN ("
		"SELECT id FROM http_notify.session "
		"WHERE used < $2::bigint - 24*60*60 FOR UPDATE SKIP LOCKED)",

	[PGSQL_READ_WHOLE] = UP_TO_SIZE(ITEM_COLUMNS, "$4::bigint",
		"SELECT "ITEM_COLUMNS" FROM http_notify.notification "
		"WHERE id > $1::bigint AND id <= $2::bigint "
		"ORDER BY id LIMIT $3::bigint"),
	[PGSQL_READ_USERS] =
		"SELECT id, username, octet_length(body)::bigint "
		"FROM http_notify.notification "
		"WHERE id > $1::bigint AND id <= $2::bigint "
		"ORDER BY id LIMIT $3::bigint",
	[PGSQL_READ_ENDPOINT] = UP_TO_SIZE(ITEM_COLUMNS, "$4::bigint",
		"SELECT n.* FROM http_notify.part AS p CROSS JOIN LATERAL ("
		"SELECT "ITEM_COLUMNS" FROM http_notify.notification "
		"WHERE id > greatest($1::bigint, "FIRST_ID("p.id")") AND "
		"id <= $2::bigint AND id < "FIRST_ID("(p.id + 1)")" "
		"ORDER BY id LIMIT $3::bigint) AS n "
		"WHERE p.endpoint = $5::bigint AND p.id >= $1::bigint >> 40 "
		"ORDER BY n.id LIMIT $3::bigint"),

	[PGSQL_LOST_COUNT] =
		"SELECT p.endpoint, l.reason, count(*), sum(l.size)::bigint "
		"FROM http_notify.lost AS l JOIN http_notify.part AS p "
		"ON p.id = l.notification >> 40 GROUP BY 1, 2",
	[PGSQL_LOST_OLDEST] =
		"SELECT coalesce((SELECT lost FROM http_notify.lost "
		"ORDER BY id LIMIT 1), 0)",
	[PGSQL_LOST_KEEP] =
		"INSERT INTO http_notify.lost (notification, session, seq, "
		"created, lost, reason, answer, attempts, size, username, "
		"folder, uid, body) SELECT id, session, seq, created, "
		"$2::bigint, $3::bigint, $4::bytea, $5::bigint, $6::bigint, "
		"username, folder, uid, body FROM http_notify.notification "
		"WHERE id = $1::bigint",
	[PGSQL_LOST_DROP] = GONE(
		"DELETE FROM http_notify.lost WHERE id = ANY($1::bigint[]) "
		"RETURNING notification, reason, size"),
	/* each host forgets others */
	[PGSQL_LOST_FORGET] = GONE(
		"DELETE FROM http_notify.lost WHERE id IN (SELECT id "
		"FROM (SELECT id, lost FROM http_notify.lost ORDER BY id "
		"LIMIT $2::bigint FOR UPDATE SKIP LOCKED) AS o "
		"WHERE lost < $1::bigint) RETURNING notification, reason, size"),
	[PGSQL_LOST_RESEND] = GONE(
		"DELETE FROM http_notify.lost WHERE id = $1::bigint "
		"RETURNING *), again AS ("
		"INSERT INTO http_notify.notification ("ITEM_COLUMNS") "
		"SELECT notification, session, seq, created, $2::bigint, 0, "
		"username, folder, uid, body FROM gone "
		"ON CONFLICT (id) DO NOTHING"),
	[PGSQL_LOST_READ] = UP_TO_SIZE(LOST_COLUMNS, "$3::bigint",
		"SELECT l.*, e.id AS endpoint, e.key, e.options, p.slot "
		"FROM http_notify.lost AS l "
		"JOIN http_notify.part AS p ON p.id = l.notification >> 40 "
		"JOIN http_notify.endpoint AS e ON e.id = p.endpoint "
		"WHERE l.id > $1::bigint ORDER BY l.id LIMIT $2::bigint"),

	/* nobody waits for the disk because of it */
	[PGSQL_NOTIFY] =
		"SELECT set_config('synchronous_commit', 'off', true), "
		"pg_notify($1::text, $2::text)",
};
