/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is wrong is to be logged once per spell. */
#include "lib.h"

#include "log-spells.h"

#include "test-common.h"

static int teardown(void **state ATTR_UNUSED)
{
	log_spells_deinit();
	return 0;
}

static void test_logged_once(void **state ATTR_UNUSED)
{
	assert_true(log_spell_begins("bob", "url", "bad"));
	assert_false(log_spell_begins("bob", "url", "bad"));
	assert_false(log_spell_begins("bob", "url", "bad"));
}

static void test_users_and_things_have_spells_of_their_own(
	void **state ATTR_UNUSED)
{
	assert_true(log_spell_begins("bob", "url", "bad"));
	assert_true(log_spell_begins("alice", "url", "bad"));
	assert_true(log_spell_begins("bob", "registration", "bad"));
	assert_false(log_spell_begins("bob", "url", "bad"));
	assert_false(log_spell_begins("alice", "url", "bad"));
}

static void test_logged_again_if_it_is_wrong_in_another_way(
	void **state ATTR_UNUSED)
{
	assert_true(log_spell_begins("bob", "url", "bad"));
	assert_true(log_spell_begins("bob", "url", "worse"));
	assert_false(log_spell_begins("bob", "url", "worse"));
	assert_true(log_spell_begins("bob", "url", "bad"));
}

static void test_numbers_make_no_difference(void **state ATTR_UNUSED)
{
	assert_true(log_spell_begins("bob", "dict", "took 9 ms (2)"));
	assert_false(log_spell_begins("bob", "dict", "took 10 ms (12)"));
	assert_true(log_spell_begins("bob", "dict", "took 10 s (12)"));
	assert_true(log_spell_begins("bob", "dict", "took 10 s (12) 1"));
}

static void test_logged_again_after_it_was_in_order(void **state ATTR_UNUSED)
{
	log_spell_over("bob", "url");
	assert_true(log_spell_begins("bob", "url", "bad"));
	assert_true(log_spell_begins("bob", "registration", "bad"));
	log_spell_over("bob", "url");
	assert_true(log_spell_begins("bob", "url", "bad"));
	assert_false(log_spell_begins("bob", "registration", "bad"));
}

static void test_memory_is_limited(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 101; i++) {
		assert_true(log_spell_begins(t_strdup_printf("user%u", i),
					     "url", "bad"));
	}
	/* the oldest one is forgotten */
	assert_false(log_spell_begins("user1", "url", "bad"));
	assert_false(log_spell_begins("user100", "url", "bad"));
	assert_true(log_spell_begins("user0", "url", "bad"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_logged_once),
		TEST(test_users_and_things_have_spells_of_their_own),
		TEST(test_logged_again_if_it_is_wrong_in_another_way),
		TEST(test_numbers_make_no_difference),
		TEST(test_logged_again_after_it_was_in_order),
		TEST(test_memory_is_limited),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("log spells", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
