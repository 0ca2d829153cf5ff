/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str-sanitize.h"

#include "setting-names.h"
#include "monotonic.h"
#include "options.h"
#include "sender-answer.h"
#include "target.h"

/* The most that an answer's reason may add to a log line, in bytes. */
#define REASON_MAX 256

void targets_set_options(struct targets *targets,
			 const struct http_notify_options *options)
{
	pool_t old_pool = targets->pool;

	/* or a target would still point into the old pool */
	i_assert((options->standby_url != NULL) == (targets->count > 1));

	targets->pool = pool_alloconly_create("http-notify endpoint", 256);
	sender_target_init(&targets->targets[0].sender_target, options->url,
			   options, targets->pool);
	if (options->standby_url != NULL) {
		sender_target_init(&targets->targets[1].sender_target,
				   options->standby_url, options,
				   targets->pool);
	}
	pool_unref(&old_pool);
}

void targets_init(struct targets *targets, struct event *event,
		  const struct http_notify_options *options)
{
	unsigned int i;

	i_zero(targets);
	targets->event = event;
	targets->count = options->standby_url == NULL ? 1 : 2;
	for (i = 0; i < targets->count; i++) {
		targets->targets[i].since = http_notify_monotonic_msecs();
		health_init(&targets->targets[i].health);
	}
	targets_set_options(targets, options);
}

void targets_deinit(struct targets *targets)
{
	unsigned int i;

	for (i = 0; i < targets->count; i++)
		i_free(targets->targets[i].error);
	pool_unref(&targets->pool);
}

/* Choice */

bool targets_are_up(const struct targets *targets)
{
	unsigned int i;

	for (i = 0; i < targets->count; i++) {
		if (targets->targets[i].health.state == HEALTH_UP)
			return TRUE;
	}
	return FALSE;
}

struct target *targets_choose(struct targets *targets, int64_t now)
{
	unsigned int i;

	for (i = 0; i < targets->count; i++) {
		struct target *target = &targets->targets[i];

		if (health_may_send(&target->health, now))
			return target;
		if (target->health.state == HEALTH_UP)
			break;
	}
	return NULL;
}

struct target *targets_choose_for_untried(struct targets *targets)
{
	unsigned int i;

	for (i = 0; i < targets->count; i++) {
		if (health_may_send_untried(&targets->targets[i].health))
			return &targets->targets[i];
	}
	return NULL;
}

int64_t targets_next_probe(const struct targets *targets, int64_t now)
{
	int64_t wait = -1, msecs;
	unsigned int i;

	for (i = 0; i < targets->count; i++) {
		const struct health *health = &targets->targets[i].health;

		if (health->state == HEALTH_UP || health->in_flight > 0)
			continue;
		msecs = I_MAX(health->next_probe - now, 0);
		wait = wait < 0 ? msecs : I_MIN(wait, msecs);
	}
	return wait;
}

unsigned int targets_probe_now(struct targets *targets, bool misconfigured_only)
{
	unsigned int i, count = 0;

	for (i = 0; i < targets->count; i++) {
		struct health *health = &targets->targets[i].health;

		if (health->state == HEALTH_MISCONFIGURED ||
		    (health->state != HEALTH_UP && !misconfigured_only)) {
			health->next_probe = 0;
			count++;
		}
	}
	return count;
}

unsigned int targets_in_flight(const struct targets *targets)
{
	unsigned int i, count = 0;

	for (i = 0; i < targets->count; i++)
		count += targets->targets[i].health.in_flight;
	return count;
}

/* Up and down */

static void
target_log_up(struct targets *targets, const struct target *target,
	      unsigned int queued, unsigned int given_up, int64_t now)
{
	const char *label = target->sender_target.label;
	int64_t secs = (now - target->since) / 1000;
	struct event_passthrough *e =
		event_create_passthrough(targets->event)->
		set_name("http_notify_endpoint_up")->
		add_str("endpoint", label)->
		add_int("down_secs", secs);

	e_info(e->event(), "Endpoint %s is up again after %"PRId64" s: "
	       "%u notifications queued, %u given up",
	       label, secs, queued, given_up);
}

static void
target_log_down(struct targets *targets, const struct target *target)
{
	const char *label = target->sender_target.label;
	struct event_passthrough *e =
		event_create_passthrough(targets->event)->
		set_name("http_notify_endpoint_down")->
		add_str("endpoint", label)->
		add_str("state", health_state_name(target->health.state))->
		add_str("error", target->error);

	if (target->health.state == HEALTH_DOWN) {
		e_error(e->event(), "Endpoint %s is down; keeping "
			"notifications and trying again: %s", label, target->error);
	} else {
		e_error(e->event(), "Endpoint %s rejects all notifications; "
			"keeping them (check "SETTING_URL" and "
			"credentials): %s", label, target->error);
	}
}

enum answer_class
targets_answered(struct targets *targets, struct target *target,
		 struct blame *blame, const struct answer *answer,
		 unsigned int queued, unsigned int given_up, int64_t now,
		 bool *went_down_r)
{
	enum answer_class class = answer_classify(answer);

	*went_down_r = FALSE;
	if (class != ANSWER_DONE) {
		i_free(target->error);
		target->error = i_strdup(str_sanitize(answer->reason,
						      REASON_MAX));
	}
	if (!health_answered(&target->health, blame, class,
			     answer->retry_after_secs, now))
		return class;
	if (target->health.state == HEALTH_UP)
		target_log_up(targets, target, queued, given_up, now);
	else {
		target_log_down(targets, target);
		*went_down_r = TRUE;
	}
	target->since = now;
	return class;
}
