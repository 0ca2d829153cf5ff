/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which messages are calendar mail, whoever wrote them. */
#include "lib.h"
#include "istream.h"
#include "message-parser.h"
#include "str.h"

#include "calendar-mail.h"

#include "test-common.h"

#define TYPE(value) "Content-Type: "value"\r\n\r\ncontent\r\n"
#define DISPOSITION(value) \
	"Content-Type: application/octet-stream\r\n" \
	"Content-Disposition: "value"\r\n\r\ncontent\r\n"
#define MULTIPART(subtype, part) \
	"Subject: x\r\nContent-Type: multipart/"subtype"; boundary=b\r\n\r\n" \
	"--b\r\n\r\ntext\r\n--b\r\n"part"\r\n--b--\r\n"

static bool has_calendar(const char *message)
{
	const struct message_parser_settings set = { .flags = 0 };
	struct istream *input =
		i_stream_create_from_data(message, strlen(message));
	struct message_parser_ctx *parser;
	struct message_part *parts;
	struct message_block block;
	pool_t pool = pool_alloconly_create("message parts", 1024);
	bool ret;

	parser = message_parser_init(pool, input, &set);
	while (message_parser_parse_next_block(parser, &block) > 0) ;
	message_parser_deinit(&parser, &parts);
	ret = http_notify_message_has_calendar(input, parts);
	i_stream_unref(&input);
	pool_unref(&pool);
	return ret;
}

static void check_all(const char *const *messages, bool expected)
{
	for (; *messages != NULL; messages++) {
		if (has_calendar(*messages) != expected)
			print_error("%s", *messages);
		assert_int_equal(has_calendar(*messages), expected);
	}
}

static void test_type_is_calendar(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		TYPE("text/calendar"),
		TYPE("text/calendar; charset=utf-8; method=REQUEST"),
		TYPE("TEXT/Calendar;method=reply"),
		TYPE("\r\n\ttext/calendar\r\n ; method=CANCEL"),
		TYPE("(made) text / (by) calendar (x); method=REQUEST"),
		"CONTENT-TYPE : " "text/calendar\n\ncontent\n",
		NULL
	};

	check_all(messages, TRUE);
}

static void test_type_is_another(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		"", "\r\n", "Subject: text/calendar\r\n\r\ntext/calendar\r\n",
		TYPE("text/plain"),
		TYPE("text/calendars"),
		TYPE("text/x-calendar"),
		TYPE("text"),
		TYPE("application/calendar"),
		TYPE("text/plain; x=text/calendar"),
		NULL
	};

	check_all(messages, FALSE);
}

static void test_file_name_of_a_calendar(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		TYPE("application/ics; name=\"invite.ics\""),
		TYPE("application/ics; name=invite.ics"),
		TYPE("application/ics;\r\n\tNAME=\"Invite.ICS\""),
		TYPE("application/octet-stream; x=y; name=\".ics\"; z=w"),
		DISPOSITION("attachment; filename=\"invite.ics\""),
		DISPOSITION("ATTACHMENT; FileName=Invite.Ics; size=10"),
		DISPOSITION("inline;\r\n filename=\"a \\\"b\\\".ics \""),
		/* raw, whatever the charset */
		DISPOSITION("attachment; filename=\"Gr\xfc\xdf""e.ics\""),
		DISPOSITION("attachment; filename=Gr\xc3\xbc\xc3\x9f""e.ics"),
		NULL
	};

	check_all(messages, TRUE);
}

static void test_encoded_file_name(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		/* RFC 2231 */
		DISPOSITION("attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.ics"),
		DISPOSITION("attachment; filename*=''invite%2Eics"),
		DISPOSITION("attachment; filename*=unknown'de'%2e%49%63%73"),
		DISPOSITION("attachment; filename*0=\"long \";\r\n"
			    " filename*1=\"name.ics\""),
		DISPOSITION("attachment; filename*0*=utf-8''%C3%BC;\r\n"
			    " filename*1*=ber.i; filename*2=cs"),
		TYPE("application/ics; name*=utf-8''%E4%BC%9A%E8%AD%B0.ics"),
		/* RFC 2047, which is not meant for this */
		TYPE("application/ics; name=\"=?utf-8?Q?Einladung=2Eics?=\""),
		TYPE("application/ics; name==?utf-8?B?aW52aXRlLmljcw==?="),
		TYPE("application/ics; name=\"=?utf-8?B?aW52aXRl?=\r\n"
		     " =?utf-8?B?LmljcyA=?=\""),
		DISPOSITION("attachment; filename=\"=?x?q?a?= =?y?q?b=2eics?=\""),
		DISPOSITION("attachment; filename="
			    "=?iso-8859-1?Q?Gr=FC=DFe=2Eics?="),
		NULL
	};

	check_all(messages, TRUE);
}

