/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SUPPLY_H
#define HTTP_NOTIFY_SUPPLY_H

struct lane;
struct lanes;
struct lanes_common;
struct queue_item;
struct reader;

/* Chooses whose notification of a part is sent next, among the lanes that are
   ready, which are topped up from the backlog. What is stored for a user who
   has nothing queued is sent before the backlog, but for each such notification
   the backlog is owed a turn. */
struct supply {
	/* the part's, and what its endpoint's lanes have in common */
	struct lanes *lanes;
	const struct lanes_common *common;
	struct reader *reader;

	/* turns owed to the backlog, for notifications sent before it */
	unsigned int owed;
	/* pulled from the backlog since the last request */
	unsigned int pulled;
};

/* A notification was stored. Unless its user has something in the backlog, it
   gets into the user's lane, or into a new one if the endpoint is up and has
   room. Otherwise it becomes backlog. up: is any of the endpoint's servers? */
void supply_stored(struct supply *supply, struct queue_item *item, bool up);

/* Returns the ready lane whose turn it is; NULL = no lane is ready, or its
   notification is too large to be sent beside the others. requests: how many of
   the endpoint are under way, with the one to come. probe: prefer a
   notification that has not failed yet. If only some notifications are to
   blame, the first other one shows that the endpoint is up. */
struct lane *supply_next(struct supply *supply, unsigned int requests,
			 bool probe);
/* This lane's notification is about to be sent. */
void supply_sending(struct supply *supply, struct lane *lane);

#endif
