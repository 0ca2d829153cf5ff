/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "llist.h"

#include "credential-file.h"
#include "dovecot-compat.h"
#include "monotonic.h"
#include "pgsql-conn.h"
#include "pgsql-connect.h"

#include <fcntl.h>
#include <poll.h>

#define RECONNECT_MIN_MSECS 100
#define RECONNECT_MAX_MSECS (5*1000)
/* A connection that has been of use for this long was not bad. */
#define GOOD_MSECS (10*1000)

struct pgsql_batch {
	struct pgsql_batch *prev, *next;
	pgsql_answer_callback_t *callback;
	void *context;
	/* monotonic */
	int64_t deadline;
	ARRAY(PGresult *) results;
	/* the first one, its SQLSTATE, and the table that it is about */
	char *error, *sqlstate, *table;
};

struct pgsql_conn {
	pool_t pool;
	struct pgsql_conn_settings set;
	struct pgsql_conn_vfuncs v;
	void *context;

	struct pgsql_connect *connect;
	PGconn *pg;
	/* libpq's socket, which is in the ioloop and must not be closed before
	   it is out of it */
	int fd;
	struct io *io_read, *io_write;
	/* what the server has said unasked, such as why it ends the
	   connection */
	char *notice;
	/* of its session */
	char mark[2 * MAX_INT_STRLEN];
	/* its statements are prepared */
	bool connected;
	/* what it is to be dropped for, from the ioloop */
	char *failed;
	/* sent, in this order; there is a batch without a callback for what is
	   prepared */
	struct pgsql_batch *head, *tail;
	struct timeout *to_deadline, *to_reconnect, *to_failed;
	unsigned int reconnect_msecs;
	int64_t connected_since;
};

static void pgsql_conn_reconnect(struct pgsql_conn *conn);

/* Parameters */

static void
params_add(struct pgsql_params *params, const char *value, size_t size,
	   int format)
{
	i_assert(params->count < PGSQL_PARAMS_MAX);

	params->values[params->count] = value;
	params->lengths[params->count] = size;
	params->formats[params->count++] = format;
}

void pgsql_params_add_int(struct pgsql_params *params, int64_t num)
{
	unsigned char *value = t_malloc_no0(sizeof(num));

	cpu64_to_be_unaligned(num, value);
	params_add(params, (const char *)value, sizeof(num), 1);
}

void pgsql_params_add_bytes(struct pgsql_params *params, const void *data,
			    size_t size)
{
	params_add(params, data, size, 1);
}

void pgsql_params_add_str(struct pgsql_params *params, const char *str)
{
	params_add(params, str, strlen(str), 1);
}

void pgsql_params_add_text(struct pgsql_params *params, const char *text)
{
	params_add(params, text, 0, 0);
}

/* PostgreSQL's binary format: the number of dimensions, whether there are NULLs,
   the type, the number of elements, the index of the first one; then each with
   its size. */
static void array_init(struct pgsql_array *array, uint32_t type)
{
	const uint32_t head[] = {
		cpu32_to_be(1), 0, cpu32_to_be(type), 0, cpu32_to_be(1)
	};

	array->data = t_buffer_create(256);
	array->count = 0;
	buffer_append(array->data, head, sizeof(head));
}

void pgsql_array_init_ints(struct pgsql_array *array)
{
	array_init(array, 20);
}

void pgsql_array_init_bytes(struct pgsql_array *array)
{
	array_init(array, 17);
}

void pgsql_array_add_bytes(struct pgsql_array *array, const void *data,
			   size_t size)
{
	uint32_t size_be = cpu32_to_be(size);
	uint32_t count_be = cpu32_to_be(++array->count);

	buffer_append(array->data, &size_be, sizeof(size_be));
	buffer_append(array->data, data, size);
	buffer_write(array->data, 3 * sizeof(count_be), &count_be,
		     sizeof(count_be));
}

void pgsql_array_add_int(struct pgsql_array *array, int64_t num)
{
	uint64_t num_be = cpu64_to_be(num);

	pgsql_array_add_bytes(array, &num_be, sizeof(num_be));
}

void pgsql_array_add_str(struct pgsql_array *array, const char *str)
{
	pgsql_array_add_bytes(array, str, strlen(str));
}

void pgsql_params_add_array(struct pgsql_params *params,
			    const struct pgsql_array *array)
{
	params_add(params, array->data->data, array->data->used, 1);
}

