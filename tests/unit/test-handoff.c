/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "strescape.h"

#include "body-event.h"
#include "dovecot-compat.h"
#include "handoff.h"
#include "mail-events.h"
#include "notification.h"
#include "options.h"
#include "registration.h"

#include "test-common.h"

#define NASTY "a\tb\nc\rd\001e\\\"f \xe5\xb1\xb1\xff"

#define FIELDS(...) ((const char *const []) { __VA_ARGS__, NULL })
#define OPTIONS FIELDS("url=http://node1.example.org/")

/* What the other side parses: the one line that was appended. */
static const char *const *fields_of(string_t *dest)
{
	const char *line = str_c(dest);
	const char *end = strchr(line, '\n');

	assert_non_null(end);
	assert_string_equal(end, "\n");
	return t_strsplit_tabescaped(t_strdup_until(line, end));
}

static struct http_notify_handoff
round_trip(const struct http_notify_handoff *handoff)
{
	struct http_notify_handoff parsed;
	string_t *dest = t_str_new(256);
	const char *error;

	http_notify_handoff_append(dest, handoff);
	if (http_notify_handoff_parse(fields_of(dest), &parsed, &error) < 0)
		fail_msg("refused: %s", error);
	return parsed;
}

static struct http_notify_handoff_reply
round_trip_reply(const struct http_notify_handoff_reply *reply)
{
	struct http_notify_handoff_reply parsed;
	string_t *dest = t_str_new(256);
	const char *error;

	http_notify_handoff_append_reply(dest, reply);
	if (http_notify_handoff_parse_reply(fields_of(dest), &parsed,
					    &error) < 0)
		fail_msg("refused: %s", error);
	return parsed;
}

static const char *parse_error(const char *const *fields)
{
	struct http_notify_handoff handoff;
	const char *error = NULL;

	assert_int_equal(http_notify_handoff_parse(fields, &handoff, &error),
			 -1);
	assert_non_null(error);
	return error;
}

static void test_handoff_is_one_line(void **state ATTR_UNUSED)
{
	const struct http_notify_handoff handoff = {
		.seq = 7, .username = "alice", .folder = "INBOX", .uid = 17,
		.body = "{}", .options = FIELDS("url=x", "max_age=1s")
	};
	string_t *dest = t_str_new(128);

	http_notify_handoff_append(dest, &handoff);
	assert_string_equal(str_c(dest),
		"NOTIFY\t7\talice\tINBOX\t17\t{}\turl=x\tmax_age=1s\n");
}

static void test_handoff_may_have_a_uid_validity(void **state ATTR_UNUSED)
{
	const struct http_notify_handoff handoff = {
		.seq = 7, .username = "alice", .folder = "INBOX", .uid = 17,
		.uidvalidity = UINT32_MAX, .body = "{}", .options = OPTIONS
	};
	struct http_notify_handoff parsed = round_trip(&handoff);
	string_t *dest = t_str_new(128);

	assert_int_equal(parsed.uid, 17);
	assert_int_equal(parsed.uidvalidity, UINT32_MAX);
	http_notify_handoff_append(dest, &handoff);
	assert_string_equal(fields_of(dest)[4], "17/4294967295");
}

static void test_handoff_survives_nasty_characters(void **state ATTR_UNUSED)
{
	const struct http_notify_handoff handoff = {
		.seq = 1, .username = "user"NASTY, .folder = "folder"NASTY,
		.uid = 1, .body = "body"NASTY,
		.options = FIELDS("first"NASTY, NASTY"second", "\t")
	};
	struct http_notify_handoff parsed = round_trip(&handoff);

	assert_string_equal(parsed.username, handoff.username);
	assert_string_equal(parsed.folder, handoff.folder);
	assert_string_equal(parsed.body, handoff.body);
	assert_int_equal(str_array_length(parsed.options), 3);
	assert_string_equal(parsed.options[0], handoff.options[0]);
	assert_string_equal(parsed.options[1], handoff.options[1]);
	assert_string_equal(parsed.options[2], handoff.options[2]);
}

