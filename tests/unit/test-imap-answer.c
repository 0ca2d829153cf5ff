/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "imap-answer.h"

#include "test-common.h"

#define ENTRY "/private/vendor/vendor.dovecot/http-notify"

/* A reader that was given this text in pieces of this size. */
struct fixture {
	struct imap_reader reader;
	const char *data;
	size_t left, piece;
};

static int next(struct fixture *fix, struct imap_response *response,
		const char **error)
{
	int ret;

	while ((ret = imap_reader_next(&fix->reader, response, error)) == 0 &&
	       fix->left > 0) {
		size_t size = fix->piece < fix->left ? fix->piece : fix->left;

		imap_reader_feed(&fix->reader, fix->data, size);
		fix->data += size;
		fix->left -= size;
	}
	return ret;
}

static void expect(struct fixture *fix, enum imap_kind kind,
		   enum imap_status status, const char *text)
{
	struct imap_response response;
	const char *error;

	assert_int_equal(next(fix, &response, &error), 1);
	assert_int_equal(response.kind, kind);
	assert_int_equal(response.status, status);
	assert_int_equal(response.size, strlen(text));
	assert_memory_equal(response.text, text, response.size);
}

static void expect_no_more(struct fixture *fix)
{
	struct imap_response response;
	const char *error;

	assert_int_equal(next(fix, &response, &error), 0);
	imap_reader_free(&fix->reader);
}

static void test_responses_in_pieces_of_any_size(void **state)
{
	static const char data[] =
		"* CAPABILITY IMAP4rev1 METADATA\r\n"
		"c OK [X] done\r\n"
		"\r\n"
		"* METADATA \"\" (a {5}\r\nx\r\nOKb {0}\r\n)\r\n"
		"+ go on\r\n"
		"g NO [METADATA NOPRIVATE] no {3}\r\n"
		"* BYE bye\n"
		"h BAD\r\n";
	size_t piece;

	(void)state;
	for (piece = 1; piece <= sizeof(data); piece++) {
		struct fixture fix = { .data = data, .piece = piece,
				       .left = sizeof(data) - 1 };

		expect(&fix, IMAP_UNTAGGED, IMAP_STATUS_NONE,
		       "CAPABILITY IMAP4rev1 METADATA");
		expect(&fix, IMAP_TAGGED, IMAP_STATUS_OK, "[X] done");
		expect(&fix, IMAP_UNTAGGED, IMAP_STATUS_NONE,
		       "METADATA \"\" (a {5}\r\nx\r\nOKb {0}\r\n)");
		expect(&fix, IMAP_CONTINUATION, IMAP_STATUS_NONE, " go on");
		expect(&fix, IMAP_TAGGED, IMAP_STATUS_NO,
		       "[METADATA NOPRIVATE] no {3}");
		expect(&fix, IMAP_UNTAGGED, IMAP_STATUS_BYE, "bye");
		expect(&fix, IMAP_TAGGED, IMAP_STATUS_BAD, "");
		expect_no_more(&fix);
	}
}

static void test_tag_is_told(void **state)
{
	struct imap_response response;

	(void)state;
	assert_int_equal(imap_response_parse("A1 OK", 5, &response), 0);
	assert_int_equal(response.tag_size, 2);
	assert_memory_equal(response.tag, "A1", 2);
}

static void test_literal_may_look_like_a_tagged_response(void **state)
{
	static const char data[] =
		"* METADATA \"\" ("ENTRY" {14}\r\ng OK {3}\r\n* NO)\r\n";
	struct fixture fix = { .data = data, .piece = 7,
			       .left = sizeof(data) - 1 };
	struct imap_response response;
	struct buffer value = {};
	const char *error;
	bool nil;

	(void)state;
	assert_int_equal(next(&fix, &response, &error), 1);
	assert_int_equal(imap_metadata_find(&response, ENTRY, &value, &nil),
			 1);
	assert_int_equal(value.used, 14);
	assert_memory_equal(value.data, "g OK {3}\r\n* NO", 14);
	buffer_free(&value);
	expect_no_more(&fix);
}

static void test_what_is_not_imap_is_refused(void **state)
{
	static const char *const lines[] = {
		"220 mail.example.org ESMTP\r\n", "hello\r\n", "*\r\n",
		" OK\r\n", "g FETCH\r\n",
	};
	struct imap_response response;
	const char *error;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct fixture fix = { .data = lines[i], .piece = 100,
				       .left = strlen(lines[i]) };

		assert_int_equal(next(&fix, &response, &error), -1);
		assert_non_null(strstr(error, "not IMAP"));
		imap_reader_free(&fix.reader);
	}
}

