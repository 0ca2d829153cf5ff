/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_ADVICE_H
#define LISTENER_ADVICE_H

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

/* Returns one or more lines, the last one without a newline; NULL for
   ADVICE_NONE. */
const char *advice_text(enum advice advice);

#endif