void pgsql_params_add_ints(struct pgsql_params *params, const int64_t *nums,
			   unsigned int count)
{
	struct pgsql_array array;
	unsigned int i;

	pgsql_array_init_ints(&array);
	for (i = 0; i < count; i++)
		pgsql_array_add_int(&array, nums[i]);
	pgsql_params_add_array(params, &array);
}

int64_t pgsql_get_int(const PGresult *result, int row, int column)
{
	i_assert(PQgetlength(result, row, column) == sizeof(int64_t));

	return be64_to_cpu_unaligned(PQgetvalue(result, row, column));
}

const char *pgsql_get_str(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column);
}

void pgsql_get_guid(const PGresult *result, int row, int column,
		    guid_128_t guid_r)
{
	if (PQgetlength(result, row, column) == GUID_128_SIZE)
		memcpy(guid_r, PQgetvalue(result, row, column), GUID_128_SIZE);
	else
		guid_128_empty(guid_r);
}

/* Batches */

static struct pgsql_batch *
pgsql_batch_init(struct pgsql_conn *conn, unsigned int msecs,
		 pgsql_answer_callback_t *callback, void *context)
{
	struct pgsql_batch *batch;

	batch = i_new(struct pgsql_batch, 1);
	batch->callback = callback;
	batch->context = context;
	batch->deadline = http_notify_monotonic_msecs() + msecs;
	i_array_init(&batch->results, 8);
	DLLIST2_APPEND(&conn->head, &conn->tail, batch);
	return batch;
}

/* Call back and free it. error: NULL = what the server said. */
static void
pgsql_batch_finish(struct pgsql_conn *conn, struct pgsql_batch *batch,
		   const char *error)
{
	struct pgsql_answer answer = {
		.error = error == NULL ? batch->error : error,
		.unknown = error != NULL,
		.sqlstate = error != NULL || batch->sqlstate == NULL ? "" :
			batch->sqlstate,
		.table = error != NULL || batch->table == NULL ? "" :
			batch->table,
		.results = array_get(&batch->results, &answer.count)
	};
	PGresult *result;

	DLLIST2_REMOVE(&conn->head, &conn->tail, batch);
	T_BEGIN {
		batch->callback(&answer, batch->context);
	} T_END;
	array_foreach_elem(&batch->results, result)
		PQclear(result);
	array_free(&batch->results);
	i_free(batch->error);
	i_free(batch->sqlstate);
	i_free(batch->table);
	i_free(batch);
}

/* What to do about an error, or "". */
static const char *error_advice(const char *sqlstate)
{
	static const struct {
		const char *sqlstate, *advice;
	} known[] = {
		/* no right; no such schema, table or column; read-only */
		{ "42501", " (GRANT http_notify TO the role)" },
		{ "3F000", " (is it the database of pgsql/schema-*.sql?)" },
		{ "42P01", " (is it the database of pgsql/schema-*.sql?)" },
		{ "42703", " (is it the database of pgsql/schema-*.sql?)" },
		{ "25006", " (is it a standby, or has the role "
			"default_transaction_read_only?)" },
		/* a statement that is prepared, or is not */
		{ "42P05", " (is there a pool of connections that is not one "
			"of sessions?)" },
		{ "26000", " (is there a pool of connections that is not one "
			"of sessions?)" },
		{ "P0001", " (by a trigger, of which pgsql/schema-*.sql has "
			"none)" },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(known); i++) {
		if (strcmp(sqlstate, known[i].sqlstate) == 0)
			return known[i].advice;
	}
	return "";
}

/* Returns "" if the server has not told. */
static const char *error_field(const PGresult *result, int field)
{
	const char *value = PQresultErrorField(result, field);

	return value == NULL ? "" : value;
}

static void
pgsql_batch_result(struct pgsql_batch *batch, PGresult *result)
{
	const char *sqlstate;

	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_PIPELINE_ABORTED:
		break;
	default:
		if (batch->error != NULL)
			break;
		sqlstate = error_field(result, PG_DIAG_SQLSTATE);
		/* the first line: others have the statement's values */
		batch->error = i_strconcat(t_strcut(
			PQresultErrorMessage(result), '\n'),
			error_advice(sqlstate), NULL);
		batch->sqlstate = i_strdup(sqlstate);
		batch->table = i_strconcat(
			error_field(result, PG_DIAG_SCHEMA_NAME), ".",
			error_field(result, PG_DIAG_TABLE_NAME), NULL);
		break;
	}
	array_push_back(&batch->results, &result);
}

