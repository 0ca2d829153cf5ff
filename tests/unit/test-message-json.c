/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an endpoint gets for a message: UTF-8 in which a MIME parser finds what
   is in the message. tests/integration/test_calendar_mime.py asks parsers. */
#include "lib.h"
#include "istream.h"
#include "istream-crlf.h"
#include "str.h"

#include "json-text.h"
#include "message-json.h"

#include "test-common.h"

#include <jansson.h>

#define MAX_SIZE (64*1024*1024)
/* "ü" in ISO-8859-1 */
#define L1 "\xfc"

/* The data of a literal, which may have NULs. */
#define CHECK(message, expected) \
	check(message, sizeof(message) - 1, expected, sizeof(expected) - 1)
#define CHECK_SAME(message) CHECK(message, message)

/* Returns what the endpoint decodes. */
static string_t *decoded(const void *message, size_t size)
{
	struct istream *input = i_stream_create_from_data(message, size);
	string_t *json = str_new(default_pool, 1024), *result;
	json_t *value;

	str_append_c(json, '"');
	assert_int_equal(http_notify_message_append_json(input, MAX_SIZE, json),
			 1);
	str_append_c(json, '"');
	value = json_loadb(str_c(json), str_len(json),
			   JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(value);
	result = t_str_new(json_string_length(value));
	str_append_data(result, json_string_value(value),
			json_string_length(value));
	json_decref(value);
	str_free(&json);
	i_stream_unref(&input);
	return result;
}

static void
check(const char *message, size_t size, const char *expected,
      size_t expected_size)
{
	string_t *result = decoded(message, size);

	if (str_len(result) != expected_size ||
	    memcmp(str_data(result), expected, expected_size) != 0)
		print_error("%s\n", str_c(result));
	assert_int_equal(str_len(result), expected_size);
	assert_memory_equal(str_data(result), expected, expected_size);
}

static void test_utf8_stays_as_it_is(void **state ATTR_UNUSED)
{
	CHECK_SAME("");
	CHECK_SAME("Subject: x\r\n\r\ntext\r\n");
	CHECK_SAME("Subject: \xc3\xbc\r\n\r\n\xe2\x82\xac \xf0\x9f\x93\x85");
	CHECK_SAME("Subject: \"x\" \\ / \x7f\r\n\r\n\x01\x02\x1f\t\b\f");
	CHECK_SAME("Content-Transfer-Encoding: binary\r\n\r\na\0b\0\r\n");
	/* whatever it calls itself */
	CHECK_SAME("Content-Type: text/calendar; charset=iso-8859-1\r\n\r\n"
		   "\xc3\xbc");
}

static void test_lines_end_in_crlf(void **state ATTR_UNUSED)
{
	CHECK("Subject: x\n\na\nb\r\nc\rd\n\n", "Subject: x\r\n\r\na\r\nb\r\n"
	      "c\rd\r\n\r\n");
}

static void test_long_lines_stay_whole(void **state ATTR_UNUSED)
{
	string_t *str = t_str_new(256*1024);

	str_append(str, "Subject: x\r\n\r\n");
	while (str_len(str) < 200*1024)
		str_append(str, "\xe2\x82\xac");
	check(str_c(str), str_len(str), str_c(str), str_len(str));
}

static void test_only_utf8_is(void **state ATTR_UNUSED)
{
	static const char *const valid[] = {
		"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf",
	};
	static const char *const invalid[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2 ",
		"\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82 ", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xf0\x9f\x93", "\xff",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(valid); i++) {
		assert_true(http_notify_is_utf8((const void *)valid[i],
						strlen(valid[i])));
	}
	for (i = 0; i < N_ELEMENTS(invalid); i++) {
		assert_false(http_notify_is_utf8((const void *)invalid[i],
						 strlen(invalid[i])));
	}
}

static void test_other_content_becomes_base64(void **state ATTR_UNUSED)
{
	CHECK("Subject: x\r\n\r\n"L1"ber\r\n",
	      "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	      "/GJlcg0K");
	CHECK("content-transfer-encoding : 8BIT\r\nSubject: x\r\n\r\n"L1,
	      "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n/A==");
	CHECK("Content-Transfer-Encoding:\r\n\tbinary (really)\r\n"
	      "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n"L1,
	      "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n/A==");
	CHECK("Content-Transfer-Encoding: what?\n\n"L1"\n",
	      "Content-Transfer-Encoding: base64\r\n\r\n/A0K");
	/* without a header */
	CHECK("\n"L1, "Content-Transfer-Encoding: base64\r\n\r\n/A==");
	CHECK("\n\xe2\x82", "Content-Transfer-Encoding: base64\r\n\r\n4oI=");
}

static void test_base64_has_short_lines(void **state ATTR_UNUSED)
{
	static const char begin[] =
		"Content-Transfer-Encoding: base64\r\n\r\n";
	string_t *str = t_str_new(256);
	const char *p, *end;
	unsigned int i;

	for (i = 0; i < 60; i++) {
		str_truncate(str, 0);
		str_append(str, "\n");
		while (str_len(str) < 1 + 57*2 + i)
			str_append(str, L1);
		p = str_c(decoded(str_data(str), str_len(str)));
		assert_memory_equal(p, begin, strlen(begin));
		for (p += strlen(begin); (end = strchr(p, '\r')) != NULL;
		     p = end + 2)
			assert_int_equal(end - p, 76);
		assert_uint_in_range(strlen(p), 1, 76);
	}
}

static void test_only_such_parts_change(void **state ATTR_UNUSED)
{
	CHECK("Content-Type: multipart/signed; boundary=\"a b\"\r\n\r\n"
	      "before\r\n"
	      "--a b\r\nX: 1\r\n\r\n\xc3\xbc\r\n\r\n"
	      "--a b \t\r\nX: 2\r\nContent-Transfer-Encoding: 8bit\r\n"
	      "Y: 2\r\n\r\n"L1"\r\n"
	      "--a b\r\n\r\n"L1"\r\n"
	      "--a bc\r\n"
	      "--a b--\r\nafter\r\n",
	      "Content-Type: multipart/signed; boundary=\"a b\"\r\n\r\n"
	      "before\r\n"
	      "--a b\r\nX: 1\r\n\r\n\xc3\xbc\r\n\r\n"
	      "--a b \t\r\nX: 2\r\nY: 2\r\n"
	      "Content-Transfer-Encoding: base64\r\n\r\n/A==\r\n"
	      "--a b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	      "/A0KLS1hIGJj\r\n"
	      "--a b--\r\nafter\r\n");
}

static void test_nested_parts_change(void **state ATTR_UNUSED)
{
	CHECK("Content-Type: multipart/mixed; boundary*0=ou; boundary*1=ter\r\n"
	      "\r\n--outer\r\n"
	      "Content-Type: multipart/alternative; boundary=inner\r\n\r\n"
	      "--inner\r\n\r\n"L1"\r\n"
	      "--outer\r\n"
	      "Content-Type: message/rfc822\r\n\r\n"
	      "Subject: y\r\nContent-Type: text/calendar\r\n\r\n"L1"\r\n"
	      "--outer--\r\n",
	      "Content-Type: multipart/mixed; boundary*0=ou; boundary*1=ter\r\n"
	      "\r\n--outer\r\n"
	      "Content-Type: multipart/alternative; boundary=inner\r\n\r\n"
	      "--inner\r\nContent-Transfer-Encoding: base64\r\n\r\n/A==\r\n"
	      "--outer\r\n"
	      "Content-Type: message/rfc822\r\n\r\n"
	      "Subject: y\r\nContent-Type: text/calendar\r\n"
	      "Content-Transfer-Encoding: base64\r\n\r\n/A==\r\n"
	      "--outer--\r\n");
	CHECK("Content-Type: multipart/digest; boundary=b\r\n\r\n"
	      "--b\r\n\r\nSubject: y\r\n\r\n"L1"\r\n--b",
	      "Content-Type: multipart/digest; boundary=b\r\n\r\n"
	      "--b\r\n\r\nSubject: y\r\nContent-Transfer-Encoding: base64\r\n"
	      "\r\n/A==\r\n--b");
}

static void test_encoded_content_stays_encoded(void **state ATTR_UNUSED)
{
	CHECK("Content-Transfer-Encoding: Quoted-Printable\r\n\r\n=FC"L1"=\r\n",
	      "Content-Transfer-Encoding: Quoted-Printable\r\n\r\n=FC=FC=\r\n");
	CHECK("Content-Transfer-Encoding: base64\r\n\r\nYQ"L1"==\r\n",
	      "Content-Transfer-Encoding: base64\r\n\r\nYQ\xef\xbf\xbd==\r\n");
	CHECK("Content-Transfer-Encoding: x-uuencode\r\n\r\n"L1"\r\n",
	      "Content-Transfer-Encoding: x-uuencode\r\n\r\n\xef\xbf\xbd\r\n");
}

static void test_what_is_no_content_is_replaced(void **state ATTR_UNUSED)
{
	CHECK("Content-Type: multipart/mixed; boundary=b\r\n\r\n"L1"\r\n"
	      "--b\r\n\r\nx\r\n--b--\r\n\xe2\x82",
	      "Content-Type: multipart/mixed; boundary=b\r\n\r\n\xef\xbf\xbd"
	      "\r\n--b\r\n\r\nx\r\n--b--\r\n\xef\xbf\xbd\xef\xbf\xbd");
	CHECK("Content-Type: multipart/mixed\r\n\r\n"L1,
	      "Content-Type: multipart/mixed\r\n\r\n\xef\xbf\xbd");
	CHECK("Content-Type: message/delivery-status\r\n\r\nX: 1\r\n\r\nY: "L1,
	      "Content-Type: message/delivery-status\r\n\r\nX: 1\r\n\r\n"
	      "Y: \xef\xbf\xbd");
}

/* The boundary stays what it is said to be. */
static void test_boundary_of_other_bytes(void **state ATTR_UNUSED)
{
	CHECK("Content-Type: multipart/mixed; boundary=\""L1"\"\r\n\r\n"
	      "--"L1"\r\n\r\nx\r\n--"L1"--\r\n",
	      "Content-Type: multipart/mixed; boundary=\"\xef\xbf\xbd\"\r\n\r\n"
	      "--\xef\xbf\xbd\r\n\r\nx\r\n--\xef\xbf\xbd--\r\n");
}

/* JavaMail ends lines there. */
static void test_carriage_returns_end_lines(void **state ATTR_UNUSED)
{
	CHECK("X: y\rContent-Type: multipart/mixed; boundary=b\r\r"
	      "--b\r\r"L1"\r--b--\r",
	      "X: y\rContent-Type: multipart/mixed; boundary=b\r\r"
	      "--b\rContent-Transfer-Encoding: base64\r\n\r/A==\r--b--\r");
	CHECK("X: y\r\r\nContent-Transfer-Encoding: 8bit\r\r\n\r\n"L1,
	      "X: y\r\r\nContent-Transfer-Encoding: base64\r\n\r\n/A==");
}

#define HEADER(field) field"\r\n\r\nx\r\n"
#define CHECK_HEADER(field, expected) CHECK(HEADER(field), HEADER(expected))

static void test_words_are_encoded(void **state ATTR_UNUSED)
{
	CHECK_HEADER("Subject: "L1"ber, \"das\" da",
		     "Subject: =?iso-8859-1?Q?=FCber=2C?= \"das\" da");
	CHECK_HEADER("Subject:"L1" "L1"\r\n\t"L1" x",
		     "Subject:=?iso-8859-1?Q?=FC?= =?iso-8859-1?Q?_=FC?=\r\n\t"
		     "=?iso-8859-1?Q?=09=FC?= x");
	/* UTF-8 stays, also beside other words and in other fields */
	CHECK_HEADER("Subject: \xc3\xbc "L1"\r\nX: \xc3\xbc",
		     "Subject: \xc3\xbc =?iso-8859-1?Q?=FC?=\r\nX: \xc3\xbc");
	CHECK_HEADER("Subject: =?utf-8?Q?a?= "L1" =?utf-8?Q?b?= c",
		     "Subject: =?utf-8?Q?a?= =?iso-8859-1?Q?_=FC_?= "
		     "=?utf-8?Q?b?= c");
	CHECK_HEADER(L1, "=?iso-8859-1?Q?=FC?=");
	CHECK_HEADER(L1": x", "\xef\xbf\xbd: x");
}

static void test_addresses_keep_their_form(void **state ATTR_UNUSED)
{
	CHECK_HEADER("From: J"L1"rg M <a@b>, "L1" <c@d>",
		     "From: =?iso-8859-1?Q?J=FCrg?= M <a@b>, "
		     "=?iso-8859-1?Q?=FC?= <c@d>");
	CHECK_HEADER("resent-TO: \"M"L1"ller, \\\"J\\\"\" <a@b>",
		     "resent-TO: =?iso-8859-1?Q?M=FCller=2C_=22J=22?= <a@b>");
	CHECK_HEADER("Cc: a@b ("L1"), \"\xc3\xbc\" <c@d>",
		     "Cc: a@b (=?iso-8859-1?Q?=FC?=), \"\xc3\xbc\" <c@d>");
	CHECK_HEADER("Cc: \""L1"\""L1"<a@b>",
		     "Cc: =?iso-8859-1?Q?=FC?= =?iso-8859-1?Q?=FC?=<a@b>");
	CHECK_HEADER("To: \""L1, "To: =?iso-8859-1?Q?=FC?=");
}

static void test_file_names_are_encoded(void **state ATTR_UNUSED)
{
	CHECK_HEADER("Content-Type: text/calendar;\r\n\tname=\"a "L1".ics\"; x=y",
		     "Content-Type: text/calendar;\r\n\t"
		     "name*=iso-8859-1''a%20%FC.ics; x=y");
	CHECK_HEADER("content-disposition: attachment; FileName = "L1".ics ;x=y",
		     "content-disposition: attachment; "
		     "FileName*=iso-8859-1''%FC.ics ;x=y");
	CHECK_HEADER("Content-Type: a/"L1"; name=\"\xc3\xbc;\"; x="L1,
		     "Content-Type: a/\xef\xbf\xbd; name=\"\xc3\xbc;\"; "
		     "x=\xef\xbf\xbd");
	CHECK_HEADER("Content-Type: a/b; name=\""L1"\\",
		     "Content-Type: a/b; name*=iso-8859-1''%FC%5C");
}

static void test_encoded_words_are_short(void **state ATTR_UNUSED)
{
	string_t *str = t_str_new(1024);
	const char *const *words;
	unsigned int i;

	str_append(str, "Subject: ");
	for (i = 0; i < 100; i++)
		str_append(str, L1"a");
	str_append(str, "\r\n\r\n");
	words = t_strsplit_spaces(str_c(decoded(str_data(str), str_len(str))),
				  " \r\n");
	assert_string_equal(*words, "Subject:");
	for (words++; *words != NULL; words++)
		assert_uint_in_range(strlen(*words), 20, 75);
}

static void test_too_large_is_too_large(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		"Subject: x\n\n0123456789", "Subject: x\n\n"L1"123456789",
	};
	struct istream *input;
	string_t *json = str_new(default_pool, 1024);
	size_t size, max;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(messages); i++) {
		str_truncate(json, 0);
		str_append(json, "{}");
		input = i_stream_create_from_data(messages[i],
						  strlen(messages[i]));
		assert_int_equal(http_notify_message_append_json(
			input, MAX_SIZE, json), 1);
		size = str_len(json) - 2;
		str_truncate(json, 2);
		for (max = 0; max < size; max++) {
			assert_int_equal(http_notify_message_append_json(
				input, max, json), 0);
			assert_string_equal(str_c(json), "{}");
		}
		assert_int_equal(http_notify_message_append_json(
			input, size, json), 1);
		i_stream_unref(&input);
	}
	str_free(&json);
}

