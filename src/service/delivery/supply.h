/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SUPPLY_H
#define HTTP_NOTIFY_SUPPLY_H

struct lane;
struct lanes;
struct queue_item;
struct reader;

/* Whose notification an endpoint sends next: of the lanes that are ready, which
   are topped up from the backlog. What is stored for a user who has nothing
   queued goes before the backlog, and for each such one the backlog has a turn,
   too. */
struct supply {
	/* the endpoint's */
	struct lanes *lanes;
	struct reader *reader;

	/* turns of the backlog, for notifications sent before it */
	unsigned int owed;
	/* pulled from the backlog since the last request */
	unsigned int pulled;
};

/* A notification was stored. It gets into a lane, if there is room and the
   endpoint is up, or becomes backlog. */
void supply_stored(struct supply *supply, struct queue_item *item, bool up);

/* The ready lane whose turn it is; NULL = none has one now. window: how many
   requests may be under way. A probe is best made with a notification that has
   not failed: if only some of them are to blame, the endpoint is up again with
   the first other one. */
struct lane *supply_next(struct supply *supply, unsigned int window,
			 bool probe);
/* This lane's notification is sent. */
void supply_sending(struct supply *supply, struct lane *lane);

#endif
