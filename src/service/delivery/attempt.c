/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "llist.h"
#include "str-sanitize.h"

#include "attempt.h"
#include "body-event.h"
#include "endpoint-private.h"
#include "endpoint-watch.h"
#include "live.h"
#include "monotonic.h"
#include "queue.h"
#include "sender.h"

struct attempt {
	struct attempt *prev, *next;
	struct endpoint *ep;
	/* Whom it is for. When the part goes away, both are NULL; when it comes
	   back, its lanes are others. */
	struct part *part;
	struct lane *lane;
	struct queue_item *item;
	/* counted from 1 */
	unsigned int number;
	/* the lane's, once that is NULL */
	struct blame blame;
	struct target *target;
	/* monotonic, in milliseconds */
	int64_t sent;
	struct event *event;
	/* the endpoint's options_changes when this was sent */
	unsigned int options_changes;
	/* sent to a server that was not up */
	bool probe;
};

static void attempt_free(struct attempt *attempt)
{
	struct part *part = attempt->part;

	DLLIST_REMOVE(&attempt->ep->attempts, attempt);
	request_share_done(&attempt->ep->requests);
	if (!attempt->probe)
		attempt->ep->common->in_flight--;
	event_unref(&attempt->event);
	queue_item_unref(&attempt->item);
	i_free(attempt);
	if (part != NULL)
		part_request_ended(part);
}

/* It will be tried again. */
static void
attempt_lane_goes_on(struct attempt *attempt, const struct answer *answer)
{
	struct lane *lane = attempt->lane;
	bool up = attempt->target->health.state == HEALTH_UP;

	if (lane_step_back(lane)) {
		/* it is not that one which is to blame */
		if (!up)
			(void)lane_hurry(lane);
		part_lane_turn(lane);
	} else if (up) {
		part_lane_wait(lane, I_MIN(answer->retry_after_secs,
					   HEALTH_RETRY_AFTER_MAX_SECS) * 1000);
	} else {
		/* the server's probes, not this notification, decide when to
		   try again */
		part_lane_turn(lane);
	}
}

static void attempt_dropped(struct attempt *attempt, const char *reason)
{
	ENDPOINT_COUNT(attempt->ep, dropped);
	part_lane_lost(attempt->lane, QUEUE_LOSS_DROPPED, reason);
}

static void
attempt_failed(struct attempt *attempt, const struct answer *answer,
	       enum answer_class class)
{
	struct endpoint *ep = attempt->ep;
	struct lane *lane = attempt->lane;
	const struct blame *blame = lane_blame(lane);

	lane_failed(lane, attempt->target->error);
	if (class == ANSWER_REFUSED && (lane_attempts(lane) > ep->max_retries ||
					blame->evidence >= BLAME_PROVED)) {
		ENDPOINT_COUNT(ep, refused);
		part_lane_lost(lane, QUEUE_LOSS_REFUSED, t_strconcat(
			"refused: ", lane_error(lane), NULL));
		return;
	}
	if (lane_attempts(lane) > ep->max_retries) {
		attempt_dropped(attempt, t_strdup_printf(
			"max_retries=%u reached: %s", ep->max_retries,
			lane_error(lane)));
		return;
	}
	if (blame->evidence >= BLAME_PROVED && class != ANSWER_LATER) {
		attempt_dropped(attempt, t_strdup_printf("failed %u "
			"times while the endpoint accepted others: %s",
			blame->strikes, lane_error(lane)));
		return;
	}
	ENDPOINT_COUNT(ep, retried);
	live_tell(ep->common->live, LIVE_RETRIED, lane_item(lane),
		  attempt->target->sender_target.label, lane_error(lane));
	event_set_name(attempt->event, "http_notify_retried");
	e_debug(attempt->event, "Attempt %u for user=%s failed, there will be "
		"another", lane_attempts(lane),
		str_sanitize(lane_username(lane), 128));
	queue_set_attempts(ep->common->queue, lane_id(lane),
			   lane_attempts(lane));
	attempt_lane_goes_on(attempt, answer);
}

/* Its part is another process's, or is new since. */
static void attempt_failed_late(struct attempt *attempt)
{
	e_debug(attempt->event, "Attempt %u for user=%s failed after another "
		"process could send it", attempt->number,
		str_sanitize(attempt->item->username, 128));
	if (attempt->part == NULL) {
		endpoint_tell_finished(attempt->ep, attempt->item->id,
			"not delivered; another host sends it now");
	}
}

static void attempt_delivered(struct attempt *attempt)
{
	struct endpoint *ep = attempt->ep;
	const struct queue_item *item = attempt->item;
	int64_t age = queue_now(ep->common->queue) - item->created;
	enum http_notify_mail_event what;

	event_set_name(attempt->event, "http_notify_delivered");
	event_add_int(attempt->event, "age", age);
	e_debug(attempt->event, "Delivered for user=%s, %"PRId64" s after it "
		"was queued", str_sanitize(item->username, 128), age);

	ENDPOINT_COUNT(ep, delivered);
	history_count_delay(&ep->common->history, age);
	if (http_notify_mail_event_find(http_notify_body_event(item->body),
					&what) == 0) {
		ep->counters.delivered_of[what]++;
		ep->common->counters.delivered_of[what]++;
	}
	live_tell(ep->common->live, LIVE_DELIVERED, item,
		  attempt->target->sender_target.label, "");
	if (attempt->lane != NULL)
		part_remove(attempt->part, item);
	else
		queue_remove(ep->common->queue, item->id, item->body_size);
	endpoint_tell_finished(ep, item->id, NULL);
	if (attempt->lane != NULL)
		part_lane_done(attempt->lane);
}

