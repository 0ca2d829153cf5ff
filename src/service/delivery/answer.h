/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ANSWER_H
#define HTTP_NOTIFY_ANSWER_H

struct answer;

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

#endif