/* The connection */

static void pgsql_conn_close(struct pgsql_conn *conn, const char *error)
{
	int64_t good_since = http_notify_monotonic_msecs() - GOOD_MSECS;

	if (conn->connected && conn->connected_since <= good_since)
		conn->reconnect_msecs = RECONNECT_MIN_MSECS;
	conn->connected = FALSE;
	timeout_remove(&conn->to_deadline);
	timeout_remove(&conn->to_failed);
	i_free(conn->failed);
	io_remove(&conn->io_read);
	io_remove(&conn->io_write);
	i_close_fd(&conn->fd);
	PQfinish(conn->pg);
	conn->pg = NULL;
	i_free(conn->notice);
	pgsql_connect_cancel(&conn->connect);
	while (conn->head != NULL)
		pgsql_batch_finish(conn, conn->head, error);
}

/* error may be of the connection. */
static void pgsql_conn_lost(struct pgsql_conn *conn, const char *error)
{
	error = t_strdup(error);
	pgsql_conn_close(conn, error);
	conn->to_reconnect = timeout_add(conn->reconnect_msecs,
					 pgsql_conn_reconnect, conn);
	conn->reconnect_msecs = I_MIN(conn->reconnect_msecs * 2,
				      RECONNECT_MAX_MSECS);
	conn->v.disconnected(error, conn->context);
}

static const char *pgsql_conn_error(struct pgsql_conn *conn)
{
	const char *error = conn->notice != NULL ? conn->notice :
		PQerrorMessage(conn->pg);

	return *error == '\0' ? "connection closed" : t_strcut(error, '\n');
}

/* By libpq, from inside the functions that receive. */
static void pgsql_conn_notice(void *context, const char *notice)
{
	struct pgsql_conn *conn = context;

	i_free(conn->notice);
	if (str_begins_with(notice, "FATAL:"))
		conn->notice = i_strdup(notice);
}

static void pgsql_conn_lost_late(struct pgsql_conn *conn)
{
	pgsql_conn_lost(conn, conn->failed);
}

void pgsql_conn_fail(struct pgsql_conn *conn, const char *error)
{
	if (conn->pg == NULL || conn->failed != NULL)
		return;
	conn->failed = i_strdup(error);
	conn->to_failed = timeout_add_short(0, pgsql_conn_lost_late, conn);
}

static void pgsql_conn_set_deadline(struct pgsql_conn *conn);
static void pgsql_conn_input(struct pgsql_conn *conn);

/* In msecs, of the earliest of all; there are few. */
static int pgsql_conn_time_left(const struct pgsql_conn *conn)
{
	const struct pgsql_batch *batch;
	int64_t first = INT64_MAX;

	for (batch = conn->head; batch != NULL; batch = batch->next)
		first = I_MIN(first, batch->deadline);
	return I_MAX(first - http_notify_monotonic_msecs(), 0);
}

static void pgsql_conn_deadline(struct pgsql_conn *conn)
{
	/* the answer may have come while the ioloop was busy */
	pgsql_conn_input(conn);
	if (conn->head != NULL && pgsql_conn_time_left(conn) == 0)
		pgsql_conn_lost(conn, "no answer in time");
}

static void pgsql_conn_set_deadline(struct pgsql_conn *conn)
{
	timeout_remove(&conn->to_deadline);
	if (conn->head != NULL) {
		conn->to_deadline = timeout_add_short(
			pgsql_conn_time_left(conn), pgsql_conn_deadline, conn);
	}
}

static void pgsql_conn_flush(struct pgsql_conn *conn)
{
	int ret = PQflush(conn->pg);

	if (ret < 0) {
		pgsql_conn_fail(conn, pgsql_conn_error(conn));
		return;
	}
	if (ret == 0)
		io_remove(&conn->io_write);
	else if (conn->io_write == NULL) {
		conn->io_write = io_add(conn->fd, IO_WRITE, pgsql_conn_input,
					conn);
	}
}

/* Take what has been received. Callbacks may send more, but the connection is
   only dropped from the ioloop. Returns FALSE and error_r if it is lost. */
