/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "admin-protocol.h"
#include "status-merge.h"

#include "test-common.h"

#define FIELD(name) HTTP_NOTIFY_ADMIN_STATUS_##name

static struct status_merge *merge;

static int setup(void **state ATTR_UNUSED)
{
	merge = status_merge_init(TRUE);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	status_merge_deinit(&merge);
	return 0;
}

/* A row whose numbers are this one. */
static const char **row_of(const char *endpoint, const char *num)
{
	const char **row = t_new(const char *, FIELD(COUNT) + 1);
	unsigned int i;

	for (i = 0; i < FIELD(COUNT); i++)
		row[i] = num;
	row[FIELD(STATE)] = strcmp(endpoint, HTTP_NOTIFY_ADMIN_TOTAL) == 0 ?
		"" : "up";
	row[FIELD(STANDBY_STATE)] = row[FIELD(QUEUE)] = "";
	row[FIELD(ENDPOINT)] = endpoint;
	row[FIELD(EVENTS)] = "";
	row[FIELD(LAST_ERROR)] = "";
	return row;
}

static void test_nothing(void **state ATTR_UNUSED)
{
	assert_null(status_merge_next(merge));
	assert_null(status_merge_next(merge));
}

static void test_one_host_is_as_it_says(void **state ATTR_UNUSED)
{
	const char **row = row_of("http://a/ #7", "5"), *const *merged;
	unsigned int i;

	status_merge_deinit(&merge);
	merge = status_merge_init(FALSE);
	row[FIELD(STATE)] = "misconfigured";
	row[FIELD(STANDBY_STATE)] = "down";
	row[FIELD(EVENTS)] = "MessageNew=4 FlagsSet=1";
	row[FIELD(LAST_ERROR)] = "404";
	status_merge_add(merge, "one", row);
	row[FIELD(ENDPOINT)] = "http://a/";
	merged = status_merge_next(merge);
	for (i = 0; i < FIELD(COUNT); i++)
		assert_string_equal(merged[i], row[i]);
	assert_null(status_merge_next(merge));
}

static void test_numbers_are_added(void **state ATTR_UNUSED)
{
	static const unsigned int sums[] = {
		FIELD(QUEUED), FIELD(QUEUED_BYTES), FIELD(IN_FLIGHT),
		FIELD(DELIVERED), FIELD(RETRIED), FIELD(REFUSED),
		FIELD(DROPPED), FIELD(EXPIRED), FIELD(FORGOTTEN)
	};
	static const unsigned int longest[] = {
		FIELD(SINCE), FIELD(QUEUED_PERCENT), FIELD(OLDEST)
	};
	/* of all hosts in any case */
	static const unsigned int firsts[] = {
		FIELD(KEPT_REFUSED), FIELD(KEPT_DROPPED), FIELD(KEPT_EXPIRED),
		FIELD(KEPT_OLDEST)
	};
	const char *const *merged;
	unsigned int i;

	status_merge_add(merge, "one", row_of("http://a/ #1", "4"));
	status_merge_add(merge, "two", row_of("http://a/ #1", "5"));
	status_merge_add(merge, "three", row_of("http://a/ #1", "2"));
	merged = status_merge_next(merge);
	for (i = 0; i < N_ELEMENTS(sums); i++)
		assert_string_equal(merged[sums[i]], "11");
	for (i = 0; i < N_ELEMENTS(longest); i++)
		assert_string_equal(merged[longest[i]], "5");
	for (i = 0; i < N_ELEMENTS(firsts); i++)
		assert_string_equal(merged[firsts[i]], "4");
	assert_null(status_merge_next(merge));
}

static void test_total_is_last_and_since_the_latest_start(
	void **state ATTR_UNUSED)
{
	const char *const *merged;

	status_merge_add(merge, "one", row_of("http://a/ #1", "4"));
	status_merge_add(merge, "one", row_of("total", "40"));
	status_merge_add(merge, "two", row_of("http://b/ #2", "5"));
	status_merge_add(merge, "two", row_of("total", "50"));
	assert_string_equal(status_merge_next(merge)[FIELD(ENDPOINT)],
			    "http://a/");
	assert_string_equal(status_merge_next(merge)[FIELD(ENDPOINT)],
			    "http://b/");
	merged = status_merge_next(merge);
	assert_string_equal(merged[FIELD(ENDPOINT)], "total");
	assert_string_equal(merged[FIELD(STATE)], "");
	assert_string_equal(merged[FIELD(SINCE)], "40");
	assert_string_equal(merged[FIELD(DELIVERED)], "90");
	assert_null(status_merge_next(merge));
}

