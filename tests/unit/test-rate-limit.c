/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "rate-limit.h"

#include "test-common.h"

#define SECS 20

static const unsigned int rates[] = {
	1, 2, 3, 7, 19, 20, 21, 99, 100, 333, 1000, 1001, 5000
};

/* Take all that there are, by a timer that may be late. Returns how many, and
   checks that no second has too many. */
static unsigned int take_all(unsigned int per_second, unsigned int late_msecs)
{
	static unsigned int taken[SECS * 1000];
	struct rate_limit limit;
	unsigned int count = 0, in_second = 0, i;
	int64_t start = 123456789, now = start, next = start;

	memset(taken, 0, sizeof(taken));
	rate_limit_init(&limit, per_second);
	for (; now < start + SECS * 1000; now++) {
		unsigned int wait;

		i = now - start;
		if (i >= 1000)
			in_second -= taken[i - 1000];
		if (now < next)
			continue;
		while ((wait = rate_limit_wait(&limit, now)) == 0) {
			rate_limit_take(&limit);
			taken[i]++;
			in_second++;
		}
		count += taken[i];
		next = now + wait + late_msecs;
		assert_true(in_second <= per_second);
	}
	return count;
}

static void test_never_more_in_any_second(void **state ATTR_UNUSED)
{
	unsigned int i, late, count;

	for (i = 0; i < N_ELEMENTS(rates); i++) {
		for (late = 0; late <= 20; late += 10) {
			count = take_all(rates[i], late);
			assert_true(count <= rates[i] * SECS);
			/* 20 ms late, for all there is an interval of 50 */
			assert_true(count * 10 >= rates[i] * SECS *
				    (late == 0 ? 9 : 7));
		}
	}
}

static void test_slow_one_is_spaced_evenly(void **state ATTR_UNUSED)
{
	struct rate_limit limit;

	rate_limit_init(&limit, 2);
	assert_int_equal(rate_limit_wait(&limit, 5000), 0);
	rate_limit_take(&limit);
	assert_int_equal(rate_limit_wait(&limit, 5000), 500);
	assert_int_equal(rate_limit_wait(&limit, 5499), 1);
	assert_int_equal(rate_limit_wait(&limit, 5500), 0);
	/* nothing is saved up */
	assert_int_equal(rate_limit_wait(&limit, 50000), 0);
	rate_limit_take(&limit);
	assert_int_equal(rate_limit_wait(&limit, 50000), 500);
}

static void test_no_limit(void **state ATTR_UNUSED)
{
	struct rate_limit limit;
	unsigned int i;

	rate_limit_init(&limit, UINT_MAX);
	for (i = 0; i < 100000; i++) {
		assert_int_equal(rate_limit_wait(&limit, 1), 0);
		rate_limit_take(&limit);
	}
}

static void test_highest_limit(void **state ATTR_UNUSED)
{
	struct rate_limit limit;

	rate_limit_init(&limit, UINT_MAX - 1);
	assert_int_equal(rate_limit_wait(&limit, INT64_MAX / 2), 0);
	rate_limit_take(&limit);
	assert_int_equal(rate_limit_wait(&limit, INT64_MAX / 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_more_in_any_second),
		cmocka_unit_test(test_slow_one_is_spaced_evenly),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_highest_limit),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("rate-limit", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
