/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HEALTH_H
#define HTTP_NOTIFY_HEALTH_H

#include "answer.h"

/* What is known about a server that notifications are sent to, and how many
   requests may be under way there. It knows neither queue nor HTTP; the caller
   tells it what happened and when. Times are monotonic, in milliseconds. */

/* Intervals between probes of a server that is down: they double from the first
   to the longest, which with jitter (up to a quarter more) is a minute. */
#define HEALTH_PROBE_MIN_MSECS (1*1000)
#define HEALTH_PROBE_MAX_MSECS (48*1000)
/* The first interval for a server that is misconfigured, which only an admin
   can fix. */
#define HEALTH_MISCONFIGURED_PROBE_MIN_MSECS (30*1000)
/* A longer Retry-After is shortened to this. */
#define HEALTH_RETRY_AFTER_MAX_SECS (10*60)

/* How many requests may be under way: at first, and at most. */
#define HEALTH_WINDOW_MIN 4
#define HEALTH_WINDOW_MAX 64
/* After this many failures without a success in between, the server is to blame
   and not the notifications. */
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
	/* while up: how many may be in flight; one more after each success,
	   half as many after a failure */
	unsigned int window;
	/* while up: failures since the last success, except for those that are
	   blamed on their notifications */
	unsigned int failures;
	/* notifications accepted or refused since health_init() */
	uint64_t taken;

	/* while not up; probing: a probe is under way */
	int64_t next_probe;
	unsigned int probe_interval_msecs;
	bool probing;
	/* next_probe is when the server has asked to come back (Retry-After) */
	bool asked;
	/* it went down because of one repeatedly failing notification; no other
	   has been tried since */
	bool doubtful;
};

/* How far a notification itself is to blame for its failures: for those that
   happen while its server accepts or refuses others. All zero at first. */
struct blame {
	/* where it was last tried, and what that server's taken was when it was
	   first sent there or last failed there */
	const struct health *tried;
	uint64_t taken;
	/* it has failed there before */
	bool failed;
	/* failures blamed on the notification, which only ANSWER_FAILED and
	   ANSWER_UNREACHABLE can be: its server accepted or refused others in
	   between */
	unsigned int strikes;
};

/* A notification is to be given up after this many strikes: by then it has
   failed for some minutes. */
#define BLAME_STRIKES_MAX 6

void health_init(struct health *health);

/* May a request be sent now? */
bool health_may_send(const struct health *health, int64_t now);
/* If not, may one be sent for a notification that has not failed yet? Only that
   can tell whether the server is down or another notification is to blame. */
bool health_may_send_untried(const struct health *health);
/* A request was sent; blame is that of its notification. */
void health_sent(struct health *health, struct blame *blame);
/* The request has ended. Returns TRUE if the state has changed. */
bool health_answered(struct health *health, struct blame *blame,
		     enum answer_class answer, unsigned int retry_after_secs,
		     int64_t now);

/* Returns msecs with jitter: up to a quarter more or less. */
unsigned int health_jitter(unsigned int msecs);

#endif
