/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_SESSION_H
#define LISTENER_SESSION_H

#include <stdbool.h>

#include <curl/curl.h>

#include "failure.h"

/* One login at the IMAP server, which does what an OX node does: look for
   METADATA among the capabilities, read the entry, and write it only if it is
   not right yet. */

/* The same for all logins of a run. */
struct session_settings {
	const char *url;  /* imap://HOST:PORT/ or imaps://HOST:PORT/ */
	const char *host; /* for messages */
	const char *ca_file; /* NULL: the system's */
	const char *password;
	/* Both NULL: each login with the password. Without the separator,
	   the master user is authenticated and the login authorized
	   (SASL PLAIN), else it is LOGIN<separator>MASTER. */
	const char *master_user, *master_separator;
	unsigned int timeout_msecs; /* for one login, from connecting on */
	bool allow_plaintext;
	bool dry_run;
};

enum session_action {
	SESSION_SHOW,
	SESSION_REGISTER,
	SESSION_UNREGISTER,
};

enum session_outcome {
	SESSION_FAILED,
	SESSION_UNCHANGED,
	/* written, or would be in a dry run: */
	SESSION_ADDED,
	SESSION_CHANGED,
	SESSION_REMOVED,
};

struct session_result {
	enum session_outcome outcome;
	struct failure failure; /* of SESSION_FAILED */
	/* What was there before, NULL if nothing: any bytes. To be freed. */
	char *value;
	size_t value_size;
	/* The name that the server has told, NULL if it has not. To be
	   freed. */
	char *server_name;
	unsigned int msecs;
};

/* What the logins of one thread remember: resolved names and TLS sessions, so
   that all but the first handshake are short. Not for several threads, locked
   or not: before 8.11, libcurl lets OpenSSL use a session in two of them at
   once. NULL, as when there is no memory, remembers nothing. */
CURLSH *session_share_init(void);
void session_share_deinit(CURLSH **share);

/* Do one login. value is what to register. */
void session_run(const struct session_settings *set, CURLSH *share,
		 const char *login, enum session_action action,
		 const char *value, struct session_result *result_r);
void session_result_free(struct session_result *result);

#endif
