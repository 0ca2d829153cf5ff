/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "strescape.h"

#include "admin-protocol.h"

#include "test-common.h"

#define NASTY "a\tb\nc\rd\001e\\\"f \xe5\xb1\xb1\xff"

#define FIELDS(...) ((const char *const []) { __VA_ARGS__, NULL })

static const char *line_of(const struct http_notify_admin_command *command)
{
	string_t *dest = t_str_new(256);

	http_notify_admin_append(dest, command);
	return str_c(dest);
}

static struct http_notify_admin_command
round_trip(const struct http_notify_admin_command *command)
{
	struct http_notify_admin_command parsed;
	const char *line = line_of(command), *end = strchr(line, '\n'), *error;

	assert_non_null(end);
	assert_string_equal(end, "\n");
	if (http_notify_admin_parse(
			t_strsplit_tabescaped(t_strdup_until(line, end)),
			&parsed, &error) < 0)
		fail_msg("refused: %s", error);
	assert_int_equal(parsed.verb, command->verb);
	return parsed;
}

static const char *parse_error(const char *const *fields)
{
	struct http_notify_admin_command command;
	const char *error = NULL;

	assert_int_equal(http_notify_admin_parse(fields, &command, &error), -1);
	assert_non_null(error);
	return error;
}

static void test_commands_are_one_line(void **state ATTR_UNUSED)
{
	struct http_notify_admin_command command = {
		.user_mask = "al*", .endpoint_mask = "*",
		.username = "alice", .folder = "INBOX", .uid = 17,
		.uidvalidity = 99, .owner = "1000",
		.folder_mask = "IN*", .host_mask = "mx?", .reason = "refused",
		.max_secs = 60,
		.lost = TRUE, .id = 7,
		.body = "{}", .options = FIELDS("url=x", "max_age=1s")
	};
	static const char *const lines[] = {
		[HTTP_NOTIFY_ADMIN_HOSTS] = "HOSTS\n",
		[HTTP_NOTIFY_ADMIN_STATUS] = "STATUS\n",
		[HTTP_NOTIFY_ADMIN_HISTORY] = "HISTORY\n",
		[HTTP_NOTIFY_ADMIN_CHECK] = "CHECK\n",
		[HTTP_NOTIFY_ADMIN_QUEUE] = "QUEUE\tal*\t*\n",
		[HTTP_NOTIFY_ADMIN_SPOOLED] = "SPOOLED\tal*\t*\n",
		[HTTP_NOTIFY_ADMIN_MOVE] = "MOVE\n",
		[HTTP_NOTIFY_ADMIN_FLUSH] = "FLUSH\tal*\t*\n",
		[HTTP_NOTIFY_ADMIN_PURGE] = "PURGE\tal*\t*\n",
		[HTTP_NOTIFY_ADMIN_LOST] =
			"LOST\tal*\t*\tIN*\tmx?\trefused\t60\n",
		[HTTP_NOTIFY_ADMIN_RESEND] =
			"RESEND\tal*\t*\tIN*\tmx?\trefused\t60\n",
		[HTTP_NOTIFY_ADMIN_DROP] =
			"DROP\tal*\t*\tIN*\tmx?\trefused\t60\n",
		[HTTP_NOTIFY_ADMIN_BODY] = "BODY\tLOST\t7\n",
		[HTTP_NOTIFY_ADMIN_WATCH] = "WATCH\tal*\n",
		[HTTP_NOTIFY_ADMIN_PROBE] = "PROBE\t{}\turl=x\tmax_age=1s\n",
		[HTTP_NOTIFY_ADMIN_SEND] =
			"SEND\talice\tINBOX\t17\t{}\turl=x\tmax_age=1s\n",
		[HTTP_NOTIFY_ADMIN_ANNOUNCED] = "ANNOUNCED\talice\tINBOX\t99\t"
			"1000\turl=x\tmax_age=1s\n",
		[HTTP_NOTIFY_ADMIN_ANNOUNCE] = "ANNOUNCE\talice\tINBOX\t99\t17"
			"\t{}\turl=x\tmax_age=1s\n",
	};
	unsigned int verb;

	for (verb = 0; verb < N_ELEMENTS(lines); verb++) {
		command.verb = verb;
		assert_string_equal(line_of(&command), lines[verb]);
	}
	command.verb = HTTP_NOTIFY_ADMIN_RESEND;
	command.to = "http://host/ #2";
	assert_string_equal(line_of(&command),
		"RESEND\tal*\t*\tIN*\tmx?\trefused\t60\thttp://host/ #2\n");
	assert_string_equal(round_trip(&command).to, command.to);
	command.to = NULL;
	assert_null(round_trip(&command).to);
}

static void test_status_survives(void **state ATTR_UNUSED)
{
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_STATUS
	};

	(void)round_trip(&command);
}

