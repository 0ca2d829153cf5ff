/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ID_SET_H
#define HTTP_NOTIFY_ID_SET_H

struct id_set_id {
	int64_t id;
	/* of what it stands for, in bytes */
	size_t size;
};

/* A set of ids, in an array that is sorted except for the latest ones. */
struct id_set {
	ARRAY(struct id_set_id) ids;
	unsigned int sorted;
};

void id_set_init(struct id_set *set);
void id_set_deinit(struct id_set *set);

/* Add an id that is not in the set. */
void id_set_add(struct id_set *set, int64_t id, size_t size);
bool id_set_has(struct id_set *set, int64_t id);
/* Is there an id above after_id and up to last_id? */
bool id_set_has_between(struct id_set *set, int64_t after_id, int64_t last_id);
/* Move some of the other set's ids to this one: at most max, and no more than
   max_size together, unless it is one. */
void id_set_take(struct id_set *set, struct id_set *from, unsigned int max,
		 size_t max_size);
/* Move all of the other set's ids to this one. */
void id_set_merge(struct id_set *set, struct id_set *other);

#endif