static void test_file_name_without_quotes(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		TYPE("application/ics; name=our meeting.ics"),
		TYPE("application/ics; name=our meeting.ics; x=y"),
		DISPOSITION("attachment; filename=Re: our meeting.ICS"),
		DISPOSITION("attachment; filename=a/b.ics"),
		DISPOSITION("attachment; filename=\"invite.ics"),
		NULL
	};

	check_all(messages, TRUE);
}

static void test_file_name_of_something_else(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		TYPE("application/ics"),
		TYPE("application/octet-stream; name=\"ics\""),
		TYPE("application/octet-stream; name=\"invite.ics.zip\""),
		TYPE("application/octet-stream; name=\"invite.icsx\""),
		TYPE("application/octet-stream; name=our basics.icsx"),
		TYPE("application/octet-stream; filename=invite.ics"),
		DISPOSITION("attachment; filename=\"invite.ic\""),
		DISPOSITION("attachment; filename*=utf-8''invite%2Eicss"),
		DISPOSITION("attachment; name=\"x.pdf\"; x=invite.ics"),
		"Content-Description: invite.ics\r\n\r\ncontent\r\n",
		NULL
	};

	check_all(messages, FALSE);
}

static void test_at_any_depth(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		MULTIPART("mixed", TYPE("text/calendar")),
		MULTIPART("signed", TYPE("text/calendar")),
		MULTIPART("mixed", DISPOSITION("attachment; filename=a.ics")),
		MULTIPART("mixed",
			  "Content-Type: message/rfc822\r\n\r\n"
			  TYPE("text/calendar")),
		MULTIPART("mixed",
			  "Content-Type: multipart/alternative; boundary=c\r\n"
			  "\r\n--c\r\n\r\ntext\r\n--c\r\n"
			  TYPE("text/calendar")"--c--\r\n"),
		MULTIPART("digest", "\r\n"TYPE("text/calendar")),
		"Content-Type: message/rfc822\r\n\r\n"
		"Content-Type: message/rfc822\r\n\r\n"
		TYPE("text/calendar"),
		NULL
	};

	check_all(messages, TRUE);
}

static void test_not_in_content(void **state ATTR_UNUSED)
{
	static const char *const messages[] = {
		MULTIPART("mixed", TYPE("text/html")),
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
		TYPE("text/calendar")"--b--\r\n",
		"Subject: x\r\n\r\n--b\r\n"TYPE("text/calendar")"\r\n--b--\r\n",
		NULL
	};

	check_all(messages, FALSE);
}

/* Nothing that a sender writes takes long, or much memory. */
static void test_huge_headers(void **state ATTR_UNUSED)
{
	static const char *const texts[] = {
		";x=y", ";name=", ";name=x", ";name*1*=%41", "=?", "=?x?q?",
		"=?x?q?y?= ", ";name=\"", "(", "\\", "\"", ";", "\r\n ", ".ics.",
		"'", "%",
	};
	string_t *str = t_str_new(1024*1024);
	unsigned int i, j;

	for (i = 0; i < N_ELEMENTS(texts); i++) {
		str_truncate(str, 0);
		str_append(str, "Content-Type: text/plain; name=");
		for (j = 0; j < 1024*1024; j += strlen(texts[i]))
			str_append(str, texts[i]);
		str_append(str, "\r\n\r\ncontent\r\n");
		(void)has_calendar(str_c(str));
	}
	str_truncate(str, 0);
	for (j = 0; j < 10000; j++) {
		str_printfa(str, "Content-Type: multipart/mixed; boundary=b%u"
			    "\r\n\r\n--b%u\r\n", j, j);
	}
	(void)has_calendar(str_c(str));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_type_is_calendar),
		cmocka_unit_test(test_type_is_another),
		cmocka_unit_test(test_file_name_of_a_calendar),
		cmocka_unit_test(test_encoded_file_name),
		cmocka_unit_test(test_file_name_without_quotes),
		cmocka_unit_test(test_file_name_of_something_else),
		cmocka_unit_test(test_at_any_depth),
		cmocka_unit_test(test_not_in_content),
		cmocka_unit_test(test_huge_headers),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("calendar mail", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