static bool pgsql_conn_take(struct pgsql_conn *conn, const char **error_r)
{
	PGnotify *notify;
	PGresult *result;

	while (conn->head != NULL && PQisBusy(conn->pg) == 0) {
		result = PQgetResult(conn->pg);
		if (result == NULL) {
			/* between statements */
			continue;
		}
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
			PQclear(result);
			pgsql_batch_finish(conn, conn->head, NULL);
			continue;
		}
		pgsql_batch_result(conn->head, result);
		if (PQstatus(conn->pg) == CONNECTION_BAD) {
			*error_r = t_strdup(conn->head->error != NULL ?
				conn->head->error : pgsql_conn_error(conn));
			return FALSE;
		}
	}
	while ((notify = PQnotifies(conn->pg)) != NULL) {
		if (conn->v.notified != NULL) T_BEGIN {
			conn->v.notified(notify->extra, conn->context);
		} T_END;
		PQfreemem(notify);
	}
	return TRUE;
}

static void pgsql_conn_input(struct pgsql_conn *conn)
{
	const char *error = NULL;

	if (PQconsumeInput(conn->pg) == 0)
		error = t_strdup(pgsql_conn_error(conn));
	/* what came before it was closed counts */
	if (!pgsql_conn_take(conn, &error) || error != NULL) {
		pgsql_conn_lost(conn, error);
		return;
	}
	pgsql_conn_set_deadline(conn);
	pgsql_conn_flush(conn);
}

bool pgsql_conn_is_connected(const struct pgsql_conn *conn)
{
	return conn->connected && conn->failed == NULL;
}

void pgsql_conn_add(struct pgsql_conn *conn, unsigned int statement,
		    const struct pgsql_params *params)
{
	i_assert(conn->connected);

	if (PQsendQueryPrepared(conn->pg, dec2str(statement), params->count,
				params->values, params->lengths,
				params->formats, 1) == 0)
		pgsql_conn_fail(conn, pgsql_conn_error(conn));
}

void pgsql_conn_send(struct pgsql_conn *conn, unsigned int msecs,
		     pgsql_answer_callback_t *callback, void *context)
{
	(void)pgsql_batch_init(conn, msecs, callback, context);
	if (PQpipelineSync(conn->pg) == 0)
		pgsql_conn_fail(conn, pgsql_conn_error(conn));
	pgsql_conn_set_deadline(conn);
	pgsql_conn_flush(conn);
	/* libpq may have read something to be able to write */
	if (PQisBusy(conn->pg) == 0)
		io_set_pending(conn->io_read);
}

void pgsql_conn_hurry(struct pgsql_conn *conn, unsigned int msecs,
		      void *context)
{
	int64_t deadline = http_notify_monotonic_msecs() + msecs;
	struct pgsql_batch *batch;

	for (batch = conn->head; batch != NULL; batch = batch->next) {
		if (batch->context == context)
			batch->deadline = I_MIN(batch->deadline, deadline);
	}
	pgsql_conn_set_deadline(conn);
}

void pgsql_conn_wait(struct pgsql_conn *conn, int64_t until)
{
	struct pollfd pfd = {
		.fd = conn->fd,
		.events = POLLIN | (conn->io_write == NULL ? 0 : POLLOUT)
	};
	int64_t left = until - http_notify_monotonic_msecs();
	int ret;

	i_assert(conn->head != NULL);

	left = I_MIN(left, pgsql_conn_time_left(conn));
	if (conn->failed != NULL)
		pgsql_conn_lost_late(conn);
	else if (left <= 0)
		pgsql_conn_lost(conn, "no answer in time");
	else if ((ret = poll(&pfd, 1, left)) > 0)
		pgsql_conn_input(conn);
	else if (ret < 0 && errno != EINTR)
		pgsql_conn_lost(conn, t_strdup_printf("poll() failed: %m"));
}

/* Connecting */

const char *pgsql_conn_mark(const struct pgsql_conn *conn)
{
	return conn->mark;
}

bool pgsql_conn_check_mark(struct pgsql_conn *conn, const PGresult *result,
			   int column)
{
	if (PQresultStatus(result) != PGRES_TUPLES_OK ||
	    PQntuples(result) == 0 ||
	    strcmp(PQgetvalue(result, 0, column), conn->mark) == 0)
		return TRUE;
	pgsql_conn_fail(conn, PGSQL_SESSION_SHARED);
	return FALSE;
}

static void
pgsql_conn_prepared(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_conn *conn = context;

	if (answer->unknown) {
		/* it is being dropped */
		return;
	}
	/* an error may be because of that: the statements are there */
	if (answer->count > 1 &&
	    !pgsql_conn_check_mark(conn, answer->results[1], 0))
		return;
	if (answer->error != NULL) {
		pgsql_conn_fail(conn, answer->error);
		return;
	}
	conn->connected = TRUE;
	conn->connected_since = http_notify_monotonic_msecs();
	conn->v.connected(conn->context);
}

