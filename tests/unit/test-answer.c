#include "lib.h"

#include "answer.h"

#include "test-common.h"

static const struct {
	unsigned int first, last;
	enum answer_class class;
} expected[] = {
	/* no HTTP status: timeouts, connection and TLS failures */
	{ 0, 0, ANSWER_UNREACHABLE },
	{ 100, 199, ANSWER_FAILED },
	{ 200, 299, ANSWER_DONE },
	/* redirects are not followed */
	{ 300, 399, ANSWER_MISCONFIGURED },
	{ 400, 400, ANSWER_REFUSED },
	{ 401, 401, ANSWER_MISCONFIGURED },
	{ 402, 402, ANSWER_REFUSED },
	{ 403, 404, ANSWER_MISCONFIGURED },
	{ 405, 407, ANSWER_REFUSED },
	{ 408, 408, ANSWER_LATER },
	{ 409, 424, ANSWER_REFUSED },
	{ 425, 425, ANSWER_LATER },
	{ 426, 428, ANSWER_REFUSED },
	{ 429, 429, ANSWER_LATER },
	{ 430, 499, ANSWER_REFUSED },
	{ 500, 599, ANSWER_FAILED },
};

static void test_every_status_has_its_class(void **state ATTR_UNUSED)
{
	unsigned int i, checked = 0;

	for (i = 0; i < N_ELEMENTS(expected); i++) {
		struct answer answer = { .status = expected[i].first };

		for (; answer.status <= expected[i].last; answer.status++) {
			enum answer_class class = answer_classify(&answer);

			if (class != expected[i].class) {
				fail_msg("status %u: class %d instead of %d",
					 answer.status, class,
					 expected[i].class);
			}
			checked++;
		}
	}
	assert_int_equal(checked, 1 + 500);
}

static void test_only_the_status_decides(void **state ATTR_UNUSED)
{
	const struct answer done = {
		.status = 200, .reason = "busy", .retry_after_secs = 60
	};
	const struct answer refused = {
		.status = 400, .reason = "later", .retry_after_secs = 60
	};

	assert_int_equal(answer_classify(&done), ANSWER_DONE);
	assert_int_equal(answer_classify(&refused), ANSWER_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_status_has_its_class),
		cmocka_unit_test(test_only_the_status_decides),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("answer", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
