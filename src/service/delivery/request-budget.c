/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shares that wait have their turns in the order in which they came, but for
   those that have their fair share already: nobody waits behind these. */
#include "lib.h"
#include "ioloop.h"
#include "llist.h"

#include "fair-share.h"
#include "monotonic.h"
#include "request-budget.h"

static bool request_share_is_user(const struct request_share *share)
{
	return share->used > 0 || share->waiting;
}

static void request_share_add(struct request_share *share)
{
	if (!request_share_is_user(share))
		share->budget->users++;
	share->used++;
	share->budget->used++;
}

static bool request_share_is_allowed(const struct request_share *share)
{
	const struct request_budget *budget = share->budget;
	unsigned int users = budget->users +
		(request_share_is_user(share) ? 0 : 1);

	return fair_share_allows(budget->used, budget->max, share->used,
				 users);
}

static void request_share_wait(struct request_share *share)
{
	struct request_budget *budget = share->budget;

	if (share->waiting)
		return;
	if (!request_share_is_user(share))
		budget->users++;
	share->waiting = TRUE;
	DLLIST2_APPEND(&budget->waiting_head, &budget->waiting_tail, share);
}

static void request_share_wait_no_more(struct request_share *share)
{
	struct request_budget *budget = share->budget;

	if (!share->waiting)
		return;
	share->waiting = FALSE;
	DLLIST2_REMOVE(&budget->waiting_head, &budget->waiting_tail, share);
	if (!request_share_is_user(share))
		budget->users--;
}

static void request_budget_grant(struct request_budget *budget)
{
	struct request_share *share = budget->waiting_head, *next;

	for (; share != NULL && budget->used < budget->max; share = next) {
		next = share->next;
		if (request_share_is_allowed(share)) {
			request_share_add(share);
			request_share_wait_no_more(share);
			share->granted = TRUE;
			share->granted_callback(share->context);
		}
	}
}

static void request_share_rate_waited(struct request_share *share)
{
	timeout_remove(&share->to_rate);
	share->granted_callback(share->context);
}

static bool request_share_rate_allows(struct request_share *share)
{
	unsigned int msecs =
		rate_limit_wait(&share->rate, http_notify_monotonic_msecs());

	if (msecs > 0 && share->to_rate == NULL) {
		share->to_rate = timeout_add_short(
			msecs, request_share_rate_waited, share);
	}
	return msecs == 0;
}

bool request_share_take(struct request_share *share)
{
	if (!request_share_rate_allows(share))
		return FALSE;
	if (share->granted) {
		/* it is counted already */
		share->granted = FALSE;
		rate_limit_take(&share->rate);
		return TRUE;
	}
	if (!request_share_is_allowed(share)) {
		request_share_wait(share);
		return FALSE;
	}
	request_share_add(share);
	request_share_wait_no_more(share);
	rate_limit_take(&share->rate);
	return TRUE;
}

void request_share_done(struct request_share *share)
{
	struct request_budget *budget = share->budget;

	i_assert(share->used > 0);

	share->used--;
	budget->used--;
	if (!request_share_is_user(share))
		budget->users--;
	request_budget_grant(budget);
}

void request_share_return(struct request_share *share)
{
	if (share->granted) {
		share->granted = FALSE;
		request_share_done(share);
	}
}

void request_share_deinit(struct request_share *share)
{
	timeout_remove(&share->to_rate);
	request_share_wait_no_more(share);
	share->granted = FALSE;
	while (share->used > 0)
		request_share_done(share);
}
