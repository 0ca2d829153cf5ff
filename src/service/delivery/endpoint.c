/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "llist.h"
#include "str-sanitize.h"

#include "answer.h"
#include "body-event.h"
#include "endpoint-private.h"
#include "endpoint-watch.h"
#include "expiry.h"
#include "lane.h"
#include "lane-read.h"
#include "live.h"
#include "loss.h"
#include "monotonic.h"
#include "options.h"
#include "queue.h"
#include "reader.h"
#include "sender.h"

/* How many notifications to send or give up in one turn of the ioloop. */
#define SEND_BATCH 256
/* After so many attempts others of its user need not wait for a notification
   that seems to be to blame: it has been tried for 20 seconds by then. */
#define PATIENCE_ATTEMPTS 4

/* A request under way: an attempt to send a lane's notification. */
struct attempt {
	struct attempt *prev, *next;
	struct endpoint *ep;
	struct lane *lane;
	struct target *target;
	/* monotonic, in milliseconds */
	int64_t sent;
	struct event *event;
	/* the endpoint's options_changes when this was sent */
	unsigned int options_changes;
	/* sent to a server that was not up */
	bool probe;
};

/* Count for this endpoint, and for all endpoints together, also of the last
   hours. */
#define ENDPOINT_COUNT(ep, counter) STMT_START { \
		(ep)->counters.counter++; \
		(ep)->common->counters.counter++; \
		history_present(&(ep)->common->history)->counter++; \
	} STMT_END

static void endpoint_lane_waited(struct lane *lane, void *context);

void endpoint_run_later(struct endpoint *ep)
{
	if (ep->to_run == NULL)
		ep->to_run = timeout_add_short(0, endpoint_run, ep);
}

/* Turns of a lane */

void endpoint_lane_turn(struct endpoint *ep, struct lane *lane)
{
	if (lane_waiting_on(lane, endpoint_lane_waited, ep))
		return;
	if (lane_item(lane) != NULL)
		lane_ready(lane);
	else
		lane_read_begin(ep->lane_reads, lane);
}

void endpoint_lane_done(struct endpoint *ep, struct lane *lane)
{
	lane_read_cancel(ep->lane_reads, lane);
	if (lane_next(&lane))
		endpoint_lane_turn(ep, lane);
}

static void endpoint_lane_read(struct lane *lane, bool found, void *context)
{
	struct endpoint *ep = context;

	if (found)
		lane_ready(lane);
	else
		endpoint_lane_done(ep, lane);
	endpoint_pump(ep);
}

static void endpoint_lane_waited(struct lane *lane, void *context)
{
	struct endpoint *ep = context;

	endpoint_lane_turn(ep, lane);
	endpoint_pump(ep);
}

/* The outcome of a notification */

void
endpoint_tell_finished(struct endpoint *ep, int64_t id, const char *error)
{
	endpoint_watches_finished(&ep->common->watches, id, error);
}

/* A notification was removed from the queue: forget it wherever else it is. If
   it is its lane's turn, the caller calls endpoint_lane_done() as well. */
static void
endpoint_removed(struct endpoint *ep, const struct queue_item *item)
{
	struct lane *lane = lanes_find(ep->lanes, item->username);

	i_assert(ep->queued > 0 && ep->queued_bytes >= item->body_size);

	reader_removed(ep->reader, item->id);
	if (lane != NULL && lane_id(lane) != item->id)
		lane_remove(lane, item->id);
	ep->queued_bytes -= item->body_size;
	ep->common->queued_bytes -= item->body_size;
	ep->common->queued--;
	if (--ep->queued == 0)
		ep->common->backlogged--;
}

void endpoint_remove(struct endpoint *ep, const struct queue_item *item)
{
	queue_remove(ep->common->queue, item->id, item->body_size);
	endpoint_removed(ep, item);
}

static void
endpoint_lost(struct endpoint *ep, const struct queue_item *item,
	      unsigned int attempts, enum queue_loss_reason reason,
	      const char *answer)
{
	answer = str_sanitize(answer, 256);
	loss_give_up(ep->common, endpoint_get_label(ep), item, attempts,
		     reason, answer);
	ep->given_up++;
	endpoint_removed(ep, item);
	endpoint_tell_finished(ep, item->id, answer);
}

/* It is too old. error: why it was not delivered before; NULL = unknown. */
static void
endpoint_lost_by_age(struct endpoint *ep, const struct queue_item *item,
		     unsigned int attempts, const char *error)
{
	ENDPOINT_COUNT(ep, expired);
	endpoint_lost(ep, item, attempts, QUEUE_LOSS_EXPIRED,
		error == NULL ? "max_age reached" :
		t_strconcat("max_age reached: ", error, NULL));
}

