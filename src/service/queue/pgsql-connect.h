/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_CONNECT_H
#define HTTP_NOTIFY_PGSQL_CONNECT_H

#include <libpq-fe.h>

/* Connecting to PostgreSQL in a thread of its own: looking up names, reading
   certificates, TLS handshakes and servers that do not answer take their
   time. */
struct pgsql_connect;

/* conn is connected, and now the callback's, if error is NULL. */
typedef void
pgsql_connect_callback_t(PGconn *conn, const char *error, void *context);

/* Can conninfo, in libpq's words, be used? There must be no secrets in it.
   Returns 0, or -1 and error_r. */
int pgsql_connect_check(const char *conninfo, const char **error_r);

/* Connect. password: NULL = none. The callback is never called from inside this
   function. */
struct pgsql_connect *
pgsql_connect_start(const char *conninfo, const char *password,
		    const char *application_name,
		    pgsql_connect_callback_t *callback, void *context);
/* The callback will not be called. *connect may be NULL. */
void pgsql_connect_cancel(struct pgsql_connect **connect);

#endif
