/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "pgsql-conn.h"
#include "pgsql-slots.h"
#include "pgsql-statements.h"

/* This host's other sessions: own are this process's. One that lives is heard
   from every two seconds (pgsql-slots.c). One that waits has committed, but not
   on a synchronous standby yet. */
#define LIVE_SECS "10"
#define WITH_SESSIONS \
	"WITH session AS (SELECT pid, classid = "PGSQL_LOCK_WRITER" AS writer, " \
	"pid IN ("PGSQL_INSTANCE_PIDS("$2")") AS own, client_addr, " \
	"state_change > clock_timestamp() - interval '"LIVE_SECS" s' AS lives, " \
	"coalesce("PGSQL_WAITS_FOR_STANDBY", false) AS waits " \
	"FROM pg_locks JOIN pg_stat_activity USING (pid) " \
	"WHERE "PGSQL_LOCKS_HERE" AND " \
	"classid IN ("PGSQL_LOCK_WRITER", "PGSQL_LOCK_HOST") AND " \
	"objid = $1::bigint AND granted AND pid <> pg_backend_pid()) "

#define NOW "extract(epoch FROM clock_timestamp())::bigint"

/* The ids of a part, and the part of an id. */
#define FIRST_ID(part) "("part" << "PGSQL_PART_SHIFT_STR")"
#define PART_OF(id) "("id" >> "PGSQL_PART_SHIFT_STR")"
/* The first one of values that goes with the row's id, which is in $1. Where rows
   are joined to an array, the planner may want to go through all of a table. */
#define OF_ID(values) "("values")[array_position($1::bigint[], id)]"
#define QUEUED_IN(part) \
	"EXISTS (SELECT FROM http_notify.notification AS n " \
	"WHERE n.id > "FIRST_ID(part)" AND n.id < "FIRST_ID("("part" + 1)")")"

#define ITEM_COLUMNS \
	"id, session, seq, created, expires, attempts, username, folder, " \
	"uid, body, mailbox"
#define LOST_COLUMNS \
	"id, notification, session, seq, created, lost, reason, answer, " \
	"attempts, username, folder, uid, body, endpoint, key, options, slot, " \
	"host, host_name"
/* The rows of a query, until their bodies are this large. */
#define UP_TO_SIZE(columns, size, query) \
	"SELECT "columns", bytes FROM (SELECT *, " \
	"sum(octet_length(body)) OVER (ORDER BY id)::bigint AS bytes " \
	"FROM ("query") AS q) AS r " \
	"WHERE bytes - octet_length(body) < "size" ORDER BY id"

/* The parts with something in them, as a table, whose last row may have NULL.
   From one part's rows to the next one's, so that parts that are empty cost
   nothing. */
#define QUEUED_AFTER(part) \
	"(SELECT "PART_OF("id")" FROM http_notify.notification " \
	"WHERE id >= "FIRST_ID("("part" + 1)")" ORDER BY id LIMIT 1)"
#define WITH_QUEUED(after, limit) \
	"WITH RECURSIVE queued (part, number) AS (" \
	"SELECT "QUEUED_AFTER(after)", 1 UNION ALL " \
	"SELECT "QUEUED_AFTER("part")", number + 1 FROM queued " \
	"WHERE part IS NOT NULL AND number < "limit") "

/* One part after the other: the planner does not know how many there are of what
   it would compare with all parts. */
#define WITH_ENDPOINT(part) \
	"CROSS JOIN LATERAL (SELECT endpoint FROM http_notify.part " \
	"WHERE id = "part" LIMIT 1) AS p"

/* Rows of parts that the query deletes from what was given up. */
#define GONE(query) \
	"WITH gone AS ("query") SELECT endpoint, reason, size FROM gone " \
	WITH_ENDPOINT(PART_OF("notification"))

/* A step: from "slice", which has the rows' places as "place", and "result". */
#define TIDY(next, number, with) \
	"WITH "with" SELECT (SELECT max("next") FROM slice), " \
	"(SELECT count(*) FROM slice), "number" FROM result"
/* Another host may be about to use a row: if it has locked it, or has used it
   meanwhile, it stays. */
