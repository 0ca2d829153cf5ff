/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of a message, whose sender made it what it is. */
#include "lib.h"
#include "istream.h"
#include "message-parser.h"
#include "str.h"
#include "write-full.h"

#include "header-field.h"
#include "message-excerpt.h"

#include "test-common.h"

#include <unistd.h>

#define MIME(type) "Content-Type: "type"\r\n\r\n"
#define MULTIPART(subtype) \
	"Subject: x\r\n"MIME("multipart/"subtype"; boundary=b")

/* As a mail storage has it: a file, of which some is in memory. */
static struct istream *message_open(const string_t *message)
{
	struct istream *input;
	char path[] = "/tmp/http-notify-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || unlink(path) < 0 ||
	    write_full(fd, str_data(message), str_len(message)) < 0)
		i_fatal("%s: %m", path);
	input = i_stream_create_fd_autoclose(&fd, 8192);
	i_stream_seek(input, 0);
	return input;
}

static string_t *message(const char *text)
{
	string_t *str = t_str_new(1024);

	str_append(str, text);
	return str;
}

static void str_repeat(string_t *str, const char *text, size_t size)
{
	size_t end = str_len(str) + size;

	while (str_len(str) < end)
		str_append(str, text);
}

static struct http_notify_message_headers
headers_of(const string_t *message)
{
	struct istream *input = message_open(message);
	struct http_notify_message_headers headers;

	http_notify_message_read_headers(input, &headers);
	assert_true(input->v_offset <= HTTP_NOTIFY_HEADER_READ_MAX);
	i_stream_unref(&input);
	return headers;
}

static const char *snippet_of(const string_t *message)
{
	const struct message_parser_settings set = { .flags = 0 };
	struct istream *input = message_open(message);
	struct message_parser_ctx *parser;
	struct message_part *parts;
	struct message_block block;
	pool_t pool = pool_alloconly_create("message parts", 1024);
	const char *snippet;

	parser = message_parser_init(pool, input, &set);
	while (message_parser_parse_next_block(parser, &block) > 0) ;
	message_parser_deinit(&parser, &parts);

	snippet = http_notify_message_read_snippet(input, parts);
	i_stream_unref(&input);
	pool_unref(&pool);
	return snippet;
}

static void test_headers_are_the_first_ones(void **state ATTR_UNUSED)
{
	struct http_notify_message_headers headers = headers_of(message(
		"Subject: one\r\nfrom : a@b.c\r\nX-From: x\r\nSUBJECT: two\r\n"
		"From: d@e.f\r\n\r\nSender: in the body\r\n"));

	assert_string_equal(headers.subject, "one");
	assert_string_equal(headers.from, "a@b.c");
	assert_null(headers.sender);
}

static void test_headers_keep_their_folds(void **state ATTR_UNUSED)
{
	struct http_notify_message_headers headers = headers_of(message(
		"From:  A\r\n\t<a@b.c> \r\nSender: b@c.d\nSubject:\r\n x\r\n"
		"  y\r\n\r\n"));

	assert_string_equal(headers.from, "A\n\t<a@b.c> ");
	assert_string_equal(headers.sender, "b@c.d");
	assert_string_equal(headers.subject, "\n x\n  y");
}

static void test_headers_without_value_are_empty(void **state ATTR_UNUSED)
{
	static const char *const blank[] = { "", " ", "    ", "\t \t" };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(blank); i++) {
		assert_string_equal(headers_of(message(t_strconcat(
			"Subject:", blank[i], "\r\n\r\n", NULL))).subject, "");
	}
}

static void test_headers_have_no_nuls(void **state ATTR_UNUSED)
{
	string_t *str = message("Subject: a");

	str_append_c(str, '\0');
	str_append(str, "b\r\n\r\n");
	assert_string_equal(headers_of(str).subject, "a\xef\xbf\xbd""b");
}