static void refuse_too_long(const char *begin)
{
	struct imap_reader reader = {};
	struct imap_response response;
	char *data = calloc(1, 65536);
	const char *error = NULL;
	unsigned int i;
	int ret = 0;

	imap_reader_feed(&reader, begin, strlen(begin));
	memset(data, 'x', 65536);
	for (i = 0; i < 160 && ret == 0; i++) {
		imap_reader_feed(&reader, data, 65536);
		ret = imap_reader_next(&reader, &response, &error);
	}
	assert_int_equal(ret, -1);
	assert_non_null(strstr(error, "1 MB"));
	assert_true(reader.input.used <= IMAP_RESPONSE_MAX + 2 * 65536);
	imap_reader_free(&reader);
	free(data);
}

static void test_size_of_a_response_is_capped(void **state)
{
	(void)state;
	refuse_too_long("* METADATA \"\" (a \"");
	refuse_too_long("* METADATA \"\" (a {10485760}\r\n");
	refuse_too_long("* METADATA \"\" (a {1048576}\r\n");
	refuse_too_long("* METADATA \"\" (a {99999999999999999999999999}\r\n");
	refuse_too_long("* METADATA \"\" (a {500000}\r\n{600000}\r\n");
	refuse_too_long("g OK ");
}

static int
find(const char *line, struct buffer *value, bool *nil)
{
	struct imap_response response;

	assert_int_equal(imap_response_parse(line, strlen(line), &response),
			 0);
	return imap_metadata_find(&response, ENTRY, value, nil);
}

static void expect_entry(const char *line, const char *expected)
{
	struct buffer value = {};
	bool nil = true;

	assert_int_equal(find(line, &value, &nil), 1);
	assert_int_equal(nil, expected == NULL);
	assert_string_equal(buffer_str(&value),
			    expected == NULL ? "" : expected);
	buffer_free(&value);
}

static void expect_none(const char *line, int ret)
{
	struct buffer value = {};
	bool nil;

	assert_int_equal(find(line, &value, &nil), ret);
	buffer_free(&value);
}

static void test_value_of_each_type_of_string(void **state)
{
	(void)state;
	expect_entry("* METADATA \"\" ("ENTRY" \"user=3@1\")", "user=3@1");
	expect_entry("* METADATA \"\" ("ENTRY" {8}\r\nuser=3@1)", "user=3@1");
	expect_entry("* METADATA \"\" ("ENTRY" ~{8}\r\nuser=3@1)", "user=3@1");
	expect_entry("* METADATA \"\" ("ENTRY" {8+}\r\nuser=3@1)", "user=3@1");
	expect_entry("* METADATA \"\" ("ENTRY" user=3@1)", "user=3@1");
	expect_entry("* METADATA \"\" ("ENTRY" \"a\\\"b\\\\c\")", "a\"b\\c");
	expect_entry("* METADATA \"\" ("ENTRY" \"\")", "");
	expect_entry("* METADATA \"\" ("ENTRY" {0}\r\n)", "");
}

static void test_nil_is_no_value(void **state)
{
	(void)state;
	expect_entry("* METADATA \"\" ("ENTRY" NIL)", NULL);
	expect_entry("* METADATA \"\" ("ENTRY" nil)", NULL);
	expect_entry("* METADATA \"\" ("ENTRY" \"NIL\")", "NIL");
	expect_entry("* METADATA \"\" ("ENTRY" {3}\r\nNIL)", "NIL");
	expect_entry("* METADATA \"\" ("ENTRY" NILL)", "NILL");
}

static void test_names_compare_in_any_case_and_type_of_string(void **state)
{
	(void)state;
	expect_entry("* metadata \"\" (/PRIVATE/Vendor/vendor.dovecot/"
		     "HTTP-Notify x)", "x");
	expect_entry("* METADATA {0}\r\n (\""ENTRY"\" x)", "x");
	expect_entry("* METADATA \"\" ({42}\r\n"ENTRY" x)", "x");
}