static void endpoint_lane_expired(struct endpoint *ep, struct lane *lane,
				  const struct queue_item *item)
{
	endpoint_lost_by_age(ep, item, lane_attempts(lane), lane_error(lane));
	endpoint_lane_done(ep, lane);
}

static void endpoint_lane_dropped(struct endpoint *ep, struct lane *lane,
				  const char *reason)
{
	ENDPOINT_COUNT(ep, dropped);
	endpoint_lost(ep, lane_item(lane), lane_attempts(lane),
		      QUEUE_LOSS_DROPPED, reason);
	endpoint_lane_done(ep, lane);
}

static void endpoint_lane_refused(struct endpoint *ep, struct lane *lane)
{
	ENDPOINT_COUNT(ep, refused);
	endpoint_lost(ep, lane_item(lane), lane_attempts(lane),
		      QUEUE_LOSS_REFUSED,
		      t_strconcat("refused: ", lane_error(lane), NULL));
	endpoint_lane_done(ep, lane);
}

static void attempt_free(struct attempt *attempt)
{
	DLLIST_REMOVE(&attempt->ep->attempts, attempt);
	request_share_done(&attempt->ep->requests);
	if (!attempt->probe)
		attempt->ep->common->in_flight--;
	event_unref(&attempt->event);
	i_free(attempt);
}

/* Others of the user need not wait for the lane's notification if that seems to
   be to blame, and waits for its next attempt. */
static void endpoint_lane_be_patient(struct endpoint *ep, struct lane *lane)
{
	if (lane_state(lane) == LANE_WAITING &&
	    lane_attempts(lane) >= PATIENCE_ATTEMPTS &&
	    lane_blame(lane)->evidence >= BLAME_SUSPECTED &&
	    lane_step_aside(lane))
		endpoint_lane_turn(ep, lane);
}

