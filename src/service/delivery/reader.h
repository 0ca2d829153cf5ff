/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_READER_H
#define HTTP_NOTIFY_READER_H

struct queue;
struct queue_item;
struct queue_part;

/* Reads a part of the queue in the order in which it is to be sent:
   in order for each mail user, but what comes for a user who has nothing
   waiting does not wait behind what others have.

   Two cursors go through it: one finds rows, the other reads them. What is in
   the queue at first, and what the endpoint has no room for later, is backlog:
   only its users are remembered, and it is read when the endpoint asks for it.
   What is stored later for a user who has nothing in the backlog may go to the
   endpoint at once, without being read. */
struct reader;

/* Called when reader_pull() may have something new, or when something has been
   found (reader_take_found()); never from inside a function of this file. */
typedef void reader_changed_callback_t(void *context);

/* ahead_size: how much those who share it have read ahead, in bytes. */
struct reader *
reader_init(struct queue *queue, struct queue_part *queue_part,
	    size_t *ahead_size, reader_changed_callback_t *changed,
	    void *context);
void reader_deinit(struct reader **reader);

/* Others have stored something at the part's end, which is backlog. */
void reader_grown(struct reader *reader);
/* An item was stored. Returns TRUE if the caller is to send it. Otherwise it
   becomes backlog: if the caller has no room, if the user has something there
   already, or while what was in the queue at first is still being found. */
bool reader_stored(struct reader *reader, const struct queue_item *item,
		   bool have_room);

/* The next item of the backlog, which the caller unreferences. Returns NULL if
   there is none, or if none has been read yet; then up to batch rows are read,
   and changed is called, unless others have read ahead much that they have to
   pull first. An item may be one that the caller has had from
   reader_stored() already. */
struct queue_item *reader_pull(struct reader *reader, unsigned int batch);
/* Is the backlog being read? Then changed will be called. */
bool reader_is_reading(const struct reader *reader);
/* A notification was removed from the queue: do not return it any more. */
void reader_removed(struct reader *reader, int64_t id);

/* Is there no backlog, and is all that is in the queue found? */
bool reader_is_empty(const struct reader *reader);
/* Everything that is stored up to this id has been found. */
int64_t reader_known_id(const struct reader *reader);
/* How many notifications have been found since the last call, and the bytes of
   their bodies. */
unsigned int reader_take_found(struct reader *reader, uint64_t *bytes_r);

#endif
