/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_SESSION_H
#define LISTENER_SESSION_H

#include <stdbool.h>

#include <curl/curl.h>

#include "failure.h"

/* One login at the IMAP server. It does what an OX node does: look for METADATA
   among the capabilities, read the entry, and write it only if its value is not
   the right one yet. */

/* The same for all logins of a run. */
struct session_settings {
	const char *url;  /* imap://HOST:PORT/ or imaps://HOST:PORT/ */
	const char *host; /* for messages */
	const char *ca_file; /* NULL = the system's CAs */
	const char *password;
	/* If both are NULL, each login uses the password itself. Without a
	   separator, the master user is authenticated and the login authorized
	   (SASL PLAIN); with one, the name is LOGIN<separator>MASTER. */
	const char *master_user, *master_separator;
	unsigned int timeout_msecs; /* for one whole login */
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
	/* it was written, or would be if this were not a dry run: */
	SESSION_ADDED,
	SESSION_CHANGED,
	SESSION_REMOVED,
};

struct session_result {
	enum session_outcome outcome;
	struct failure failure; /* set for SESSION_FAILED */
	/* the value that the entry had before, which may be any bytes; NULL if
	   there was none */
	char *value;
	size_t value_size;
	/* the name that the server has sent; NULL if it has not */
	char *server_name;
	unsigned int msecs;
};

/* What the logins of one thread remember: resolved names, and TLS sessions, so
   that all but the first handshake are short. Don't share it between threads,
   even with locks: before 8.11, libcurl lets OpenSSL use a session in two
   threads at once. With NULL, which _init() returns if there is no memory,
   nothing is remembered. */
CURLSH *session_share_init(void);
void session_share_deinit(CURLSH **share);

/* Do one login. value is what SESSION_REGISTER writes; other actions ignore it.
   The result must be freed in any case. */
void session_run(const struct session_settings *set, CURLSH *share,
		 const char *login, enum session_action action,
		 const char *value, struct session_result *result_r);
void session_result_free(struct session_result *result);

#endif
