/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "ioloop.h"
#include "llist.h"

#include "lane.h"
#include "monotonic.h"
#include "queue-item.h"

/* How long a notification waits after it has failed, before jitter: 1 second,
   then 4, 16, 64, and 120 from then on. */
#define WAIT_MIN_MSECS (1*1000)
#define WAIT_MAX_MSECS (120*1000)

struct lane_entry {
	int64_t id;
	/* NULL = not carried, has to be read */
	struct queue_item *item;
};

/* A notification that has had a turn. */
struct lane_turn {
	struct lane_entry entry;
	unsigned int attempts, waits;
	char *error;
	struct blame blame;
	/* when it has waited: monotonic, in milliseconds */
	int64_t due;
};

struct lane {
	/* in the list of lanes that are ready */
	struct lane *prev, *next;
	struct lanes *lanes;
	char *username;
	bool fresh;

	enum lane_state state;
	struct lane_turn current;
	struct timeout *to_ready;
	lane_waited_callback_t *callback;
	void *context;

	/* all but the lane's first notification; the first behind_done of these
	   have had their turn, or have it now */
	ARRAY(struct lane_entry) behind;
	unsigned int behind_done;
	int64_t last_id;
	/* one that has stepped aside; NULL = none */
	struct lane_turn *aside;
};

struct lanes {
	struct lanes_common *common;
	struct part *part;
	/* sorted by username; a hash table would take kilobytes for each
	   endpoint */
	ARRAY(struct lane *) by_user;
	struct lane *ready_head, *ready_tail;
};

/* What is carried */

/* must: carry it even if the budget is used up, since it has its turn. */
static void entry_carry(struct lanes *lanes, struct lane_entry *entry,
			struct queue_item *item, bool must)
{
	struct lane_budget *budget = lanes->common->budget;
	size_t size = queue_item_size(item);

	i_assert(entry->item == NULL);
	entry->id = item->id;
	if (!must && budget->used + size > budget->max)
		return;
	queue_item_ref(item);
	entry->item = item;
	budget->used += size;
}

static void entry_drop(struct lanes *lanes, struct lane_entry *entry)
{
	if (entry->item == NULL)
		return;
	lanes->common->budget->used -= queue_item_size(entry->item);
	queue_item_unref(&entry->item);
}

/* States */

static void lane_set_state(struct lane *lane, enum lane_state state)
{
	struct lanes *lanes = lane->lanes;

	if (lane->state == LANE_READY) {
		DLLIST2_REMOVE(&lanes->ready_head, &lanes->ready_tail, lane);
		lanes->common->ready_count--;
	}
	timeout_remove(&lane->to_ready);
	lane->state = state;
	if (state == LANE_READY) {
		i_assert(lane->current.entry.item != NULL);
		DLLIST2_APPEND(&lanes->ready_head, &lanes->ready_tail, lane);
		lanes->common->ready_count++;
	}
}

enum lane_state lane_state(const struct lane *lane)
{
	return lane->state;
}

void lane_ready(struct lane *lane)
{
	lane_set_state(lane, LANE_READY);
}

bool lane_sending(struct lane *lane)
{
	bool fresh = lane->fresh;

	lane_set_state(lane, LANE_SENDING);
	lane->fresh = FALSE;
	return fresh;
}

void lane_reading(struct lane *lane)
{
	lane_set_state(lane, LANE_READING);
}

static void lane_waited(struct lane *lane)
{
	timeout_remove(&lane->to_ready);
	lane->callback(lane, lane->context);
}

static void lane_wait(struct lane *lane, unsigned int msecs,
		      lane_waited_callback_t *callback, void *context)
{
	lane_set_state(lane, LANE_WAITING);
	if (lane->lanes->common->budget->used >
	    lane->lanes->common->budget->max)
		entry_drop(lane->lanes, &lane->current.entry);
	lane->callback = callback;
	lane->context = context;
	lane->to_ready = timeout_add(msecs, lane_waited, lane);
}

void lane_waiting(struct lane *lane, unsigned int min_msecs,
		  lane_waited_callback_t *callback, void *context)
{
	unsigned int msecs = WAIT_MIN_MSECS, i;

	for (i = 0; i < lane->current.waits && msecs < WAIT_MAX_MSECS; i++)
		msecs *= 4;
	lane->current.waits++;
	msecs = I_MAX(health_jitter(I_MIN(msecs, WAIT_MAX_MSECS)), min_msecs);
	lane->current.due = http_notify_monotonic_msecs() + msecs;
	lane_wait(lane, msecs, callback, context);
}

