/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LANE_H
#define HTTP_NOTIFY_LANE_H

#include "health.h"

struct queue_item;

/* The notifications that an endpoint has waiting for one mail user, which are
   sent one after the other. A lane carries the one whose turn it is; it carries
   those behind it as far as there is memory for that, and knows the others by
   their ids. */
struct lane;
/* All lanes of an endpoint, by their users. Those that are ready are in the
   order in which they became so. */
struct lanes;

/* What all lanes of the service may carry, in bytes. */
struct lane_budget {
	size_t used, max;
};

struct lanes *lanes_init(struct lane_budget *budget);
void lanes_deinit(struct lanes **lanes);

/* Returns NULL if the user has none. */
struct lane *lanes_find(struct lanes *lanes, const char *username);
/* A lane that is ready with this item. The user has none yet. fresh: it has not
   waited in the endpoint's backlog. */
struct lane *lanes_add(struct lanes *lanes, struct queue_item *item,
		       bool fresh);
/* The first one that is ready, and the one behind it; NULL if there is none. */
struct lane *lanes_first_ready(const struct lanes *lanes);
struct lane *lane_next_ready(const struct lane *lane);
unsigned int lanes_ready_count(const struct lanes *lanes);

/* One more of the user's, with a higher id than all before. */
void lane_add(struct lane *lane, struct queue_item *item);
/* This one, which does not have its turn, is removed from the queue. */
void lane_remove(struct lane *lane, int64_t id);
/* The highest id of all. */
int64_t lane_last_id(const struct lane *lane);

const char *lane_username(const struct lane *lane);
/* The notification whose turn it is. The item is NULL if it has to be read. */
int64_t lane_id(const struct lane *lane);
struct queue_item *lane_item(const struct lane *lane);
/* It has been read. */
void lane_set_item(struct lane *lane, struct queue_item *item);

enum lane_state {
	LANE_READY,
	/* its notification is under way */
	LANE_SENDING,
	/* ... has to be read, or is being read */
	LANE_READING,
	/* ... has failed and waits for its next attempt */
	LANE_WAITING
};

enum lane_state lane_state(const struct lane *lane);
void lane_ready(struct lane *lane);
/* Returns TRUE if it is the first time that a fresh one is sent. */
bool lane_sending(struct lane *lane);
void lane_reading(struct lane *lane);
/* callback is called after a while, longer each time. If memory is short the
   lane does not carry its notification meanwhile. */
typedef void lane_waited_callback_t(struct lane *lane, void *context);
void lane_waiting(struct lane *lane, lane_waited_callback_t *callback,
		  void *context);

/* Of its notification: attempts that have failed, why the last one did (NULL =
   none has), and how far it is to blame for that. */
unsigned int lane_attempts(const struct lane *lane);
const char *lane_error(const struct lane *lane);
struct blame *lane_blame(struct lane *lane);
void lane_failed(struct lane *lane, const char *error);

/* It is done with its notification. Returns FALSE if it has no other one: then
   it is gone. Otherwise the caller has that one read, or makes the lane ready
   if it carries it. */
bool lane_next(struct lane **lane);

/* Call callback for each lane. It may change the lane's state. */
void lanes_foreach(struct lanes *lanes,
		   void (*callback)(struct lane *lane, void *context),
		   void *context);

#endif
