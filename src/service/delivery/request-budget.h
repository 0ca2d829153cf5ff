/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REQUEST_BUDGET_H
#define HTTP_NOTIFY_REQUEST_BUDGET_H

#include "rate-limit.h"

struct request_share;

/* How many requests may be under way, for all endpoints together. */
struct request_budget {
	unsigned int max, used;
	/* how many shares have requests or wait for one */
	unsigned int users;
	struct request_share *waiting_head, *waiting_tail;
};

/* An endpoint's share of the budget. It is the caller's, who sets the budget,
   the callback and how many may be started in a second; all else is zero at
   first. */
struct request_share {
	struct request_share *prev, *next;
	struct request_budget *budget;
	/* Called when request_share_take() may be called again. It must not
	   call that itself. */
	void (*granted_callback)(void *context);
	void *context;
	struct rate_limit rate;
	/* until that allows another one */
	struct timeout *to_rate;

	/* requests under way, and one that was granted */
	unsigned int used;
	bool waiting, granted;
};

/* May a request be started? If so, it is counted. If not, the share waits, and
   the callback is called when it is its turn: then one is kept for it, until it
   takes or returns it; or when the rate allows another one: while it waits for
   that, it has no part of the budget. */
bool request_share_take(struct request_share *share);
/* A request has ended. */
void request_share_done(struct request_share *share);
/* What was granted is not needed. Does nothing if nothing was. */
void request_share_return(struct request_share *share);
/* Gives back what the share has. */
void request_share_deinit(struct request_share *share);

#endif
