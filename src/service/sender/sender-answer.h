/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_ANSWER_H
#define HTTP_NOTIFY_SENDER_ANSWER_H

/* How an attempt to send a notification ended. */
struct answer {
	/* HTTP status (RFC 9110 section 15), 0 if none came */
	unsigned int status;
	/* for the log: why no status came, or what came with it. It repeats
	   text of the endpoint's and must be sanitized. */
	const char *reason;
	/* Retry-After, in seconds; 0 if there was none */
	unsigned int retry_after_secs;
};

/* May the log have this text of an answer? Not if the credentials of the
   request might be in it, since an endpoint may repeat the request or say
   which password is wrong. username and password may be NULL. */
bool answer_text_may_be_logged(const char *text, const char *username,
			       const char *password);

#endif
