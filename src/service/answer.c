#include "lib.h"

#include "answer.h"

enum answer_class answer_classify(const struct answer *answer)
{
	switch (answer->status) {
	case 0:
		return ANSWER_UNREACHABLE;
	case 401:
	case 403:
	case 404:
		return ANSWER_MISCONFIGURED;
	case 408:
	case 425:
	case 429:
		return ANSWER_RETRY;
	}
	switch (answer->status / 100) {
	case 2:
		return ANSWER_DONE;
	case 3:
		/* redirects are not followed: they would carry credentials
		   elsewhere */
		return ANSWER_MISCONFIGURED;
	case 4:
		return ANSWER_REFUSED;
	default:
		return ANSWER_RETRY;
	}
}
