/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "answer.h"
#include "sender-answer.h"

/* The first row whose range contains the status applies. */
static const struct {
	unsigned int first, last;
	enum answer_class class;
} answer_classes[] = {
	/* no answer, whatever the reason */
	{ 0, 0, ANSWER_UNREACHABLE },
	{ 200, 299, ANSWER_DONE },
	/* redirects are not followed: that would send credentials elsewhere */
	{ 300, 399, ANSWER_MISCONFIGURED },
	{ 401, 401, ANSWER_MISCONFIGURED },
	{ 403, 405, ANSWER_MISCONFIGURED },
	{ 407, 407, ANSWER_MISCONFIGURED },
	{ 408, 408, ANSWER_LATER },
	/* another server's name, another protocol */
	{ 421, 421, ANSWER_MISCONFIGURED },
	{ 425, 425, ANSWER_LATER },
	{ 426, 426, ANSWER_MISCONFIGURED },
	{ 429, 429, ANSWER_LATER },
	{ 400, 499, ANSWER_REFUSED },
	{ 0, UINT_MAX, ANSWER_FAILED },
};

enum answer_class answer_classify(const struct answer *answer)
{
	unsigned int i;

	for (i = 0; answer->status < answer_classes[i].first ||
	     answer->status > answer_classes[i].last; i++)
		;
	return answer_classes[i].class;
}
