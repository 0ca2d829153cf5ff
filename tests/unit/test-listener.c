/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "ox-user.h"
#include "server-url.h"

#include "test-common.h"

static void test_value_has_the_bytes_of_ox(void **state)
{
	static const char *const users[] = {
		"3@1", "1@1", "10@20", "2147483647@2147483647",
	};
	char value[OX_VALUE_SIZE];
	struct ox_user user;
	const char *error;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		assert_int_equal(ox_user_parse(users[i], &user, &error), 0);
		ox_user_value(&user, value);
		assert_memory_equal(value, "user=", 5);
		assert_string_equal(value + 5, users[i]);
	}
	assert_string_equal(HTTP_NOTIFY_METADATA_ENTRY,
			    "/private/vendor/vendor.dovecot/http-notify");
}

static void test_anything_else_is_refused(void **state)
{
	static const char *const users[] = {
		"", "3", "@", "3@", "@1", "3@1@1", "03@1", "3@01", "0@1",
		"3@0", "-3@1", "+3@1", " 3@1", "3@1 ", "3 @1", "3@ 1",
		"2147483648@1", "3@2147483648", "99999999999999999999@1",
		"3@4294967297", "0x3@1", "3.0@1", "3@1\n", "3@1\t", "a@b",
		"user=3@1", "\xd9\xa3@1",
	};
	struct ox_user user;
	const char *error;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		if (ox_user_parse(users[i], &user, &error) == 0)
			fail_msg("accepted: %s", users[i]);
		assert_non_null(strstr(error, "USER@CONTEXT"));
	}
}

static void
expect_escaped(const char *data, size_t size, size_t max, const char *escaped)
{
	struct buffer buf = {};

	buffer_append_escaped(&buf, data, size, max);
	assert_string_equal(buffer_str(&buf), escaped);
	buffer_free(&buf);
}

static void test_text_for_terminals_is_escaped(void **state)
{
	(void)state;
	expect_escaped("user=3@1", 8, 99, "user=3@1");
	expect_escaped("a\r\n\t\\\x1b[2J\0b\x7f", 12, 99,
		       "a\\r\\n\\t\\\\\\x1b[2J\\x00b\\x7f");
	expect_escaped("\xc3\xa4\xe5\xb1\xb1", 5, 99, "\xc3\xa4\xe5\xb1\xb1");
	/* C1, right to left, Latin-1, overlong, surrogate, cut off */
	expect_escaped("\xc2\x9b", 2, 99, "\\xc2\\x9b");
	expect_escaped("\xe2\x80\xae", 3, 99, "\\xe2\\x80\\xae");
	expect_escaped("\xe4x", 2, 99, "\\xe4x");
	expect_escaped("\xc0\xaf", 2, 99, "\\xc0\\xaf");
	expect_escaped("\xed\xa0\x80", 3, 99, "\\xed\\xa0\\x80");
	expect_escaped("\xe5\xb1", 2, 99, "\\xe5\\xb1");
	expect_escaped("abcdef", 6, 3, "abc...");
}

static void expect_url(const char *str, const char *url, const char *host)
{
	char *got_url, *got_host;
	const char *error;

	if (server_url_parse(str, &got_url, &got_host, &error) < 0)
		fail_msg("%s: %s", str, error);
	assert_string_equal(got_url, url);
	assert_string_equal(got_host, host);
	free(got_url);
	free(got_host);
}

static void test_servers(void **state)
{
	(void)state;
	expect_url("imap://mail.example.org", "imap://mail.example.org/",
		   "mail.example.org");
	expect_url("imaps://mail.example.org:1993/",
		   "imaps://mail.example.org:1993/", "mail.example.org");
	expect_url("imap://[::1]:143", "imap://[::1]:143/", "[::1]");
	expect_url("IMAPS://127.0.0.1", "imaps://127.0.0.1/", "127.0.0.1");
}

static void test_other_urls_are_refused(void **state)
{
	static const char *const urls[] = {
		"", "mail.example.org", "http://mail.example.org", "imap://",
		"imap:mail.example.org", "imap://bob@mail.example.org",
		"imap://bob:s3cret@mail.example.org",
		"imap://;AUTH=PLAIN@mail.example.org",
		"imap://mail.example.org/INBOX", "imap://mail.example.org?x",
		"imap://mail.example.org#x", "imap://mail.example.org:99999",
		"imap://mail.example.org:x", "imap://a b",
		"imap://a/\r\nx",
	};
	char *url, *host;
	const char *error;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		if (server_url_parse(urls[i], &url, &host, &error) == 0)
			fail_msg("accepted: %s", urls[i]);
		assert_null(strstr(error, "s3cret"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_has_the_bytes_of_ox),
		cmocka_unit_test(test_anything_else_is_refused),
		cmocka_unit_test(test_text_for_terminals_is_escaped),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_other_urls_are_refused),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
