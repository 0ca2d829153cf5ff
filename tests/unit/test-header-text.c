/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "unichar.h"

#include "header-text.h"

#include "test-common.h"

#define FFFD UNICODE_REPLACEMENT_CHAR_UTF8

struct pair {
	const char *value, *text;
};

static const char *repeat(const char *what, size_t count)
{
	string_t *str = t_str_new(strlen(what) * count + 1);

	for (; count > 0; count--)
		str_append(str, what);
	return str_c(str);
}

static void test_what_can_be_decoded_is_kept(void **state ATTR_UNUSED)
{
	static const char *const values[] = {
		"", "Hello", " =?", "=?utf-8?b?YWJj", "=?\?b?YQ?=",
		"=?utf-8?b?YWJj?=", "=?utf-8?B?YWI=?=", "=?utf-8?B?YQ==?=",
		"=?utf-8?B?\?=", "=?utf-8*de?b?YWJj?= =?x?B?YWI=?=",
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?b?w7w=?=",
		/* no word: RFC 2047 has two encodings */
		"=?utf-8?x?YQ?=", "a=?b c?B?YQ?=",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(values); i++)
		assert_string_equal(http_notify_header_text(values[i]),
				    values[i]);
}

/* OX's decoder fails with these if it does not know the charset. */
static void test_base64_is_made_whole(void **state ATTR_UNUSED)
{
	static const struct pair pairs[] = {
		{ "=?unknown-8bit?B?xOQ?=", "=?unknown-8bit?B?xOQ=?=" },
		{ "=?utf8mb4?b?SGVsbG8?=", "=?utf8mb4?b?SGVsbG8=?=" },
		{ "=?utf-8*de?B?SGVsbG8?=", "=?utf-8*de?B?SGVsbG8=?=" },
		{ "a =?x?B?YQ?= b =?x?B?YQ=?= c",
		  "a =?x?B?YQ==?= b =?x?B?YQ==?= c" },
		/* an incomplete byte */
		{ "=?x?B?YWJjZ?=", "=?x?B?YWJj?=" },
		{ "=?x?B?Y?=", "=?x?B?\?=" },
		/* what is no base64 */
		{ "=?x?B?YW\r\n Jj?=", "=?x?B?YWJj?=" },
		{ "=?x?B?YW-_Jj?=", "=?x?B?YWJj?=" },
		{ "=?x?B?YQ==YQ==?=", "=?x?B?YQ==?=" },
		{ "=?x?B?====?=", "=?x?B?\?=" },
		{ "=?x?B?Y\xff?=", "=?x?B?\?=" },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(pairs); i++)
		assert_string_equal(http_notify_header_text(pairs[i].value),
				    pairs[i].text);
}

static void test_words_are_decoded(void **state ATTR_UNUSED)
{
	static const struct pair pairs[] = {
		{ "no word", "no word" },
		{ "=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?b?/A?= x",
		  "Gr\xc3\xbc\xc3\x9f""e\xc3\xbc x" },
		/* a word made of words */
		{ "=?utf-8?q?=3D=3Fx=3FB=3FYQ=3F=3D?=", "=?x?B?YQ==?=" },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(pairs); i++)
		assert_string_equal(
			http_notify_header_text_decode(pairs[i].value),
			pairs[i].text);
}

static void test_long_value_is_decoded(void **state ATTR_UNUSED)
{
	assert_string_equal(http_notify_header_text_shorten(
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", 27),
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=");
	assert_string_equal(http_notify_header_text_shorten(
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", 26), "Gr\xc3\xbc\xc3\x9f""e");
	/* and ends at a whole character */
	assert_string_equal(http_notify_header_text_shorten(
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", 5), "Gr\xc3\xbc");
	assert_string_equal(http_notify_header_text_shorten(
		repeat("=?utf-8?B?w7w=?= ", 1000), 1025),
		repeat("\xc3\xbc", 512));
	assert_string_equal(http_notify_header_text_shorten(
		"=?utf-8?q?abc?=", 0), "");
}

/* They are no words before they are decoded. */
static void test_no_word_is_cut(void **state ATTR_UNUSED)
{
	const char *value = "=?utf-8?q?text_=3D=3Fx=3FB=3FYWJj=3F=3D_more?="
		"=?utf-8?q?_and_more?=";
	const char *decoded = "text =?x?B?YWJj?= more and more";
	size_t size;

	assert_string_equal(http_notify_header_text_decode(value), decoded);
	for (size = 0; size < strlen(decoded); size++) {
		assert_string_equal(
			http_notify_header_text_shorten(value, size),
			t_strndup(decoded,
				  size < 5 || size >= 17 ? size : 5));
	}
}

/* Takes a moment, not minutes. */
static void test_beginnings_of_words(void **state ATTR_UNUSED)
{
	const char *value = repeat("=?a?B? ", 100*1000);

	assert_string_equal(http_notify_header_text(value), value);
	assert_string_equal(http_notify_header_text_shorten(value, 14),
			    "=?a?B? =?a?B? ");
}

static unsigned int next_random(void)
{
	static uint32_t seed = 20261129;

	seed = seed * 1664525 + 1013904223;
	/* the low bits of an LCG are not random at all */
	return seed >> 16;
}

static const char *random_value(void)
{
	static const char *const pieces[] = {
		"=?", "?=", "utf-8", "?B?", "?q?", "=", "YQ", "YWJj", " ",
		"\r\n ", "\xc3\xbc", "\xff", "=3D=3F",
	};
	string_t *value = t_str_new(128);
	unsigned int count = next_random() % 20;

	for (; count > 0; count--)
		str_append(value, pieces[next_random() % N_ELEMENTS(pieces)]);
	return str_c(value);
}

static bool holds_for(const char *value)
{
	const char *text = http_notify_header_text(value);
	const char *cut = http_notify_header_text_shorten(value, 16);

	return strcmp(http_notify_header_text(text), text) == 0 &&
		strcmp(http_notify_header_text(cut), cut) == 0 &&
		uni_utf8_str_is_valid(text) && uni_utf8_str_is_valid(cut) &&
		strlen(cut) <= 16;
}

static void test_text_needs_no_second_time(void **state ATTR_UNUSED)
{
	unsigned int i;
	bool holds;

	for (i = 0; i < 20*1000; i++) {
		T_BEGIN {
			holds = holds_for(random_value());
		} T_END;
		if (!holds)
			fail_msg("round %u", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_can_be_decoded_is_kept),
		cmocka_unit_test(test_base64_is_made_whole),
		cmocka_unit_test(test_words_are_decoded),
		cmocka_unit_test(test_long_value_is_decoded),
		cmocka_unit_test(test_no_word_is_cut),
		cmocka_unit_test(test_beginnings_of_words),
		cmocka_unit_test(test_text_needs_no_second_time),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("header-text", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