/* error: NULL = the endpoint has accepted it */
static void
attempt_finished(struct attempt *attempt, const struct answer *answer,
		 const char *error, int64_t now)
{
	const char *label = attempt->target->sender_target.label;
	const struct queue_item *item = attempt->item;
	unsigned int msecs = now - attempt->sent;

	event_set_name(attempt->event, "http_notify_attempt_finished");
	event_add_int(attempt->event, "status_code", answer->status);
	if (error != NULL)
		event_add_str(attempt->event, "error", error);
	e_debug(attempt->event, "Attempt %u at %s for user=%s: %s (%u ms)",
		attempt->number, label,
		str_sanitize(item->username, 128),
		error == NULL ? "taken" : error, msecs);
	if (attempt->ep->common->live != NULL) {
		live_tell(attempt->ep->common->live, LIVE_ANSWERED,
			  item, label, t_strdup_printf("%s (%u ms)",
				error == NULL ? "taken" : error, msecs));
	}
	endpoint_watches_answered(attempt->ep->common->watches, item->id,
				  label, answer, msecs);
}

static void attempt_answered(const struct answer *answer, void *context)
{
	struct attempt *attempt = context;
	struct endpoint *ep = attempt->ep;
	struct target *target = attempt->target;
	int64_t now = http_notify_monotonic_msecs();
	enum answer_class class;
	bool went_down;

	class = targets_answered(&ep->targets, target,
				 attempt->lane == NULL ? &attempt->blame :
				 lane_blame(attempt->lane), answer, ep->queued,
				 ep->given_up, now, &went_down);
	if (went_down)
		ep->given_up = 0;
	if (target->health.state == HEALTH_MISCONFIGURED &&
	    attempt->options_changes != ep->options_changes) {
		/* it was sent with options that have changed since: probe with
		   the new ones at once */
		target->health.next_probe = 0;
	}
	attempt_finished(attempt, answer,
			 class == ANSWER_DONE ? NULL : target->error, now);

	if (class == ANSWER_DONE)
		attempt_delivered(attempt);
	else if (attempt->lane == NULL)
		attempt_failed_late(attempt);
	else
		attempt_failed(attempt, answer, class);
	attempt_free(attempt);
	endpoint_pump(ep);
}

void attempt_start(struct endpoint *ep, struct lane *lane,
		   struct target *target)
{
	struct queue_item *item = lane_item(lane);
	struct attempt *attempt;

	part_sending(lane);
	attempt = i_new(struct attempt, 1);
	attempt->ep = ep;
	attempt->part = lane_part(lane);
	attempt->lane = lane;
	attempt->item = item;
	queue_item_ref(item);
	attempt->number = lane_attempts(lane) + 1;
	attempt->target = target;
	attempt->sent = http_notify_monotonic_msecs();
	attempt->options_changes = ep->options_changes;
	attempt->probe = target->health.state != HEALTH_UP;
	if (!attempt->probe)
		ep->common->in_flight++;
	attempt->event = event_create(ep->common->event);
	event_add_str(attempt->event, "user", item->username);
	event_add_str(attempt->event, "endpoint", target->sender_target.label);
	event_add_str(attempt->event, HTTP_NOTIFY_BODY_EVENT_FIELD,
		      http_notify_body_event(item->body));
	event_add_int(attempt->event, "attempt", attempt->number);
	DLLIST_PREPEND(&ep->attempts, attempt);
	live_tell(ep->common->live, LIVE_SENT, item,
		  target->sender_target.label, "");
	health_sent(&target->health, lane_blame(lane));
	sender_put(ep->common->sender, &target->sender_target, item->body,
		   queue_item_key(item), attempt_answered, attempt);
}

/* Parts that go away and come back */

void attempts_leave(struct part *part)
{
	struct attempt *attempt;

	for (attempt = part->ep->attempts; attempt != NULL;
	     attempt = attempt->next) {
		if (attempt->part != part)
			continue;
		if (attempt->lane != NULL)
			attempt->blame = *lane_blame(attempt->lane);
		attempt->part = NULL;
		attempt->lane = NULL;
	}
	part->in_flight = 0;
}

void attempts_join(struct part *part)
{
	struct attempt *attempt;

	for (attempt = part->ep->attempts; attempt != NULL;
	     attempt = attempt->next) {
		if (attempt->part == NULL &&
		    queue_part_may_have(part->queue_part, attempt->item->id)) {
			attempt->part = part;
			part->in_flight++;
		}
	}
}

void attempts_free(struct endpoint *ep)
{
	while (ep->attempts != NULL)
		attempt_free(ep->attempts);
}