#define TIDY_UNUSED(table, needed) TIDY("place + 1", "count(*)", \
	"slice AS MATERIALIZED (SELECT id AS place, used " \
	"FROM http_notify."table" WHERE id >= $1::bigint " \
	"ORDER BY 1 LIMIT $2::bigint), " \
	"unused AS MATERIALIZED (SELECT id FROM http_notify."table" AS t " \
	"WHERE used < $3::bigint AND id = ANY(ARRAY(" \
	"SELECT place FROM slice WHERE used < $3::bigint)) " \
	"AND NOT ("needed") FOR UPDATE SKIP LOCKED), " \
	"result AS (DELETE FROM http_notify."table" " \
	"WHERE id IN (SELECT id FROM unused) RETURNING 1)")
/* Only one host does it at a time: others would wait for its rows. */
#define LOCK_TIDY "1752460036"
/* If there are too many, the lowest ones become one. */
#define FEWER_RANGES(uids) \
	"(SELECT range_agg(int8range(CASE WHEN n <= c - 63 THEN first " \
	"ELSE lower(r) END, upper(r))) FROM (SELECT r, " \
	"row_number() OVER (ORDER BY r) AS n, count(*) OVER () AS c, " \
	"min(lower(r)) OVER () AS first FROM unnest("uids") AS r) AS w)"

/* Those sent before that are of no use any more. */
#define MESSAGES_OLD "clock_timestamp() - interval '8 s'"

