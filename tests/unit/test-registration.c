/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"

#include "registration.h"

#include "test-common.h"

/* in every value that is refused, and in no error */
#define SECRET "s3cret"

static const char *user_of(const char *value)
{
	const char *user, *error;

	if (http_notify_registration_parse(value, &user, &error) < 0)
		fail_msg("refused: %s", error);
	return user;
}

static const char *refusal_of(const char *value)
{
	const char *user, *error = NULL;

	assert_int_equal(http_notify_registration_parse(value, &user, &error),
			 -1);
	assert_non_null(error);
	assert_null(strstr(error, SECRET));
	return error;
}

static const char *user_word(size_t user_size)
{
	string_t *value = t_str_new(user_size + 8);

	str_append(value, "user="SECRET);
	while (str_len(value) < strlen("user=") + user_size)
		str_append_c(value, 'x');
	return str_c(value);
}

static void test_user_and_context_of_ox(void **state ATTR_UNUSED)
{
	assert_string_equal(user_of("user=3@1"), "3@1");
}

static void test_account_and_token_of_egroupware(void **state ATTR_UNUSED)
{
	assert_string_equal(user_of("user=5::acc;token@host"),
			    "5::acc;token@host");
}

static void test_mail_address(void **state ATTR_UNUSED)
{
	assert_string_equal(user_of("user=alice@example.org"),
			    "alice@example.org");
}

static void test_user_is_kept_verbatim(void **state ATTR_UNUSED)
{
	assert_string_equal(user_of("user= a=b \"c\"\\\r\n"),
			    " a=b \"c\"\\\r\n");
	assert_string_equal(user_of("user=\xe5\xb1\xb1\xe7\x94\xb0@1"),
			    "\xe5\xb1\xb1\xe7\x94\xb0@1");
}

static void test_escaped_characters_belong_to_the_user(void **state ATTR_UNUSED)
{
	assert_string_equal(user_of("user=a\001tb\001nc\0011d"),
			    "a\tb\nc\001d");
}

static void test_other_words_have_no_meaning(void **state ATTR_UNUSED)
{
	assert_string_equal(user_of("url=http://evil.example.com/\t"
				    "auth=basic:mallory:pass\t"
				    "user=3@1\t"
				    "users=9@9\tUSER=9@9\tuser\txuser=9@9\t"),
			    "3@1");
}

static void test_last_user_counts(void **state ATTR_UNUSED)
{
	assert_string_equal(user_of("user=1@1\tuser=2@1\turl=x\tuser=3@1"),
			    "3@1");
	assert_string_equal(user_of("user=\tuser=3@1"), "3@1");
	assert_non_null(strstr(refusal_of("user="SECRET"\tuser="), "empty"));
}

static void test_value_without_user_is_refused(void **state ATTR_UNUSED)
{
	static const char *const values[] = {
		"", "\t", SECRET, "user", "url="SECRET"\tauth="SECRET,
		"xuser="SECRET, "USER="SECRET, " user="SECRET,
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(values); i++)
		assert_string_equal(refusal_of(values[i]), "it has no user=");
}

static void test_empty_user_is_refused(void **state ATTR_UNUSED)
{
	assert_string_equal(refusal_of("user="), "its user= is empty");
	assert_string_equal(refusal_of("user=\turl="SECRET),
			    "its user= is empty");
}

static void test_longest_user_is_kept_whole(void **state ATTR_UNUSED)
{
	const char *word = user_word(HTTP_NOTIFY_USER_MAX);

	assert_string_equal(user_of(word), word + strlen("user="));
}

static void test_longer_user_is_refused(void **state ATTR_UNUSED)
{
	const char *error = refusal_of(user_word(HTTP_NOTIFY_USER_MAX + 1));

	assert_non_null(strstr(error, "longer than 1024 bytes"));
	(void)refusal_of(user_word(100*1024));
}

static void test_invalid_utf8_is_refused(void **state ATTR_UNUSED)
{
	static const char *const values[] = {
		"user="SECRET"\xe9", /* Latin-1 */
		"user="SECRET"\x80",
		"user="SECRET"\xe5\xb1", /* cut off */
		"user=\xe5\xb1"SECRET,
		"user="SECRET"\xc0\xaf", /* overlong */
		"user="SECRET"\xed\xa0\x80", /* surrogate */
		"user="SECRET"\xf4\x90\x80\x80", /* above U+10FFFF */
		"user="SECRET"\xff",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(values); i++) {
		assert_string_equal(refusal_of(values[i]),
				    "its user= is not valid UTF-8");
	}
}

static void test_what_ox_writes(void **state ATTR_UNUSED)
{
	uint32_t user, context;

	assert_true(http_notify_registration_is_of_ox("user=3@1", &user,
						      &context));
	assert_int_equal(user, 3);
	assert_int_equal(context, 1);
	assert_true(http_notify_registration_is_of_ox(
		"user=2147483647@2147483647", &user, &context));
	assert_int_equal(user, 2147483647);
	assert_int_equal(context, 2147483647);
}

static void test_what_ox_does_not_write(void **state ATTR_UNUSED)
{
	static const char *const values[] = {
		"", "user=", "3@1", "user=3", "user=3@", "user=@1", "user=@",
		"user=03@1", "user=3@01", "user=0@1", "user=3@0", "user=+3@1",
		"user=3@+1", "user=-3@1", "user= 3@1", "user=3 @1",
		"user=3@1 ", "user=3@1\t", "user=3@1\tmore=1", "\tuser=3@1",
		"user=3@1@2", "user=3@1x", "USER=3@1",
		"user=2147483648@1", "user=3@2147483648",
		"user=4294967299@1", "user=99999999999999999999@1",
		"user=user=3@1",
	};
	uint32_t user, context;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(values); i++) {
		assert_false(http_notify_registration_is_of_ox(
			values[i], &user, &context));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_and_context_of_ox),
		cmocka_unit_test(test_account_and_token_of_egroupware),
		cmocka_unit_test(test_mail_address),
		cmocka_unit_test(test_user_is_kept_verbatim),
		cmocka_unit_test(test_escaped_characters_belong_to_the_user),
		cmocka_unit_test(test_other_words_have_no_meaning),
		cmocka_unit_test(test_last_user_counts),
		cmocka_unit_test(test_value_without_user_is_refused),
		cmocka_unit_test(test_empty_user_is_refused),
		cmocka_unit_test(test_longest_user_is_kept_whole),
		cmocka_unit_test(test_longer_user_is_refused),
		cmocka_unit_test(test_invalid_utf8_is_refused),
		cmocka_unit_test(test_what_ox_writes),
		cmocka_unit_test(test_what_ox_does_not_write),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("registration", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