bool lane_waiting_on(struct lane *lane, lane_waited_callback_t *callback,
		     void *context)
{
	int64_t msecs = lane->current.due - http_notify_monotonic_msecs();

	if (msecs <= 0)
		return FALSE;
	lane_wait(lane, msecs, callback, context);
	return TRUE;
}

bool lane_hurry(struct lane *lane)
{
	if (lane->state != LANE_WAITING && lane->aside == NULL)
		return FALSE;
	lane->current.due = 0;
	if (lane->aside != NULL)
		lane->aside->due = 0;
	return TRUE;
}

/* A lane */

static void lane_aside_free(struct lane *lane)
{
	entry_drop(lane->lanes, &lane->aside->entry);
	i_free(lane->aside->error);
	i_free(lane->aside);
}

static void lane_deinit(struct lane *lane)
{
	struct lane_entry *entry;

	/* takes it off the list if it is ready */
	lane_set_state(lane, LANE_READING);
	entry_drop(lane->lanes, &lane->current.entry);
	if (array_is_created(&lane->behind)) {
		array_foreach_modifiable(&lane->behind, entry)
			entry_drop(lane->lanes, entry);
		array_free(&lane->behind);
	}
	if (lane->aside != NULL)
		lane_aside_free(lane);
	i_free(lane->current.error);
	i_free(lane->username);
	i_free(lane);
}

void lane_add(struct lane *lane, struct queue_item *item)
{
	struct lane_entry *entry;

	i_assert(item->id > lane->last_id);

	if (!array_is_created(&lane->behind))
		i_array_init(&lane->behind, 8);
	else if (lane->behind_done > array_count(&lane->behind) / 2) {
		/* a lane that never gets empty must not grow forever */
		array_delete(&lane->behind, 0, lane->behind_done);
		lane->behind_done = 0;
	}
	entry = array_append_space(&lane->behind);
	entry_carry(lane->lanes, entry, item, FALSE);
	lane->last_id = item->id;
}

static int lane_entry_cmp(const int64_t *id, const struct lane_entry *entry)
{
	return *id < entry->id ? -1 : *id > entry->id;
}

void lane_remove(struct lane *lane, int64_t id)
{
	unsigned int idx;

	i_assert(id != lane->current.entry.id);

	if (lane->aside != NULL && lane->aside->entry.id == id)
		lane_aside_free(lane);
	else if (array_is_created(&lane->behind) &&
	    array_bsearch_insert_pos(&lane->behind, &id, lane_entry_cmp,
				     &idx) && idx >= lane->behind_done) {
		entry_drop(lane->lanes,
			   array_idx_modifiable(&lane->behind, idx));
		array_delete(&lane->behind, idx, 1);
	}
}

static bool lane_has_more(const struct lane *lane)
{
	return array_is_created(&lane->behind) &&
		lane->behind_done < array_count(&lane->behind);
}

/* The first one behind has its turn. */
static void lane_take_behind(struct lane *lane)
{
	struct lane_entry *entry =
		array_idx_modifiable(&lane->behind, lane->behind_done++);

	i_zero(&lane->current);
	lane->current.entry = *entry;
	if (entry->item != NULL)
		lane->current.attempts = entry->item->attempts;
	entry->item = NULL;
}

/* The one that has stepped aside has. */
static void lane_take_aside(struct lane *lane)
{
	lane->current = *lane->aside;
	i_free(lane->aside);
}

static int lane_cmp(const char *username, struct lane *const *lane)
{
	return strcmp(username, (*lane)->username);
}

/* Returns TRUE if the user has a lane. In any case *idx_r is where it belongs. */
static bool
lanes_find_idx(struct lanes *lanes, const char *username, unsigned int *idx_r)
{
	return array_bsearch_insert_pos(&lanes->by_user, username, lane_cmp,
					idx_r);
}

static void lanes_remove(struct lane *lane)
{
	unsigned int idx;

	if (!lanes_find_idx(lane->lanes, lane->username, &idx))
		i_unreached();
	array_delete(&lane->lanes->by_user, idx, 1);
}

bool lane_next(struct lane **_lane)
{
	struct lane *lane = *_lane;
	bool more = lane_has_more(lane);

	if (!more && lane->aside == NULL) {
		*_lane = NULL;
		lanes_remove(lane);
		lane_deinit(lane);
		return FALSE;
	}

	lane_set_state(lane, LANE_READING);
	entry_drop(lane->lanes, &lane->current.entry);
	i_free(lane->current.error);
	if (more && (lane->aside == NULL ||
		     lane->aside->due > http_notify_monotonic_msecs()))
		lane_take_behind(lane);
	else
		lane_take_aside(lane);
	return TRUE;
}

