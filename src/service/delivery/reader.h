/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_READER_H
#define HTTP_NOTIFY_READER_H

struct queue;
struct queue_endpoint;
struct queue_item;

/* An endpoint's part of the queue as it is to be sent: in order for each mail
   user, and what comes for a user who has nothing waiting does not wait behind
   what others have.

   Two cursors go through it. What is found in the queue at first, and what the
   endpoint has no room for, is backlog, of which only the users are remembered;
   the reader comes to it when it is asked. What is stored later for a user who
   has nothing in the backlog the endpoint may have at once, without reading
   it. */
struct reader;

/* changed is called when reader_pull() may have something that it had not, or
   something has been found; not from inside of any function here. */
typedef void reader_changed_callback_t(void *context);

struct reader *
reader_init(struct queue *queue, struct queue_endpoint *queue_ep,
	    reader_changed_callback_t *changed, void *context);
void reader_deinit(struct reader **reader);

/* Something was stored. Returns TRUE if the caller may have it now, FALSE if it
   becomes backlog, as it does unless the caller has room. */
bool reader_stored(struct reader *reader, const struct queue_item *item,
		   bool have_room);

/* The next one of the backlog, to be unreferenced by the caller. Returns NULL
   if there is none, or if it has to be read first, at most batch at once: then
   changed is called. It may be one that the caller has had already by
   reader_stored(). */
struct queue_item *reader_pull(struct reader *reader, unsigned int batch);
/* Is changed going to be called for what reader_pull() did not have? */
bool reader_is_reading(const struct reader *reader);
/* This one is removed from the queue. */
void reader_removed(struct reader *reader, int64_t id);

/* Is there no backlog? */
bool reader_is_empty(const struct reader *reader);
/* All that is stored up to this id has been found. */
int64_t reader_known_id(const struct reader *reader);
/* How many have been found since the last call. */
unsigned int reader_take_found(struct reader *reader);

#endif