static void pgsql_conn_send_simple(struct pgsql_conn *conn, const char *sql)
{
	if (PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 1) == 0)
		pgsql_conn_fail(conn, pgsql_conn_error(conn));
}

static void
pgsql_conn_opened(PGconn *pg, const char *error, void *context)
{
	struct pgsql_conn *conn = context;
	unsigned int i;

	conn->connect = NULL;
	if (error != NULL) {
		pgsql_conn_lost(conn, error);
		return;
	}
	conn->pg = pg;
	if (PQsetnonblocking(pg, 1) < 0 || PQenterPipelineMode(pg) == 0) {
		pgsql_conn_lost(conn, pgsql_conn_error(conn));
		return;
	}
	conn->fd = fcntl(PQsocket(pg), F_DUPFD_CLOEXEC, 0);
	if (conn->fd == -1) {
		pgsql_conn_lost(conn, t_strdup_printf("dup() failed: %m"));
		return;
	}
	(void)PQsetNoticeProcessor(pg, pgsql_conn_notice, conn);
	conn->io_read = io_add(conn->fd, IO_READ, pgsql_conn_input, conn);
	/* first, so that the statements mean what they say; and a session may
	   only see what others of its own role do, and end these */
	pgsql_conn_send_simple(conn, "SELECT pg_catalog.set_config("
		"'search_path', 'pg_catalog, pg_temp', false), "
		"pg_catalog.set_config('role', 'none', false)");
	if (i_snprintf(conn->mark, sizeof(conn->mark), "%u.%u",
		       (unsigned int)i_rand(), (unsigned int)i_rand()) < 0)
		i_unreached();
	pgsql_conn_send_simple(conn, t_strdup_printf("SELECT set_config("
		"'http_notify.session', coalesce(nullif("PGSQL_SESSION_MARK", "
		"''), '%s'), false)", conn->mark));
	pgsql_conn_send_simple(conn, t_strdup_printf(
		"%s AND "PGSQL_SESSION_MARK" = '%s'", conn->set.session,
		conn->mark));
	for (i = 0; i < conn->set.statements_count; i++) {
		if (PQsendPrepare(pg, dec2str(i), conn->set.statements[i], 0,
				  NULL) == 0)
			pgsql_conn_fail(conn, pgsql_conn_error(conn));
	}
	pgsql_conn_send(conn, conn->set.prepare_msecs, pgsql_conn_prepared,
			conn);
}

static void pgsql_conn_reconnect(struct pgsql_conn *conn)
{
	const char *path = conn->set.password_file;
	const char *password = NULL, *error;

	timeout_remove(&conn->to_reconnect);
	if (*path != '\0' &&
	    credential_file_read(path, &password, &error) < 0) {
		pgsql_conn_lost(conn, t_strdup_printf("%s %s", path, error));
		return;
	}
	if (password != NULL)
		password = t_strcut(password, '\n');
	conn->connect = pgsql_connect_start(conn->set.conninfo, password,
					    conn->set.application_name,
					    pgsql_conn_opened, conn);
}

struct pgsql_conn *
pgsql_conn_init(const struct pgsql_conn_settings *set,
		const struct pgsql_conn_vfuncs *v, void *context)
{
	struct pgsql_conn *conn;
	pool_t pool;

	pool = pool_alloconly_create("pgsql connection", 1024);
	conn = p_new(pool, struct pgsql_conn, 1);
	conn->pool = pool;
	conn->set = *set;
	conn->set.conninfo = p_strdup(pool, set->conninfo);
	conn->set.password_file = p_strdup(pool, set->password_file);
	conn->set.application_name = p_strdup(pool, set->application_name);
	conn->set.session = p_strdup(pool, set->session);
	conn->v = *v;
	conn->context = context;
	conn->fd = -1;
	conn->reconnect_msecs = RECONNECT_MIN_MSECS;
	conn->to_reconnect = timeout_add_short(0, pgsql_conn_reconnect, conn);
	return conn;
}

void pgsql_conn_deinit(struct pgsql_conn **_conn)
{
	struct pgsql_conn *conn = *_conn;

	*_conn = NULL;
	if (conn == NULL)
		return;
	pgsql_conn_close(conn, "the service is being stopped");
	timeout_remove(&conn->to_reconnect);
	pool_unref(&conn->pool);
}
