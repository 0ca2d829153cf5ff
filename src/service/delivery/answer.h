/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ANSWER_H
#define HTTP_NOTIFY_ANSWER_H

/* How an attempt ended: sender/sender-answer.h. */
struct answer;

enum answer_class {
	/* the endpoint has accepted the notification */
	ANSWER_DONE,
	/* no answer came: probably no notification gets through */
	ANSWER_UNREACHABLE,
	/* the endpoint wants it later */
	ANSWER_LATER,
	/* an error of the endpoint, perhaps caused by this notification */
	ANSWER_FAILED,
	/* url or credentials are not what the endpoint expects: every
	   notification would get this answer */
	ANSWER_MISCONFIGURED,
	/* the endpoint does not accept this notification, or none: whether it
	   accepts others tells */
	ANSWER_REFUSED
};

/* Only the status of the answer counts. */
enum answer_class answer_classify(const struct answer *answer);

#endif
