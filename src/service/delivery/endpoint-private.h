/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_PRIVATE_H
#define HTTP_NOTIFY_ENDPOINT_PRIVATE_H

#include "endpoint-common.h"
#include "supply.h"
#include "target.h"

struct attempt;
struct expiry;
struct lane_reads;

/* What endpoint.c and endpoint-admin.c share. */

struct endpoint {
	struct endpoint_common *common;
	struct queue_endpoint *queue_ep;
	unsigned int max_retries, max_age_secs;
	/* how often the options have changed */
	unsigned int options_changes;
	struct targets targets;

	struct reader *reader;
	struct lanes *lanes;
	struct supply supply;
	/* notifications that the reader has found and that are still queued,
	   and the bytes of their bodies */
	unsigned int queued;
	uint64_t queued_bytes;
	struct attempt *attempts;
	struct request_share requests;
	struct lane_reads *lane_reads;
	struct expiry *expiry;

	/* endpoint_look_again() waits for the requests under way */
	bool look_again;
	/* goes on with work that was left for a later turn of the ioloop */
	struct timeout *to_run;
	/* the next probe is due */
	struct timeout *to_probe;
	/* notifications given up since a server last went down */
	unsigned int given_up;
	struct endpoint_counters counters;
};

/* Have endpoint_run() called in another turn of the ioloop. */
void endpoint_run_later(struct endpoint *ep);
/* Send what can be sent. */
void endpoint_pump(struct endpoint *ep);

/* It is the turn of the lane's notification. It may have to wait for some more
   time, or to be read first. */
void endpoint_lane_turn(struct endpoint *ep, struct lane *lane);
/* The lane is done with its notification, and goes on to the next one. */
void endpoint_lane_done(struct endpoint *ep, struct lane *lane);

/* Remove a notification from the queue. If it is its lane's turn, the caller
   calls endpoint_lane_done() as well. */
void endpoint_remove(struct endpoint *ep, const struct queue_item *item);
/* Tell callers who wait for its outcome; error: NULL = it was delivered. */
void endpoint_tell_finished(struct endpoint *ep, int64_t id, const char *error);

#endif
