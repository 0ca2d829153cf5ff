/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "crc32.h"

#include "backlog.h"

#include "test-common.h"

static struct backlog *backlog;

static int setup(void **state ATTR_UNUSED)
{
	backlog = backlog_init();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	backlog_deinit(&backlog);
	return 0;
}

static const char *user(unsigned int i)
{
	return t_strdup_printf("user%u@example.org", i);
}

static void test_nothing_waits_at_first(void **state ATTR_UNUSED)
{
	assert_true(backlog_is_empty(backlog));
	assert_false(backlog_has(backlog, "alice"));
	/* and reading on is no matter */
	backlog_read(backlog, 10);
	assert_true(backlog_is_empty(backlog));
}

static void test_user_waits_until_the_last_is_read(void **state ATTR_UNUSED)
{
	backlog_add(backlog, "alice", 11);
	backlog_add(backlog, "bob", 12);
	backlog_add(backlog, "alice", 13);
	backlog_add(backlog, "bob", 14);

	assert_true(backlog_has(backlog, "alice"));
	assert_false(backlog_has(backlog, "carol"));
	backlog_read(backlog, 12);
	assert_true(backlog_has(backlog, "alice"));
	backlog_read(backlog, 13);
	assert_false(backlog_has(backlog, "alice"));
	assert_true(backlog_has(backlog, "bob"));
	assert_false(backlog_is_empty(backlog));
	backlog_read(backlog, 14);
	assert_false(backlog_has(backlog, "bob"));
	assert_true(backlog_is_empty(backlog));
}

static void test_it_fills_again(void **state ATTR_UNUSED)
{
	backlog_add(backlog, "alice", 1);
	backlog_read(backlog, 5);
	backlog_add(backlog, "bob", 6);
	assert_false(backlog_has(backlog, "alice"));
	assert_true(backlog_has(backlog, "bob"));
}

static void test_many_users_are_kept_apart(void **state ATTR_UNUSED)
{
	const unsigned int count = 20000;
	unsigned int i;

	for (i = 0; i < count; i++) T_BEGIN {
		backlog_add(backlog, user(i), i + 1);
	} T_END;
	for (i = 0; i < count; i++) T_BEGIN {
		assert_true(backlog_has(backlog, user(i)));
	} T_END;

	backlog_read(backlog, count / 2);
	/* more of them than there was room for, so it has to make some */
	for (i = count; i < count * 3; i++) T_BEGIN {
		backlog_add(backlog, user(i), i + 1);
	} T_END;
	for (i = 0; i < count * 3; i++) T_BEGIN {
		assert_int_equal(backlog_has(backlog, user(i)),
				 i + 1 > count / 2);
	} T_END;
}

/* One user has to wait for the other, and is never forgotten. */
static void test_users_with_the_same_checksum_are_one(void **state ATTR_UNUSED)
{
	static const char *const one = "codding", *const other = "gnu";

	assert_int_equal(crc32_str(one), crc32_str(other));
	backlog_add(backlog, one, 1);
	backlog_add(backlog, other, 2);
	assert_true(backlog_has(backlog, one));
	backlog_read(backlog, 1);
	assert_true(backlog_has(backlog, one));
	assert_true(backlog_has(backlog, other));
	backlog_read(backlog, 2);
	assert_false(backlog_has(backlog, other));
}

/* Of the last one's id not all bits are kept. */
static void test_ids_may_be_far_apart(void **state ATTR_UNUSED)
{
	const int64_t far = INT64_C(1) << 34;

	backlog_add(backlog, "alice", far);
	backlog_add(backlog, "bob", 2 * far);
	backlog_read(backlog, far);
	assert_false(backlog_has(backlog, "alice"));
	assert_true(backlog_has(backlog, "bob"));
	backlog_read(backlog, 2 * far - 1);
	assert_true(backlog_has(backlog, "bob"));
	backlog_read(backlog, 2 * far);
	assert_false(backlog_has(backlog, "bob"));
}

#define backlog_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		backlog_test(test_nothing_waits_at_first),
		backlog_test(test_user_waits_until_the_last_is_read),
		backlog_test(test_it_fills_again),
		backlog_test(test_many_users_are_kept_apart),
		backlog_test(test_users_with_the_same_checksum_are_one),
		backlog_test(test_ids_may_be_far_apart),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("backlog", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
