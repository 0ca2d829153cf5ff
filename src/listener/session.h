#ifndef LISTENER_SESSION_H
#define LISTENER_SESSION_H

#include <stdbool.h>

#include <curl/curl.h>

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

/* What the admin can do about a failure, beyond what the reason says. */
enum advice {
	ADVICE_NONE,
	ADVICE_SERVER,
	ADVICE_CERTIFICATE,
	ADVICE_STARTTLS,
	ADVICE_LOGIN,
	ADVICE_MASTER,
	ADVICE_NO_PLAIN,
	ADVICE_TIMEOUT,
	ADVICE_METADATA,
	ADVICE_NOT_DOVECOT,
	ADVICE_MAXSIZE,
	ADVICE_NOPRIVATE,
	ADVICE_TOOMANY,
	ADVICE_SERVER_LOG,
};

struct session_result {
	enum session_outcome outcome;
	/* Of a failure: why, in one line. To be freed. */
	char *reason;
	enum advice advice;
	/* Of a failure: the server could not be reached or be trusted, which
	   is no login's fault. */
	bool unreachable;
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

/* Lines, the last one without its end; NULL for ADVICE_NONE. */
const char *advice_text(enum advice advice);

/* Milliseconds of a clock that only goes forward. */
long long monotonic_msecs(void);

#endif
