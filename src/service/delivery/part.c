/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A part is listed while it may have something to send, so that choosing what
   is next does not take longer for parts that have not. */
#include "lib.h"
#include "llist.h"
#include "str-sanitize.h"

#include "attempt.h"
#include "endpoint-private.h"
#include "expiry.h"
#include "lane-read.h"
#include "loss.h"
#include "queue.h"
#include "reader.h"

/* After so many attempts others of its user need not wait for a notification
   that seems to be to blame: it has been tried for 20 seconds by then. */
#define PATIENCE_ATTEMPTS 4

static void part_lane_waited(struct lane *lane, void *context);

/* Count so many more, or fewer, that are queued, with so many bytes. */
static void part_count(struct part *part, int count, int64_t bytes)
{
	struct endpoint *ep = part->ep;
	unsigned int queued = ep->queued;

	i_assert((int64_t)part->queued + count >= 0 &&
		 (int64_t)part->queued_bytes + bytes >= 0);

	part->queued += count;
	ep->queued += count;
	ep->common->queued += count;
	part->queued_bytes += bytes;
	ep->queued_bytes += bytes;
	ep->common->queued_bytes += bytes;
	if (queued == 0 && ep->queued > 0)
		ep->common->backlogged++;
	else if (queued > 0 && ep->queued == 0)
		ep->common->backlogged--;
}

static void part_count_found(struct part *part)
{
	uint64_t bytes;
	unsigned int count = reader_take_found(part->reader, &bytes);

	part_count(part, count, bytes);
}

/* Whether it is listed */

static bool part_is_held(const struct part *part)
{
	return part->release || part->look_again;
}

static void part_list(struct part *part)
{
	struct endpoint *ep = part->ep;

	if (part->listed || part_is_held(part))
		return;
	part->listed = TRUE;
	ep->lanes.parts++;
	DLLIST2_APPEND_FULL(&ep->listed_head, &ep->listed_tail, part,
			    listed_prev, listed_next);
}

static void part_unlist(struct part *part)
{
	struct endpoint *ep = part->ep;

	if (!part->listed)
		return;
	part->listed = FALSE;
	ep->lanes.parts--;
	DLLIST2_REMOVE_FULL(&ep->listed_head, &ep->listed_tail, part,
			    listed_prev, listed_next);
}

struct lane *
part_next_lane(struct part *part, unsigned int requests, bool probe)
{
	struct lane *lane = supply_next(&part->supply, requests, probe);

	if (lane == NULL && lanes_first_ready(part->lanes) == NULL &&
	    reader_is_empty(part->reader))
		part_unlist(part);
	return lane;
}

/* Turns of a lane */

void part_lane_turn(struct lane *lane)
{
	struct part *part = lane_part(lane);

	if (lane_waiting_on(lane, part_lane_waited, NULL))
		return;
	if (lane_item(lane) == NULL)
		lane_read_begin(part->ep->lane_reads, lane);
	else {
		lane_ready(lane);
		part_list(part);
	}
}

void part_lane_done(struct lane *lane)
{
	lane_read_cancel(lane_part(lane)->ep->lane_reads, lane);
	if (lane_next(&lane))
		part_lane_turn(lane);
}

static void part_lane_waited(struct lane *lane, void *context ATTR_UNUSED)
{
	struct endpoint *ep = lane_part(lane)->ep;

	part_lane_turn(lane);
	endpoint_pump(ep);
}

void part_lane_read(struct lane *lane, bool found, void *context)
{
	struct endpoint *ep = context;

	if (found)
		part_lane_turn(lane);
	else
		part_lane_done(lane);
	endpoint_pump(ep);
}

/* Others of the user need not wait for the lane's notification if that seems to
   be to blame, and waits for its next attempt. */
static void part_lane_be_patient(struct lane *lane)
{
	if (lane_state(lane) == LANE_WAITING &&
	    lane_attempts(lane) >= PATIENCE_ATTEMPTS &&
	    lane_blame(lane)->evidence >= BLAME_SUSPECTED &&
	    lane_step_aside(lane))
		part_lane_turn(lane);
}

void part_lane_wait(struct lane *lane, unsigned int min_msecs)
{
	lane_waiting(lane, min_msecs, part_lane_waited, NULL);
	part_lane_be_patient(lane);
}

struct lane *part_let_pass(struct part *part)
{
	struct lane *lane = lanes_first_ready(part->lanes);

	while (lane != NULL && (lane_attempts(lane) < PATIENCE_ATTEMPTS ||
				!lane_step_aside(lane)))
		lane = lane_next_ready(lane);
	if (lane != NULL)
		part_lane_turn(lane);
	return lane;
}

/* What leaves the queue */

static void part_removed(struct part *part, const struct queue_item *item)
{
	struct lane *lane = lanes_find(part->lanes, item->username);

	reader_removed(part->reader, item->id);
	if (lane != NULL && lane_id(lane) != item->id)
		lane_remove(lane, item->id);
	part_count(part, -1, -(int64_t)item->body_size);
}

void part_remove(struct part *part, const struct queue_item *item)
{
	queue_remove(part->ep->common->queue, item->id, item->body_size);
	part_removed(part, item);
}

static void
part_lost(struct part *part, const struct queue_item *item,
	  unsigned int attempts, enum queue_loss_reason reason,
	  const char *answer)
{
	struct endpoint *ep = part->ep;

	answer = str_sanitize(answer, 256);
	loss_give_up(ep->common, endpoint_get_label(ep), item, attempts,
		     reason, answer);
	ep->given_up++;
	part_removed(part, item);
	endpoint_tell_finished(ep, item->id, answer);
}

