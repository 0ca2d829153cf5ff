/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"

#include "attempt.h"
#include "endpoint-private.h"
#include "endpoint-watch.h"
#include "lane-read.h"
#include "monotonic.h"
#include "options.h"
#include "queue.h"
#include "reader.h"

/* How many notifications to send or give up in one turn of the ioloop. */
#define SEND_BATCH 256

void endpoint_run_later(struct endpoint *ep)
{
	if (ep->to_run == NULL)
		ep->to_run = timeout_add_short(0, endpoint_run, ep);
}

void endpoint_tell_finished(struct endpoint *ep, int64_t id, const char *error)
{
	endpoint_watches_finished(&ep->common->watches, id, error);
}

/* Sending */

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

static bool endpoint_let_pass(struct endpoint *ep)
{
	struct part *part = ep->listed_head;
	struct lane *lane = NULL;

	for (; part != NULL && lane == NULL; part = part->listed_next)
		lane = part_let_pass(part);
	return lane != NULL && lane_state(lane) == LANE_READY;
}

/* Returns the lane to send next, of the parts in turn; for a probe, one that has
   not failed yet, unless there is none. reading_r: more of these may come
   soon. */
static struct lane *
endpoint_next_lane(struct endpoint *ep, unsigned int requests, bool probe,
		   bool *reading_r)
{
	struct lane *lane, *first = NULL;
	struct part *part, *next;

	*reading_r = FALSE;
	for (part = ep->listed_head; part != NULL; part = next) {
		next = part->listed_next;
		lane = part_next_lane(part, requests, probe);
		if (lane != NULL && (!probe || lane_attempts(lane) == 0))
			return lane;
		if (first == NULL)
			first = lane;
		*reading_r = *reading_r || reader_is_reading(part->reader);
	}
	return first;
}

static void
endpoint_send_or_expire(struct endpoint *ep, struct lane *lane,
			struct target *target)
{
	const struct queue_item *item = lane_item(lane);

	if (item->expires > queue_now(ep->common->queue)) {
		attempt_start(ep, lane, target);
		return;
	}
	request_share_done(&ep->requests);
	part_lane_expired(lane, item);
}

void endpoint_pump(struct endpoint *ep)
{
	int64_t now = http_notify_monotonic_msecs();
	struct target *target;
	struct lane *lane;
	unsigned int i;
	bool untried, probe, reading;

	if (ep->common->stopped)
		return;
	lane_reads_run(ep->lane_reads, ep->attempts == NULL &&
		       ep->lanes.ready_count == 0);
	for (i = 0; i < SEND_BATCH; i++) {
		if (!queue_may_send(ep->common->queue)) {
			ep->common->held = TRUE;
			return;
		}
		target = targets_choose(&ep->targets, now);
		untried = target == NULL;
		if (untried)
			target = targets_choose_for_untried(&ep->targets);
		if (target == NULL)
			break;
		probe = target->health.state != HEALTH_UP;
		lane = endpoint_next_lane(ep, target->health.in_flight + 1,
					  probe, &reading);
		if (lane == NULL)
			return;
		if (lane_attempts(lane) > 0 && probe) {
			/* this is called again when the read is done, which may
			   find a notification that has not failed */
			if (reading)
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

static void endpoint_request_granted(void *context)
{
	endpoint_run_later(context);
}

/* Running */

void endpoint_run(struct endpoint *ep)
{
	timeout_remove(&ep->to_run);
	endpoint_pump(ep);
	request_share_return(&ep->requests);
}

void endpoint_look_again(struct endpoint *ep)
{
	struct part *part;

	for (part = ep->parts; part != NULL; part = part->next) {
		if (part->put_back)
			part_look_again(part);
	}
}

/* Of several parts, the idle ones are forgotten: most of them are. */
void endpoint_sweep(struct endpoint *ep)
{
	struct part *part = ep->parts, *next;
	struct queue_part *queue_part;

	for (; part != NULL; part = next) {
		next = part->next;
		part_expire(part);
		if (part_is_idle(part) && ep->parts->next != NULL &&
		    !queue_part_has_removals(ep->common->queue,
					     part->queue_part)) {
			queue_part = part->queue_part;
			part_close(&part);
			queue_part_forget(ep->common->queue, &queue_part);
		}
	}
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
		ep->attempts == NULL && ep->to_run == NULL &&
		(ep->parts == NULL ||
		 (part_is_idle(ep->parts) && ep->parts->next == NULL));
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
	ep->lanes.budget = &common->lane_budget;
	ep->lane_reads = lane_reads_init(common->queue, &ep->lanes,
					 part_lane_read, ep);
	ep->requests.budget = &common->requests;
	rate_limit_init(&ep->requests.rate, options->max_per_second);
	ep->requests.granted_callback = endpoint_request_granted;
	ep->requests.context = ep;
	return ep;
}

void endpoint_deinit(struct endpoint **_ep)
{
	struct endpoint *ep = *_ep;
	struct part *part;

	*_ep = NULL;
	while ((part = ep->parts) != NULL)
		part_close(&part);
	attempts_free(ep);
	request_share_deinit(&ep->requests);
	lane_reads_deinit(&ep->lane_reads);
	timeout_remove(&ep->to_run);
	timeout_remove(&ep->to_probe);
	targets_deinit(&ep->targets);
	i_free(ep);
}