static void test_masks_survive_nasty_characters(void **state ATTR_UNUSED)
{
	static const enum http_notify_admin_verb verbs[] = {
		HTTP_NOTIFY_ADMIN_QUEUE, HTTP_NOTIFY_ADMIN_SPOOLED,
		HTTP_NOTIFY_ADMIN_FLUSH, HTTP_NOTIFY_ADMIN_PURGE
	};
	struct http_notify_admin_command command = {
		.user_mask = "user"NASTY, .endpoint_mask = NASTY"endpoint"
	}, parsed;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(verbs); i++) {
		command.verb = verbs[i];
		parsed = round_trip(&command);
		assert_string_equal(parsed.user_mask, command.user_mask);
		assert_string_equal(parsed.endpoint_mask,
				    command.endpoint_mask);
	}
	assert_true(parsed.until == 0);
	command.until = INT64_MAX;
	assert_true(round_trip(&command).until == INT64_MAX);
	command.user_mask = command.endpoint_mask = "";
	parsed = round_trip(&command);
	assert_string_equal(parsed.user_mask, "");
	assert_string_equal(parsed.endpoint_mask, "");
}

static void test_filters_survive_nasty_characters(void **state ATTR_UNUSED)
{
	static const enum http_notify_admin_verb verbs[] = {
		HTTP_NOTIFY_ADMIN_LOST, HTTP_NOTIFY_ADMIN_RESEND,
		HTTP_NOTIFY_ADMIN_DROP
	};
	struct http_notify_admin_command command = {
		.user_mask = "user"NASTY, .endpoint_mask = NASTY"endpoint",
		.folder_mask = "folder"NASTY, .host_mask = NASTY"host",
		.reason = "", .max_secs = UINT_MAX
	}, parsed;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(verbs); i++) {
		command.verb = verbs[i];
		parsed = round_trip(&command);
		assert_string_equal(parsed.user_mask, command.user_mask);
		assert_string_equal(parsed.endpoint_mask,
				    command.endpoint_mask);
		assert_string_equal(parsed.folder_mask, command.folder_mask);
		assert_string_equal(parsed.host_mask, command.host_mask);
		assert_string_equal(parsed.reason, "");
		assert_int_equal(parsed.max_secs, UINT_MAX);
	}
}

static void test_ids_survive(void **state ATTR_UNUSED)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_BODY, .id = INT64_MAX
	}, parsed;

	parsed = round_trip(&command);
	assert_false(parsed.lost);
	assert_true(parsed.id == INT64_MAX);
	assert_string_equal(parsed.user_mask, "*");
	assert_string_equal(parsed.host_mask, "*");
	assert_string_equal(parsed.reason, "");
	command.lost = TRUE;
	assert_true(round_trip(&command).lost);
	command.lost = FALSE;
	command.spooled = TRUE;
	assert_true(round_trip(&command).spooled);
	(void)parse_error(FIELDS("BODY", "QUEUE", "0"));
	(void)parse_error(FIELDS("BODY", "QUEUE", "-1"));
	(void)parse_error(FIELDS("BODY", "QUEUE", "x"));
	(void)parse_error(FIELDS("PURGE", "*", "*", "x"));
	(void)parse_error(FIELDS("PURGE", "*", "*", "0"));
	(void)parse_error(FIELDS("QUEUE", "*", "*", "-1"));
	(void)parse_error(FIELDS("BODY", "OTHER", "1"));
	(void)parse_error(FIELDS("LOST", "*", "*", "*", "*", "", "x"));
	(void)parse_error(FIELDS("DROP", "*", "*", "*", "*", ""));
	(void)parse_error(FIELDS("DROP", "*", "*", "*", "*", "", "0", "to"));
	(void)parse_error(FIELDS("RESEND", "*", "*", "*", "*", "", "0", "to",
				 "x"));
	(void)parse_error(FIELDS("WATCH"));
}

static void test_probe_survives_nasty_characters(void **state ATTR_UNUSED)
{
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_PROBE, .body = NASTY,
		.options = FIELDS("first"NASTY, "")
	};
	struct http_notify_admin_command parsed = round_trip(&command);

	assert_string_equal(parsed.body, NASTY);
	assert_int_equal(str_array_length(parsed.options), 2);
	assert_string_equal(parsed.options[0], "first"NASTY);
	assert_string_equal(parsed.options[1], "");
}

static void test_send_survives_nasty_characters(void **state ATTR_UNUSED)
{
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_SEND, .username = "user"NASTY,
		.folder = "folder"NASTY, .uid = UINT32_MAX, .body = "body"NASTY,
		.options = FIELDS(NASTY)
	};
	struct http_notify_admin_command parsed = round_trip(&command);

	assert_string_equal(parsed.username, command.username);
	assert_string_equal(parsed.folder, command.folder);
	assert_true(parsed.uid == UINT32_MAX);
	assert_string_equal(parsed.body, command.body);
	assert_int_equal(str_array_length(parsed.options), 1);
	assert_string_equal(parsed.options[0], NASTY);
}

static void test_commands_for_other_hosts_survive(void **state ATTR_UNUSED)
{
	struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_PURGE, .at = TRUE, .host = INT64_MAX,
		.user_mask = "user"NASTY, .endpoint_mask = NASTY
	}, parsed;

	parsed = round_trip(&command);
	assert_true(parsed.at);
	assert_true(parsed.host == INT64_MAX);
	assert_string_equal(parsed.user_mask, command.user_mask);
	command.host = -1;
	command.verb = HTTP_NOTIFY_ADMIN_STATUS;
	assert_string_equal(line_of(&command), "AT\t-1\tSTATUS\n");
	assert_true(round_trip(&command).host == -1);
	command.at = FALSE;
	assert_false(round_trip(&command).at);
}

