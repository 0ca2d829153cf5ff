/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_COMMON_H
#define HTTP_NOTIFY_ENDPOINT_COMMON_H

#include "endpoint.h"
#include "history.h"
#include "lane.h"
#include "request-budget.h"

struct endpoint_watch;
struct live_watch;
struct queue;
struct sender;

/* What all endpoints share. */
struct endpoint_common {
	struct queue *queue;
	struct sender *sender;
	struct event *event;
	/* queued notifications that the endpoints have found so far, and the
	   bytes of their bodies */
	unsigned int queued;
	uint64_t queued_bytes;
	/* how many endpoints have any of these */
	unsigned int backlogged;
	/* requests under way, and those of them that are no probes */
	struct request_budget requests;
	unsigned int in_flight;
	/* no request is started any more */
	bool stopped;
	/* some were not started, because of queue_may_send() */
	bool held;
	struct lane_budget lane_budget;
	struct endpoint_counters counters;
	struct history history;
	struct endpoint_watch *watches;
	/* those who look on; NULL = nobody does */
	struct live_watch *live;
};

#endif