static void test_stream_that_fails(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_error_str(EIO, "broken");
	string_t *json = str_new(default_pool, 64);

	assert_int_equal(http_notify_message_append_json(input, MAX_SIZE,
							 json), -1);
	assert_int_equal(str_len(json), 0);
	str_free(&json);
	i_stream_unref(&input);
}

/* As from a file, which is read in blocks: no character is cut. */
static void test_blocks_do_not_matter(void **state ATTR_UNUSED)
{
	static const char text[] =
		"Subject: \xc3\xbc\r\n\r\n\xe2\x82\xac\xf0\x9f\x93\x85\r\n";
	struct istream *data, *input;
	string_t *json = str_new(default_pool, 256);
	unsigned int i;

	for (i = 4; i < 12; i++) {
		str_truncate(json, 0);
		data = i_stream_create_from_data(text, strlen(text));
		input = i_stream_create_limit(data, strlen(text));
		i_stream_set_max_buffer_size(input, i);
		assert_int_equal(http_notify_message_append_json(
			input, MAX_SIZE, json), 1);
		assert_string_equal(str_c(json), "Subject: \xc3\xbc\\r\\n\\r\\n"
				    "\xe2\x82\xac\xf0\x9f\x93\x85\\r\\n");
		i_stream_unref(&input);
		i_stream_unref(&data);
	}
	str_free(&json);
}

