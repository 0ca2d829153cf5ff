/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_HOSTS_H
#define HTTP_NOTIFY_QUEUE_HOSTS_H

struct queue;

/* The hosts that share a queue, and what they say to each other by way of it. */
struct queue_host {
	/* the queue's number for it */
	int64_t number;
	const char *name;
};

/* This host's number; 0 = the queue is not shared, or this host has never been
   able to use it. */
int64_t queue_host_number(struct queue *queue);
/* May others have stored something in it? */
bool queue_is_shared(struct queue *queue);

/* The others that share the queue now, which live until the callback returns;
   or error, and then there are none. */
typedef void
queue_hosts_callback_t(const struct queue_host *hosts, unsigned int count,
		       const char *error, void *context);
/* Ask which others there are. When the callback is called, never from inside
   this function, the queue also knows the endpoints that these have stored, and
   what they have given up, the latter as of some seconds ago. */
struct queue_hosts_read *
queue_hosts_read(struct queue *queue, queue_hosts_callback_t *callback,
		 void *context);
/* The callback will not be called. *read may be NULL. */
void queue_hosts_read_cancel(struct queue_hosts_read **read);

/* A message to another host, or from one. It arrives once, or not at all, and
   those to a host arrive in order. Anybody who may use the queue can send what
   they like, but nobody else. */
struct queue_message {
	int64_t host;
	/* A conversation, and what is said in it: all up to whoever talks. */
	int64_t talk, kind, number;
	const void *data;
	/* at most QUEUE_MESSAGE_MAX */
	size_t size;
};
#define QUEUE_MESSAGE_MAX (128*1024)

/* Does nothing if the queue is not shared, or can't be used. */
void queue_message_send(struct queue *queue,
			const struct queue_message *message);
/* Take back what this host has sent in this conversation, unless it has arrived
   already. */
void queue_messages_retract(struct queue *queue, int64_t host, int64_t talk);

/* Called by the ioloop for each message that has arrived. NULL = they are
   ignored. */
typedef void queue_message_callback_t(const struct queue_message *message,
				      void *context);
void queue_set_message_callback(struct queue *queue,
				queue_message_callback_t *callback,
				void *context);

#endif