const char *const pgsql_statements[PGSQL_STATEMENT_COUNT] = {
	[PGSQL_VERSION] = PGSQL_SERVER,
	[PGSQL_RIGHTS] =
		"SELECT convert_to(coalesce("PGSQL_LACKS", ''), 'UTF8')",
	/* nothing is written if it is there */
	[PGSQL_HOST] =
		"WITH old AS (SELECT id FROM http_notify.host "
		"WHERE guid = $1::bytea), "
		"new AS (INSERT INTO http_notify.host (guid, name) "
		"SELECT $1::bytea, $2::bytea "
		"WHERE NOT EXISTS (SELECT FROM old) "
		"ON CONFLICT (guid) DO UPDATE SET name = $2::bytea, "
		"used = excluded.used RETURNING id) "
		"SELECT id FROM old UNION ALL SELECT id FROM new",
	[PGSQL_HOST_NAME] =
		"UPDATE http_notify.host SET name = $2::bytea, used = "NOW" "
		"WHERE id = $1::bigint RETURNING id",
	[PGSQL_INSTANCE] = PGSQL_INSTANCE_LOCK("$1"),
	[PGSQL_WRITER_LOCK] =
		"SELECT pg_try_advisory_lock("PGSQL_LOCK_WRITER", "
		"$1::bigint::int)::int::bigint",
	[PGSQL_WRITER_KILL] =
		WITH_SESSIONS
		"SELECT pg_terminate_backend(pid) FROM session "
		"WHERE NOT waits AND (own AND writer OR NOT own AND NOT EXISTS ("
		"SELECT FROM session WHERE NOT own AND lives))",
	[PGSQL_WRITER_OTHER] =
		WITH_SESSIONS
		"SELECT coalesce(host(client_addr), 'a UNIX socket') "
		"FROM session WHERE NOT own AND lives LIMIT 1",
	[PGSQL_STANDBY_AWAITED] =
		"SELECT FROM pg_stat_activity WHERE "PGSQL_WAITS_FOR_STANDBY" "
		"AND state_change < clock_timestamp() - interval '250 ms' "
		"LIMIT 1",
	[PGSQL_ENDPOINTS_CHECK] =
		"SELECT w.id, EXISTS (SELECT FROM http_notify.endpoint AS e "
		"WHERE e.id = w.id)::int::bigint "
		"FROM unnest($1::bigint[], $2::bytea[]) "
		"AS w (id, key) WHERE NOT EXISTS ("
		"SELECT FROM http_notify.endpoint AS e "
		"WHERE e.id = w.id AND e.key = w.key)",
	[PGSQL_PARTS_CHECK] =
		"SELECT w.id, EXISTS (SELECT FROM http_notify.part AS p "
		"WHERE p.id = w.id)::int::bigint "
		"FROM unnest($1::bigint[], $2::bigint[], "
		"$3::bigint[], $4::bigint[]) AS w (id, endpoint, slot, last_id) "
		"WHERE NOT EXISTS (SELECT FROM http_notify.part AS p "
		"WHERE p.id = w.id AND p.endpoint = w.endpoint AND "
		"p.slot = w.slot AND "FIRST_ID("p.id")" + p.last >= w.last_id)",
	[PGSQL_SESSIONS] =
		"SELECT id, seq, added FROM http_notify.session "
		"WHERE host = $1::bigint",
	[PGSQL_ENDPOINTS] =
		WITH_QUEUED("0", "1e9")
		"SELECT id, key, options FROM http_notify.endpoint "
		"WHERE id IN (SELECT endpoint FROM (SELECT part FROM queued "
		"UNION SELECT "PART_OF("notification")" "
		"FROM http_notify.lost) AS u "
		WITH_ENDPOINT("part")") "
		"ORDER BY id",
	[PGSQL_LOOK] =
		WITH_QUEUED("$2::bigint", "$3::bigint")
		"SELECT part, p.endpoint, p.slot, "FIRST_ID("p.id")" + p.last, "
		"e.key, e.options FROM queued LEFT JOIN ("
		"http_notify.part AS p "
		"JOIN http_notify.endpoint AS e ON e.id = p.endpoint) "
		"ON p.id = part AND p.slot = ANY($1::bigint[]) "
		"WHERE part IS NOT NULL ORDER BY 1",

	[PGSQL_ENDPOINT_SET] =
		"WITH old AS (UPDATE http_notify.endpoint "
		"SET options = $2::bytea, used = "NOW" "
		"WHERE sha256(key) = sha256($1::bytea) RETURNING id), "
		"new AS (INSERT INTO http_notify.endpoint (key, options) "
		"SELECT $1::bytea, $2::bytea "
		"WHERE NOT EXISTS (SELECT FROM old) "
		"ON CONFLICT (sha256(key)) DO UPDATE SET options = $2::bytea, "
		"used = excluded.used "
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
	/* An index is scanned in its order, whatever the array's: so all hosts
	   lock the parts in the same order. */
	[PGSQL_PARTS_COUNT] =
		"UPDATE http_notify.part "
		"SET last = last + "OF_ID("$2::bigint[]")", used = "NOW" "
		"WHERE id = ANY($1::bigint[]) "
		"RETURNING id, "FIRST_ID("id")" + last",
	[PGSQL_ADD] =
		"WITH added AS (INSERT INTO http_notify.notification "
		"("ITEM_COLUMNS") SELECT "
		"(SELECT "FIRST_ID("id")" + last + from_end "
		"FROM http_notify.part WHERE id = part), "
		"session, seq, created, expires, attempts, username, folder, "
		"uid, body, mailbox FROM unnest($1::bigint[], $2::bigint[], "
		"$3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], "
		"$7::bytea[], $8::bytea[], $9::bigint[], $10::bigint[], "
		"$11::bytea[], $12::bigint[]) AS w (part, from_end, session, "
		"seq, created, expires, username, folder, uid, mailbox, body, "
		"attempts) "
		"RETURNING mailbox, uid) "
		"INSERT INTO http_notify.announced_log (mailbox, uid) "
		"SELECT mailbox, uid FROM added WHERE mailbox <> 0",
	[PGSQL_REMOVE] =
		"DELETE FROM http_notify.notification "
		"WHERE id = ANY($1::bigint[])",
	[PGSQL_KEPT] =
		"SELECT FROM http_notify.notification "
		"WHERE id = ANY($1::bigint[]) LIMIT 1",
	[PGSQL_SET_ATTEMPTS] =
		"UPDATE http_notify.notification "
		"SET attempts = "OF_ID("$2::bigint[]")" "
		"WHERE id = ANY($1::bigint[])",
	[PGSQL_SESSIONS_SET] =
		"INSERT INTO http_notify.session AS s "
		"(host, id, seq, added, used) SELECT $1::bigint, w.* FROM "
		"unnest($2::bytea[], $3::bigint[], $4::bigint[], "
		"$5::bigint[]) AS w "
		"ON CONFLICT (id) DO UPDATE SET host = excluded.host, "
		"seq = excluded.seq, added = excluded.added, "
		"used = excluded.used",
	[PGSQL_SESSIONS_FORGET] =
		"DELETE FROM http_notify.session "
		"WHERE host = $1::bigint AND used < $2::bigint",

	[PGSQL_READ_WHOLE] = UP_TO_SIZE(ITEM_COLUMNS, "$4::bigint",
		"SELECT "ITEM_COLUMNS" FROM http_notify.notification "
		"WHERE id > $1::bigint AND id <= $2::bigint "
		"ORDER BY id LIMIT $3::bigint"),
	[PGSQL_READ_USERS] =
		"SELECT id, username, octet_length(body)::bigint "
		"FROM http_notify.notification "
		"WHERE id > $1::bigint AND id <= $2::bigint "
		"ORDER BY id LIMIT $3::bigint",
	/* Part by part, which is the order of their ids, until there are enough.
	   A nested loop is all that can be made of this. An endpoint's parts
	   are few; found in the order of ids, they would be among all. */
	[PGSQL_READ_ENDPOINT] = UP_TO_SIZE(ITEM_COLUMNS, "$4::bigint",
		"WITH all_parts AS MATERIALIZED (SELECT id "
		"FROM http_notify.part WHERE endpoint = $5::bigint) "
		"SELECT n.* FROM (SELECT id FROM all_parts "
		"WHERE id >= "PART_OF("$1::bigint")" "
		"ORDER BY id) AS p CROSS JOIN LATERAL ("
		"SELECT "ITEM_COLUMNS" FROM http_notify.notification "
		"WHERE id > greatest($1::bigint, "FIRST_ID("p.id")") AND "
		"id <= $2::bigint AND id < "FIRST_ID("(p.id + 1)")" "
		"ORDER BY id LIMIT $3::bigint) AS n LIMIT $3::bigint"),

	[PGSQL_LOST_COUNT] =
		"SELECT endpoint, reason, sum(number)::bigint, "
		"sum(bytes)::bigint FROM (SELECT "
		PART_OF("notification")" AS part, reason, count(*) AS number, sum(size) AS bytes "
		"FROM http_notify.lost GROUP BY 1, 2) AS l "
		WITH_ENDPOINT("part")" GROUP BY 1, 2",
	[PGSQL_LOST_OLDEST] =
		"SELECT coalesce((SELECT lost FROM http_notify.lost "
		"ORDER BY id LIMIT 1), 0)",
	[PGSQL_LOST_KEEP] =
		"INSERT INTO http_notify.lost (notification, session, seq, "
		"created, lost, reason, answer, attempts, size, username, "
		"folder, uid, body, host) SELECT id, session, seq, created, "
		"$2::bigint, $3::bigint, $4::bytea, $5::bigint, $6::bigint, "
		"username, folder, uid, body, $7::bigint "
		"FROM http_notify.notification "
		"WHERE id = $1::bigint",
	[PGSQL_LOST_ADD] =
		"INSERT INTO http_notify.lost (notification, session, seq, "
		"created, lost, reason, answer, attempts, size, username, "
		"folder, uid, body, host) "
		"SELECT (SELECT "FIRST_ID("id")" + last + "
		"$2::bigint FROM http_notify.part WHERE id = $1::bigint), "
		"$3::bytea, $4::bigint, $5::bigint, $6::bigint, "
		"$7::bigint, $8::bytea, $9::bigint, $10::bigint, $11::bytea, "
		"$12::bytea, $13::bigint, $14::bytea, $15::bigint",
	[PGSQL_LOST_DROP] = GONE(
		"DELETE FROM http_notify.lost WHERE id = ANY($1::bigint[]) "
		"RETURNING notification, reason, size"),
	/* each host forgets others */
	[PGSQL_LOST_FORGET] = GONE(
		"DELETE FROM http_notify.lost WHERE id = ANY(ARRAY(SELECT id "
		"FROM (SELECT id, lost FROM http_notify.lost ORDER BY id "
		"LIMIT $2::bigint FOR UPDATE SKIP LOCKED) AS o "
		"WHERE lost < $1::bigint)) "
		"RETURNING notification, reason, size"),
	[PGSQL_LOST_RESEND] = GONE(
		"DELETE FROM http_notify.lost WHERE id = $1::bigint "
		"RETURNING *), again AS ("
		"INSERT INTO http_notify.notification ("ITEM_COLUMNS") "
		"SELECT notification, session, seq, created, $2::bigint, 0, "
		"username, folder, uid, body, 0 FROM gone "
		"ON CONFLICT (id) DO NOTHING"),
	[PGSQL_LOST_RESEND_TO] = GONE(
		"DELETE FROM http_notify.lost WHERE id = $1::bigint "
		"RETURNING *), again AS ("
		"INSERT INTO http_notify.notification ("ITEM_COLUMNS") "
		"SELECT (SELECT "FIRST_ID("id")" + last + $4::bigint "
		"FROM http_notify.part WHERE id = $3::bigint), "
		"session, seq, created, $2::bigint, 0, username, folder, uid, "
		"body, 0 FROM gone"),
	[PGSQL_LOST_READ] = UP_TO_SIZE(LOST_COLUMNS, "$3::bigint",
		"SELECT l.*, e.id AS endpoint, e.key, e.options, p.slot, "
		"coalesce(h.name, '') AS host_name "
		"FROM http_notify.lost AS l "
		"JOIN http_notify.part AS p "
		"ON p.id = "PART_OF("l.notification")" "
		"JOIN http_notify.endpoint AS e ON e.id = p.endpoint "
		"LEFT JOIN http_notify.host AS h ON h.id = l.host "
		"WHERE l.id > $1::bigint ORDER BY l.id LIMIT $2::bigint"),

	[PGSQL_ANNOUNCED_SINCE] =
		"SELECT announced_since FROM http_notify.tidy",
	[PGSQL_ANNOUNCED_READ] =
		"SELECT lower(r), upper(r) - 1 FROM ("
		"SELECT unnest(uids) FROM http_notify.announced "
		"WHERE mailbox = $1::bigint UNION ALL "
		"SELECT int8range(uid, uid + 1) FROM http_notify.announced_log "
		"WHERE mailbox = $1::bigint) AS a (r)",

	[PGSQL_TIDY_BEGIN] =
		"WITH b AS (UPDATE http_notify.tidy SET begun = $1::bigint "
		"WHERE begun < $2::bigint RETURNING 1), "
		"s AS (DELETE FROM http_notify.session WHERE id = ANY(ARRAY("
		"SELECT id FROM http_notify.session WHERE used < $3::bigint "
		"AND EXISTS (SELECT FROM b) FOR UPDATE SKIP LOCKED))) "
		"SELECT 1::bigint FROM b",
	[PGSQL_TIDY_ASYNC] =
		"SELECT set_config('synchronous_commit', 'off', true)",
	[PGSQL_TIDY_LOG] = TIDY("place", "count(*) FILTER (WHERE made)",
		"one AS MATERIALIZED ("
		"SELECT pg_try_advisory_xact_lock("LOCK_TIDY") AS locked), "
		"slice AS MATERIALIZED (SELECT ctid, mailbox AS place "
		"FROM http_notify.announced_log WHERE mailbox >= $1::bigint "
		"AND (SELECT locked FROM one) ORDER BY 2 LIMIT $2::bigint), "
		"gone AS (DELETE FROM http_notify.announced_log "
		"WHERE ctid = ANY(ARRAY(SELECT ctid FROM slice)) "
		"RETURNING mailbox, uid), "
		"result AS (INSERT INTO http_notify.announced AS a "
		"(mailbox, used, uids) SELECT mailbox, "NOW", "
		"range_agg(int8range(uid, uid + 1)) FROM gone "
		"GROUP BY mailbox ORDER BY mailbox "
		"ON CONFLICT (mailbox) DO UPDATE SET used = excluded.used, "
		"uids = "FEWER_RANGES("a.uids + excluded.uids")" "
		"RETURNING xmax = 0 AS made)"),
	[PGSQL_TIDY_ANNOUNCED] = TIDY("place + 1",
		"(SELECT count(*) FROM slice) - count(*)",
		"slice AS MATERIALIZED (SELECT mailbox AS place, used "
		"FROM http_notify.announced WHERE mailbox >= $1::bigint "
		"ORDER BY 1 LIMIT $2::bigint), "
		"result AS (DELETE FROM http_notify.announced "
		"WHERE used < $3::bigint AND mailbox = ANY(ARRAY("
		"SELECT place FROM slice WHERE used < $3::bigint)) "
		"RETURNING 1)"),
	/* a host that is about to use one that is deleted makes it anew */
	[PGSQL_TIDY_PARTS] = TIDY_UNUSED("part", QUEUED_IN("t.id")" OR "
		"EXISTS (SELECT FROM http_notify.lost AS l "
		"WHERE l.notification > "FIRST_ID("t.id")" "
		"AND l.notification < "FIRST_ID("(t.id + 1)")")"),
	[PGSQL_TIDY_ENDPOINTS] = TIDY_UNUSED("endpoint",
		"EXISTS (SELECT FROM http_notify.part AS p "
		"WHERE p.endpoint = t.id)"),
	/* one that comes back has another number */
	[PGSQL_TIDY_HOSTS] = TIDY_UNUSED("host",
		"t.id IN (SELECT objid::bigint FROM pg_locks "
		"WHERE "PGSQL_LOCKS_HERE" AND "
		"classid IN ("PGSQL_LOCK_WRITER", "PGSQL_LOCK_HOST")) OR "
		"EXISTS (SELECT FROM http_notify.session AS s "
		"WHERE s.host = t.id) OR "
		"EXISTS (SELECT FROM http_notify.lost AS l "
		"WHERE l.host = t.id)"),
	[PGSQL_TIDY_SINCE] =
		"UPDATE http_notify.tidy "
		"SET announced_since = greatest(announced_since, $1::bigint)",

	[PGSQL_COUNT] =
		"SELECT (SELECT count(*) FROM http_notify.notification), "
		"(SELECT count(*) FROM http_notify.lost)",

	/* nobody waits for the disk because of it */
	[PGSQL_NOTIFY] =
		"SELECT set_config('synchronous_commit', 'off', true), "
		"pg_notify($1::text, $2::text)",

	[PGSQL_HOSTS] =
		"SELECT id, name FROM http_notify.host "
		"WHERE id <> $1::bigint AND id IN ("
		"SELECT objid::bigint FROM pg_locks "
		"WHERE "PGSQL_LOCKS_HERE" AND "
		"classid = "PGSQL_LOCK_HOST" AND granted) ORDER BY name, id",
	/* The table is not in PostgreSQL's log: nobody waits for the disk. */
	[PGSQL_MESSAGE_SEND] =
		"WITH m AS (INSERT INTO http_notify.message "
		"(host, sender, talk, kind, number, data) VALUES ($1::bigint, "
		"$2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bytea)) "
		"SELECT pg_notify($7::text, $8::text)",
	/* It must not wait for a host that does the same. */
	[PGSQL_MESSAGES_TAKE] =
		"WITH m AS (DELETE FROM http_notify.message "
		"WHERE id = ANY(ARRAY(SELECT id FROM http_notify.message "
		"WHERE host = $1::bigint ORDER BY id LIMIT $2::bigint "
		"FOR UPDATE SKIP LOCKED)) RETURNING *, (octet_length(data) <= "
		"$3::bigint AND sent > "MESSAGES_OLD")::int::bigint AS good) "
		"SELECT sender, talk, kind, number, "
		"CASE good WHEN 0 THEN ''::bytea ELSE data END, good "
		"FROM m ORDER BY id",
	[PGSQL_MESSAGES_RETRACT] =
		"DELETE FROM http_notify.message "
		"WHERE id = ANY(ARRAY(SELECT id FROM http_notify.message "
		"WHERE host = $1::bigint AND sender = $2::bigint AND "
		"talk = $3::bigint FOR UPDATE SKIP LOCKED))",
	[PGSQL_MESSAGES_TIDY] =
		"DELETE FROM http_notify.message "
		"WHERE id = ANY(ARRAY(SELECT id FROM http_notify.message "
		"WHERE sent < "MESSAGES_OLD" FOR UPDATE SKIP LOCKED))",
};
