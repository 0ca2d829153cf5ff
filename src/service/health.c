#include "lib.h"

#include "health.h"

unsigned int health_jitter(unsigned int msecs)
{
	return i_rand_minmax(msecs - msecs/4, msecs + msecs/4);
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
	/* Requests from before it went down are awaited first. */
	return health->in_flight == 0 && now >= health->next_probe;
}

void health_sent(struct health *health)
{
	health->in_flight++;
	health->probing = health->state != HEALTH_UP;
}

static void health_good(struct health *health)
{
	if (health->state != HEALTH_UP) {
		unsigned int in_flight = health->in_flight;

		health_init(health);
		health->in_flight = in_flight;
	} else {
		health->failures = 0;
		if (health->window < HEALTH_WINDOW_MAX)
			health->window++;
	}
}

static void
health_bad(struct health *health, enum health_state state,
	   unsigned int retry_after_secs, int64_t now)
{
	bool misconfigured = state == HEALTH_MISCONFIGURED;

	if (health->state != HEALTH_UP && !health->probing) {
		/* a request from before it went down */
		return;
	}
	if (health->state != state) {
		health->state = state;
		health->probe_interval_msecs = misconfigured ?
			HEALTH_MISCONFIGURED_PROBE_MIN_MSECS :
			HEALTH_PROBE_MIN_MSECS;
	} else {
		health->probe_interval_msecs =
			I_MIN(health->probe_interval_msecs * 2, misconfigured ?
			      HEALTH_MISCONFIGURED_PROBE_MAX_MSECS :
			      HEALTH_PROBE_MAX_MSECS);
	}
	health->probing = FALSE;
	health->next_probe = now + (retry_after_secs == 0 ?
		health_jitter(health->probe_interval_msecs) :
		I_MIN(retry_after_secs, HEALTH_RETRY_AFTER_MAX_SECS) * 1000);
}

bool health_answered(struct health *health, enum answer_class answer,
		     bool again, unsigned int retry_after_secs, int64_t now)
{
	enum health_state old_state = health->state;

	i_assert(health->in_flight > 0);
	health->in_flight--;

	if (again && health->state == HEALTH_UP &&
	    answer != ANSWER_DONE && answer != ANSWER_REFUSED) {
		/* this notification is to blame */
		return FALSE;
	}
	switch (answer) {
	case ANSWER_DONE:
	case ANSWER_REFUSED:
		health_good(health);
		break;
	case ANSWER_RETRY:
		if (health->state == HEALTH_UP && retry_after_secs == 0 &&
		    ++health->failures < HEALTH_MAX_FAILURES) {
			health->window = I_MAX(health->window / 2, 1);
			break;
		}
		health_bad(health, HEALTH_DOWN, retry_after_secs, now);
		break;
	case ANSWER_UNREACHABLE:
		health_bad(health, HEALTH_DOWN, 0, now);
		break;
	case ANSWER_MISCONFIGURED:
		health_bad(health, HEALTH_MISCONFIGURED, 0, now);
		break;
	}
	return health->state != old_state;
}
