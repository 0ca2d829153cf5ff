/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "fair-share.h"
#include "request-budget.h"

#include "test-common.h"

#define MAX 16
#define SHARES 20

static struct request_budget budget;
static struct request_share shares[SHARES];
/* those whose turn it was, in this order */
static unsigned int granted[100], granted_count;

static void share_granted(void *context)
{
	struct request_share *share = context;

	granted[granted_count++] = share - shares;
}

static int setup(void **state ATTR_UNUSED)
{
	unsigned int i;

	i_zero(&budget);
	budget.max = MAX;
	memset(shares, 0, sizeof(shares));
	for (i = 0; i < SHARES; i++) {
		shares[i].budget = &budget;
		shares[i].granted_callback = share_granted;
		shares[i].context = &shares[i];
	}
	granted_count = 0;
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < SHARES; i++)
		request_share_deinit(&shares[i]);
	assert_int_equal(budget.used, 0);
	assert_int_equal(budget.users, 0);
	assert_null(budget.waiting_head);
	return 0;
}

static unsigned int take_all(struct request_share *share)
{
	unsigned int count = 0;

	while (request_share_take(share))
		count++;
	return count;
}

static void test_last_quarter_is_for_those_who_have_little(
						void **state ATTR_UNUSED)
{
	assert_int_equal(take_all(&shares[0]), MAX * 3 / 4);
	/* a quarter for two */
	assert_int_equal(take_all(&shares[1]), MAX / 4 / 2);
	/* more than there are for all: one for each */
	assert_int_equal(take_all(&shares[2]), 1);
	assert_int_equal(take_all(&shares[3]), 1);
	assert_int_equal(take_all(&shares[4]), 0);
	assert_int_equal(budget.used, MAX);
	assert_int_equal(budget.users, 5);
}

static void test_turns_are_in_the_order_of_waiting(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < MAX; i++)
		assert_true(request_share_take(&shares[i]));
	for (i = MAX; i < SHARES; i++)
		assert_false(request_share_take(&shares[i]));
	/* who has one and wants more waits behind them */
	assert_false(request_share_take(&shares[0]));
	for (i = 0; i < 4; i++) {
		request_share_done(&shares[0 + i]);
		assert_int_equal(granted_count, i + 1);
		assert_int_equal(granted[i], MAX + i);
	}
	assert_int_equal(budget.used, MAX);
	/* it is kept for it */
	assert_false(request_share_take(&shares[5]));
	assert_true(request_share_take(&shares[MAX]));
	assert_int_equal(budget.used, MAX);
	request_share_done(&shares[MAX]);
	assert_int_equal(granted_count, 5);
	assert_int_equal(granted[4], 0);
}

static void test_what_is_not_needed_goes_to_the_next(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < MAX; i++)
		assert_true(request_share_take(&shares[i]));
	assert_false(request_share_take(&shares[MAX]));
	assert_false(request_share_take(&shares[MAX + 1]));
	request_share_return(&shares[MAX]);
	request_share_done(&shares[0]);
	assert_int_equal(granted_count, 1);
	request_share_return(&shares[MAX]);
	assert_int_equal(granted_count, 2);
	assert_int_equal(granted[1], MAX + 1);
	request_share_deinit(&shares[MAX + 1]);
	assert_int_equal(budget.used, MAX - 1);
}

static void test_nobody_waits_behind_who_has_much(void **state ATTR_UNUSED)
{
	assert_int_equal(take_all(&shares[0]), MAX * 3 / 4);
	assert_true(shares[0].waiting);
	assert_int_equal(take_all(&shares[1]), 2);
	request_share_done(&shares[1]);
	/* still not shares[0] */
	assert_int_equal(granted_count, 1);
	assert_int_equal(granted[0], 1);
	request_share_done(&shares[0]);
	assert_int_equal(granted_count, 1);
	assert_true(request_share_take(&shares[2]));
}

static void test_one_request_is_always_possible(void **state ATTR_UNUSED)
{
	budget.max = 1;
	assert_true(request_share_take(&shares[0]));
	assert_false(request_share_take(&shares[1]));
	request_share_done(&shares[0]);
	assert_true(request_share_take(&shares[1]));
}

#define budget_test(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		budget_test(test_last_quarter_is_for_those_who_have_little),
		budget_test(test_turns_are_in_the_order_of_waiting),
		budget_test(test_what_is_not_needed_goes_to_the_next),
		budget_test(test_nobody_waits_behind_who_has_much),
		budget_test(test_one_request_is_always_possible),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("request-budget", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
