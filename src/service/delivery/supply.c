/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "lane.h"
#include "queue-item.h"
#include "reader.h"
#include "supply.h"

/* The backlog tops up the ready lanes to this many for each request that is
   under way. It is read in batches of the same size, or in smaller ones if
   there are several parts, down to a fraction of this. */
#define READY_PER_REQUEST 2
#define SHARES_MAX 8
/* With this many lanes ready, a user without a lane gets none: what is stored
   for such a user becomes backlog. */
#define READY_MAX 256
/* At most this many turns are owed to the backlog. */
#define OWED_MAX 64
/* For a probe, how many notifications of the backlog to look at, beyond the
   lanes that are ready, to find one that has not failed; none if the lanes'
   budget is used up. Each probe that fails leaves one more that has failed. */
#define PROBE_PULL_MAX 64
/* A larger notification, in bytes, takes part only within the lanes' budget:
   many of them would take more memory than there is. */
#define SMALL_SIZE (64*1024)

static bool supply_is_large(struct queue_item *item)
{
	return queue_item_size(item) > SMALL_SIZE;
}

void supply_stored(struct supply *supply, struct queue_item *item, bool up)
{
	struct lane *lane = lanes_find(supply->lanes, item->username);
	bool have_room = lane != NULL ||
		(up && supply->common->ready_count < READY_MAX &&
		 (!supply_is_large(item) ||
		  lanes_are_within_budget(supply->common)));

	if (!reader_stored(supply->reader, item, have_room))
		return;
	if (lane != NULL)
		lane_add(lane, item);
	else
		(void)lanes_add(supply->lanes, item, TRUE);
}

static void supply_add_backlog(struct supply *supply, struct queue_item *item)
{
	struct lane *lane = lanes_find(supply->lanes, item->username);

	if (lane == NULL)
		(void)lanes_add(supply->lanes, item, FALSE);
	else if (item->id > lane_last_id(lane))
		lane_add(lane, item);
	/* else it got into a lane when it was stored */
}

/* The first ready lane whose notification has not failed yet, or NULL. */
static struct lane *supply_first_untried(const struct supply *supply)
{
	struct lane *lane = lanes_first_ready(supply->lanes);

	while (lane != NULL && lane_attempts(lane) > 0)
		lane = lane_next_ready(lane);
	return lane;
}

/* Is there to be more from the backlog: what it is owed, and until enough lanes
   are ready? A probe is also better off with one that has not failed, however
   many others are ready. */
static bool
supply_wants_backlog(const struct supply *supply, unsigned int batch,
		     bool probe)
{
	const struct lanes_common *common = supply->common;

	if (!lanes_are_within_budget(common))
		return common->ready_count == 0;
	return lanes_first_ready(supply->lanes) == NULL || supply->owed > 0 ||
		common->ready_count < batch ||
		(probe && supply->pulled < PROBE_PULL_MAX &&
		 supply_first_untried(supply) == NULL);
}

static void
supply_pull_backlog(struct supply *supply, unsigned int requests, bool probe)
{
	unsigned int batch = requests * READY_PER_REQUEST;
	unsigned int parts = I_MIN(supply->common->parts, SHARES_MAX);
	struct queue_item *item;

	while (supply_wants_backlog(supply, batch, probe)) {
		item = reader_pull(supply->reader,
				   I_MAX(batch / I_MAX(parts, 1), 1));
		if (item == NULL)
			break;
		supply_add_backlog(supply, item);
		queue_item_unref(&item);
		supply->pulled++;
		if (supply->owed > 0)
			supply->owed--;
	}
}

struct lane *supply_next(struct supply *supply, unsigned int requests,
			 bool probe)
{
	struct lane *lane = NULL;

	supply_pull_backlog(supply, requests, probe);
	if (probe)
		lane = supply_first_untried(supply);
	if (lane == NULL)
		lane = lanes_first_ready(supply->lanes);
	/* when one of those under way is done, this is called again */
	if (requests > 1 && !lanes_are_within_budget(supply->common)) {
		while (lane != NULL && supply_is_large(lane_item(lane)))
			lane = lane_next_ready(lane);
	}
	return lane;
}

void supply_sending(struct supply *supply, struct lane *lane)
{
	if (lane_sending(lane))
		supply->owed = I_MIN(supply->owed + 1, OWED_MAX);
	supply->pulled = 0;
}
