/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"

#include "pgsql-connect.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* For each of the hosts, unless conninfo has connect_timeout. */
#define CONNECT_TIMEOUT_SECS "5"
/* How long the server's host may be silent while something is unanswered. */
#define USER_TIMEOUT_MSECS "6000"

enum word {
	WORD_TIMEOUT,
	WORD_USER_TIMEOUT,
	WORD_KEEPALIVES_IDLE,
	WORD_KEEPALIVES_INTERVAL,
	WORD_KEEPALIVES_COUNT,
	WORD_NAME,
	WORD_CONNINFO,
	/* later ones take precedence */
	WORD_ENCODING,
	WORD_PASSWORD,

	WORD_COUNT
};

static const char *const keywords[WORD_COUNT + 1] = {
	[WORD_TIMEOUT] = "connect_timeout",
	[WORD_USER_TIMEOUT] = "tcp_user_timeout",
	[WORD_KEEPALIVES_IDLE] = "keepalives_idle",
	[WORD_KEEPALIVES_INTERVAL] = "keepalives_interval",
	[WORD_KEEPALIVES_COUNT] = "keepalives_count",
	[WORD_NAME] = "fallback_application_name",
	[WORD_CONNINFO] = "dbname",
	[WORD_ENCODING] = "client_encoding",
	[WORD_PASSWORD] = "password",
};

enum state {
	STATE_RUNNING,
	/* the thread has ended */
	STATE_ENDED,
	/* nobody waits for it */
	STATE_CANCELLED
};

struct pgsql_connect {
	/* the thread's while it runs */
	char *values[WORD_COUNT + 1];
	PGconn *conn;
	int fd;
	enum state state;

	struct io *io;
	pgsql_connect_callback_t *callback;
	void *context;
};

/* In any thread, so nothing of Dovecot's is called here. */
static void pgsql_connect_free(struct pgsql_connect *connect)
{
	unsigned int i;

	PQfinish(connect->conn);
	(void)close(connect->fd);
	for (i = 0; i < WORD_COUNT; i++)
		free(connect->values[i]);
	free(connect);
}

static void
ignore_notice(void *context ATTR_UNUSED, const char *notice ATTR_UNUSED)
{
}

/* Likewise. */
static void *pgsql_connect_run(void *context)
{
	static const uint64_t one = 1;
	struct pgsql_connect *connect = context;
	char *password = connect->values[WORD_PASSWORD];
	ssize_t ret;

	connect->conn = PQconnectdbParams(keywords,
		(const char *const *)connect->values, 1);
	/* else libpq writes them to the log, as errors */
	(void)PQsetNoticeProcessor(connect->conn, ignore_notice, NULL);
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	ret = write(connect->fd, &one, sizeof(one));
	(void)ret;
	/* from here on, it may be freed */
	if (__atomic_exchange_n(&connect->state, STATE_ENDED,
				__ATOMIC_ACQ_REL) == STATE_CANCELLED)
		pgsql_connect_free(connect);
	return NULL;
}

/* libpq's hints, and the errors of other hosts, are in lines of their own, which
   may begin with a TAB. */
static const char *one_line(const char *error)
{
	return t_strarray_join(t_strsplit_spaces(error, "\n\t"), "; ");
}

/* What to do about an error that libpq itself has, or "". */
static const char *connect_advice(const char *error)
{
	static const struct {
		const char *error, *advice;
	} known[] = {
		/* it does not say why */
		{ "certificate verify failed", " (is the server's certificate "
			"from a CA in sslrootcert, and has it not expired?)" },
		/* likewise if it can't be read */
		{ "root certificate file", " (the service's user must be able "
			"to read it)" },
		{ "session is read-only", " (is the primary one of the hosts "
			"in http_notify_pgsql?)" },
		{ "no password supplied",
			" (set http_notify_pgsql_password_file)" },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(known); i++) {
		if (strstr(error, known[i].error) != NULL)
			return known[i].advice;
	}
	return "";
}

