/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PART_H
#define HTTP_NOTIFY_PART_H

struct endpoint;
struct queue_item;
struct queue_part;

/* A part of the queue (queue.h) that this process sends: its backlog and its
   users' lanes. An endpoint has any number of them, at any time; which
   notification is sent next is decided among all of its lanes. It lives until
   it is released, revoked or idle; the endpoint frees what it still has. */
struct part;

/* See queue_part_vfuncs. The part of the queue gets the new one as its context;
   it starts with what is queued in it. */
void part_claimed(struct endpoint *ep, struct queue_part *queue_part);
void part_grown(struct part *part);
void part_release(struct part *part);
void part_revoked(struct part *part);
/* Look through the queue again, in order, once the requests under way have
   ended. */
void part_look_again(struct part *part);

struct queue_part *part_get_queue(const struct part *part);

/* A notification has been stored at its end. endpoint_run() sends it. */
void part_stored(struct part *part, struct queue_item *item);
/* One has been put back, not at its end. endpoint_look_again() finds it. */
void part_put_back(struct part *part, const struct queue_item *item);

#endif
