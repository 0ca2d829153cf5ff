/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_TARGET_H
#define HTTP_NOTIFY_TARGET_H

#include "health.h"
#include "sender-target.h"

struct answer;
struct http_notify_options;

/* One of an endpoint's servers. */
struct target {
	struct sender_target sender_target;
	struct health health;
	/* when its state has changed: monotonic, in milliseconds */
	int64_t since;
	/* what it last failed with; NULL = nothing has failed */
	char *error;
};

/* An endpoint's servers: url, and standby_url where there is one. */
struct targets {
	struct target targets[2];
	unsigned int count;
	pool_t pool;
	struct event *event;
};

/* event is the parent of those that are logged. */
void targets_init(struct targets *targets, struct event *event,
		  const struct http_notify_options *options);
void targets_deinit(struct targets *targets);
/* Options other than at first, for requests from now on. The URLs may only
   differ in their passwords. */
void targets_set_options(struct targets *targets,
			 const struct http_notify_options *options);

/* Is any of them up? */
bool targets_are_up(const struct targets *targets);
/* Where the next notification may go: the standby gets them while the first
   server is not up. NULL = nowhere now. */
struct target *targets_choose(struct targets *targets, int64_t now);
/* The same for a notification that has not been tried yet: it may tell whether
   another one is to blame. */
struct target *targets_choose_for_untried(struct targets *targets);
/* Milliseconds until one that is not up may be probed; -1 if none is to be. A
   server with requests under way is not: their answers tell. */
int64_t targets_next_probe(const struct targets *targets, int64_t now);
/* Probe those that are not up as soon as possible; if misconfigured_only, only
   where an admin may have fixed it. Returns how many. */
unsigned int targets_probe_now(struct targets *targets,
			       bool misconfigured_only);
unsigned int targets_in_flight(const struct targets *targets);

/* A request was answered. Returns the class of the answer. What changes the
   server's state is logged, with how many notifications are queued and have
   been given up. */
enum answer_class
targets_answered(struct targets *targets, struct target *target,
		 struct blame *blame, const struct answer *answer,
		 unsigned int queued, unsigned int given_up, int64_t now,
		 bool *went_down_r);

#endif