static void test_worst_state_counts_with_its_host(void **state ATTR_UNUSED)
{
	const char **one = row_of("http://a/ #1", "1000");
	const char **two = row_of("http://a/ #1", "7");
	const char **three = row_of("http://a/ #1", "9");
	const char *const *merged;

	one[FIELD(LAST_ERROR)] = "once";
	two[FIELD(STATE)] = "down";
	two[FIELD(LAST_ERROR)] = "refused";
	three[FIELD(STATE)] = "down";
	three[FIELD(STANDBY_STATE)] = "up";
	three[FIELD(LAST_ERROR)] = "timed out";
	status_merge_add(merge, "one", one);
	status_merge_add(merge, "two", two);
	status_merge_add(merge, "three", three);
	merged = status_merge_next(merge);
	assert_string_equal(merged[FIELD(STATE)], "down");
	assert_string_equal(merged[FIELD(SINCE)], "9");
	assert_string_equal(merged[FIELD(STANDBY_STATE)], "up");
	assert_string_equal(merged[FIELD(LAST_ERROR)], "two: refused");
}

static void test_events_are_added(void **state ATTR_UNUSED)
{
	const char **one = row_of("total", "1"), **two = row_of("total", "1");

	one[FIELD(EVENTS)] = "MessageNew=2 FlagsSet=1";
	two[FIELD(EVENTS)] = "FlagsSet=18446744073709551000 x MessageTrash=y "
		"MailboxCreate=3";
	status_merge_add(merge, "one", one);
	status_merge_add(merge, "two", two);
	assert_string_equal(status_merge_next(merge)[FIELD(EVENTS)],
		"MessageNew=2 FlagsSet=18446744073709551001 MailboxCreate=3");
}

static void test_same_url_needs_the_number(void **state ATTR_UNUSED)
{
	status_merge_add(merge, "one", row_of("http://a/ #1", "1"));
	status_merge_add(merge, "two", row_of("http://a/ #3", "1"));
	status_merge_add(merge, "two", row_of("http://a/b #4", "1"));
	status_merge_add(merge, "two", row_of("http://c/#d", "1"));
	assert_string_equal(status_merge_next(merge)[FIELD(ENDPOINT)],
			    "http://a/ #1");
	assert_string_equal(status_merge_next(merge)[FIELD(ENDPOINT)],
			    "http://a/ #3");
	assert_string_equal(status_merge_next(merge)[FIELD(ENDPOINT)],
			    "http://a/b");
	assert_string_equal(status_merge_next(merge)[FIELD(ENDPOINT)],
			    "http://c/#d");
}

static void test_what_is_no_number_is_0(void **state ATTR_UNUSED)
{
	status_merge_add(merge, "one", row_of("http://a/ #1", "x"));
	status_merge_add(merge, "one", row_of("http://a/ #1", "3"));
	assert_string_equal(status_merge_next(merge)[FIELD(QUEUED)], "3");
}

static void add_queue(const char *host, const char *state, const char *secs,
		      const char *error)
{
	const char **row = row_of(HTTP_NOTIFY_ADMIN_TOTAL, "5");

	row[FIELD(QUEUE)] = state;
	row[FIELD(QUEUE_SINCE)] = secs;
	row[FIELD(LAST_ERROR)] = error;
	status_merge_add(merge, host, row);
}

static void test_worst_queue_says_why(void **state ATTR_UNUSED)
{
	const char *const *row;

	add_queue("one", "up", "100", "");
	add_queue("two", "moving", "7", "was away");
	add_queue("three", "spooling", "3", "is away");
	add_queue("four", "spooling", "4", "");
	add_queue("five", "up", "200", "");
	row = status_merge_next(merge);
	assert_string_equal(row[FIELD(QUEUE)], "spooling");
	assert_string_equal(row[FIELD(QUEUE_SINCE)], "4");
	assert_string_equal(row[FIELD(LAST_ERROR)], "three: is away");
	assert_string_equal(row[FIELD(SPOOLED)], "25");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_nothing),
		TEST(test_one_host_is_as_it_says),
		TEST(test_numbers_are_added),
		TEST(test_total_is_last_and_since_the_latest_start),
		TEST(test_worst_state_counts_with_its_host),
		TEST(test_worst_queue_says_why),
		TEST(test_events_are_added),
		TEST(test_same_url_needs_the_number),
		TEST(test_what_is_no_number_is_0),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("status-merge", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