static void
test_few_commands_are_for_other_hosts(void **state ATTR_UNUSED)
{
	static const char expected[] =
		"command is not known, or not for hosts";

	/* they would have a host send what the database says, or say it twice */
	assert_string_equal(parse_error(FIELDS("AT", "1", "SEND", "alice",
			"INBOX", "17", "{}", "url=x")), expected);
	assert_string_equal(parse_error(FIELDS("AT", "1", "PROBE", "{}",
			"url=x")), expected);
	assert_string_equal(parse_error(FIELDS("AT", "1", "RESEND", "*", "*",
			"*", "*", "", "0")), expected);
	assert_string_equal(parse_error(FIELDS("AT", "1", "HOSTS")), expected);
	assert_string_equal(parse_error(FIELDS("AT", "1", "AT", "2",
			"STATUS")), expected);
	assert_string_equal(parse_error(FIELDS("AT", "1")), expected);
	assert_string_equal(parse_error(FIELDS("AT", "1x", "STATUS")),
			    "AT has an invalid host");
	(void)parse_error(FIELDS("AT"));
	(void)parse_error(FIELDS("AT", "1", "STATUS", ""));
}

static void test_other_commands_are_refused(void **state ATTR_UNUSED)
{
	static const char expected[] = "command is not known";

	assert_string_equal(parse_error(t_strsplit_tabescaped("")), expected);
	assert_string_equal(parse_error(FIELDS("")), expected);
	assert_string_equal(parse_error(FIELDS("status")), expected);
	assert_string_equal(parse_error(FIELDS("STATUSES")), expected);
	assert_string_equal(parse_error(FIELDS("NOTIFY", "1", "alice", "INBOX",
			"17", "{}", "url=x")), expected);
}

static void test_wrong_number_of_fields_is_refused(void **state ATTR_UNUSED)
{
	static const struct {
		const char *verb;
		/* behind it */
		unsigned int min, max;
	} verbs[] = {
		{ "HOSTS", 0, 0 },
		{ "STATUS", 0, 0 },
		{ "HISTORY", 0, 0 },
		{ "CHECK", 0, 0 },
		{ "QUEUE", 2, 3 },
		{ "FLUSH", 2, 2 },
		{ "PURGE", 2, 3 },
		{ "PROBE", 2, UINT_MAX },
		{ "SEND", 5, UINT_MAX },
		{ "ANNOUNCED", 5, UINT_MAX },
		{ "ANNOUNCE", 6, UINT_MAX },
	};
	struct http_notify_admin_command command;
	const char *error;
	unsigned int i, count;

	for (i = 0; i < N_ELEMENTS(verbs); i++) {
		const char *fields[] = {
			verbs[i].verb, "1", "1", "1", "1", "1", "1", "1", NULL
		};

		for (count = N_ELEMENTS(fields) - 2;; count--) {
			bool good = count >= verbs[i].min &&
				count <= verbs[i].max;

			assert_int_equal(http_notify_admin_parse(fields,
					&command, &error), good ? 0 : -1);
			if (!good) {
				assert_string_equal(error, "command has a "
					"wrong number of fields");
			}
			if (count == 0)
				break;
			fields[count] = NULL;
		}
	}
}

static void test_send_with_bad_uid_is_refused(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"", "-1", "x", "17x", " 17", "4294967296"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		assert_string_equal(parse_error(FIELDS("SEND", "alice",
				"INBOX", bad[i], "{}", "url=x")),
			"SEND has an invalid UID");
		assert_string_equal(parse_error(FIELDS("ANNOUNCE", "alice",
				"INBOX", "1", bad[i], "{}", "url=x")),
			"ANNOUNCE has an invalid UID");
		assert_string_equal(parse_error(FIELDS("ANNOUNCE", "alice",
				"INBOX", bad[i], "1", "{}", "url=x")),
			"command has an invalid UID validity");
		assert_string_equal(parse_error(FIELDS("ANNOUNCED", "alice",
				"INBOX", bad[i], "1", "url=x")),
			"command has an invalid UID validity");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_are_one_line),
		cmocka_unit_test(test_status_survives),
		cmocka_unit_test(test_masks_survive_nasty_characters),
		cmocka_unit_test(test_filters_survive_nasty_characters),
		cmocka_unit_test(test_ids_survive),
		cmocka_unit_test(test_probe_survives_nasty_characters),
		cmocka_unit_test(test_send_survives_nasty_characters),
		cmocka_unit_test(test_commands_for_other_hosts_survive),
		cmocka_unit_test(test_few_commands_are_for_other_hosts),
		cmocka_unit_test(test_other_commands_are_refused),
		cmocka_unit_test(test_wrong_number_of_fields_is_refused),
		cmocka_unit_test(test_send_with_bad_uid_is_refused),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("admin-protocol", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