/* Whatever it is made of, it takes no time to speak of. */
static void test_huge_messages(void **state ATTR_UNUSED)
{
	static const char *const texts[] = {
		"Content-Type: multipart/mixed; boundary=b\n\n--b\n",
		"Content-Type: message/rfc822\n\n", "--b\n", "\n", "\r", "\"",
		"X: \"\n", "To: ", ";name=\"", "=?", L1, L1" ", "=?x?= "L1" ",
		"Content-Type: multipart/mixed; boundary=", "\xe2\x82",
	};
	string_t *str = str_new(default_pool, 1024*1024);
	unsigned int i, j;

	for (i = 0; i < N_ELEMENTS(texts); i++) {
		str_truncate(str, 0);
		str_append(str, "Content-Type: multipart/mixed; boundary=b;x=");
		for (j = 0; j < 1024*1024; j += strlen(texts[i]))
			str_append(str, texts[i]);
		str_append(str, "\n\n"L1"\n");
		T_BEGIN {
			(void)decoded(str_data(str), str_len(str));
		} T_END;
	}
	str_free(&str);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_stays_as_it_is),
		cmocka_unit_test(test_lines_end_in_crlf),
		cmocka_unit_test(test_long_lines_stay_whole),
		cmocka_unit_test(test_only_utf8_is),
		cmocka_unit_test(test_other_content_becomes_base64),
		cmocka_unit_test(test_base64_has_short_lines),
		cmocka_unit_test(test_only_such_parts_change),
		cmocka_unit_test(test_nested_parts_change),
		cmocka_unit_test(test_encoded_content_stays_encoded),
		cmocka_unit_test(test_what_is_no_content_is_replaced),
		cmocka_unit_test(test_boundary_of_other_bytes),
		cmocka_unit_test(test_carriage_returns_end_lines),
		cmocka_unit_test(test_words_are_encoded),
		cmocka_unit_test(test_addresses_keep_their_form),
		cmocka_unit_test(test_file_names_are_encoded),
		cmocka_unit_test(test_encoded_words_are_short),
		cmocka_unit_test(test_too_large_is_too_large),
		cmocka_unit_test(test_stream_that_fails),
		cmocka_unit_test(test_blocks_do_not_matter),
		cmocka_unit_test(test_huge_messages),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("message as JSON", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
