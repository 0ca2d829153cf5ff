/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HEALTH_H
#define HTTP_NOTIFY_HEALTH_H

#include "answer.h"

/* What is known about a server that notifications are sent to, and what
   follows for how many may be under way. It knows neither queue nor HTTP; the
   caller tells it what happened and when. Times are milliseconds of a
   monotonic clock. */

/* Probes of a server that is down: from the first to the slowest. Jitter is a
   quarter more or less, so no more than a minute passes. */
#define HEALTH_PROBE_MIN_MSECS (1*1000)
#define HEALTH_PROBE_MAX_MSECS (48*1000)
/* The first one if only an admin can fix it. */
#define HEALTH_MISCONFIGURED_PROBE_MIN_MSECS (30*1000)
/* The longest Retry-After that is believed. */
#define HEALTH_RETRY_AFTER_MAX_SECS (10*60)

/* Requests under way: at first, and at most. */
#define HEALTH_WINDOW_MIN 4
#define HEALTH_WINDOW_MAX 64
/* This many notifications that fail without a success between them mean that it
   is not the notifications' fault. */
#define HEALTH_MAX_FAILURES 5

enum health_state {
	HEALTH_UP,
	/* probed by one request at a time */
	HEALTH_DOWN,
	/* likewise, more slowly */
	HEALTH_MISCONFIGURED
};

const char *health_state_name(enum health_state state);

struct health {
	enum health_state state;

	unsigned int in_flight;
	/* while up: as many may be in flight; one more with each success, half
	   as many after a failure */
	unsigned int window;
	/* while up: failures since the last success */
	unsigned int failures;
	/* notifications that it has taken, ever */
	uint64_t taken;

	/* while not up */
	int64_t next_probe;
	unsigned int probe_interval_msecs;
	bool probing;
	/* next_probe is what the server has asked for */
	bool asked;
	/* it went down because of one repeatedly failing notification; no other
	   has been tried since */
	bool doubtful;
};

/* How far one notification itself is to blame for its failures: those that
   happen while its server accepts others. Zero at first. */
struct blame {
	/* where it was last tried, and how many others that had accepted
	   then */
	const struct health *tried;
	uint64_t taken;
	/* it has failed there */
	bool failed;
	/* failures blamed on the notification: its server accepted others in
	   between */
	unsigned int strikes;
};

/* Strikes after which a notification is to be given up: it has failed for some
   minutes by then. */
#define BLAME_STRIKES_MAX 6

void health_init(struct health *health);

/* May one more request be sent? */
bool health_may_send(const struct health *health, int64_t now);
/* May it if it is for a notification that has not failed yet? */
bool health_may_send_untried(const struct health *health);
/* One was sent, of a notification with this blame. */
void health_sent(struct health *health, struct blame *blame);
/* It was answered; blame is that of its notification. Returns TRUE if the state
   changed. */
bool health_answered(struct health *health, struct blame *blame,
		     enum answer_class answer, unsigned int retry_after_secs,
		     int64_t now);

/* The interval with jitter: a quarter more or less. */
unsigned int health_jitter(unsigned int msecs);

#endif
