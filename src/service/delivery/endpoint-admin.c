/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an admin asks of an endpoint */
#include "lib.h"
#include "wildcard-match.h"

#include "endpoint-private.h"
#include "lane.h"
#include "monotonic.h"
#include "queue.h"
#include "reader.h"

void endpoint_get_status(const struct endpoint *ep,
			 struct endpoint_status *status_r)
{
	const struct target *first = &ep->targets.targets[0];

	i_zero(status_r);
	/* the query may contain secrets */
	status_r->url = t_strcut(first->sender_target.url, '?');
	status_r->state = first->health.state;
	status_r->state_secs =
		(http_notify_monotonic_msecs() - first->since) / 1000;
	status_r->in_flight = targets_in_flight(&ep->targets);
	if (ep->targets.count > 1) {
		status_r->have_standby = TRUE;
		status_r->standby_state = ep->targets.targets[1].health.state;
	}
	status_r->queued = ep->queued;
	status_r->queued_bytes = ep->queued_bytes;
	status_r->counters = ep->counters;
	status_r->last_error = first->error;
}

struct flush {
	const char *user_mask;
	unsigned int count;
};

static void endpoint_flush_lane(struct lane *lane, void *context)
{
	struct flush *flush = context;

	if (!wildcard_match(lane_username(lane), flush->user_mask) ||
	    !lane_hurry(lane))
		return;
	if (lane_state(lane) == LANE_WAITING)
		part_lane_turn(lane);
	flush->count++;
}

unsigned int endpoint_flush(struct endpoint *ep, const char *user_mask)
{
	struct flush flush = { .user_mask = user_mask };
	struct part *part;

	for (part = ep->parts; part != NULL; part = part->next)
		lanes_foreach(part->lanes, endpoint_flush_lane, &flush);
	flush.count += targets_probe_now(&ep->targets, FALSE);
	endpoint_pump(ep);
	return flush.count;
}

bool endpoint_purge(struct endpoint *ep, const struct queue_item *item)
{
	struct part *part = item->part == NULL ? NULL :
		queue_part_get_context(item->part);
	struct lane *lane;

	if (part == NULL || item->id > reader_known_id(part->reader)) {
		/* the reader will find it soon */
		return FALSE;
	}
	lane = lanes_find(part->lanes, item->username);
	if (lane == NULL || lane_id(lane) != item->id)
		part_remove(part, item);
	else if (lane_state(lane) == LANE_SENDING)
		return FALSE;
	else {
		part_remove(part, item);
		part_lane_done(lane);
		endpoint_run_later(ep);
	}
	endpoint_tell_finished(ep, item->id, "purged");
	return TRUE;
}
