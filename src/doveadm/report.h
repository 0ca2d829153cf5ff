/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REPORT_H
#define HTTP_NOTIFY_REPORT_H

#include "admin-protocol.h"

/* What "doveadm http-notify report" shows. Texts may be hostile: they are what
   users and endpoints have set, but for control characters. */

/* By the fields of HISTORY. */
struct report_interval {
	uint64_t fields[HTTP_NOTIFY_ADMIN_HISTORY_COUNT];
};

/* Notifications of one endpoint that were given up for the same reason. */
struct report_loss {
	const char *reason, *endpoint, *answer;
	/* whose the last one was */
	const char *username;
	uint64_t count;
	/* when the first and the last one was given up, in seconds ago */
	uint64_t first, last;
};

struct report {
	pool_t pool;
	time_t now;
	/* rows of STATUS: those not up first, then by what is queued and
	   delivered; and the row of totals */
	ARRAY(const char *const *) endpoints;
	const char *const *total;
	/* in the order of time, at least one */
	ARRAY(struct report_interval) intervals;
	/* those with the most first; and how many notifications are in none,
	   since there would be too many of these */
	ARRAY(struct report_loss) losses;
	uint64_t other_losses;
	/* not all could be read, such as while PostgreSQL can't be */
	bool losses_unknown;
};

/* Ask the service. Returns NULL after logging why that failed. That the losses
   are unknown is logged, too. */
struct report *report_get(void);
void report_free(struct report **report);

/* A number in a row of STATUS. */
uint64_t report_status_num(const char *const *row,
			   enum http_notify_admin_status field);

/* Within what time this share of an interval's notifications, or of those of
   several (sums), was delivered, as a power of two: 0 = 1 s, 1 = 2 s and so on;
   HTTP_NOTIFY_ADMIN_HISTORY_COUNT - HTTP_NOTIFY_ADMIN_HISTORY_DELAYS - 1 =
   longer than the one before; -1 = nothing was delivered. */
int report_delay(const struct report_interval *interval, double share);
/* Returns the counts of all intervals together; AGO is that of the first. */
struct report_interval report_sum(const struct report *report);

#endif
