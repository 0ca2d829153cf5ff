/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"

#include "report-text.h"

#include "test-common.h"

static void test_markup_becomes_text(void **state ATTR_UNUSED)
{
	string_t *str = t_str_new(64);

	report_append(str, "a<b>&\"c\"&amp;'d' é");
	assert_string_equal(str_c(str), "a&lt;b&gt;&amp;&quot;c&quot;&amp;amp;"
			    "&#39;d&#39; é");
}

static void test_counts_have_commas(void **state ATTR_UNUSED)
{
	assert_string_equal(report_count(0), "0");
	assert_string_equal(report_count(999), "999");
	assert_string_equal(report_count(1000), "1,000");
	assert_string_equal(report_count(12345678), "12,345,678");
	assert_string_equal(report_count(UINT64_MAX),
			    "18,446,744,073,709,551,615");
}

static void test_durations_have_two_units_at_most(void **state ATTR_UNUSED)
{
	assert_string_equal(report_duration(0), "0 s");
	assert_string_equal(report_duration(59), "59 s");
	assert_string_equal(report_duration(60), "1 min");
	assert_string_equal(report_duration(3599), "59 min");
	assert_string_equal(report_duration(3600), "1 h");
	assert_string_equal(report_duration(3600 * 3 + 60 * 12), "3 h 12 min");
	assert_string_equal(report_duration(86400), "1 d");
	assert_string_equal(report_duration(86400 * 2 + 3600 * 3), "2 d 3 h");
}

static void test_delays_are_powers_of_two(void **state ATTR_UNUSED)
{
	assert_string_equal(report_delay_text(-1), "–");
	assert_string_equal(report_delay_text(0), "1 s");
	assert_string_equal(report_delay_text(5), "32 s");
	assert_string_equal(report_delay_text(17), "1 d 12 h");
	assert_string_equal(report_delay_text(18), "over 1 d 12 h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_markup_becomes_text),
		cmocka_unit_test(test_counts_have_commas),
		cmocka_unit_test(test_durations_have_two_units_at_most),
		cmocka_unit_test(test_delays_are_powers_of_two),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("report-text", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
