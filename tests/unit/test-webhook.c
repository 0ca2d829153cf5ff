/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "base64.h"
#include "buffer.h"
#include "str.h"

#include "webhook.h"

#include "test-common.h"

/* The example of the specification and of its libraries. */
#define KEY "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIMESTAMP 1614265330
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static const char *sign_with(const char *keys)
{
	string_t *signature = t_str_new(128);
	const char *error;

	if (webhook_sign(signature, keys, ID, TIMESTAMP, BODY, &error) < 0)
		fail_msg("%s", error);
	return str_c(signature);
}

static void check_error(const char *keys, const char *expected)
{
	string_t *signature = t_str_new(128);
	const char *error = NULL;

	assert_int_equal(webhook_sign(signature, keys, ID, TIMESTAMP, BODY,
				      &error), -1);
	assert_string_equal(error, expected);
}

/* A key of so many bytes. */
static const char *key_of(size_t size)
{
	buffer_t *key = t_buffer_create(size);

	buffer_append_zero(key, size);
	return t_strconcat("whsec_",
		str_c(t_base64_encode(0, SIZE_MAX, key->data, size)), NULL);
}

static void test_vector_of_the_specification(void **state ATTR_UNUSED)
{
	assert_string_equal(sign_with(KEY), SIGNATURE);
	assert_string_equal(sign_with("\r\n  "KEY" \r\n\n"), SIGNATURE);
}

static void test_each_key_signs(void **state ATTR_UNUSED)
{
	const char *other = key_of(32);

	assert_string_equal(sign_with(t_strconcat(KEY"\n", other, "\n", NULL)),
		t_strconcat(SIGNATURE" ", sign_with(other), NULL));
	assert_string_equal(sign_with(t_strconcat(other, "\n"KEY, NULL)),
		t_strconcat(sign_with(other), " "SIGNATURE, NULL));
}

static void test_keys_have_24_to_64_bytes(void **state ATTR_UNUSED)
{
	(void)sign_with(key_of(24));
	(void)sign_with(key_of(64));
	check_error(key_of(23), "the key in line 1 must have 24 to 64 bytes");
	check_error(key_of(65), "the key in line 1 must have 24 to 64 bytes");
}

static void test_one_bad_key_and_nothing_is_signed(void **state ATTR_UNUSED)
{
	check_error("", "has no key");
	check_error("\n \n", "has no key");
	check_error(KEY"\nMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		    "the key in line 2 must begin with whsec_");
	check_error("\n"KEY"\n\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w",
		    "the key in line 4 is not base64 after whsec_");
	/* a word after it, which might be base64 as well */
	check_error(KEY" abcd", "the key in line 1 is not base64 after whsec_");
	check_error(KEY" "KEY, "the key in line 1 is not base64 after whsec_");
	check_error("whsec_", "the key in line 1 must have 24 to 64 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector_of_the_specification),
		cmocka_unit_test(test_each_key_signs),
		cmocka_unit_test(test_keys_have_24_to_64_bytes),
		cmocka_unit_test(test_one_bad_key_and_nothing_is_signed),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("webhook", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
