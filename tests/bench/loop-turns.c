/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into the service: how long its turns of the ioloop take, from the
   end of an epoll_wait() to the next one. On a busy machine a turn takes more
   time than it needs, so both are kept: by the monotonic clock, and the CPU time
   of the thread.

   The file LOOP_TURNS is mapped as a struct turns, for bench.py to read and to
   reset. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int epoll_wait_t(int fd, struct epoll_event *events, int count,
			 int timeout);

struct turns {
	uint64_t count;
	/* of the longest ones, in microseconds */
	uint64_t wall, cpu;
};

static struct turns *turns;
static epoll_wait_t *real_epoll_wait;
static uint64_t wall_begin, cpu_begin;

static uint64_t usecs(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* While the service is still root. */
__attribute__((constructor)) static void turns_init(void)
{
	const char *path = getenv("LOOP_TURNS");
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *map;

	real_epoll_wait = (epoll_wait_t *)dlsym(RTLD_NEXT, "epoll_wait");
	if (fd == -1)
		return;
	map = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	if (map != MAP_FAILED)
		turns = map;
	close(fd);
}

static void turn_end(void)
{
	uint64_t wall = usecs(CLOCK_MONOTONIC) - wall_begin;
	uint64_t cpu = usecs(CLOCK_THREAD_CPUTIME_ID) - cpu_begin;

	turns->count++;
	if (wall > turns->wall)
		turns->wall = wall;
	if (cpu > turns->cpu)
		turns->cpu = cpu;
}

__attribute__((visibility("default")))
int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
	int ret;

	/* threads have loops of their own */
	if (turns == NULL || gettid() != getpid())
		return real_epoll_wait(fd, events, count, timeout);
	if (wall_begin != 0)
		turn_end();
	ret = real_epoll_wait(fd, events, count, timeout);
	wall_begin = usecs(CLOCK_MONOTONIC);
	cpu_begin = usecs(CLOCK_THREAD_CPUTIME_ID);
	return ret;
}
