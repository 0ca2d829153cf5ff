/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_ANSWER_H
#define HTTP_NOTIFY_SENDER_ANSWER_H

/* How an attempt to send a notification ended. What this means for the
   notification and the endpoint is its class (delivery/answer.h). */
struct answer {
	/* HTTP status (RFC 9110 section 15), 0 if none came */
	unsigned int status;
	/* For the log: why no status came, or the status and the text that came
	   with it. It may repeat what the endpoint sent, so it must be
	   sanitized. Never NULL; valid until the sender's callback returns. */
	const char *reason;
	/* Retry-After, in seconds; 0 if there was none */
	unsigned int retry_after_secs;
};

/* May this text of an answer be logged? Not if it might contain the request's
   credentials, since an endpoint may repeat the request or say which password
   is wrong. username, password and token may be NULL. */
bool answer_text_may_be_logged(const char *text, const char *username,
			       const char *password, const char *token);
/* A URL's query may be a secret or have one in it. */
bool answer_text_may_have_query(const char *text, const char *query);

#endif