static void test_no_header_at_all(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		"", "\r\n", "\n", "no header\r\n", "From", "\r\nFrom: a@b.c\r\n"
	};
	struct http_notify_message_headers headers;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(messages); i++) {
		headers = headers_of(message(messages[i]));
		assert_null(headers.from);
		assert_null(headers.sender);
		assert_null(headers.subject);
	}
}

/* In one line, which is longer than the stream's buffer, and in many. */
static void test_huge_header_is_cut(void **state ATTR_UNUSED)
{
	static const char *const texts[] = { "x", "x y ", "x\r\n ", "\r\n\t" };
	struct http_notify_message_headers headers;
	string_t *str;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(texts); i++) {
		str = message("Sender: s@b.c\r\nFrom: ");
		str_repeat(str, texts[i], 4 * HTTP_NOTIFY_HEADER_READ_MAX);
		str_append(str, "\r\nSubject: behind\r\n\r\n");
		headers = headers_of(str);
		assert_string_equal(headers.sender, "s@b.c");
		assert_true(strlen(headers.from) <=
			    HTTP_NOTIFY_HEADER_READ_MAX);
		assert_true(strlen(headers.from) >
			    HTTP_NOTIFY_HEADER_READ_MAX / 2);
		assert_null(headers.subject);
	}
}

/* The parser gives it piece by piece, which are put together as it was. */
static void test_long_line_stays_whole(void **state ATTR_UNUSED)
{
	string_t *str = message("From: "), *value = t_str_new(1024);

	str_repeat(value, "name of somebody ", 100*1024);
	str_append(value, "<a@b.c>");
	str_append_str(str, value);
	str_append(str, "\r\nSubject: behind\r\n\r\n");
	assert_string_equal(headers_of(str).from, str_c(value));
	assert_string_equal(headers_of(str).subject, "behind");
}

static void test_many_headers_are_cut(void **state ATTR_UNUSED)
{
	string_t *str = message("Subject: first\r\n");

	str_repeat(str, "Sender: s@b.c\r\n", 4 * HTTP_NOTIFY_HEADER_READ_MAX);
	str_append(str, "From: a@b.c\r\n\r\n");
	assert_string_equal(headers_of(str).subject, "first");
	assert_string_equal(headers_of(str).sender, "s@b.c");
	assert_null(headers_of(str).from);
}

static void test_snippet_is_the_text(void **state ATTR_UNUSED)
{
	assert_string_equal(snippet_of(message(
		"Subject: x\r\n\r\none\r\n  two\r\n")), "one two");
	assert_string_equal(snippet_of(message(
		MIME("text/html")"<p>&lt;one&gt;</p>")), "<one>");
	assert_string_equal(snippet_of(message(
		"Content-Type: text/plain; charset=iso-8859-1\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
		"=FCber")), "\xc3\xbc""ber");
	assert_string_equal(snippet_of(message("Subject: x\r\n\r\n")), "");
	assert_string_equal(snippet_of(message("")), "");
}

static void test_snippet_is_of_the_first_text(void **state ATTR_UNUSED)
{
	assert_string_equal(snippet_of(message(
		MULTIPART("mixed")
		"--b\r\n"MIME("image/png")"png\r\n"
		"--b\r\n"MIME("text/html")"html\r\n"
		"--b\r\n"MIME("text/plain")"plain\r\n--b--\r\n")), "html");
	assert_string_equal(snippet_of(message(
		MULTIPART("mixed")
		"--b\r\n"MIME("multipart/related; boundary=c")
		"--c\r\n"MIME("image/png")"png\r\n--c--\r\n"
		"--b\r\n\r\nno type\r\n--b--\r\n")), "no type");
}

