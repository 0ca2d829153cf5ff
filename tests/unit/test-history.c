/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "history.h"

#include "test-common.h"

#define START 123456789
#define INTERVAL (HISTORY_INTERVAL_SECS * 1000)

static struct history history;

static unsigned int interval_count(void)
{
	unsigned int count = 0;

	while (history_get(&history, count) != NULL)
		count++;
	return count;
}

static void test_counts_belong_to_their_interval(void **state ATTR_UNUSED)
{
	history_init(&history, START);
	assert_int_equal(interval_count(), 1);
	history_present(&history)->stored += 3;
	history_sample(&history, START + INTERVAL - 1, 7, 1);
	history_sample(&history, START + INTERVAL - 1, 2, 0);
	assert_int_equal(interval_count(), 1);
	history_sample(&history, START + INTERVAL, 1, 0);
	history_present(&history)->stored++;

	assert_int_equal(interval_count(), 2);
	assert_int_equal(history_get(&history, 0)->stored, 1);
	assert_int_equal(history_get(&history, 1)->stored, 3);
	/* the most */
	assert_int_equal(history_get(&history, 0)->queued, 1);
	assert_int_equal(history_get(&history, 1)->queued, 7);
	assert_int_equal(history_get(&history, 1)->down, 1);
	assert_int_equal(history.began, START + INTERVAL);
}

static void test_what_is_older_than_a_day_is_forgotten(void **state ATTR_UNUSED)
{
	unsigned int i;

	history_init(&history, START);
	for (i = 1; i <= HISTORY_INTERVALS * 3 + 5; i++) {
		history_present(&history)->stored += i;
		history_sample(&history, START + (int64_t)i * INTERVAL, 0, 0);
	}
	assert_int_equal(interval_count(), HISTORY_INTERVALS);
	assert_int_equal(history_get(&history, 0)->stored, 0);
	for (i = 1; i < HISTORY_INTERVALS; i++) {
		assert_int_equal(history_get(&history, i)->stored,
				 HISTORY_INTERVALS * 3 + 6 - i);
	}
}

static void test_a_pause_leaves_empty_intervals(void **state ATTR_UNUSED)
{
	unsigned int i;

	history_init(&history, START);
	history_present(&history)->stored = 5;
	history_sample(&history, START + 3 * INTERVAL + 17, 0, 0);
	assert_int_equal(interval_count(), 4);
	assert_int_equal(history.began, START + 3 * INTERVAL);
	for (i = 0; i < 3; i++)
		assert_int_equal(history_get(&history, i)->stored, 0);
	assert_int_equal(history_get(&history, 3)->stored, 5);

	history_sample(&history, START + (int64_t)INTERVAL * 10000, 0, 0);
	assert_int_equal(interval_count(), HISTORY_INTERVALS);
	for (i = 0; i < HISTORY_INTERVALS; i++)
		assert_int_equal(history_get(&history, i)->stored, 0);
}

static void test_delays_are_counted_by_powers_of_two(void **state ATTR_UNUSED)
{
	static const struct {
		int64_t secs;
		unsigned int idx;
	} delays[] = {
		/* the clock was set back */
		{ -5, 0 },
		{ 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 },
		{ 4096, 12 }, { 4097, 13 },
		{ 1 << 17, 17 }, { (1 << 17) + 1, 18 }, { INT64_MAX, 18 },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(delays); i++) {
		history_init(&history, START);
		history_count_delay(&history, delays[i].secs);
		assert_int_equal(history_present(&history)->
				 delays[delays[i].idx], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_belong_to_their_interval),
		cmocka_unit_test(test_what_is_older_than_a_day_is_forgotten),
		cmocka_unit_test(test_a_pause_leaves_empty_intervals),
		cmocka_unit_test(test_delays_are_counted_by_powers_of_two),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("history", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