bool lane_step_aside(struct lane *lane)
{
	if (lane->aside != NULL || !lane_has_more(lane))
		return FALSE;
	lane_set_state(lane, LANE_READING);
	lane->aside = i_new(struct lane_turn, 1);
	*lane->aside = lane->current;
	lane_take_behind(lane);
	return TRUE;
}

bool lane_step_back(struct lane *lane)
{
	if (lane->aside == NULL)
		return FALSE;
	lane_set_state(lane, LANE_READING);
	if (lane->current.entry.item != NULL)
		lane->current.entry.item->attempts = lane->current.attempts;
	if (lane->behind_done > 0)
		lane->behind_done--;
	else
		(void)array_insert_space(&lane->behind, 0);
	*array_idx_modifiable(&lane->behind, lane->behind_done) =
		lane->current.entry;
	i_free(lane->current.error);
	lane_take_aside(lane);
	return TRUE;
}

void lane_set_item(struct lane *lane, struct queue_item *item)
{
	i_assert(item->id == lane->current.entry.id);

	entry_carry(lane->lanes, &lane->current.entry, item, TRUE);
	/* it may have failed before the service was started */
	lane->current.attempts = I_MAX(lane->current.attempts, item->attempts);
}

void lane_failed(struct lane *lane, const char *error)
{
	i_free(lane->current.error);
	lane->current.error = i_strdup(error);
	lane->current.attempts++;
}

struct part *lane_part(const struct lane *lane)
{
	return lane->lanes->part;
}

const char *lane_username(const struct lane *lane)
{
	return lane->username;
}

int64_t lane_id(const struct lane *lane)
{
	return lane->current.entry.id;
}

struct queue_item *lane_item(const struct lane *lane)
{
	return lane->current.entry.item;
}

int64_t lane_last_id(const struct lane *lane)
{
	return lane->last_id;
}

unsigned int lane_attempts(const struct lane *lane)
{
	return lane->current.attempts;
}

const char *lane_error(const struct lane *lane)
{
	return lane->current.error;
}

struct blame *lane_blame(struct lane *lane)
{
	return &lane->current.blame;
}

/* All lanes */

struct lane *lanes_find(struct lanes *lanes, const char *username)
{
	unsigned int idx;

	return !lanes_find_idx(lanes, username, &idx) ? NULL :
		array_idx_elem(&lanes->by_user, idx);
}

struct lane *
lanes_add(struct lanes *lanes, struct queue_item *item, bool fresh)
{
	struct lane *lane;
	unsigned int idx;

	if (lanes_find_idx(lanes, item->username, &idx))
		i_unreached();
	lane = i_new(struct lane, 1);
	lane->lanes = lanes;
	lane->username = i_strdup(item->username);
	lane->fresh = fresh;
	lane->last_id = lane->current.entry.id = item->id;
	lane->state = LANE_READING;
	lane_set_item(lane, item);
	lane_set_state(lane, LANE_READY);
	array_insert(&lanes->by_user, idx, &lane, 1);
	return lane;
}

struct lane *lanes_first_ready(const struct lanes *lanes)
{
	return lanes->ready_head;
}

struct lane *lane_next_ready(const struct lane *lane)
{
	return lane->next;
}

bool lanes_are_within_budget(const struct lanes_common *common)
{
	return common->budget->used < common->budget->max;
}

void lanes_foreach(struct lanes *lanes,
		   void (*callback)(struct lane *lane, void *context),
		   void *context)
{
	struct lane *lane;

	array_foreach_elem(&lanes->by_user, lane)
		callback(lane, context);
}

struct lanes *lanes_init(struct lanes_common *common, struct part *part)
{
	struct lanes *lanes;

	lanes = i_new(struct lanes, 1);
	lanes->common = common;
	lanes->part = part;
	i_array_init(&lanes->by_user, 4);
	return lanes;
}

static void lane_deinit_callback(struct lane *lane, void *context ATTR_UNUSED)
{
	lane_deinit(lane);
}

void lanes_deinit(struct lanes **_lanes)
{
	struct lanes *lanes = *_lanes;

	*_lanes = NULL;
	lanes_foreach(lanes, lane_deinit_callback, NULL);
	array_free(&lanes->by_user);
	i_free(lanes);
}
