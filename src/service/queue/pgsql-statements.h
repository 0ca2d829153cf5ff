/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_STATEMENTS_H
#define HTTP_NOTIFY_PGSQL_STATEMENTS_H

/* The version of the tables (pgsql/schema-*.sql) that they are for. */
#define PGSQL_SCHEMA_VERSION 1

/* What a host sends by the connection by which it stores and reads. */
enum pgsql_statement {
	PGSQL_SESSION,
	/* () -> version, the clock in msecs */
	PGSQL_VERSION,
	/* (guid, name) -> number */
	PGSQL_HOST,
	/* (host) -> got it? as 1 or 0 */
	PGSQL_WRITER_LOCK,
	/* (host) */
	PGSQL_WRITER_KILL,
	/* How many of these are not there as they are known: (endpoints, keys)
	   -> count */
	PGSQL_ENDPOINTS_CHECK,
	/* Likewise: (numbers, endpoints, slots, highest ids) -> count */
	PGSQL_PARTS_CHECK,
	/* (host) -> id, seq, added */
	PGSQL_SESSIONS,
	/* Those for which something is queued or was given up: () -> number,
	   key, options */
	PGSQL_ENDPOINTS,
	/* Those with something queued in them: (slots) -> number, endpoint,
	   slot, highest id, the endpoint's key and options */
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
	   (numbers) -> number, highest id */
	PGSQL_PARTS_LOCK,
	/* (numbers, how many were added) */
	PGSQL_PARTS_COUNT,
	/* Items, each as the so many-th after the last one of its part: (parts,
	   these, sessions, seqs, created, expires, usernames, folders, uids,
	   bodies) */
	PGSQL_ADD,
	/* (ids) */
	PGSQL_REMOVE,
	/* (ids, attempts) */
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
	/* (id of the notification, time, reason, answer, attempts, size) */
	PGSQL_LOST_KEEP,
	/* (ids) -> endpoint, reason, size */
	PGSQL_LOST_DROP,
	/* The oldest ones before a time: (time, how many) -> likewise */
	PGSQL_LOST_FORGET,
	/* Put back into the queue: (id, expires) -> likewise */
	PGSQL_LOST_RESEND,
	/* (after, limit, size) -> id, ..., size so far */
	PGSQL_LOST_READ,

	/* (channel, payload) */
	PGSQL_NOTIFY,

	PGSQL_STATEMENT_COUNT
};

extern const char *const pgsql_statements[PGSQL_STATEMENT_COUNT];

#endif
