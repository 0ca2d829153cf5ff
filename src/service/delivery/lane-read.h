/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LANE_READ_H
#define HTTP_NOTIFY_LANE_READ_H

struct lane;
struct lanes_common;
struct part;
struct queue;

/* Reads of an endpoint's queue: of notifications whose turn it is, for lanes
   that do not carry them. What fails is tried again until it succeeds. If the
   lanes' budget is used up, one read is made after the other. */
struct lane_reads;

/* The lane has its notification now; or found is FALSE, and it is not in the
   queue any more. The lane's state is still LANE_READING. */
typedef void lane_read_callback_t(struct lane *lane, bool found, void *context);

struct lane_reads *
lane_reads_init(struct queue *queue, const struct lanes_common *lanes,
		lane_read_callback_t *callback, void *context);
/* All reads must have been cancelled. */
void lane_reads_deinit(struct lane_reads **reads);

/* The lane's state becomes LANE_READING. */
void lane_read_begin(struct lane_reads *reads, struct lane *lane);
/* Begin reads that have waited for the budget. idle: the endpoint has nothing
   else to do, so that one of them is begun even so. To be called whenever
   something that a lane carried is sent or dropped. */
void lane_reads_run(struct lane_reads *reads, bool idle);
/* To be called before a lane goes on or is freed, whether it reads or not. */
void lane_read_cancel(struct lane_reads *reads, struct lane *lane);
/* Likewise before all lanes of a part are freed. */
void lane_reads_cancel_part(struct lane_reads *reads, const struct part *part);

#endif
