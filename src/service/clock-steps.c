/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop-private.h"
#include "time-util.h"

#include "clock-steps.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHECK_INTERVAL_SECS 1
/* A smaller difference is of no consequence. */
#define STEP_MIN_USECS (100*1000)
/* The process may be stopped between two readings. */
#define READING_MAX_USECS (STEP_MIN_USECS / 10)

static int timer_fd = -1;
static struct io *timer_io;
/* How far the wall clock is ahead of the monotonic one, and how far the ioloop
   has moved its timeouts for that: it takes a step ahead for granted whenever it
   is called late. */
static int64_t clock_offset, ioloop_offset;
static io_loop_time_moved_callback_t *ioloop_callback;

static int64_t monotonic_usecs(void)
{
	struct timespec mono;

	if (clock_gettime(CLOCK_MONOTONIC, &mono) < 0)
		i_fatal("clock_gettime() failed: %m");
	return (int64_t)mono.tv_sec * 1000000 + mono.tv_nsec / 1000;
}

static int64_t offset_usecs(void)
{
	struct timeval wall;
	int64_t mono;

	do {
		mono = monotonic_usecs();
		i_gettimeofday(&wall);
	} while (monotonic_usecs() - mono > READING_MAX_USECS);
	return (int64_t)wall.tv_sec * 1000000 + wall.tv_usec - mono;
}

/* Have a step back logged, once. */
static void clock_steps_look(void)
{
	int64_t offset = offset_usecs(), step = offset - clock_offset;
	struct timeval before, now;

	clock_offset = offset;
	if (step > -STEP_MIN_USECS)
		return;
	i_gettimeofday(&now);
	before = now;
	timeval_add_usecs(&before, -step);
	ioloop_callback(&before, &now);
}

static void
ioloop_moved_timeouts(const struct timeval *old_time,
		      const struct timeval *new_time)
{
	ioloop_offset += timeval_diff_usecs(new_time, old_time);
	clock_steps_look();
}

static void clock_steps_check(void *context ATTR_UNUSED)
{
	uint64_t expirations;
	int64_t too_far;

	if (read(timer_fd, &expirations, sizeof(expirations)) < 0 &&
	    errno != EAGAIN)
		i_fatal("read(timerfd) failed: %m");
	clock_steps_look();
	too_far = ioloop_offset - clock_offset;
	if (too_far < STEP_MIN_USECS) {
		/* after a step ahead, timeouts have run */
		ioloop_offset = clock_offset;
		return;
	}
	/* pretend that the ioloop last read the clock just before a step back,
	   so that it notices that and moves its timeouts */
	i_gettimeofday(&ioloop_timeval);
	timeval_add_usecs(&ioloop_timeval, too_far);
	io_loop_handle_timeouts(current_ioloop);
}

void clock_steps_init(void)
{
	const struct itimerspec interval = {
		.it_value = { .tv_sec = CHECK_INTERVAL_SECS },
		.it_interval = { .tv_sec = CHECK_INTERVAL_SECS },
	};

	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer_fd == -1 ||
	    timerfd_settime(timer_fd, 0, &interval, NULL) < 0)
		i_fatal("timerfd failed: %m");
	timer_io = io_add(timer_fd, IO_READ, clock_steps_check, NULL);
	clock_offset = ioloop_offset = offset_usecs();
	ioloop_callback = current_ioloop->time_moved_callback;
	io_loop_set_time_moved_callback(current_ioloop, ioloop_moved_timeouts);
}

void clock_steps_deinit(void)
{
	io_loop_set_time_moved_callback(current_ioloop, ioloop_callback);
	io_remove(&timer_io);
	i_close_fd(&timer_fd);
}
