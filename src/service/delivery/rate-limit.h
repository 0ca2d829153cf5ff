/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_RATE_LIMIT_H
#define HTTP_NOTIFY_RATE_LIMIT_H

/* A token bucket, from which never more than a number of tokens is taken in one
   second. It holds a twentieth of them, so that a late timer costs nothing, and
   is filled at the rate that is left: nineteen twentieths are for sure. */
struct rate_limit {
	/* 0 = no limit */
	unsigned int per_second;
	/* in thousandths of a token */
	int64_t credit;
	/* when that was: monotonic, in milliseconds */
	int64_t updated;
};

/* It is full. per_second: UINT_MAX = no limit. */
void rate_limit_init(struct rate_limit *limit, unsigned int per_second);
/* Returns how many milliseconds there is none left, 0 = there is one. */
unsigned int rate_limit_wait(struct rate_limit *limit, int64_t now);
/* Take one, after rate_limit_wait() has returned 0. */
void rate_limit_take(struct rate_limit *limit);

#endif
