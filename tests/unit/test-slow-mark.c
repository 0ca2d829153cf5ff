/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mark of a server that hangs, on a file instead of a socket. */
#include "lib.h"

#include "slow-mark.h"

#include "test-common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/test-slow-mark-XXXXXX";
static char *path;

/* so many seconds ago */
static void set_time(const char *of, int secs)
{
	struct timespec times[2] = {
		{ .tv_sec = time(NULL) - secs }, { .tv_sec = time(NULL) - secs }
	};

	assert_int_equal(utimensat(AT_FDCWD, of, times, 0), 0);
}

static int setup(void **state ATTR_UNUSED)
{
	int fd;

	assert_non_null(mkdtemp(dir));
	path = i_strconcat(dir, "/http-notify", NULL);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	i_close_fd(&fd);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	unlink(path);
	rmdir(dir);
	i_free(path);
	return 0;
}

static void test_mark(void **state ATTR_UNUSED)
{
	/* new, and no longer new */
	assert_false(slow_mark_is_set(path));
	set_time(dir, 3600);
	set_time(path, 3600);
	assert_false(slow_mark_is_set(path));

	slow_mark_set(path);
	assert_true(slow_mark_is_set(path));
	set_time(path, 60);
	assert_false(slow_mark_is_set(path));
	/* the clock has gone back */
	set_time(path, -3600);
	assert_false(slow_mark_is_set(path));
	/* it is new again */
	set_time(dir, 0);
	set_time(path, 0);
	assert_false(slow_mark_is_set(path));
}

static void test_mark_of_nothing(void **state ATTR_UNUSED)
{
	slow_mark_set("/nonexistent/http-notify");
	assert_false(slow_mark_is_set("/nonexistent/http-notify"));
	assert_false(slow_mark_is_set("http-notify"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mark, setup, teardown),
		cmocka_unit_test(test_mark_of_nothing),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("mark of a slow server", tests, NULL,
					  NULL);
	lib_deinit();
	return ret;
}
