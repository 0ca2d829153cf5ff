/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ATTEMPT_H
#define HTTP_NOTIFY_ATTEMPT_H

struct endpoint;
struct lane;
struct part;
struct target;

/* A request under way: an attempt to send a lane's notification. When that is
   answered, the notification is removed from the queue, or its lane goes on. An
   attempt may outlive the part that it was made for: then its notification is
   removed if it was accepted, and otherwise left to whoever has it now. */
struct attempt;

/* Send the notification whose turn it is. The request is counted already
   (request_share_take()). */
void attempt_start(struct endpoint *ep, struct lane *lane,
		   struct target *target);
/* The part is about to be freed: its attempts go on without it. */
void attempts_leave(struct part *part);
/* The part is new. Attempts for what is in it, from when this process had it
   before, are under way in it (part->in_flight), but not in its lanes. */
void attempts_join(struct part *part);
/* Frees all of the endpoint's; the sender must not call back any more. */
void attempts_free(struct endpoint *ep);

#endif
