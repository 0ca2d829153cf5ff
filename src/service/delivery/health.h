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
	/* while up: how many may be in flight; half as many after a failure,
	   and more after successes: slowly from window_slow on */
	unsigned int window, window_slow, window_successes;
	/* those that were in flight when it was halved: what becomes of them
	   does not halve it again */
	unsigned int window_hold;
	/* while up: failures since the last success, except for those that are
	   blamed on their notifications */
	unsigned int failures;
	/* notifications accepted since health_init() */
	uint64_t taken;
	/* while up: how many of the notifications fail when they are first
	   sent, of HEALTH_FAILING_ALL: a moving average */
	unsigned int failing;
	/* taken when it last asked one notification to come back later */
	uint64_t asked_taken;
	bool asked_one;

	/* while not up; probing: a probe is under way */
	int64_t next_probe;
	unsigned int probe_interval_msecs;
	bool probing;
	/* next_probe is when the server has asked to come back (Retry-After) */
	bool asked;
	/* it went down because of one notification; no other has been tried
	   since */
	bool doubtful;
};

#define HEALTH_FAILING_ALL 1024

/* How far a notification itself is to blame for its failures: for those that
   happen while its server accepts others. All zero at first. */
struct blame {
	/* where it was last tried, and what that server's taken was when it was
	   first sent there or last failed there */
	const struct health *tried;
	uint64_t taken;
	/* it has failed there before */
	bool failed;
	/* how often it has failed though its server accepted others in
	   between */
	unsigned int strikes;
	/* what these strikes prove: the more, the fewer others fail. One counts
	   BLAME_STRIKE at most, and twice that if the answer said that it is
	   refused. */
	unsigned int evidence;
};

#define BLAME_STRIKE 1024
/* It may be to blame: others of its user need not wait for it. */
#define BLAME_SUSPECTED (BLAME_STRIKE / 2)
/* It is to be given up, after six failures or three refusals if all others are
   accepted. Where half of all fail it takes 24, three quarters 96: so many in a
   row fail by chance once in millions of notifications. */
#define BLAME_PROVED (5 * BLAME_STRIKE + 1)

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
