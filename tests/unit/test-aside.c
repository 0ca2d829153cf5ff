/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "unlink-directory.h"

#include "aside.h"
#include "queue-private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test-common.h"

/* More than are moved at a time. */
#define MANY 150

static struct ioloop *ioloop;
static char dir[] = "/tmp/test-aside-XXXXXX";
static struct queue_settings set;
static guid_128_t session;
static uint64_t last_seq;

static int setup(void **state ATTR_UNUSED)
{
	ioloop = io_loop_create();
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	i_zero(&set);
	set.directory = dir;
	guid_128_generate(session);
	last_seq = 0;
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;

	assert_true(unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR,
				     &error) >= 0);
	io_loop_destroy(&ioloop);
	return 0;
}

static void
have_stored(struct queue_item *item ATTR_UNUSED, const char *error,
	    void *context ATTR_UNUSED)
{
	assert_null(error);
}

static void add(struct queue *queue, unsigned int count)
{
	struct queue_item item = {
		.endpoint = queue_endpoint_set(queue, "key", "options"),
		.username = "user", .folder = "INBOX", .body = "{}",
		.created = queue_now(queue), .expires = queue_now(queue) + 3600
	};

	guid_128_copy(item.session, session);
	while (count-- > 0) {
		item.seq = ++last_seq;
		(void)queue_add(queue, &item, have_stored, NULL);
	}
	queue_finish(queue);
}

static void open_first(struct queue **queue_r)
{
	const char *error;

	if (queue_init(&queue_engine_sqlite, &set, queue_r, &error) < 0)
		fail_msg("%s", error);
}

static void open_aside(struct queue **queue_r)
{
	const char *error;

	if (aside_open(&set, queue_r, &error) < 0)
		fail_msg("%s", error);
}

static void
have_read(const struct queue_read_result *result, void *context)
{
	unsigned int *count_r = context, i;

	assert_null(result->error);
	for (i = 0; i < result->count; i++)
		assert_int_equal(result->items[i]->seq, i + 1);
	*count_r = result->count;
	io_loop_stop(ioloop);
}

/* All are there in their order. */
static void assert_first_has(unsigned int expected)
{
	struct queue *queue;
	unsigned int count = 0;

	open_first(&queue);
	assert_non_null(queue->endpoints_head);
	(void)queue_read_endpoint(queue, queue->endpoints_head, 0, INT64_MAX,
				  1000, have_read, &count);
	io_loop_run(ioloop);
	queue_deinit(&queue);
	assert_int_equal(count, expected);
}

static bool exists(const char *name)
{
	struct stat st;

	return stat(t_strdup_printf("%s/%s", dir, name), &st) == 0;
}

static void assert_emptied(void)
{
	const char *error;

	if (aside_empty(&set, &error) < 0)
		fail_msg("%s", error);
}

static void test_nothing_is_made_without_one(void **state ATTR_UNUSED)
{
	assert_false(aside_exists(&set));
	assert_emptied();
	assert_false(exists("queue.sqlite"));
	assert_false(exists("aside"));
}

static void test_all_follows_what_is_older(void **state ATTR_UNUSED)
{
	struct queue *queue;

	open_first(&queue);
	add(queue, 3);
	queue_deinit(&queue);
	open_aside(&queue);
	add(queue, MANY);
	queue_deinit(&queue);
	assert_true(aside_exists(&set));
	assert_emptied();
	assert_false(exists("aside"));
	assert_first_has(3 + MANY);
}

static void test_is_left_if_that_fails(void **state ATTR_UNUSED)
{
	const char *path = t_strconcat(dir, "/queue.sqlite", NULL), *error;
	struct queue *queue;

	open_aside(&queue);
	add(queue, MANY);
	queue_deinit(&queue);
	/* the first one can't be opened */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(aside_empty(&set, &error), -1);
	assert_non_null(strstr(error, path));
	assert_true(aside_exists(&set));
	assert_int_equal(rmdir(path), 0);
	assert_emptied();
	assert_first_has(MANY);
}

static void test_a_corrupt_one_stays(void **state ATTR_UNUSED)
{
	const char *name = "aside/queue.sqlite.corrupt-1";
	const char *path = t_strdup_printf("%s/%s", dir, name);
	struct queue *queue;
	int fd;

	open_aside(&queue);
	add(queue, 1);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd != -1);
	i_close_fd(&fd);
	queue_deinit(&queue);
	assert_emptied();
	assert_first_has(1);
	assert_true(exists(name));
	assert_false(exists("aside/queue.sqlite"));
	assert_false(exists("aside/queue.lock"));
	/* again, with nothing in it */
	assert_emptied();
	assert_true(exists(name));
	assert_int_equal(unlink(path), 0);
	assert_emptied();
	assert_false(exists("aside"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_nothing_is_made_without_one, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_all_follows_what_is_older, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_is_left_if_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_corrupt_one_stays, setup, teardown),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("aside", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
