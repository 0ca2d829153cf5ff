#ifndef HTTP_NOTIFY_ANSWER_H
#define HTTP_NOTIFY_ANSWER_H

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

enum answer_class {
	/* the endpoint has it */
	ANSWER_DONE,
	/* no answer: neither this notification nor any other gets through */
	ANSWER_UNREACHABLE,
	/* not now */
	ANSWER_LATER,
	/* an error of the endpoint's, or one that this notification makes */
	ANSWER_FAILED,
	/* the endpoint or its credentials are not what the admin thinks; any
	   notification would get this answer */
	ANSWER_MISCONFIGURED,
	/* this notification will never be taken */
	ANSWER_REFUSED
};

enum answer_class answer_classify(const struct answer *answer);

/* May the log have this text of an answer? Not if the credentials of the
   request might be in it, since an endpoint may repeat the request or say
   which password is wrong. username and password may be NULL. */
bool answer_text_may_be_logged(const char *text, const char *username,
			       const char *password);

#endif