static void test_handoff_survives_extreme_numbers(void **state ATTR_UNUSED)
{
	struct http_notify_handoff handoff = {
		.seq = INT64_MAX, .username = "alice", .folder = "INBOX",
		.uid = UINT32_MAX, .body = "{}", .options = OPTIONS
	};
	struct http_notify_handoff parsed = round_trip(&handoff);

	assert_true(parsed.seq == INT64_MAX);
	assert_int_equal(parsed.uid, UINT32_MAX);

	handoff.seq = 1;
	handoff.uid = 0;
	parsed = round_trip(&handoff);
	assert_int_equal(parsed.seq, 1);
	assert_int_equal(parsed.uid, 0);
}

static void test_handoffs_follow_each_other(void **state ATTR_UNUSED)
{
	struct http_notify_handoff handoff = {
		.seq = 1, .username = "alice", .folder = "INBOX", .uid = 17,
		.body = "{}", .options = OPTIONS
	};
	string_t *dest = t_str_new(256);
	const char *const *lines;

	http_notify_handoff_append(dest, &handoff);
	handoff.seq = 2;
	http_notify_handoff_append(dest, &handoff);
	lines = t_strsplit(str_c(dest), "\n");
	assert_int_equal(str_array_length(lines), 3);
	assert_true(str_begins_with(lines[0], "NOTIFY\t1\t"));
	assert_true(str_begins_with(lines[1], "NOTIFY\t2\t"));
	assert_string_equal(lines[2], "");
}

static void test_other_commands_are_refused(void **state ATTR_UNUSED)
{
	assert_string_equal(parse_error(t_strsplit_tabescaped("")),
			    "NOTIFY expected");
	assert_string_equal(parse_error(FIELDS("notify", "1", "alice", "INBOX",
			"17", "{}", "url=x")), "NOTIFY expected");
	assert_string_equal(parse_error(FIELDS("SESSION",
			"00000000000000000000000000000000")),
		"NOTIFY expected");
	assert_string_equal(parse_error(FIELDS("OK", "1")), "NOTIFY expected");
}

static void
test_handoff_with_too_few_fields_is_refused(void **state ATTR_UNUSED)
{
	static const char *const whole[] = {
		"NOTIFY", "1", "alice", "INBOX", "17", "{}"
	};
	const char *fields[N_ELEMENTS(whole) + 1] = { NULL };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(whole); i++) {
		fields[i] = whole[i];
		assert_string_equal(parse_error(fields),
				    "NOTIFY has too few fields");
	}
}

static void test_handoff_with_bad_seq_is_refused(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"", "0", "-1", "x", "1x", " 1", "9223372036854775808",
		"18446744073709551615", "18446744073709551616"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		assert_string_equal(parse_error(FIELDS("NOTIFY", bad[i],
				"alice", "INBOX", "17", "{}", "url=x")),
			"NOTIFY has an invalid sequence number");
	}
}

static void test_handoff_with_bad_uid_is_refused(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"", "-1", "x", "17x", " 17", "4294967296", "17/", "0/5", "17/x",
		"17/-1", "17/4294967296", "17/1/1", "/1", "4294967296/1"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		assert_string_equal(parse_error(FIELDS("NOTIFY", "1", "alice",
				"INBOX", bad[i], "{}", "url=x")),
			"NOTIFY has an invalid UID");
	}
}

static void test_session_survives(void **state ATTR_UNUSED)
{
	guid_128_t session, parsed;
	string_t *dest = t_str_new(64);
	const char *error;

	guid_128_generate(session);
	http_notify_handoff_append_session(dest, session);
	assert_int_equal(http_notify_handoff_parse_session(fields_of(dest),
				parsed, &error), 0);
	assert_memory_equal(parsed, session, sizeof(session));
}