/* It will be tried again. */
static void
attempt_lane_goes_on(struct attempt *attempt, const struct answer *answer)
{
	struct endpoint *ep = attempt->ep;
	struct lane *lane = attempt->lane;
	bool up = attempt->target->health.state == HEALTH_UP;

	if (lane_step_back(lane)) {
		/* it is not that one which is to blame */
		if (!up)
			(void)lane_hurry(lane);
		endpoint_lane_turn(ep, lane);
	} else if (up) {
		lane_waiting(lane, I_MIN(answer->retry_after_secs,
					 HEALTH_RETRY_AFTER_MAX_SECS) * 1000,
			     endpoint_lane_waited, ep);
		endpoint_lane_be_patient(ep, lane);
	} else {
		/* the server's probes, not this notification, decide when to
		   try again */
		lane_ready(lane);
	}
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
		endpoint_lane_refused(ep, lane);
		return;
	}
	if (lane_attempts(lane) > ep->max_retries) {
		endpoint_lane_dropped(ep, lane, t_strdup_printf(
			"max_retries=%u reached: %s", ep->max_retries,
			lane_error(lane)));
		return;
	}
	if (blame->evidence >= BLAME_PROVED && class != ANSWER_LATER) {
		endpoint_lane_dropped(ep, lane, t_strdup_printf("failed %u "
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

static void attempt_delivered(struct attempt *attempt)
{
	struct endpoint *ep = attempt->ep;
	const struct queue_item *item = lane_item(attempt->lane);
	int64_t id = item->id;
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
	endpoint_remove(ep, item);
	endpoint_tell_finished(ep, id, NULL);
	endpoint_lane_done(ep, attempt->lane);
}

/* error: NULL = the endpoint has accepted it */
static void
attempt_finished(struct attempt *attempt, const struct answer *answer,
		 const char *error, int64_t now)
{
	const char *label = attempt->target->sender_target.label;
	struct lane *lane = attempt->lane;
	unsigned int msecs = now - attempt->sent;

	event_set_name(attempt->event, "http_notify_attempt_finished");
	event_add_int(attempt->event, "status_code", answer->status);
	if (error != NULL)
		event_add_str(attempt->event, "error", error);
	e_debug(attempt->event, "Attempt %u at %s for user=%s: %s (%u ms)",
		lane_attempts(lane) + 1, label,
		str_sanitize(lane_username(lane), 128),
		error == NULL ? "taken" : error, msecs);
	if (attempt->ep->common->live != NULL) {
		live_tell(attempt->ep->common->live, LIVE_ANSWERED,
			  lane_item(lane), label, t_strdup_printf("%s (%u ms)",
				error == NULL ? "taken" : error, msecs));
	}
	endpoint_watches_answered(attempt->ep->common->watches, lane_id(lane),
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
	else
		attempt_failed(attempt, answer, class);
	attempt_free(attempt);
	endpoint_pump(ep);
}

/* Sending */

/* A request is counted already. */
static void
endpoint_send(struct endpoint *ep, struct lane *lane, struct target *target)
{
	const struct queue_item *item = lane_item(lane);
	struct attempt *attempt;

	supply_sending(&ep->supply, lane);
	attempt = i_new(struct attempt, 1);
	attempt->ep = ep;
	attempt->lane = lane;
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
	event_add_int(attempt->event, "attempt", lane_attempts(lane) + 1);
	DLLIST_PREPEND(&ep->attempts, attempt);
	live_tell(ep->common->live, LIVE_SENT, item,
		  target->sender_target.label, "");
	health_sent(&target->health, lane_blame(lane));
	sender_put(ep->common->sender, &target->sender_target, item->body,
		   queue_item_key(item), attempt_answered, attempt);
}

static void
endpoint_send_or_expire(struct endpoint *ep, struct lane *lane,
			struct target *target)
{
	const struct queue_item *item = lane_item(lane);

	if (item->expires > queue_now(ep->common->queue)) {
		endpoint_send(ep, lane, target);
		return;
	}
	request_share_done(&ep->requests);
	endpoint_lane_expired(ep, lane, item);
}

static void endpoint_probe(struct endpoint *ep)
{
	timeout_remove(&ep->to_probe);
	endpoint_pump(ep);
}

static void endpoint_schedule_probe(struct endpoint *ep, int64_t now)
{
	int64_t wait = targets_next_probe(&ep->targets, now);

	timeout_remove(&ep->to_probe);
	if (wait >= 0)
		ep->to_probe = timeout_add(I_MAX(wait, 1), endpoint_probe, ep);
}

/* All that is ready has failed, and may be to blame: one of these lets the next
   of its user pass. Returns FALSE if there is none that is ready then. */
static bool endpoint_let_pass(struct endpoint *ep)
{
	struct lane *lane = lanes_first_ready(ep->lanes);

	while (lane != NULL && (lane_attempts(lane) < PATIENCE_ATTEMPTS ||
				!lane_step_aside(lane)))
		lane = lane_next_ready(lane);
	if (lane == NULL)
		return FALSE;
	endpoint_lane_turn(ep, lane);
	return lane_state(lane) == LANE_READY;
}

void endpoint_pump(struct endpoint *ep)
{
	int64_t now = http_notify_monotonic_msecs();
	struct target *target;
	struct lane *lane;
	unsigned int i;
	bool untried, probe;

	if (ep->common->stopped)
		return;
	if (ep->look_again) {
		if (ep->attempts == NULL)
			endpoint_run_later(ep);
		return;
	}
	lane_reads_run(ep->lane_reads, ep->attempts == NULL &&
		       lanes_ready_count(ep->lanes) == 0);
	for (i = 0; i < SEND_BATCH; i++) {
		target = targets_choose(&ep->targets, now);
		untried = target == NULL;
		if (untried)
			target = targets_choose_for_untried(&ep->targets);
		if (target == NULL)
			break;
		probe = target->health.state != HEALTH_UP;
		lane = supply_next(&ep->supply, target->health.in_flight + 1,
				   probe);
		if (lane == NULL)
			return;
		if (lane_attempts(lane) > 0 && probe) {
			/* this is called again when the read is done, which may
			   find a notification that has not failed */
			if (reader_is_reading(ep->reader))
				return;
			if (untried && !endpoint_let_pass(ep))
				break;
			if (untried)
				continue;
		}
		if (!request_share_take(&ep->requests))
			return;
		T_BEGIN {
			endpoint_send_or_expire(ep, lane, target);
		} T_END;
	}
	if (i == SEND_BATCH)
		endpoint_run_later(ep);
	endpoint_schedule_probe(ep, now);
}

static void
endpoint_count(struct endpoint *ep, unsigned int count, uint64_t bytes)
{
	if (ep->queued == 0 && count > 0)
		ep->common->backlogged++;
	ep->queued += count;
	ep->common->queued += count;
	ep->queued_bytes += bytes;
	ep->common->queued_bytes += bytes;
}

static void endpoint_count_found(struct endpoint *ep)
{
	uint64_t bytes;
	unsigned int count = reader_take_found(ep->reader, &bytes);

	endpoint_count(ep, count, bytes);
}

static void endpoint_reader_changed(void *context)
{
	struct endpoint *ep = context;

	endpoint_count_found(ep);
	endpoint_pump(ep);
}

void endpoint_stored(struct endpoint *ep, struct queue_item *item)
{
	struct lane *lane;

	supply_stored(&ep->supply, item, targets_are_up(&ep->targets));
	endpoint_count_found(ep);
	if ((lane = lanes_find(ep->lanes, item->username)) != NULL)
		endpoint_lane_be_patient(ep, lane);
}

static void endpoint_request_granted(void *context)
{
	endpoint_run_later(context);
}

/* Age */

static void endpoint_expired(const struct queue_item *item, void *context)
{
	struct endpoint *ep = context;
	struct lane *lane = lanes_find(ep->lanes, item->username);

	if (lane == NULL || lane_id(lane) != item->id) {
		endpoint_lost_by_age(ep, item, item->attempts,
			targets_are_up(&ep->targets) ? NULL :
			ep->targets.targets[0].error);
	} else if (lane_state(lane) != LANE_SENDING) {
		endpoint_lane_expired(ep, lane, item);
	}
	/* else its last attempt is under way */
}

/* Lanes have gone on to their next notification. */
static void endpoint_expiry_done(void *context)
{
	endpoint_pump(context);
}

void endpoint_expire(struct endpoint *ep)
{
	if (ep->queued > 0) {
		/* leave out what the reader has not found yet */
		expiry_run(ep->expiry, reader_known_id(ep->reader));
	}
}

/* Running */

/* Lanes, and what is found of the queue. */
static void endpoint_open(struct endpoint *ep)
{
	ep->reader = reader_init(ep->common->queue, ep->queue_ep,
				 endpoint_reader_changed, ep);
	ep->lanes = lanes_init(&ep->common->lane_budget);
	ep->lane_reads = lane_reads_init(ep->common->queue, ep->queue_ep,
					 ep->lanes, endpoint_lane_read, ep);
	ep->expiry = expiry_init(ep->common->queue, ep->queue_ep,
				 ep->max_age_secs, endpoint_expired,
				 endpoint_expiry_done, ep);
	i_zero(&ep->supply);
	ep->supply.lanes = ep->lanes;
	ep->supply.reader = ep->reader;
}

static void endpoint_close(struct endpoint *ep)
{
	expiry_deinit(&ep->expiry);
	lane_reads_deinit(&ep->lane_reads);
	lanes_deinit(&ep->lanes);
	reader_deinit(&ep->reader);
	if (ep->queued > 0)
		ep->common->backlogged--;
	ep->common->queued -= ep->queued;
	ep->queued = 0;
	ep->common->queued_bytes -= ep->queued_bytes;
	ep->queued_bytes = 0;
}

void endpoint_look_again(struct endpoint *ep, unsigned int count,
			 uint64_t bytes)
{
	endpoint_count(ep, count, bytes);
	ep->look_again = TRUE;
	endpoint_run_later(ep);
}

void endpoint_run(struct endpoint *ep)
{
	timeout_remove(&ep->to_run);
	if (ep->look_again && ep->attempts == NULL) {
		ep->look_again = FALSE;
		endpoint_close(ep);
		endpoint_open(ep);
	}
	endpoint_pump(ep);
	request_share_return(&ep->requests);
}

/* Options */

void endpoint_set_options(struct endpoint *ep,
			  const struct http_notify_options *options)
{
	ep->max_retries = options->max_retries;
	ep->options_changes++;
	targets_set_options(&ep->targets, options);
	(void)targets_probe_now(&ep->targets, TRUE);
}

const char *endpoint_get_label(const struct endpoint *ep)
{
	return ep->targets.targets[0].sender_target.label;
}

struct queue_endpoint *endpoint_get_queue(const struct endpoint *ep)
{
	return ep->queue_ep;
}

bool endpoint_is_down(const struct endpoint *ep)
{
	return !targets_are_up(&ep->targets);
}

unsigned int endpoint_get_queued(const struct endpoint *ep, uint64_t *bytes_r)
{
	*bytes_r = ep->queued_bytes;
	return ep->queued;
}

bool endpoint_is_idle(const struct endpoint *ep)
{
	/* the standby's state does not matter: while it is not needed, it is
	   not probed and can't come up */
	return ep->targets.targets[0].health.state == HEALTH_UP &&
		ep->queued == 0 && ep->to_run == NULL &&
		reader_is_empty(ep->reader);
}

struct endpoint *
endpoint_init(struct endpoint_common *common, struct queue_endpoint *queue_ep,
	      const struct http_notify_options *options)
{
	struct endpoint *ep;

	ep = i_new(struct endpoint, 1);
	ep->common = common;
	ep->queue_ep = queue_ep;
	ep->max_retries = options->max_retries;
	ep->max_age_secs = options->max_age_secs;
	targets_init(&ep->targets, common->event, options);
	endpoint_open(ep);
	ep->requests.budget = &common->requests;
	rate_limit_init(&ep->requests.rate, options->max_per_second);
	ep->requests.granted_callback = endpoint_request_granted;
	ep->requests.context = ep;
	return ep;
}

void endpoint_deinit(struct endpoint **_ep)
{
	struct endpoint *ep = *_ep;

	*_ep = NULL;
	while (ep->attempts != NULL)
		attempt_free(ep->attempts);
	request_share_deinit(&ep->requests);
	endpoint_close(ep);
	timeout_remove(&ep->to_run);
	timeout_remove(&ep->to_probe);
	targets_deinit(&ep->targets);
	i_free(ep);
}
