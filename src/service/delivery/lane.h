/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LANE_H
#define HTTP_NOTIFY_LANE_H

#include "health.h"

struct part;
struct queue_item;

/* The notifications of one mail user that wait for an endpoint and are sent one
   after the other. A lane carries, that is, has in memory, the one whose turn
   it is, and those behind it if the budget allows; of the others it only knows
   the ids. */
struct lane;
/* All lanes of a part, by user. Lanes that are ready are listed in the order in
   which they became so. */
struct lanes;

/* What all lanes of the service carry, in bytes. used may exceed max, since a
   notification that has its turn is always carried. */
struct lane_budget {
	size_t used, max;
};

/* What the lanes of an endpoint's parts have in common. */
struct lanes_common {
	struct lane_budget *budget;
	/* how many of them are ready */
	unsigned int ready_count;
	/* how many parts may have something to send */
	unsigned int parts;
};

struct lanes *lanes_init(struct lanes_common *common, struct part *part);
void lanes_deinit(struct lanes **lanes);

/* Returns NULL if the user has none. */
struct lane *lanes_find(struct lanes *lanes, const char *username);
/* Add a ready lane that has this item, for its user, who must have none yet.
   fresh: the item has not been in the endpoint's backlog. */
struct lane *lanes_add(struct lanes *lanes, struct queue_item *item,
		       bool fresh);
/* The first lane that is ready, and the next one after a ready lane; NULL if
   there is none. */
struct lane *lanes_first_ready(const struct lanes *lanes);
struct lane *lane_next_ready(const struct lane *lane);
/* Does the budget allow for more than what has its turn? */
bool lanes_are_within_budget(const struct lanes_common *common);

/* Add a notification of the lane's user, with a higher id than all before. */
void lane_add(struct lane *lane, struct queue_item *item);
/* Forget a notification that was removed from the queue, if the lane has it. It
   must not be the one whose turn it is. */
void lane_remove(struct lane *lane, int64_t id);
/* The highest id that the lane has had. */
int64_t lane_last_id(const struct lane *lane);

struct part *lane_part(const struct lane *lane);
const char *lane_username(const struct lane *lane);
/* The notification whose turn it is. The item is NULL if it is not carried and
   has to be read. */
int64_t lane_id(const struct lane *lane);
struct queue_item *lane_item(const struct lane *lane);
/* The notification whose turn it is has been read. */
void lane_set_item(struct lane *lane, struct queue_item *item);

enum lane_state {
	LANE_READY,
	/* its notification is being sent */
	LANE_SENDING,
	/* its notification has to be read, or is being read */
	LANE_READING,
	/* its notification has failed and waits for the next attempt */
	LANE_WAITING
};

enum lane_state lane_state(const struct lane *lane);
void lane_ready(struct lane *lane);
/* Returns TRUE if the lane was added as fresh and sends for the first time. */
bool lane_sending(struct lane *lane);
void lane_reading(struct lane *lane);
/* callback is called when the wait is over; each wait is longer than the one
   before, up to a limit, and not shorter than min_msecs. If the budget is
   exceeded, the lane does not carry its notification while it waits. */
typedef void lane_waited_callback_t(struct lane *lane, void *context);
void lane_waiting(struct lane *lane, unsigned int min_msecs,
		  lane_waited_callback_t *callback, void *context);
/* Go on with the wait of a notification that has stepped aside. Returns FALSE
   if there is nothing to wait for. */
bool lane_waiting_on(struct lane *lane, lane_waited_callback_t *callback,
		     void *context);
/* End waits: that of the notification whose turn it is, in which case the
   caller goes on as after it, and that of the one that has stepped aside.
   Returns FALSE if there are none. */
bool lane_hurry(struct lane *lane);

/* Of the notification whose turn it is: how many attempts have failed, why the
   last one did (NULL = none has since the service was started), and how far it
   is to blame. lane_failed() adds an attempt. */
unsigned int lane_attempts(const struct lane *lane);
const char *lane_error(const struct lane *lane);
struct blame *lane_blame(struct lane *lane);
void lane_failed(struct lane *lane, const char *error);

/* The notification whose turn it is steps aside: the next ones of its user have
   theirs while it waits, and it has its own again when it has waited, or if
   there are none. Returns FALSE if nothing is behind it, or if another one has
   stepped aside already. Otherwise the state is as after lane_next(). */
bool lane_step_aside(struct lane *lane);
/* The one that has stepped aside has its turn before the one that has it now.
   Returns FALSE if there is none; otherwise the state is as after
   lane_next(). */
bool lane_step_back(struct lane *lane);

/* Done with this notification: go on to the next. Returns FALSE if there is
   none; the lane is freed then, and *lane is NULL. Otherwise the state is
   LANE_READING, and the caller makes the lane ready if it carries the next
   notification, or has that read. */
bool lane_next(struct lane **lane);

/* Call callback for each lane. It may change the lane's state, but not add or
   free lanes. */
void lanes_foreach(struct lanes *lanes,
		   void (*callback)(struct lane *lane, void *context),
		   void *context);

#endif
