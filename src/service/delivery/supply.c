/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "lane.h"
#include "queue-item.h"
#include "reader.h"
#include "supply.h"

/* Lanes that are ready are topped up from the backlog to this number for each
   request that may be under way, and so many rows are read at once. */
#define READY_PER_REQUEST 2
/* Beyond this number even a user who has nothing in the backlog goes there. */
#define READY_MAX 256
/* What the backlog may be owed for notifications sent before it. */
#define OWED_MAX 64
/* Notifications that are looked at for a probe, beyond those that are ready, to
   find one that has not failed. */
#define PROBE_PULL_MAX 64

void supply_stored(struct supply *supply, struct queue_item *item, bool up)
{
	struct lane *lane = lanes_find(supply->lanes, item->username);
	bool have_room = lane != NULL ||
		(up && lanes_ready_count(supply->lanes) < READY_MAX);

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
	/* else it was not left to the backlog */
}

/* The first ready one with a notification that has not failed, or NULL. */
static struct lane *supply_first_untried(const struct supply *supply)
{
	struct lane *lane = lanes_first_ready(supply->lanes);

	while (lane != NULL && lane_attempts(lane) > 0)
		lane = lane_next_ready(lane);
	return lane;
}

/* Some lanes are to be ready. Those that have failed are not enough for a
   probe, however many they are. */
static void
supply_pull_backlog(struct supply *supply, unsigned int batch, bool probe)
{
	struct queue_item *item;

	while (supply->owed > 0 || lanes_ready_count(supply->lanes) < batch ||
	       (probe && supply->pulled < PROBE_PULL_MAX &&
		supply_first_untried(supply) == NULL)) {
		item = reader_pull(supply->reader, batch);
		if (item == NULL)
			break;
		supply_add_backlog(supply, item);
		queue_item_unref(&item);
		supply->pulled++;
		if (supply->owed > 0)
			supply->owed--;
	}
}

struct lane *supply_next(struct supply *supply, unsigned int window,
			 bool probe)
{
	struct lane *lane = NULL;

	supply_pull_backlog(supply, window * READY_PER_REQUEST, probe);
	if (probe)
		lane = supply_first_untried(supply);
	return lane != NULL ? lane : lanes_first_ready(supply->lanes);
}

void supply_sending(struct supply *supply, struct lane *lane)
{
	if (lane_sending(lane))
		supply->owed = I_MIN(supply->owed + 1, OWED_MAX);
	supply->pulled = 0;
}
