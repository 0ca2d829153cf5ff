/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "rate-limit.h"

#define TOKEN 1000

/* How many it holds. */
static unsigned int rate_limit_size(const struct rate_limit *limit)
{
	return 1 + limit->per_second / 20;
}

/* How many it gets in a second. If it was full at first, one second has all of
   these but the last, which comes when that second is over. */
static unsigned int rate_limit_refill(const struct rate_limit *limit)
{
	return limit->per_second - rate_limit_size(limit) + 1;
}

void rate_limit_init(struct rate_limit *limit, unsigned int per_second)
{
	i_zero(limit);
	limit->per_second = per_second == UINT_MAX ? 0 : per_second;
	limit->credit = (int64_t)rate_limit_size(limit) * TOKEN;
}

unsigned int rate_limit_wait(struct rate_limit *limit, int64_t now)
{
	int64_t full = (int64_t)rate_limit_size(limit) * TOKEN;
	int64_t refill = rate_limit_refill(limit);
	/* a second fills it */
	int64_t msecs = I_MIN(now - limit->updated, 1000);

	if (limit->per_second == 0)
		return 0;
	limit->credit = I_MIN(limit->credit + msecs * refill, full);
	limit->updated = now;
	return limit->credit >= TOKEN ? 0 :
		(TOKEN - limit->credit + refill - 1) / refill;
}

void rate_limit_take(struct rate_limit *limit)
{
	if (limit->per_second > 0)
		limit->credit -= TOKEN;
}