void part_lane_lost(struct lane *lane, enum queue_loss_reason reason,
		    const char *answer)
{
	part_lost(lane_part(lane), lane_item(lane), lane_attempts(lane),
		  reason, answer);
	part_lane_done(lane);
}

/* It is too old. error: why it was not delivered before; NULL = unknown. */
static void
part_lost_by_age(struct part *part, const struct queue_item *item,
		 unsigned int attempts, const char *error)
{
	ENDPOINT_COUNT(part->ep, expired);
	part_lost(part, item, attempts, QUEUE_LOSS_EXPIRED,
		error == NULL ? "max_age reached" :
		t_strconcat("max_age reached: ", error, NULL));
}

void part_lane_expired(struct lane *lane, const struct queue_item *item)
{
	part_lost_by_age(lane_part(lane), item, lane_attempts(lane),
			 lane_error(lane));
	part_lane_done(lane);
}

/* Age */

static void part_expired(const struct queue_item *item, void *context)
{
	struct part *part = context;
	struct targets *targets = &part->ep->targets;
	struct lane *lane = lanes_find(part->lanes, item->username);

	if (lane == NULL || lane_id(lane) != item->id) {
		part_lost_by_age(part, item, item->attempts,
			targets_are_up(targets) ? NULL :
			targets->targets[0].error);
	} else if (lane_state(lane) != LANE_SENDING)
		part_lane_expired(lane, item);
	/* else its last attempt is under way */
}

/* Lanes have gone on to their next notification. */
static void part_expiry_done(void *context)
{
	struct part *part = context;

	endpoint_pump(part->ep);
}

void part_expire(struct part *part)
{
	if (part->queued > 0 && !part_is_held(part)) {
		/* leave out what the reader has not found yet */
		expiry_run(part->expiry, reader_known_id(part->reader));
	}
}

/* What the queue has */

static void part_reader_changed(void *context)
{
	struct part *part = context;

	part_count_found(part);
	part_list(part);
	endpoint_pump(part->ep);
}

static void part_open_queue(struct part *part)
{
	struct endpoint *ep = part->ep;
	struct queue *queue = ep->common->queue;

	part->reader = reader_init(queue, part->queue_part, &ep->ahead_size,
				   part_reader_changed, part);
	part->lanes = lanes_init(&ep->lanes, part);
	part->expiry = expiry_init(queue, part->queue_part, ep->max_age_secs,
				   part_expired, part_expiry_done, part);
	i_zero(&part->supply);
	part->supply.lanes = part->lanes;
	part->supply.common = &ep->lanes;
	part->supply.reader = part->reader;
}

static void part_close_queue(struct part *part)
{
	expiry_deinit(&part->expiry);
	lane_reads_cancel_part(part->ep->lane_reads, part);
	lanes_deinit(&part->lanes);
	reader_deinit(&part->reader);
	part_count(part, -(int)part->queued, -(int64_t)part->queued_bytes);
}

/* Nothing is under way any more, which was waited for. */
static void part_go_on(struct part *part)
{
	struct queue *queue = part->ep->common->queue;
	struct queue_part *queue_part = part->queue_part;

	if (part->release) {
		part_close(&part);
		queue_part_released(queue, &queue_part);
		return;
	}
	part_close_queue(part);
	part->look_again = part->put_back = FALSE;
	part_open_queue(part);
}

static void part_hold(struct part *part)
{
	part_unlist(part);
	if (part->in_flight == 0)
		part_go_on(part);
}

/* Requests */

void part_sending(struct lane *lane)
{
	struct part *part = lane_part(lane);

	supply_sending(&part->supply, lane);
	part->in_flight++;
	/* it is the others' turn */
	part_unlist(part);
	part_list(part);
}

void part_request_ended(struct part *part)
{
	i_assert(part->in_flight > 0);

	if (--part->in_flight == 0 && part_is_held(part))
		part_go_on(part);
}

/* What the queue says */

void part_claimed(struct endpoint *ep, struct queue_part *queue_part)
{
	struct part *part;

	part = i_new(struct part, 1);
	part->ep = ep;
	part->queue_part = queue_part;
	DLLIST_PREPEND(&ep->parts, part);
	part_open_queue(part);
	queue_part_set_context(queue_part, part);
	attempts_join(part);
	if (part->in_flight > 0) {
		/* some of what is found now may be delivered then */
		part->look_again = TRUE;
	}
}

void part_grown(struct part *part)
{
	reader_grown(part->reader);
}

void part_look_again(struct part *part)
{
	part->look_again = TRUE;
	part_hold(part);
}

void part_release(struct part *part)
{
	part->release = TRUE;
	part_hold(part);
}

void part_close(struct part **_part)
{
	struct part *part = *_part;

	*_part = NULL;
	attempts_leave(part);
	part_unlist(part);
	part_close_queue(part);
	DLLIST_REMOVE(&part->ep->parts, part);
	queue_part_set_context(part->queue_part, NULL);
	i_free(part);
}

void part_revoked(struct part *part)
{
	part_close(&part);
}

struct queue_part *part_get_queue(const struct part *part)
{
	return part->queue_part;
}

void part_stored(struct part *part, struct queue_item *item)
{
	struct lane *lane;

	supply_stored(&part->supply, item, targets_are_up(&part->ep->targets));
	part_count_found(part);
	if ((lane = lanes_find(part->lanes, item->username)) != NULL)
		part_lane_be_patient(lane);
	part_list(part);
}

void part_put_back(struct part *part, const struct queue_item *item)
{
	part->put_back = TRUE;
	part_count(part, 1, item->body_size);
}

bool part_is_idle(const struct part *part)
{
	return part->queued == 0 && part->in_flight == 0 &&
		!part_is_held(part) && reader_is_empty(part->reader);
}