static void test_entry_is_found_among_others(void **state)
{
	(void)state;
	expect_entry("* METADATA \"\" (/shared/admin \"a ) "ENTRY" b\" "
		     ENTRY"2 c "ENTRY" user=3@1 /private/comment {3}\r\n))) "
		     "/x NIL)", "user=3@1");
	expect_none("* METADATA \"\" (/shared/admin "ENTRY")", 0);
	expect_none("* METADATA \"\" ("ENTRY"2 x)", 0);
	expect_none("* METADATA \"\" ()", 0);
}

static void test_other_responses_have_no_value(void **state)
{
	(void)state;
	expect_none("* METADATA INBOX ("ENTRY" x)", 0);
	expect_none("* METADATA NIL ("ENTRY" x)", 0);
	expect_none("* METADATA \"\" "ENTRY, 0);
	expect_none("* METADATAX \"\" ("ENTRY" x)", 0);
	expect_none("* CAPABILITY METADATA", 0);
	expect_none("* OK METADATA \"\" ("ENTRY" x)", 0);
	expect_none("g OK METADATA \"\" ("ENTRY" x)", 0);
}

static void test_broken_syntax_is_refused(void **state)
{
	static const char *const lines[] = {
		"* METADATA \"\" ("ENTRY, "* METADATA \"\" ("ENTRY" ",
		"* METADATA \"\" ("ENTRY")", "* METADATA \"\" ("ENTRY" \"x)",
		"* METADATA \"\" ("ENTRY" \"x\\", "* METADATA \"\" (",
		"* METADATA \"\" ("ENTRY" {x}\r\nx)",
		"* METADATA \"\" ("ENTRY" {}\r\nx)",
		"* METADATA \"\" ("ENTRY" {9}\r\nx)",
		"* METADATA \"\" ("ENTRY" {3} x)",
		"* METADATA \"\" ("ENTRY" (x))", "* METADATA \"\"",
		"* METADATA \"", "* METADATA ",
		"* METADATA \"\" ("ENTRY" x",
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		expect_none(lines[i], -1);
}

static void test_words_of_a_response(void **state)
{
	static const char line[] = "* CAPABILITY IMAP4rev1 metadata-server ID";
	struct imap_response response;

	(void)state;
	assert_int_equal(imap_response_parse(line, strlen(line), &response),
			 0);
	assert_true(imap_response_has_word(&response, "METADATA-SERVER"));
	assert_true(imap_response_has_word(&response, "id"));
	assert_false(imap_response_has_word(&response, "METADATA"));
	assert_false(imap_response_has_word(&response, "IMAP4"));
	assert_true(imap_response_begins(&response, "capability "));
	assert_false(imap_response_begins(&response, line));
}

static void test_name_of_the_server(void **state)
{
	static const char *const lines[] = {
		"* ID (\"version\" NIL \"Name\" \"Dovecot\")",
		"* ID (name Dovecot)",
	};
	static const char *const none[] = {
		"* ID NIL", "* ID (\"name\" NIL)", "* ID (\"x\" \"name\")",
		"* IDLE x", "* METADATA (name x)",
	};
	struct imap_response response;
	struct buffer name = {};
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(imap_response_parse(lines[i],
			strlen(lines[i]), &response), 0);
		assert_int_equal(imap_id_name(&response, &name), 1);
		assert_string_equal(buffer_str(&name), "Dovecot");
	}
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_int_equal(imap_response_parse(none[i], strlen(none[i]),
						     &response), 0);
		assert_int_equal(imap_id_name(&response, &name), 0);
	}
	buffer_free(&name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses_in_pieces_of_any_size),
		cmocka_unit_test(test_tag_is_told),
		cmocka_unit_test(test_literal_may_look_like_a_tagged_response),
		cmocka_unit_test(test_what_is_not_imap_is_refused),
		cmocka_unit_test(test_size_of_a_response_is_capped),
		cmocka_unit_test(test_value_of_each_type_of_string),
		cmocka_unit_test(test_nil_is_no_value),
		cmocka_unit_test(
			test_names_compare_in_any_case_and_type_of_string),
		cmocka_unit_test(test_entry_is_found_among_others),
		cmocka_unit_test(test_other_responses_have_no_value),
		cmocka_unit_test(test_broken_syntax_is_refused),
		cmocka_unit_test(test_words_of_a_response),
		cmocka_unit_test(test_name_of_the_server),
	};

	return cmocka_run_group_tests_name("imap-answer", tests, NULL, NULL);
}