static void test_bad_session_is_refused(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"", "SESSION", "SESSION\t", "SESSION\tx",
		"SESSION\t0123456789abcdef0123456789abcde",
		"SESSION\t0123456789abcdef0123456789abcdef0",
		"SESSION\t0123456789abcdef0123456789abcdeg",
		"SESSION\t0123456789abcdef0123456789abcdef\tx",
		"NOTIFY\t0123456789abcdef0123456789abcdef",
	};
	guid_128_t session;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		const char *error = NULL;

		assert_int_equal(http_notify_handoff_parse_session(
			t_strsplit_tabescaped(bad[i]), session, &error), -1);
		assert_non_null(error);
	}
}

static void test_errors_repeat_nothing(void **state ATTR_UNUSED)
{
	guid_128_t session;
	const char *error;

	assert_null(strstr(parse_error(FIELDS("s3cret")), "s3cret"));
	assert_null(strstr(parse_error(FIELDS("NOTIFY", "1", "s3cret")),
			   "s3cret"));
	assert_null(strstr(parse_error(FIELDS("NOTIFY", "s3cret", "alice",
			"INBOX", "17", "{}", "url=x")), "s3cret"));
	assert_null(strstr(parse_error(FIELDS("NOTIFY", "1", "alice", "INBOX",
			"s3cret", "{}", "url=x")), "s3cret"));
	assert_int_equal(http_notify_handoff_parse_session(
		FIELDS("SESSION", "s3cret"), session, &error), -1);
	assert_null(strstr(error, "s3cret"));
}

static void test_reply_ok_survives(void **state ATTR_UNUSED)
{
	const struct http_notify_handoff_reply reply = { .seq = INT64_MAX };
	struct http_notify_handoff_reply parsed = round_trip_reply(&reply);

	assert_true(parsed.seq == INT64_MAX);
	assert_null(parsed.error);
}

static void test_reply_fail_survives(void **state ATTR_UNUSED)
{
	const struct http_notify_handoff_reply reply = {
		.seq = 7, .error = NASTY
	};
	struct http_notify_handoff_reply parsed = round_trip_reply(&reply);

	assert_int_equal(parsed.seq, 7);
	assert_string_equal(parsed.error, NASTY);
}

static void test_reply_fail_without_reason_is_no_ok(void **state ATTR_UNUSED)
{
	const struct http_notify_handoff_reply reply = {
		.seq = 7, .error = ""
	};

	assert_non_null(round_trip_reply(&reply).error);
}

static void test_bad_reply_is_refused(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"", "OK", "OK\t", "OK\tx", "OK\t-1", "OK\t1\tx", "OK\t1\t",
		"OK\t18446744073709551616", "ok\t1", "FAIL", "FAIL\t1",
		"FAIL\tx\treason", "FAIL\t1\treason\tx", "NOTIFY\t1",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		struct http_notify_handoff_reply reply;
		const char *error = NULL;

		assert_int_equal(http_notify_handoff_parse_reply(
			t_strsplit_tabescaped(bad[i]), &reply, &error), -1);
		assert_non_null(error);
	}
}

static const char *repeat(char chr, size_t count)
{
	string_t *str = t_str_new(count + 1);

	for (; count > 0; count--)
		str_append_c(str, chr);
	return str_c(str);
}

static const char *biggest_body(void)
{
	/* takes six bytes in JSON */
	const char *huge = repeat('\001', 100*1024);
	const struct http_notify_notification notification = {
		.user = huge, .folder = huge, .from = huge,
		.subject = huge, .snippet = huge,
		.uidvalidity = UINT32_MAX, .uid = UINT32_MAX,
		.unseen = UINT32_MAX, .have_unseen = TRUE
	};
	string_t *body = t_str_new(1024);

	assert_int_equal(http_notify_notification_append_json(
		&notification, HTTP_NOTIFY_FORMAT_OX, body), 0);
	assert_true(str_len(body) > 6 * (HTTP_NOTIFY_USER_MAX +
					 HTTP_NOTIFY_FOLDER_MAX +
					 3 * HTTP_NOTIFY_TEXT_MAX));
	return str_c(body);
}

