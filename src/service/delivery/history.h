/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HISTORY_H
#define HTTP_NOTIFY_HISTORY_H

/* What has happened in the last 24 hours, for all endpoints together: counts
   for each interval, in memory only. To count is to increment a number of the
   present interval; time is looked at by history_sample() alone. */
#define HISTORY_INTERVAL_SECS (5*60)
#define HISTORY_INTERVALS (24*60*60 / HISTORY_INTERVAL_SECS)

/* Delays are counted by powers of two: up to 1 s, 2 s, 4 s and so on, the last
   ones longer than 2^17 s, which is 36 hours. */
#define HISTORY_DELAYS 19

struct history_interval {
	/* notifications; retried: failed attempts that are followed by another.
	   As for struct endpoint_counters. */
	uint32_t stored, delivered, retried, refused, dropped, expired;
	/* those delivered, by the time since they were stored */
	uint32_t delays[HISTORY_DELAYS];
	/* the most that were seen: queued notifications, and endpoints none of
	   whose servers is up */
	uint32_t queued, down;
};

struct history {
	/* a ring: the present one, and so many before it */
	struct history_interval intervals[HISTORY_INTERVALS];
	unsigned int present, before;
	/* when the present one began: monotonic, in milliseconds */
	int64_t began;
};

void history_init(struct history *history, int64_t now);
/* To be called every few seconds: go on to the next interval when it is time
   to, and see how much is queued, and how many endpoints are down. */
void history_sample(struct history *history, int64_t now, unsigned int queued,
		    unsigned int down);

static inline struct history_interval *history_present(struct history *history)
{
	return &history->intervals[history->present];
}

/* One was delivered so many seconds after it was stored. */
void history_count_delay(struct history *history, int64_t secs);

/* Returns the interval that is so many before the present one, NULL if there is
   none. */
const struct history_interval *
history_get(const struct history *history, unsigned int before);

#endif
