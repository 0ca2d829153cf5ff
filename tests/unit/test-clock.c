/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "llist.h"

#include "monotonic.h"
#include "test-clock.h"

#include <stdlib.h>

#include "test-common.h"

/* The functions are to be defined here. */
#undef timeout_add
#undef timeout_add_short

/* More than there is work for at one moment. */
#define TURNS_MAX 10000

struct timeout {
	struct timeout *prev, *next;
	unsigned int msecs;
	int64_t due;
	uint64_t seq;
	timeout_callback_t *callback;
	void *context;
};

static struct timeout *timeouts;
static uint64_t last_seq;
static int64_t clock_msecs;
static uint64_t random_state;
static unsigned int calls;

int64_t http_notify_monotonic_msecs(void)
{
	return clock_msecs;
}

/* splitmix64 */
uint32_t i_rand(void)
{
	uint64_t x = random_state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (x ^ (x >> 31)) >> 32;
}

uint32_t i_rand_limit(uint32_t upper_bound)
{
	return i_rand() % upper_bound;
}

struct timeout *
timeout_add_short(unsigned int msecs,
		  const char *source_filename ATTR_UNUSED,
		  unsigned int source_linenum ATTR_UNUSED,
		  timeout_callback_t *callback, void *context)
{
	struct timeout *to = i_new(struct timeout, 1);

	to->msecs = msecs;
	to->due = clock_msecs + msecs;
	to->seq = ++last_seq;
	to->callback = callback;
	to->context = context;
	DLLIST_PREPEND(&timeouts, to);
	return to;
}

struct timeout *
timeout_add(unsigned int msecs, const char *source_filename,
	    unsigned int source_linenum,
	    timeout_callback_t *callback, void *context)
{
	return timeout_add_short(msecs, source_filename, source_linenum,
				 callback, context);
}

void timeout_remove(struct timeout **_to)
{
	struct timeout *to = *_to;

	if (to == NULL)
		return;
	*_to = NULL;
	DLLIST_REMOVE(&timeouts, to);
	i_free(to);
}

/* The next one, of those that are not newer. */
static struct timeout *next_timeout(uint64_t seq)
{
	struct timeout *to, *next = NULL;

	for (to = timeouts; to != NULL; to = to->next) {
		if (to->seq <= seq &&
		    (next == NULL || to->due < next->due ||
		     (to->due == next->due && to->seq < next->seq)))
			next = to;
	}
	return next;
}

static void timeout_call(struct timeout *to)
{
	/* again after as long as before, unless it is removed */
	to->due = clock_msecs + to->msecs;
	to->seq = ++last_seq;
	calls++;
	T_BEGIN {
		to->callback(to->context);
	} T_END;
}

void test_clock_turn(void)
{
	uint64_t seq = last_seq;
	struct timeout *to;

	while ((to = next_timeout(seq)) != NULL && to->due <= clock_msecs)
		timeout_call(to);
}

void test_clock_pass(unsigned int msecs)
{
	int64_t end = clock_msecs + msecs;
	unsigned int turns = 0;
	struct timeout *to;

	while ((to = next_timeout(UINT64_MAX)) != NULL && to->due <= end) {
		if (to->due > clock_msecs) {
			clock_msecs = to->due;
			turns = 0;
		}
		if (++turns > TURNS_MAX)
			fail_msg("there is no end of turns");
		test_clock_turn();
	}
	clock_msecs = end;
}

unsigned int test_clock_get_calls(void)
{
	return calls;
}

void test_clock_init(unsigned int seed)
{
	clock_msecs = 1000*1000;
	random_state = seed;
}

void test_clock_deinit(void)
{
	assert_null(timeouts);
}
