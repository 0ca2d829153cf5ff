/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "health.h"

unsigned int health_jitter(unsigned int msecs)
{
	return i_rand_minmax(msecs - msecs/4, msecs + msecs/4);
}

const char *health_state_name(enum health_state state)
{
	switch (state) {
	case HEALTH_UP:
		return "up";
	case HEALTH_DOWN:
		return "down";
	case HEALTH_MISCONFIGURED:
		return "misconfigured";
	}
	i_unreached();
}

void health_init(struct health *health)
{
	i_zero(health);
	health->window = HEALTH_WINDOW_MIN;
	health->window_slow = HEALTH_WINDOW_MAX;
}

bool health_may_send(const struct health *health, int64_t now)
{
	if (health->state == HEALTH_UP)
		return health->in_flight < health->window;
	/* Requests from before it went down must have ended first. */
	return health->in_flight == 0 && now >= health->next_probe;
}

bool health_may_send_untried(const struct health *health)
{
	return health->doubtful && health->in_flight == 0;
}

void health_sent(struct health *health, struct blame *blame)
{
	health->in_flight++;
	health->probing = health->state != HEALTH_UP;
	if (blame->tried != health) {
		blame->tried = health;
		blame->taken = health->taken;
		blame->failed = FALSE;
	}
}

/* As TCP does (RFC 5681 section 3.1): by one for each success, and where it was
   too many before, by one for all that are under way. */
static void health_grow_window(struct health *health)
{
	if (health->window >= HEALTH_WINDOW_MAX ||
	    (health->window >= health->window_slow &&
	     ++health->window_successes < health->window))
		return;
	health->window++;
	health->window_successes = 0;
}

static void health_good(struct health *health)
{
	health->taken++;
	if (health->state != HEALTH_UP) {
		if (health->asked && !health->probing) {
			/* it was sent before the server asked for a pause,
			   which goes on */
			return;
		}
		/* requests from before it went down still count as in flight */
		health->state = HEALTH_UP;
		health->doubtful = FALSE;
		health->window = HEALTH_WINDOW_MIN;
		health->window_slow = HEALTH_WINDOW_MAX;
		health->window_hold = 0;
	} else
		health_grow_window(health);
	health->failures = 0;
}

static void health_shrink_window(struct health *health)
{
	if (health->window_hold > 0)
		return;
	health->window = I_MAX(health->window / 2, 1);
	health->window_slow = health->window;
	health->window_hold = health->in_flight;
}

/* doubtful: it may be its notification's fault. */
static void
health_bad(struct health *health, enum health_state state, bool doubtful,
	   unsigned int retry_after_secs, int64_t now)
{
	if (health->state == HEALTH_UP)
		health->doubtful = doubtful;
	else if (!doubtful)
		health->doubtful = FALSE;
	if (health->state != HEALTH_UP && !health->probing) {
		/* a request from before it went down */
		return;
	}
	if (health->state != state) {
		health->state = state;
		health->probe_interval_msecs = state == HEALTH_MISCONFIGURED ?
			HEALTH_MISCONFIGURED_PROBE_MIN_MSECS :
			HEALTH_PROBE_MIN_MSECS;
	} else {
		health->probe_interval_msecs =
			I_MIN(health->probe_interval_msecs * 2,
			      HEALTH_PROBE_MAX_MSECS);
	}
	health->probing = FALSE;
	health->asked = retry_after_secs > 0;
	health->next_probe = now + (!health->asked ?
		health_jitter(health->probe_interval_msecs) :
		I_MIN(retry_after_secs, HEALTH_RETRY_AFTER_MAX_SECS) * 1000);
}

/* A server that asks for a pause may ask one user for it, while it accepts
   others. If it does so twice in a row, it asks all. */
static bool health_asks_all(struct health *health, bool blamed)
{
	bool twice = health->asked_one && health->asked_taken == health->taken;

	health->asked_one = TRUE;
	health->asked_taken = health->taken;
	return !blamed || twice;
}

/* again: its notification has failed here before. blamed: the server has
   accepted others meanwhile. */
static void
health_failed(struct health *health, enum answer_class answer, bool again,
	      bool blamed, unsigned int retry_after_secs, int64_t now)
{
	enum health_state state = HEALTH_DOWN;

	if (answer == ANSWER_MISCONFIGURED) {
		state = HEALTH_MISCONFIGURED;
		retry_after_secs = 0;
	} else if (answer == ANSWER_REFUSED) {
		/* says nothing new of a server that is down */
		state = health->state == HEALTH_UP ?
			HEALTH_MISCONFIGURED : health->state;
	}

	if (health->state != HEALTH_UP)
		health_bad(health, state, again, retry_after_secs, now);
	else if (retry_after_secs > 0) {
		if (health_asks_all(health, blamed)) {
			health_bad(health, HEALTH_DOWN, again || !blamed,
				   retry_after_secs, now);
		}
	} else if (!blamed && (answer == ANSWER_MISCONFIGURED ||
			       answer == ANSWER_UNREACHABLE ||
			       ++health->failures >= HEALTH_MAX_FAILURES)) {
		health_bad(health, state,
			   again || answer == ANSWER_MISCONFIGURED, 0, now);
	} else if (!again && state == HEALTH_DOWN) {
		/* it may be too many at once */
		health_shrink_window(health);
	}
}

static void
blame_failed(struct blame *blame, const struct health *health,
	     enum answer_class answer, bool blamed)
{
	unsigned int accepting = HEALTH_FAILING_ALL - health->failing;

	blame->taken = health->taken;
	blame->failed = TRUE;
	if (!blamed || health->state != HEALTH_UP)
		return;
	blame->strikes++;
	blame->evidence += BLAME_STRIKE * accepting / HEALTH_FAILING_ALL *
		accepting / HEALTH_FAILING_ALL *
		(answer == ANSWER_REFUSED ? 2 : 1);
}

/* When a notification is first sent. */
static void health_count_failing(struct health *health, bool failed)
{
	if (failed)
		health->failing += (HEALTH_FAILING_ALL - health->failing) / 16;
	else
		health->failing -= health->failing / 16;
}

bool health_answered(struct health *health, struct blame *blame,
		     enum answer_class answer, unsigned int retry_after_secs,
		     int64_t now)
{
	enum health_state old_state = health->state;
	bool blamed = health->taken != blame->taken;
	bool held = health->window_hold > 0;

	i_assert(health->in_flight > 0);
	health->in_flight--;
	if (!blame->failed && health->state == HEALTH_UP)
		health_count_failing(health, answer != ANSWER_DONE);
	if (answer == ANSWER_DONE)
		health_good(health);
	else {
		health_failed(health, answer, blame->failed, blamed,
			      retry_after_secs, now);
		blame_failed(blame, health, answer, blamed);
	}
	if (held && health->window_hold > 0)
		health->window_hold--;
	return health->state != old_state;
}
