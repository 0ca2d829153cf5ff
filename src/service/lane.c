#include "lib.h"
#include "array.h"
#include "ioloop.h"

#include "lane.h"

struct lane *
lane_init(struct endpoint *ep, const char *username, int64_t id)
{
	struct lane *lane;

	lane = i_new(struct lane, 1);
	lane->ep = ep;
	lane->username = i_strdup(username);
	lane->id = lane->last_id = id;
	return lane;
}

void lane_deinit(struct lane **_lane)
{
	struct lane *lane = *_lane;

	*_lane = NULL;
	timeout_remove(&lane->to_retry);
	if (array_is_created(&lane->behind))
		array_free(&lane->behind);
	event_unref(&lane->event);
	i_free(lane->error);
	i_free(lane->username);
	i_free(lane);
}

void lane_add(struct lane *lane, int64_t id)
{
	i_assert(id > lane->last_id);

	if (!array_is_created(&lane->behind))
		i_array_init(&lane->behind, 8);
	else if (lane->behind_done > array_count(&lane->behind) / 2) {
		/* a user may have something queued forever */
		array_delete(&lane->behind, 0, lane->behind_done);
		lane->behind_done = 0;
	}
	array_push_back(&lane->behind, &id);
	lane->last_id = id;
}

bool lane_next(struct lane *lane)
{
	if (!array_is_created(&lane->behind) ||
	    lane->behind_done == array_count(&lane->behind))
		return FALSE;

	timeout_remove(&lane->to_retry);
	i_free(lane->error);
	lane->id = *array_idx(&lane->behind, lane->behind_done++);
	lane->attempts = lane->strikes = lane->waits = 0;
	lane->judged_target = NULL;
	return TRUE;
}
