/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "answer.h"
#include "sender-answer.h"

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
	{ 403, 405, ANSWER_MISCONFIGURED },
	{ 406, 406, ANSWER_REFUSED },
	{ 407, 407, ANSWER_MISCONFIGURED },
	{ 408, 408, ANSWER_LATER },
	{ 409, 420, ANSWER_REFUSED },
	{ 421, 421, ANSWER_MISCONFIGURED },
	{ 422, 424, ANSWER_REFUSED },
	{ 425, 425, ANSWER_LATER },
	{ 426, 426, ANSWER_MISCONFIGURED },
	{ 427, 428, ANSWER_REFUSED },
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

#define USER "login"
/* the longest word is "secret" */
#define PASSWORD "pa/ss:secret\"<\xc3\xb6>"

static void check_text(const char *text, bool may_be_logged)
{
	if (answer_text_may_be_logged(text, USER, PASSWORD, NULL) !=
	    may_be_logged) {
		fail_msg("%s: may %sbe logged", text,
			 may_be_logged ? "not " : "");
	}
}

static void
test_text_without_credentials_may_be_logged(void **state ATTR_UNUSED)
{
	check_text("", TRUE);
	check_text("{\"error\":\"no such user\"}", TRUE);
	check_text("login is not allowed to do that", TRUE);
	assert_true(answer_text_may_be_logged("secret", NULL, NULL, NULL));
	/* no password to hide */
	assert_true(answer_text_may_be_logged("secret", USER, NULL, NULL));
	assert_true(answer_text_may_be_logged("secret", USER, "", NULL));
}

static void
test_text_with_the_password_may_not_be_logged(void **state ATTR_UNUSED)
{
	/* as it is; in a URL; in JSON, two ways; in HTML */
	check_text("wrong: "PASSWORD, FALSE);
	check_text("pa%2Fss%3asecret%22%3C%C3%B6%3E", FALSE);
	check_text("{\"p\":\"pa\\/ss:secret\\\"<\\u00f6>\"}", FALSE);
	check_text("{\"p\":\"pa/ss:secret\\u0022\\u003c\\u00f6\"}", FALSE);
	check_text("<b>pa/ss:secret&quot;&lt;&#246;&gt;</b>", FALSE);
	check_text("PA/SS:SECRET", FALSE);
	/* nothing in it that can be recognised in each of these */
	assert_false(answer_text_may_be_logged("", USER, "\xc3\xb6/?", NULL));
}

static void
test_text_with_the_request_may_not_be_logged(void **state ATTR_UNUSED)
{
	check_text("Authorization: whatever", FALSE);
	check_text("{\"aUTHORIZATIOn\":null}", FALSE);
	assert_false(answer_text_may_be_logged("authorization", NULL, NULL,
					       NULL));
	/* login:password in base64, also without its padding, in a URL, or in
	   lower case */
	check_text("Basic bG9naW46cGEvc3M6c2VjcmV0IjzDtj4=", FALSE);
	check_text("bG9naW46cGEvc3M6c2VjcmV0IjzDtj4", FALSE);
	check_text("bG9naW46cGEvc3M6c2VjcmV0IjzDtj4%3D", FALSE);
	check_text("bg9naw46cgevc3m6c2vjcmv0ijzdtj4=", FALSE);
	/* "login:" */
	assert_false(answer_text_may_be_logged("bG9naW46", USER, NULL, NULL));
}

static void test_text_with_the_token_may_not_be_logged(void **state ATTR_UNUSED)
{
	assert_true(answer_text_may_be_logged("token unknown", NULL, NULL,
					      "a.b-t0ken"));
	assert_false(answer_text_may_be_logged("unknown: a.b-t0ken", NULL, NULL,
					       "a.b-t0ken"));
	assert_false(answer_text_may_be_logged("A.B-T0KEN", NULL, NULL,
					       "a.b-t0ken"));
}

static void test_text_with_the_query_may_not_be_logged(void **state ATTR_UNUSED)
{
	assert_true(answer_text_may_have_query("unknown: s3cret-T0KEN",
					       "?key=s3cret-T0KEN"));
	assert_true(answer_text_may_have_query("GET /push?key%3DS3CRET is bad",
					       "?key=s3cret"));
	assert_false(answer_text_may_have_query("key is missing",
						"?key=s3cret"));
	/* too short to be one */
	assert_false(answer_text_may_have_query("1 is too low", "?v=1"));
	assert_false(answer_text_may_have_query("no such user", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_status_has_its_class),
		cmocka_unit_test(test_only_the_status_decides),
		cmocka_unit_test(test_text_without_credentials_may_be_logged),
		cmocka_unit_test(test_text_with_the_password_may_not_be_logged),
		cmocka_unit_test(test_text_with_the_request_may_not_be_logged),
		cmocka_unit_test(test_text_with_the_token_may_not_be_logged),
		cmocka_unit_test(test_text_with_the_query_may_not_be_logged),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("answer", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
