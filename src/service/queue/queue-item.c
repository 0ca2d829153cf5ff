/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "queue-item.h"

struct queue_item_memory {
	struct queue_item item;
	int refcount;
	size_t size;
	/* the strings */
	char data[];
};

static const char *append(char **dest, const char *str)
{
	char *begin = *dest;
	size_t size;

	if (str == NULL)
		return NULL;
	size = strlen(str) + 1;
	memcpy(begin, str, size);
	*dest += size;
	return begin;
}

static size_t size_of(const char *str)
{
	return str == NULL ? 0 : strlen(str) + 1;
}

struct queue_item *queue_item_dup(const struct queue_item *item)
{
	struct queue_item_memory *mem;
	size_t size = sizeof(*mem) + size_of(item->username) +
		size_of(item->folder) + size_of(item->body) +
		size_of(item->loss.answer) + size_of(item->loss.host.name);
	char *dest;

	mem = i_malloc(size);
	mem->item = *item;
	mem->refcount = 1;
	mem->size = size;
	dest = mem->data;
	mem->item.username = append(&dest, item->username);
	mem->item.folder = append(&dest, item->folder);
	mem->item.body = append(&dest, item->body);
	if (item->body != NULL)
		mem->item.body_size = strlen(item->body);
	mem->item.loss.answer = append(&dest, item->loss.answer);
	mem->item.loss.host.name = append(&dest, item->loss.host.name);
	return &mem->item;
}

void queue_item_ref(struct queue_item *item)
{
	struct queue_item_memory *mem =
		container_of(item, struct queue_item_memory, item);

	i_assert(mem->refcount > 0);
	mem->refcount++;
}

void queue_item_unref(struct queue_item **_item)
{
	struct queue_item_memory *mem;

	if (*_item == NULL)
		return;
	mem = container_of(*_item, struct queue_item_memory, item);
	*_item = NULL;
	i_assert(mem->refcount > 0);
	if (--mem->refcount == 0)
		i_free(mem);
}

const char *queue_item_key(const struct queue_item *item)
{
	return t_strdup_printf("%s-%"PRIu64,
			       guid_128_to_string(item->session), item->seq);
}

size_t queue_item_size(struct queue_item *item)
{
	struct queue_item_memory *mem =
		container_of(item, struct queue_item_memory, item);

	return mem->size;
}
