/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"

#include "id-set.h"

/* Up to this many new ids are searched one by one before they are sorted. */
#define UNSORTED_MAX 64

void id_set_init(struct id_set *set)
{
	i_array_init(&set->ids, UNSORTED_MAX);
	set->sorted = 0;
}

void id_set_deinit(struct id_set *set)
{
	array_free(&set->ids);
}

static int id_cmp(const struct id_set_id *id1, const struct id_set_id *id2)
{
	return id1->id < id2->id ? -1 : id1->id > id2->id;
}

void id_set_add(struct id_set *set, int64_t id, size_t size)
{
	const struct id_set_id new_id = { .id = id, .size = size };

	array_push_back(&set->ids, &new_id);
}

bool id_set_has_between(struct id_set *set, int64_t after_id, int64_t last_id)
{
	const struct id_set_id *ids, first = { .id = after_id + 1 };
	unsigned int i, count = array_count(&set->ids);

	if (count - set->sorted > UNSORTED_MAX) {
		array_sort(&set->ids, id_cmp);
		set->sorted = count;
	}
	if (count == 0)
		return FALSE;
	ids = array_front(&set->ids);
	(void)bsearch_insert_pos(&first, ids, set->sorted, sizeof(*ids),
				 id_cmp, &i);
	if (i < set->sorted && ids[i].id <= last_id)
		return TRUE;
	for (i = set->sorted; i < count; i++) {
		if (ids[i].id > after_id && ids[i].id <= last_id)
			return TRUE;
	}
	return FALSE;
}

bool id_set_has(struct id_set *set, int64_t id)
{
	return id_set_has_between(set, id - 1, id);
}

void id_set_take(struct id_set *set, struct id_set *from, unsigned int max,
		 size_t max_size)
{
	unsigned int count = array_count(&from->ids), left = count;
	const struct id_set_id *id;
	size_t size = 0;

	for (; left > 0 && count - left < max; left--) {
		id = array_idx(&from->ids, left - 1);
		if (left < count && id->size > max_size - size)
			break;
		size = I_MIN(size + id->size, max_size);
	}
	if (left == count)
		return;
	array_append(&set->ids, array_idx(&from->ids, left), count - left);
	array_delete(&from->ids, left, count - left);
	from->sorted = I_MIN(from->sorted, left);
}

void id_set_merge(struct id_set *set, struct id_set *other)
{
	array_append_array(&set->ids, &other->ids);
	array_clear(&other->ids);
	other->sorted = 0;
}
