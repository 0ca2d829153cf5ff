/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_PRIVATE_H
#define HTTP_NOTIFY_ENDPOINT_PRIVATE_H

#include "endpoint-common.h"
#include "part.h"
#include "queue-item.h"
#include "supply.h"
#include "target.h"

struct attempt;
struct expiry;
struct lane_reads;

/* What the files of an endpoint share: endpoint.c and endpoint-admin.c, part.c,
   attempt.c. */

struct endpoint {
	struct endpoint_common *common;
	struct queue_endpoint *queue_ep;
	unsigned int max_retries, max_age_secs;
	/* how often the options have changed */
	unsigned int options_changes;
	struct targets targets;

	struct part *parts;
	/* those that may have something to send, in the order of their turns */
	struct part *listed_head, *listed_tail;
	struct lanes_common lanes;
	struct lane_reads *lane_reads;
	/* for their readers */
	size_t ahead_size;
	/* of its parts together */
	unsigned int queued;
	uint64_t queued_bytes;
	struct attempt *attempts;
	struct request_share requests;

	/* goes on with work that was left for a later turn of the ioloop */
	struct timeout *to_run;
	/* the next probe is due */
	struct timeout *to_probe;
	/* notifications given up since a server last went down */
	unsigned int given_up;
	struct endpoint_counters counters;
};

struct part {
	/* in the endpoint's list, and in that of those listed */
	struct part *prev, *next;
	struct part *listed_prev, *listed_next;
	struct endpoint *ep;
	struct queue_part *queue_part;

	struct reader *reader;
	struct lanes *lanes;
	struct supply supply;
	struct expiry *expiry;
	/* notifications that the reader has found, or that were put back, and
	   that are still queued, and the bytes of their bodies */
	unsigned int queued;
	uint64_t queued_bytes;
	/* requests under way */
	unsigned int in_flight;

	bool listed;
	/* something was put back since it was last looked through */
	bool put_back;
	/* No request is started until those under way have ended; then it is
	   released, or looked through again. */
	bool release, look_again;
};

/* Count for this endpoint, and for all endpoints together, also of the last
   hours. */
#define ENDPOINT_COUNT(ep, counter) STMT_START { \
		(ep)->counters.counter++; \
		(ep)->common->counters.counter++; \
		history_present(&(ep)->common->history)->counter++; \
	} STMT_END

/* Have endpoint_run() called in another turn of the ioloop. */
void endpoint_run_later(struct endpoint *ep);
/* Send what can be sent. */
void endpoint_pump(struct endpoint *ep);
/* Tell callers who wait for a notification's outcome; error: NULL = it was
   delivered. */
void endpoint_tell_finished(struct endpoint *ep, int64_t id, const char *error);

/* Returns the lane of this part whose turn it is, as supply_next(). */
struct lane *
part_next_lane(struct part *part, unsigned int requests, bool probe);
/* All that is ready has failed, and may be to blame: one of these lets the next
   of its user pass. Returns its lane, which may be ready or not; NULL = there
   is none. */
struct lane *part_let_pass(struct part *part);
/* The lane's notification is about to be sent; and a request has ended. This
   may free the part. */
void part_sending(struct lane *lane);
void part_request_ended(struct part *part);
/* Nothing is queued in it or under way. */
bool part_is_idle(const struct part *part);
/* Free it. The part of the queue stays. */
void part_close(struct part **part);
/* Start to give up what is too old, which takes a while. */
void part_expire(struct part *part);

/* It is the turn of the lane's notification. It may have to wait for some more
   time, or to be read first. */
void part_lane_turn(struct lane *lane);
/* The lane is done with its notification, and goes on to the next one. */
void part_lane_done(struct lane *lane);
/* The lane's notification has failed: it waits for its next attempt, at least
   for so long, and lets others of its user pass if it seems to be to blame. */
void part_lane_wait(struct lane *lane, unsigned int min_msecs);
/* For lane_reads_init(). */
void part_lane_read(struct lane *lane, bool found, void *context);

/* Remove a notification from the queue. If it is its lane's turn, the caller
   calls part_lane_done() as well. */
void part_remove(struct part *part, const struct queue_item *item);
/* Give up the notification whose turn it is; or because it is too old. */
void part_lane_lost(struct lane *lane, enum queue_loss_reason reason,
		    const char *answer);
void part_lane_expired(struct lane *lane, const struct queue_item *item);

#endif
