/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"

#include "queue.h"
#include "queue-hosts.h"
#include "queue-private.h"

int64_t queue_host_number(struct queue *queue)
{
	return !queue_is_shared(queue) ? 0 :
		queue->engine->v->hosts->number(queue->engine);
}

bool queue_is_shared(struct queue *queue)
{
	return queue->engine->v->hosts != NULL;
}

static void queue_hosts_read_begin(struct queue_hosts_read *read)
{
	timeout_remove(&read->to_begin);
	if (queue_is_shared(read->queue))
		read->queue->engine->v->hosts->read(read->queue->engine, read);
	else
		queue_engine_hosts(read, NULL, 0, NULL);
}

struct queue_hosts_read *
queue_hosts_read(struct queue *queue, queue_hosts_callback_t *callback,
		 void *context)
{
	struct queue_hosts_read *read = i_new(struct queue_hosts_read, 1);

	read->queue = queue;
	read->callback = callback;
	read->context = context;
	read->to_begin = timeout_add_short(0, queue_hosts_read_begin, read);
	return read;
}

void queue_hosts_read_cancel(struct queue_hosts_read **_read)
{
	struct queue_hosts_read *read = *_read;

	*_read = NULL;
	if (read == NULL)
		return;
	read->callback = NULL;
	if (read->to_begin != NULL)
		queue_engine_hosts(read, NULL, 0, NULL);
}

void queue_engine_hosts(struct queue_hosts_read *read,
			const struct queue_host *hosts, unsigned int count,
			const char *error)
{
	timeout_remove(&read->to_begin);
	if (read->callback != NULL)
		read->callback(hosts, count, error, read->context);
	i_free(read);
}

void queue_message_send(struct queue *queue,
			const struct queue_message *message)
{
	i_assert(message->size <= QUEUE_MESSAGE_MAX);

	if (queue_is_shared(queue)) T_BEGIN {
		queue->engine->v->hosts->send(queue->engine, message);
	} T_END;
}

void queue_messages_retract(struct queue *queue, int64_t host, int64_t talk)
{
	if (queue_is_shared(queue)) T_BEGIN {
		queue->engine->v->hosts->retract(queue->engine, host, talk);
	} T_END;
}

void queue_set_message_callback(struct queue *queue,
				queue_message_callback_t *callback,
				void *context)
{
	queue->message_callback = callback;
	queue->message_context = context;
}

void queue_engine_message(struct queue *queue,
			  const struct queue_message *message)
{
	if (queue->message_callback != NULL) T_BEGIN {
		queue->message_callback(message, queue->message_context);
	} T_END;
}
