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
	return health->doubtful && !health->asked && health->in_flight == 0;
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
	} else if (health->window < HEALTH_WINDOW_MAX)
		health->window++;
	health->failures = 0;
}

static void health_shrink_window(struct health *health)
{
	health->window = I_MAX(health->window / 2, 1);
}

static void
health_bad(struct health *health, enum health_state state, bool again,
	   unsigned int retry_after_secs, int64_t now)
{
	if (health->state != HEALTH_UP && !health->probing) {
		/* a request from before it went down, which says nothing new */
		return;
	}
	if (health->state == HEALTH_UP)
		health->doubtful = again;
	else if (!again)
		health->doubtful = FALSE;
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

/* again: the notification has failed at this server before. blamed: since then,
   or since its first attempt here, the server accepted or refused others. */
static void
health_failed(struct health *health, enum answer_class answer, bool again,
	      bool blamed, unsigned int retry_after_secs, int64_t now)
{
	/* a server that says when to come back means all notifications */
	if (blamed && health->state == HEALTH_UP &&
	    !(answer == ANSWER_LATER && retry_after_secs > 0)) {
		/* or the server can't handle so many at once */
		if (answer != ANSWER_MISCONFIGURED)
			health_shrink_window(health);
		return;
	}

	if (answer == ANSWER_MISCONFIGURED)
		health_bad(health, HEALTH_MISCONFIGURED, again, 0, now);
	else if (answer == ANSWER_UNREACHABLE || retry_after_secs > 0 ||
		 health->state != HEALTH_UP ||
		 ++health->failures >= HEALTH_MAX_FAILURES)
		health_bad(health, HEALTH_DOWN, again, retry_after_secs, now);
	else
		health_shrink_window(health);
}

static void
blame_failed(struct blame *blame, const struct health *health,
	     enum answer_class answer, bool blamed)
{
	blame->taken = health->taken;
	blame->failed = TRUE;
	if (blamed && health->state == HEALTH_UP &&
	    (answer == ANSWER_FAILED || answer == ANSWER_UNREACHABLE))
		blame->strikes++;
}

bool health_answered(struct health *health, struct blame *blame,
		     enum answer_class answer, unsigned int retry_after_secs,
		     int64_t now)
{
	enum health_state old_state = health->state;
	bool blamed = health->taken != blame->taken;

	i_assert(health->in_flight > 0);
	health->in_flight--;
	if (answer == ANSWER_DONE || answer == ANSWER_REFUSED)
		health_good(health);
	else {
		health_failed(health, answer, blame->failed, blamed,
			      retry_after_secs, now);
		blame_failed(blame, health, answer, blamed);
	}
	return health->state != old_state;
}