static void test_snippet_is_of_the_plain_alternative(void **state ATTR_UNUSED)
{
	assert_string_equal(snippet_of(message(
		MULTIPART("alternative")
		"--b\r\n"MIME("text/plain")"plain\r\n"
		"--b\r\n"MIME("text/html")"html\r\n--b--\r\n")), "plain");
	assert_string_equal(snippet_of(message(
		MULTIPART("alternative")
		"--b\r\n"MIME("text/html")"html\r\n"
		"--b\r\n"MIME("text/plain")"plain\r\n--b--\r\n")), "plain");
	assert_string_equal(snippet_of(message(
		MULTIPART("alternative")
		"--b\r\n"MIME("text/html")"html\r\n"
		"--b\r\n"MIME("text/calendar")"calendar\r\n--b--\r\n")),
		"html");
}

static void test_no_snippet_of_other_content(void **state ATTR_UNUSED)
{
	assert_string_equal(snippet_of(message(MIME("image/png")"png")), "");
	assert_string_equal(snippet_of(message(
		MIME("message/rfc822")"Subject: y\r\n\r\ninner")), "");
	assert_string_equal(snippet_of(message(
		MULTIPART("digest")
		"--b\r\n\r\nSubject: y\r\n\r\ninner\r\n--b--\r\n")), "");
	assert_string_equal(snippet_of(message(MULTIPART("mixed"))), "");
}

/* Nothing of it can be seen, so that there is no end to the search but one. */
static void test_snippet_of_huge_text_is_bounded(void **state ATTR_UNUSED)
{
	static const char *const messages[][2] = {
		{ "Subject: x\r\n\r\n", " " },
		{ MIME("text/html"), "&unknown;" },
		{ MIME("text/html"), "<" },
		{ MIME("text/html")"<style>", "</styl" },
		{ MIME("text/html")"<!--", "-" },
		{ "Content-Transfer-Encoding: base64\r\n\r\n", "ICAg" },
		{ "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
		  "=20" },
		{ "Content-Type: text/plain; charset=utf-7\r\n\r\n", " +" },
		{ "Content-Type: text/plain;", " x=y;\r\n" },
		{ "Content-Type: text/plain; x=", "y" },
	};
	const char *behind = "\r\n\r\nbehind\r\n";
	string_t *str;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(messages); i++) {
		str = message(messages[i][0]);
		str_repeat(str, messages[i][1],
			   4 * HTTP_NOTIFY_SNIPPET_READ_MAX);
		str_append(str, behind);
		assert_null(strstr(snippet_of(str), "behind"));
	}
}

/* As deep as Dovecot's parser goes, which takes what is deeper for text. */
static void test_snippet_of_deeply_nested_parts(void **state ATTR_UNUSED)
{
	string_t *str = message("Subject: x\r\n");
	unsigned int i;

	for (i = 0; i < 10000; i++) {
		str_printfa(str, "Content-Type: multipart/mixed; boundary=b%u"
			    "\r\n\r\n--b%u\r\n", i, i);
	}
	str_append(str, "\r\ntext\r\n");
	assert_non_null(snippet_of(str));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers_are_the_first_ones),
		cmocka_unit_test(test_headers_keep_their_folds),
		cmocka_unit_test(test_headers_without_value_are_empty),
		cmocka_unit_test(test_headers_have_no_nuls),
		cmocka_unit_test(test_no_header_at_all),
		cmocka_unit_test(test_huge_header_is_cut),
		cmocka_unit_test(test_long_line_stays_whole),
		cmocka_unit_test(test_many_headers_are_cut),
		cmocka_unit_test(test_snippet_is_the_text),
		cmocka_unit_test(test_snippet_is_of_the_first_text),
		cmocka_unit_test(test_snippet_is_of_the_plain_alternative),
		cmocka_unit_test(test_no_snippet_of_other_content),
		cmocka_unit_test(test_snippet_of_huge_text_is_bounded),
		cmocka_unit_test(test_snippet_of_deeply_nested_parts),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("message excerpt", tests, NULL,
					  NULL);
	lib_deinit();
	return ret;
}
