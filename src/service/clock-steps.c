/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop-private.h"
#include "time-util.h"

#include "clock-steps.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHECK_INTERVAL_SECS 1
/* A smaller difference is the clock being slewed, not a step. */
#define STEP_MIN_USECS (100*1000)

static int timer_fd = -1;
static struct io *timer_io;
/* how far the ioloop knows the wall clock to be ahead of the monotonic one */
static int64_t known_offset;
static io_loop_time_moved_callback_t *ioloop_callback;

static int64_t offset_usecs(void)
{
	struct timespec mono;
	struct timeval wall;

	if (clock_gettime(CLOCK_MONOTONIC, &mono) < 0)
		i_fatal("clock_gettime() failed: %m");
	i_gettimeofday(&wall);
	return ((int64_t)wall.tv_sec - mono.tv_sec) * 1000000 +
		wall.tv_usec - mono.tv_nsec / 1000;
}

static void
clock_step_noticed(const struct timeval *old_time,
		   const struct timeval *new_time)
{
	known_offset += timeval_diff_usecs(new_time, old_time);
	ioloop_callback(old_time, new_time);
}

static void clock_steps_check(void *context ATTR_UNUSED)
{
	uint64_t expirations;
	int64_t step = offset_usecs() - known_offset;

	if (read(timer_fd, &expirations, sizeof(expirations)) < 0 &&
	    errno != EAGAIN)
		i_fatal("read(timerfd) failed: %m");
	if (step > -STEP_MIN_USECS) {
		/* no step back; after one ahead, timeouts have run */
		known_offset += step;
		return;
	}
	/* pretend that the ioloop last read the clock just before the step, so
	   that it notices the step and moves its timeouts */
	i_gettimeofday(&ioloop_timeval);
	timeval_add_usecs(&ioloop_timeval, -step);
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
	known_offset = offset_usecs();
	ioloop_callback = current_ioloop->time_moved_callback;
	io_loop_set_time_moved_callback(current_ioloop, clock_step_noticed);
}

void clock_steps_deinit(void)
{
	io_loop_set_time_moved_callback(current_ioloop, ioloop_callback);
	io_remove(&timer_io);
	i_close_fd(&timer_fd);
}
