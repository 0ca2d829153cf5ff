/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_CONN_H
#define HTTP_NOTIFY_PGSQL_CONN_H

#include "guid.h"

#include <libpq-fe.h>

/* A connection to PostgreSQL that never blocks the ioloop. When it is lost it
   is made again, at growing intervals until the server has been of use for a
   while. Statements are sent in batches: each is a transaction of its own, sent
   at once, whether others have been answered or not. */
struct pgsql_conn;

struct pgsql_conn_settings {
	/* libpq's words, without secrets; the file is read at each connecting,
	   "" = none */
	const char *conninfo, *password_file;
	/* for pg_stat_activity */
	const char *application_name;
	/* settings of a session, by PGSQL_SET_SESSION */
	const char *session;
	/* statements, whose index is what pgsql_conn_add() is told; the
	   types of their parameters are what they are cast to */
	const char *const *statements;
	unsigned int statements_count;
	/* for how long the server may take to prepare these, in msecs */
	unsigned int prepare_msecs;
};

/* A connection has a session of the server's for itself, unless there is a pool
   of connections before that which gives each transaction to any session: then
   advisory locks are of no use, and settings are other connections'. So each one
   marks its session, and fails with this error if that has a mark. */
#define PGSQL_SESSION_MARK "current_setting('http_notify.session', true)"
#define PGSQL_SESSION_SHARED \
	"a pool of connections before it shares its sessions (PgBouncer needs " \
	"pool_mode=session and server_reset_query=DISCARD ALL)"

/* Settings of a session, so that the server finds out within 7 to 10 seconds
   that this host is gone, and ends the session; and those that an admin may have
   changed for the role or the database, but which matter here. Not all of its
   systems and versions have all of them. others: such as
   ", ('name', 'value')". More conditions may follow. */
#define PGSQL_SET_SESSION(others) \
	"SELECT set_config(name, value, false) FROM (VALUES " \
	"('default_transaction_isolation', 'read committed'), " \
	"('statement_timeout', '0'), " \
	"('lock_timeout', '0'), " \
	"('transaction_timeout', '0'), " \
	"('idle_in_transaction_session_timeout', '0'), " \
	"('jit', 'off'), " \
	"('tcp_keepalives_idle', '3'), " \
	"('tcp_keepalives_interval', '2'), " \
	"('tcp_keepalives_count', '2'), " \
	"('tcp_user_timeout', '8000'), " \
	"('client_connection_check_interval', '2000'), " \
	"('idle_session_timeout', '0')" others") AS v (name, value) " \
	"JOIN pg_settings USING (name) WHERE true"

struct pgsql_conn_vfuncs {
	/* The connection can be used. */
	void (*connected)(void *context);
	/* It can't be any more, or connecting has failed. Called after the
	   callbacks of what had been sent. */
	void (*disconnected)(const char *error, void *context);
	/* NOTIFY by another session; may be NULL. */
	void (*notified)(const char *payload, void *context);
};

/* Parameters of a statement, which live on the data stack. */
#define PGSQL_PARAMS_MAX 15
struct pgsql_params {
	int count;
	const char *values[PGSQL_PARAMS_MAX];
	int lengths[PGSQL_PARAMS_MAX], formats[PGSQL_PARAMS_MAX];
};

/* bigint */
void pgsql_params_add_int(struct pgsql_params *params, int64_t num);
/* bytea; the data is not copied */
void pgsql_params_add_bytes(struct pgsql_params *params, const void *data,
			    size_t size);
void pgsql_params_add_str(struct pgsql_params *params, const char *str);
/* text */
void pgsql_params_add_text(struct pgsql_params *params, const char *text);

/* An array, bigint[] or bytea[], on the data stack. */
struct pgsql_array {
	buffer_t *data;
	unsigned int count;
};

void pgsql_array_init_ints(struct pgsql_array *array);
void pgsql_array_init_bytes(struct pgsql_array *array);
void pgsql_array_add_int(struct pgsql_array *array, int64_t num);
void pgsql_array_add_bytes(struct pgsql_array *array, const void *data,
			   size_t size);
void pgsql_array_add_str(struct pgsql_array *array, const char *str);
/* The array must not be changed any more. */
void pgsql_params_add_array(struct pgsql_params *params,
			    const struct pgsql_array *array);
/* An array with these. */
void pgsql_params_add_ints(struct pgsql_params *params, const int64_t *nums,
			   unsigned int count);

struct pgsql_answer {
	/* NULL = all statements succeeded, otherwise none did, unless unknown
	   is set: then the server may still commit them, or has done so */
	const char *error;
	bool unknown;
	/* of the error: its SQLSTATE, and the table as schema.table, or "" */
	const char *sqlstate, *table;
	/* in the order of the statements, in binary format */
	PGresult *const *results;
	unsigned int count;
};

/* The answer lives until the callback returns. */
typedef void
pgsql_answer_callback_t(const struct pgsql_answer *answer, void *context);

/* Begins to connect; no function of v is called from inside. */
struct pgsql_conn *
pgsql_conn_init(const struct pgsql_conn_settings *set,
		const struct pgsql_conn_vfuncs *v, void *context);
/* Callbacks that have not been called yet are called with an error, unless they
   were sent. */
void pgsql_conn_deinit(struct pgsql_conn **conn);

bool pgsql_conn_is_connected(const struct pgsql_conn *conn);
/* Drop the connection, and make another one. */
void pgsql_conn_fail(struct pgsql_conn *conn, const char *error);
/* What PGSQL_SESSION_MARK is in its session. */
const char *pgsql_conn_mark(const struct pgsql_conn *conn);
/* Is it this in the result's first row, if there is one? If not, the connection
   is dropped. */
bool pgsql_conn_check_mark(struct pgsql_conn *conn, const PGresult *result,
			   int column);

/* Add a statement to the next batch. The connection must be connected. */
void pgsql_conn_add(struct pgsql_conn *conn, unsigned int statement,
		    const struct pgsql_params *params);
/* Send the batch. If there is no answer after msecs, the connection is dropped.
   The callback is called once, never from inside this function. */
void pgsql_conn_send(struct pgsql_conn *conn, unsigned int msecs,
		     pgsql_answer_callback_t *callback, void *context);
/* What was sent with this context has to be answered after so many msecs at the
   latest. */
void pgsql_conn_hurry(struct pgsql_conn *conn, unsigned int msecs,
		      void *context);
/* Wait for something of what was sent to be answered. If it is not until then,
   by the monotonic clock, or its time has passed, the connection is dropped. */
void pgsql_conn_wait(struct pgsql_conn *conn, int64_t until);

/* Of a row of a result. */
int64_t pgsql_get_int(const PGresult *result, int row, int column);
const char *pgsql_get_str(const PGresult *result, int row, int column);
void pgsql_get_guid(const PGresult *result, int row, int column,
		    guid_128_t guid_r);

#endif
