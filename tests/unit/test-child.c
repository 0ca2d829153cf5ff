/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may block or end the process is done by a child. */
#include "lib.h"

#include "child.h"

#include <signal.h>
#include <unistd.h>

#include "test-common.h"

/* longer than any child needs here */
#define LONG_MSECS (60*1000)

static const char *const nothing[] = { NULL };

static void
assert_said(const char *const *said, const char *const *expected)
{
	for (; *expected != NULL; said++, expected++) {
		assert_non_null(*said);
		assert_string_equal(*said, *expected);
	}
	assert_null(*said);
}

static void say_nothing(void *context ATTR_UNUSED)
{
}

static void say_all(void *context)
{
	const char *const *texts = context;

	for (; *texts != NULL; texts++)
		child_say(*texts);
}

static void say_and_hang(void *context)
{
	child_say(context);
	for (;;)
		(void)pause();
}

static void say_and_die(void *context)
{
	child_say(context);
	(void)kill(getpid(), SIGKILL);
}

static void say_and_fail(void *context)
{
	child_say(context);
	i_error("nobody sees this");
	i_fatal("nor this");
}

static void test_what_is_said(void **state ATTR_UNUSED)
{
	static const char *texts[] = {
		"one", "", "with\nlines, \ttabs and \001", "", NULL
	};
	const char *error;

	assert_said(child_run(say_all, texts, LONG_MSECS, &error), texts);
	assert_null(error);
	assert_said(child_run(say_nothing, NULL, LONG_MSECS, &error), nothing);
	assert_null(error);
}

static void test_long_texts(void **state ATTR_UNUSED)
{
	char *text = t_malloc0(200*1000 + 1);
	const char *texts[] = { text, "end", NULL };
	const char *error;

	memset(text, 'x', 200*1000);
	assert_said(child_run(say_all, texts, LONG_MSECS, &error), texts);
	assert_null(error);
}

static void test_what_hangs_is_ended(void **state ATTR_UNUSED)
{
	static const char *const before[] = { "before", NULL };
	char text[] = "before";
	const char *error;

	assert_said(child_run(say_and_hang, text, 3000, &error), before);
	assert_string_equal(error, "no answer within 3 seconds");
}

static void test_what_dies(void **state ATTR_UNUSED)
{
	static const char *const before[] = { "before", NULL };
	char text[] = "before";
	const char *error;

	assert_said(child_run(say_and_die, text, LONG_MSECS, &error), before);
	assert_string_equal(error, "signal 9 ends the process");
	assert_said(child_run(say_and_fail, text, LONG_MSECS, &error), before);
	assert_string_equal(error, "the process has failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_said),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_what_hangs_is_ended),
		cmocka_unit_test(test_what_dies),
	};
	int ret;

	lib_init();
	T_BEGIN {
		ret = cmocka_run_group_tests_name("child", tests, NULL, NULL);
	} T_END;
	lib_deinit();
	return ret;
}
