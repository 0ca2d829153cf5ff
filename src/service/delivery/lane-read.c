/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "llist.h"

#include "lane.h"
#include "lane-read.h"
#include "part.h"
#include "queue.h"

/* How long to wait after a notification could not be read. */
#define RETRY_MSECS 1000

struct lane_read {
	struct lane_read *prev, *next;
	struct lane_reads *reads;
	struct lane *lane;
	bool begun;
	struct queue_read *read;
	/* set after a read that failed */
	struct timeout *to_retry;
};

struct lane_reads {
	struct queue *queue;
	const struct lanes_common *lanes;
	lane_read_callback_t *callback;
	void *context;
	/* in the order in which they are to begin */
	struct lane_read *head, *tail;
	/* how many have begun, and how many wait for the budget */
	unsigned int begun, waiting;
};

static void lane_read_start(struct lane_read *lread);

static void lane_read_free(struct lane_read *lread)
{
	DLLIST2_REMOVE(&lread->reads->head, &lread->reads->tail, lread);
	if (lread->begun)
		lread->reads->begun--;
	else
		lread->reads->waiting--;
	queue_read_cancel(&lread->read);
	timeout_remove(&lread->to_retry);
	i_free(lread);
}

static void lane_read_retry(struct lane_read *lread)
{
	timeout_remove(&lread->to_retry);
	lane_read_start(lread);
}

static void
lane_read_done(const struct queue_read_result *result, void *context)
{
	struct lane_read *lread = context;
	struct lane_reads *reads = lread->reads;
	struct lane *lane = lread->lane;

	lread->read = NULL;
	if (result->error != NULL) {
		lread->to_retry = timeout_add(RETRY_MSECS, lane_read_retry,
					      lread);
		return;
	}
	lane_read_free(lread);
	if (result->count > 0)
		lane_set_item(lane, result->items[0]);
	reads->callback(lane, result->count > 0, reads->context);
}

static void lane_read_start(struct lane_read *lread)
{
	int64_t id = lane_id(lread->lane);

	lread->read = queue_read(lread->reads->queue,
				 part_get_queue(lane_part(lread->lane)),
				 QUEUE_READ_WHOLE, id - 1, id, 1,
				 lane_read_done, lread);
}

void lane_read_begin(struct lane_reads *reads, struct lane *lane)
{
	struct lane_read *lread;

	lane_reading(lane);
	lread = i_new(struct lane_read, 1);
	lread->reads = reads;
	lread->lane = lane;
	DLLIST2_APPEND(&reads->head, &reads->tail, lread);
	reads->waiting++;
	lane_reads_run(reads, TRUE);
}

void lane_reads_run(struct lane_reads *reads, bool idle)
{
	struct lane_read *lread = reads->head;

	for (; reads->waiting > 0 && lread != NULL; lread = lread->next) {
		if (lread->begun)
			continue;
		if (!lanes_are_within_budget(reads->lanes) &&
		    (!idle || reads->begun > 0))
			break;
		lread->begun = TRUE;
		reads->begun++;
		reads->waiting--;
		lane_read_start(lread);
	}
}

void lane_read_cancel(struct lane_reads *reads, struct lane *lane)
{
	struct lane_read *lread = reads->head;

	while (lread != NULL && lread->lane != lane)
		lread = lread->next;
	if (lread == NULL)
		return;
	lane_read_free(lread);
	lane_reads_run(reads, TRUE);
}

void lane_reads_cancel_part(struct lane_reads *reads, const struct part *part)
{
	struct lane_read *lread, *next;

	for (lread = reads->head; lread != NULL; lread = next) {
		next = lread->next;
		if (lane_part(lread->lane) == part)
			lane_read_free(lread);
	}
	lane_reads_run(reads, TRUE);
}

struct lane_reads *
lane_reads_init(struct queue *queue, const struct lanes_common *lanes,
		lane_read_callback_t *callback, void *context)
{
	struct lane_reads *reads;

	reads = i_new(struct lane_reads, 1);
	reads->queue = queue;
	reads->lanes = lanes;
	reads->callback = callback;
	reads->context = context;
	return reads;
}

void lane_reads_deinit(struct lane_reads **_reads)
{
	struct lane_reads *reads = *_reads;

	*_reads = NULL;
	i_assert(reads->head == NULL);
	i_free(reads);
}