static void test_biggest_handoff_is_below_line_max(void **state ATTR_UNUSED)
{
	/* takes two bytes in a line */
	const char *option = repeat('\t', HTTP_NOTIFY_OPTION_MAX);
	const struct http_notify_handoff handoff = {
		.seq = INT64_MAX,
		.username = repeat('\t', HTTP_NOTIFY_USER_MAX),
		.folder = repeat('\t', HTTP_NOTIFY_FOLDER_MAX),
		.uid = UINT32_MAX, .body = biggest_body(),
		.options = FIELDS(t_strconcat("url=", option, NULL),
				  t_strconcat("standby_url=", option, NULL),
				  "timeout_msecs=600000",
				  "max_age=4294967295s",
				  "max_retries=4294967294",
				  t_strconcat("netrc_file=", option, NULL))
	};
	string_t *line = t_str_new(HTTP_NOTIFY_HANDOFF_SMALL_LINE_MAX);

	http_notify_handoff_append(line, &handoff);
	assert_true(str_len(line) < HTTP_NOTIFY_HANDOFF_SMALL_LINE_MAX);
}

/* What a body says has happened. */

static void test_event_is_found_in_every_format(void **state ATTR_UNUSED)
{
	struct http_notify_notification n = {
		/* all that comes before it */
		.user = "a\",\"event\":\"FlagsSet\"\\", .folder = NASTY,
		.message = t_str_new(1)
	};
	enum http_notify_format format;
	unsigned int i;
	string_t *body = t_str_new(256);

	for (i = 0; i < HTTP_NOTIFY_MAIL_EVENT_COUNT; i++) {
		n.event = http_notify_mail_event_name(i);
		for (format = HTTP_NOTIFY_FORMAT_OX;
		     format <= HTTP_NOTIFY_FORMAT_OX_CALENDAR; format++) {
			str_truncate(body, 0);
			assert_int_equal(http_notify_notification_append_json(
						&n, format, body), 0);
			assert_string_equal(
				http_notify_body_event(str_c(body)),
				n.event == NULL ? "MessageNew" : n.event);
		}
	}
}

static void test_no_event_in_other_bodies(void **state ATTR_UNUSED)
{
	static const char *const bodies[] = {
		"", "{", "{}", "{\"event\"", "{\"event\":\"", "[\"event\"]",
		"{\"event\":\"FlagsSet", "{\"event\":\"FlagsSet\\\"",
		"{\"event\":\"\"}", "{\"event\":\"test\"}",
		"{\"event\":\"MailboxUnsubscribeOrSomethingElse\"}",
		"{\"a\":1,\"event\":\"FlagsSet\"}",
		"{\"a\":{\"event\":\"FlagsSet\"}}",
		"{{\"event\":\"FlagsSet\"}", "{\"a\\"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bodies); i++)
		assert_string_equal(http_notify_body_event(bodies[i]), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handoff_is_one_line),
		cmocka_unit_test(test_handoff_may_have_a_uid_validity),
		cmocka_unit_test(test_handoff_survives_nasty_characters),
		cmocka_unit_test(test_handoff_survives_extreme_numbers),
		cmocka_unit_test(test_handoffs_follow_each_other),
		cmocka_unit_test(test_other_commands_are_refused),
		cmocka_unit_test(test_handoff_with_too_few_fields_is_refused),
		cmocka_unit_test(test_handoff_with_bad_seq_is_refused),
		cmocka_unit_test(test_handoff_with_bad_uid_is_refused),
		cmocka_unit_test(test_session_survives),
		cmocka_unit_test(test_bad_session_is_refused),
		cmocka_unit_test(test_errors_repeat_nothing),
		cmocka_unit_test(test_reply_ok_survives),
		cmocka_unit_test(test_reply_fail_survives),
		cmocka_unit_test(test_reply_fail_without_reason_is_no_ok),
		cmocka_unit_test(test_bad_reply_is_refused),
		cmocka_unit_test(test_biggest_handoff_is_below_line_max),
		cmocka_unit_test(test_event_is_found_in_every_format),
		cmocka_unit_test(test_no_event_in_other_bodies),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("handoff", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
