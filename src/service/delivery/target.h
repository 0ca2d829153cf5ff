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
	/* when its state last changed: monotonic, in milliseconds */
	int64_t since;
	/* the reason of its last answer of any class but ANSWER_DONE, fit for
	   the log; NULL = there was none */
	char *error;
};

/* An endpoint's servers: url, and standby_url where there is one. */
struct targets {
	struct target targets[2];
	unsigned int count;
	pool_t pool;
	struct event *event;
};

/* event: the parent of the events that are logged. */
void targets_init(struct targets *targets, struct event *event,
		  const struct http_notify_options *options);
void targets_deinit(struct targets *targets);
/* Change the options, for requests from now on. The URLs may only differ in
   their passwords. */
void targets_set_options(struct targets *targets,
			 const struct http_notify_options *options);

/* Is any of them up? */
bool targets_are_up(const struct targets *targets);
/* The server that a request may be sent to now: the first one if it is up or
   due for a probe, or else the standby if that is. NULL if there is none, also
   if the first one is up and has enough requests under way. */
struct target *targets_choose(struct targets *targets, int64_t now);
/* If that is NULL: the server that a notification which has not failed yet may
   be sent to now, since it can tell whether another one is to blame; NULL if
   there is none. */
struct target *targets_choose_for_untried(struct targets *targets);
/* Milliseconds until the next probe of a server that is not up; -1 if there is
   none to wait for. A server that has requests under way is left out: their
   answers come first. */
int64_t targets_next_probe(const struct targets *targets, int64_t now);
/* Make the servers that are not up due for a probe now; if misconfigured_only,
   only misconfigured ones, which an admin may have fixed. Returns how many. */
unsigned int targets_probe_now(struct targets *targets,
			       bool misconfigured_only);
unsigned int targets_in_flight(const struct targets *targets);

/* A request has ended. Returns the class of its answer; for any but
   ANSWER_DONE, target->error is set. A change of the server's state is logged,
   with queued and given_up when it is up again. went_down_r: has the state
   changed, to HEALTH_DOWN or HEALTH_MISCONFIGURED? */
enum answer_class
targets_answered(struct targets *targets, struct target *target,
		 struct blame *blame, const struct answer *answer,
		 unsigned int queued, unsigned int given_up, int64_t now,
		 bool *went_down_r);

#endif