static void pgsql_connect_ended(struct pgsql_connect *connect)
{
	PGconn *conn;
	const char *error = NULL;

	if (__atomic_load_n(&connect->state, __ATOMIC_ACQUIRE) != STATE_ENDED) {
		/* it is about to */
		return;
	}
	io_remove(&connect->io);
	conn = connect->conn;
	connect->conn = NULL;
	if (conn == NULL)
		error = "out of memory";
	else if (PQstatus(conn) != CONNECTION_OK) {
		error = one_line(PQerrorMessage(conn));
		error = t_strconcat(error, connect_advice(error), NULL);
		PQfinish(conn);
		conn = NULL;
	}
	connect->callback(conn, error, connect->context);
	pgsql_connect_free(connect);
}

static void pgsql_connect_thread(struct pgsql_connect *connect)
{
	sigset_t all, old;
	pthread_t thread;
	int ret;

	/* signals are for the ioloop's thread */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&thread, NULL, pgsql_connect_run, connect);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret == 0)
		(void)pthread_detach(thread);
	else {
		/* rather than never */
		(void)pgsql_connect_run(connect);
	}
}

struct pgsql_connect *
pgsql_connect_start(const char *conninfo, const char *password,
		    const char *application_name,
		    pgsql_connect_callback_t *callback, void *context)
{
	const char *values[WORD_COUNT] = {
		[WORD_TIMEOUT] = CONNECT_TIMEOUT_SECS,
		[WORD_USER_TIMEOUT] = USER_TIMEOUT_MSECS,
		[WORD_KEEPALIVES_IDLE] = "3",
		[WORD_KEEPALIVES_INTERVAL] = "2",
		[WORD_KEEPALIVES_COUNT] = "2",
		[WORD_NAME] = application_name,
		[WORD_CONNINFO] = conninfo,
		[WORD_ENCODING] = "UTF8",
		[WORD_PASSWORD] = password
	};
	struct pgsql_connect *connect = calloc(1, sizeof(*connect));
	unsigned int i;

	if (connect == NULL)
		i_fatal_status(FATAL_OUTOFMEM, "calloc() failed: %m");
	for (i = 0; i < WORD_COUNT; i++) {
		connect->values[i] = values[i] == NULL ? NULL :
			strdup(values[i]);
	}
	connect->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (connect->fd == -1)
		i_fatal("eventfd() failed: %m");
	connect->callback = callback;
	connect->context = context;
	connect->io = io_add(connect->fd, IO_READ, pgsql_connect_ended,
			     connect);
	pgsql_connect_thread(connect);
	return connect;
}

void pgsql_connect_cancel(struct pgsql_connect **_connect)
{
	struct pgsql_connect *connect = *_connect;

	*_connect = NULL;
	if (connect == NULL)
		return;
	io_remove(&connect->io);
	if (__atomic_exchange_n(&connect->state, STATE_CANCELLED,
				__ATOMIC_ACQ_REL) == STATE_ENDED)
		pgsql_connect_free(connect);
}

int pgsql_connect_check(const char *conninfo, const char **error_r)
{
	PQconninfoOption *options, *option;
	char *error = NULL;
	int ret = 0;

	if (*conninfo == '\0') {
		*error_r = "is not set";
		return -1;
	}
	options = PQconninfoParse(conninfo, &error);
	if (options == NULL) {
		*error_r = "is not in libpq's words, such as "
			"host=db.example.com dbname=http_notify";
		/* what libpq says may repeat a password */
		if (error != NULL && strstr(conninfo, "password") == NULL &&
		    strstr(conninfo, "://") == NULL) {
			*error_r = t_strdup_printf("%s: %s", *error_r,
						   t_strcut(error, '\n'));
		}
		PQfreemem(error);
		return -1;
	}
	for (option = options; option->keyword != NULL; option++) {
		if (option->val == NULL || *option->dispchar != '*')
			continue;
		*error_r = t_strdup_printf("must not have %s in it "
			"(http_notify_pgsql_password_file is for that)",
			option->keyword);
		ret = -1;
	}
	PQconninfoFree(options);
	return ret;
}
