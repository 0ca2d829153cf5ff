/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open-addressing hash table from a checksum of the user's name to the
   user's last id. Users whose last id has been read are only dropped when the
   table would have to grow, and when nothing is left. */
#include "lib.h"
#include "bits.h"
#include "crc32.h"

#include "backlog.h"

#define MIN_SLOTS 16

struct backlog_slot {
	uint32_t checksum;
	/* the last id, less the backlog's base; 0 = unused. UINT32_MAX stands
	   for higher ones as well, which count as not read. */
	uint32_t last;
};

struct backlog {
	struct backlog_slot *slots;
	/* slots_count is a power of two, or 0 while there is no table */
	unsigned int slots_count, used_count;
	/* lower than any id in the table */
	int64_t base;
	/* the last id added, and the one up to which all have been read */
	int64_t last_id, read_id;
};

/* Returns the slot with this checksum, or the unused slot where it belongs.
   There is always an unused one, so the search ends. */
static struct backlog_slot *
backlog_find(const struct backlog *backlog, uint32_t checksum)
{
	unsigned int mask = backlog->slots_count - 1;
	unsigned int i = checksum & mask;

	while (backlog->slots[i].last != 0 &&
	       backlog->slots[i].checksum != checksum)
		i = (i + 1) & mask;
	return &backlog->slots[i];
}

static bool backlog_slot_waits(const struct backlog *backlog,
			       const struct backlog_slot *slot)
{
	return slot->last > I_MAX(backlog->read_id - backlog->base, 0) ||
		slot->last == UINT32_MAX;
}

/* Drop users who have nothing waiting, and make room for as many new ones as
   are left. */
static void backlog_resize(struct backlog *backlog)
{
	struct backlog_slot *old_slots = backlog->slots;
	unsigned int i, old_count = backlog->slots_count;

	backlog->used_count = 0;
	for (i = 0; i < old_count; i++) {
		if (backlog_slot_waits(backlog, &old_slots[i]))
			backlog->used_count++;
	}
	backlog->slots_count =
		nearest_power(I_MAX(backlog->used_count * 4, MIN_SLOTS));
	backlog->slots = i_new(struct backlog_slot, backlog->slots_count);
	for (i = 0; i < old_count; i++) {
		if (backlog_slot_waits(backlog, &old_slots[i])) {
			*backlog_find(backlog, old_slots[i].checksum) =
				old_slots[i];
		}
	}
	i_free(old_slots);
}

void backlog_add(struct backlog *backlog, const char *username, int64_t id)
{
	uint32_t checksum = crc32_str(username);
	struct backlog_slot *slot;

	i_assert(id > backlog->last_id);

	if (backlog_is_empty(backlog))
		backlog->base = id - 1;
	if (backlog->used_count >= backlog->slots_count / 2)
		backlog_resize(backlog);
	slot = backlog_find(backlog, checksum);
	if (slot->last == 0)
		backlog->used_count++;
	slot->checksum = checksum;
	slot->last = I_MIN(id - backlog->base, UINT32_MAX);
	backlog->last_id = id;
}

void backlog_read(struct backlog *backlog, int64_t id)
{
	backlog->read_id = id;
	if (backlog_is_empty(backlog)) {
		i_free(backlog->slots);
		backlog->slots_count = backlog->used_count = 0;
	}
}

bool backlog_has(const struct backlog *backlog, const char *username)
{
	return !backlog_is_empty(backlog) &&
		backlog_slot_waits(backlog, backlog_find(backlog,
						crc32_str(username)));
}

bool backlog_is_empty(const struct backlog *backlog)
{
	return backlog->last_id <= backlog->read_id;
}

struct backlog *backlog_init(void)
{
	return i_new(struct backlog, 1);
}

void backlog_deinit(struct backlog **_backlog)
{
	struct backlog *backlog = *_backlog;

	*_backlog = NULL;
	i_free(backlog->slots);
	i_free(backlog);
}
