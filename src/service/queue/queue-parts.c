/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts that this process sends, and whom to tell of them. One that was
   released waits here until what was removed of it has been committed, so that
   the next process does not send that again. */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "llist.h"

#include "queue.h"
#include "queue-private.h"

static void queue_part_free(struct queue *queue, struct queue_part *part)
{
	queue_reads_part_gone(queue, part);
	hash_table_remove(queue->parts, POINTER_CAST(part->number));
	DLLIST_REMOVE(&part->endpoint->parts, part);
	i_free(part);
}

/* Claims */

void queue_tell_endpoint(struct queue *queue, struct queue_endpoint *ep)
{
	if (queue->vfuncs == NULL)
		return;
	T_BEGIN {
		queue->vfuncs->endpoint(ep, ep->options, queue->vfuncs_context);
	} T_END;
}

void queue_tell_grown(struct queue *queue, struct queue_part *part)
{
	if (!part->released && queue->vfuncs != NULL)
		queue->vfuncs->grown(part, queue->vfuncs_context);
}

static void queue_tell_claimed(struct queue *queue, struct queue_part *part)
{
	if (queue->vfuncs == NULL)
		return;
	T_BEGIN {
		queue->vfuncs->claimed(part, queue->vfuncs_context);
	} T_END;
}

void queue_claim(struct queue *queue, const struct queue_part_vfuncs *vfuncs,
		 void *context)
{
	struct queue_endpoint *ep;
	struct queue_part *part, *next;

	queue->vfuncs = vfuncs;
	queue->vfuncs_context = context;
	for (ep = queue->endpoints_head; ep != NULL; ep = ep->next) {
		queue_tell_endpoint(queue, ep);
		for (part = ep->parts; part != NULL; part = next) {
			next = part->next;
			queue_tell_claimed(queue, part);
		}
	}
	if (queue->engine->v->claim != NULL)
		queue->engine->v->claim(queue->engine);
}

void queue_unclaim(struct queue *queue)
{
	queue->vfuncs = NULL;
}

/* A part */

struct queue_part *
queue_endpoint_next_part(const struct queue_endpoint *ep, int64_t *number)
{
	struct queue_part *part, *next = NULL;

	for (part = ep->parts; part != NULL; part = part->next) {
		if (!part->released && part->number >= *number &&
		    (next == NULL || part->number < next->number))
			next = part;
	}
	if (next != NULL)
		*number = next->number;
	return next;
}

struct queue_endpoint *queue_part_get_endpoint(const struct queue_part *part)
{
	return part->endpoint;
}

int64_t queue_part_last_id(const struct queue_part *part)
{
	return part->last_id;
}

bool queue_part_may_have(const struct queue_part *part, int64_t id)
{
	return id > part->before_id && id < part->end_id;
}

void queue_part_set_context(struct queue_part *part, void *context)
{
	part->context = context;
}

void *queue_part_get_context(const struct queue_part *part)
{
	return part->context;
}

void queue_part_forget(struct queue *queue, struct queue_part **_part)
{
	struct queue_part *part = *_part;

	*_part = NULL;
	queue_part_free(queue, part);
}

void queue_part_stored(struct queue_item *item)
{
	if (item->part == NULL)
		return;
	item->part->last_id = I_MAX(item->part->last_id, item->id);
	if (item->part->released)
		item->part = NULL;
}

/* Release */

bool queue_part_has_removals(struct queue *queue,
			     const struct queue_part *part)
{
	return queue_has_removals(queue, part->before_id, part->end_id);
}

static void queue_part_give_back(struct queue *queue, struct queue_part *part)
{
	queue->engine->v->part_released(queue->engine, part);
	queue_part_free(queue, part);
}

void queue_part_released(struct queue *queue, struct queue_part **_part)
{
	struct queue_part *part = *_part;

	*_part = NULL;
	part->context = NULL;
	part->released = TRUE;
	if (queue_part_has_removals(queue, part))
		array_push_back(&queue->released, &part);
	else
		queue_part_give_back(queue, part);
}

void queue_parts_removed(struct queue *queue)
{
	struct queue_part *part;
	unsigned int i;

	for (i = array_count(&queue->released); i > 0; i--) {
		part = array_idx_elem(&queue->released, i - 1);
		if (queue_part_has_removals(queue, part))
			continue;
		array_delete(&queue->released, i - 1, 1);
		queue_part_give_back(queue, part);
	}
}

static void queue_released_remove(struct queue *queue, struct queue_part *part)
{
	struct queue_part *const *partp;

	array_foreach(&queue->released, partp) {
		if (*partp == part) {
			array_delete(&queue->released,
				     array_foreach_idx(&queue->released, partp),
				     1);
			break;
		}
	}
}

void queue_parts_forget(struct queue *queue, struct queue_endpoint *ep)
{
	struct queue_part *part, *next;

	for (part = ep->parts; part != NULL; part = next) {
		next = part->next;
		if (!part->released)
			queue_part_free(queue, part);
	}
}

/* What an engine says */

struct queue_part *
queue_engine_find_part(struct queue *queue, int64_t number)
{
	return hash_table_lookup(queue->parts, POINTER_CAST(number));
}

struct queue_part *
queue_engine_have_part(struct queue *queue, struct queue_endpoint *ep,
		       int64_t number, int64_t last_id)
{
	struct queue_part *part;

	part = i_new(struct queue_part, 1);
	part->endpoint = ep;
	part->number = number;
	part->before_id = number << queue->part_shift;
	part->end_id = (number + 1) << queue->part_shift;
	part->last_id = last_id;
	hash_table_insert(queue->parts, POINTER_CAST(number), part);
	DLLIST_PREPEND(&ep->parts, part);
	if (ep->forgotten) {
		/* it is needed again, because of another process */
		ep->forgotten = FALSE;
		queue_tell_endpoint(queue, ep);
	}
	queue_tell_claimed(queue, part);
	return part;
}

void queue_engine_part_grown(struct queue *queue, struct queue_part *part,
			     int64_t last_id)
{
	if (last_id <= part->last_id)
		return;
	part->last_id = last_id;
	queue_tell_grown(queue, part);
}

void queue_engine_part_look_again(struct queue *queue, struct queue_part *part)
{
	if (!part->released && queue->vfuncs != NULL)
		queue->vfuncs->look_again(part, queue->vfuncs_context);
}

void queue_engine_part_release(struct queue *queue, struct queue_part *part)
{
	if (!part->released && queue->vfuncs != NULL)
		queue->vfuncs->release(part, queue->vfuncs_context);
}

void queue_engine_part_revoked(struct queue *queue, struct queue_part *part)
{
	if (part->released)
		queue_released_remove(queue, part);
	else if (queue->vfuncs != NULL)
		queue->vfuncs->revoked(part, queue->vfuncs_context);
	queue_part_free(queue, part);
}

/* The rest */

void queue_parts_init(struct queue *queue)
{
	hash_table_create_direct(&queue->parts, default_pool, 0);
	i_array_init(&queue->released, 4);
}

void queue_parts_deinit(struct queue *queue)
{
	struct queue_endpoint *ep;

	for (ep = queue->endpoints_head; ep != NULL; ep = ep->next) {
		while (ep->parts != NULL)
			queue_part_free(queue, ep->parts);
	}
	hash_table_destroy(&queue->parts);
	array_free(&queue->released);
}
