/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "str.h"
#include "unichar.h"

#include "dovecot-compat.h"
#include "notification.h"
#include "registration.h"

#include <jansson.h>
#include <stdlib.h>

#include "test-common.h"

#define FFFD UNICODE_REPLACEMENT_CHAR_UTF8
/* "INBOX" in Japanese */
#define INBOX_JA "\xe5\x8f\x97\xe4\xbf\xa1\xe7\xae\xb1"

static const char *
to_format(const struct http_notify_notification *notification,
	  enum http_notify_format format)
{
	string_t *dest = t_str_new(256);

	if (http_notify_notification_append_json(notification, format,
						 dest) < 0)
		i_unreached();
	return str_c(dest);
}

static const char *
to_text(const struct http_notify_notification *notification)
{
	return to_format(notification, HTTP_NOTIFY_FORMAT_OX);
}

static json_t *to_json(const struct http_notify_notification *notification)
{
	json_error_t error;
	json_t *json;

	json = json_loads(to_text(notification), JSON_REJECT_DUPLICATES,
			  &error);
	if (json == NULL)
		fail_msg("JSON is invalid: %s", error.text);
	return json;
}

/* The text as the endpoint reads it. */
static const char *
get_text(const struct http_notify_notification *notification, const char *key)
{
	json_t *json = to_json(notification);
	const char *text = json_string_value(json_object_get(json, key));

	assert_non_null(text);
	text = t_strdup(text);
	json_decref(json);
	return text;
}

static const char *subject_of(const char *subject)
{
	struct http_notify_notification notification = { .subject = subject };

	return get_text(&notification, "subject");
}

static const char *folder_of(const char *folder)
{
	struct http_notify_notification notification = { .folder = folder };

	return get_text(&notification, "folder");
}

static const char *repeat(const char *what, size_t count)
{
	string_t *str = t_str_new(strlen(what) * count + 1);

	for (; count > 0; count--)
		str_append(str, what);
	return str_c(str);
}

static void test_fields_are_in_the_peers_order(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = {
		.user = "3@1", .folder = "INBOX",
		.uidvalidity = 1700000000, .uid = 17,
		.from = "Alice <alice@example.org>", .subject = "Hello",
		.snippet = "Dear Bob",
		.unseen = 2, .have_unseen = TRUE
	};

	assert_string_equal(to_text(&notification),
		"{\"user\":\"3@1\","
		"\"event\":\"messageNew\","
		"\"folder\":\"INBOX\","
		"\"imap-uidvalidity\":1700000000,"
		"\"imap-uid\":17,"
		"\"from\":\"Alice <alice@example.org>\","
		"\"subject\":\"Hello\","
		"\"snippet\":\"Dear Bob\","
		"\"unseen\":2,"
		"\"unread\":2}");
}

static void test_fields_of_egroupware(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = {
		.user = "5::bob;token@host", .folder = "Sent",
		.uidvalidity = 1700000000, .uid = 17,
		.from = "<joerg@example.org>",
		.from_header = "=?utf-8?q?J=C3=B6rg?= <joerg@example.org>",
		.subject = "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", .snippet = "Dear Bob",
		.unseen = 2, .have_unseen = TRUE,
		.messages = 5, .have_messages = TRUE,
	};

	assert_string_equal(to_format(&notification,
				      HTTP_NOTIFY_FORMAT_EGROUPWARE),
		"{\"user\":\"5::bob;token@host\","
		"\"event\":\"MessageNew\","
		"\"folder\":\"Sent\","
		"\"imap-uidvalidity\":1700000000,"
		"\"imap-uid\":17,"
		"\"from\":\"=?utf-8?q?J=C3=B6rg?= <joerg@example.org>\","
		"\"subject\":\"Gr\xc3\xbc\xc3\x9f\x65\","
		"\"snippet\":\"Dear Bob\","
		"\"unseen\":2,"
		"\"messages\":5}");
}

static void test_fields_of_egroupware_may_be_unknown(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = { .uid = 17 };

	assert_string_equal(to_format(&notification,
				      HTTP_NOTIFY_FORMAT_EGROUPWARE),
		"{\"event\":\"MessageNew\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":17}");
}

static void test_egroupware_hears_of_what_there_is(void **state ATTR_UNUSED)
{
	struct http_notify_notification notification = {
		.uid = 17, .from = "sender@example.org", .from_header = "",
		.subject = "", .no_subject = TRUE, .no_snippet = TRUE
	};

	assert_string_equal(to_format(&notification,
				      HTTP_NOTIFY_FORMAT_EGROUPWARE),
		"{\"event\":\"MessageNew\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":17,\"from\":\"\",\"snippet\":\"\"}");
	assert_string_equal(to_text(&notification),
		"{\"event\":\"messageNew\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":17,\"from\":\"sender@example.org\","
		"\"subject\":\"\"}");
	/* an incomplete word is no poison there */
	notification.from_header = "=?unknown-8bit?B?xOQ?= <a@b.c>";
	http_notify_notification_omit(&notification, "snippet");
	assert_string_equal(to_format(&notification,
				      HTTP_NOTIFY_FORMAT_EGROUPWARE),
		"{\"event\":\"MessageNew\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":17,"
		"\"from\":\"=?unknown-8bit?B?xOQ?= <a@b.c>\"}");
	http_notify_notification_omit(&notification, "from");
	assert_string_equal(to_format(&notification,
				      HTTP_NOTIFY_FORMAT_EGROUPWARE),
		"{\"event\":\"MessageNew\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":17}");
}

static void test_several_messages(void **state ATTR_UNUSED)
{
	struct http_notify_notification notification = {
		.event = "MessageExpunge", .uid = 9
	};
	ARRAY_TYPE(seq_range) uids;

	t_array_init(&uids, 4);
	notification.uids = &uids;
	seq_range_array_add(&uids, 7);
	assert_string_equal(to_text(&notification),
		"{\"event\":\"messageExpunge\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":7}");
	seq_range_array_add_range(&uids, 4, 5);
	assert_string_equal(to_text(&notification),
		"{\"event\":\"messageExpunge\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":[4,5,7]}");
}

static void test_folder(void **state ATTR_UNUSED)
{
	static const struct http_notify_notification notification = {
		.user = "3@1", .event = "MailboxRename", .of_folder = TRUE,
		.folder = "new", .folder_old = "old"
	};

	assert_string_equal(to_text(&notification),
		"{\"user\":\"3@1\",\"event\":\"mailboxRename\","
		"\"folder\":\"new\",\"folder-old\":\"old\"}");
}

static void test_keywords_are_limited(void **state ATTR_UNUSED)
{
	const char *keywords[] = {
		"\"\xff\"", repeat("x", HTTP_NOTIFY_KEYWORDS_MAX - 6), "y", "z",
		NULL
	};
	struct http_notify_notification notification = {
		.event = "FlagsSet", .uid = 9, .flags = MAIL_FLAGGED,
		.have_flags = TRUE, .keywords = keywords
	};

	assert_string_equal(to_text(&notification), t_strconcat(
		"{\"event\":\"flagsSet\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":9,\"flags\":[\"\\\\Flagged\"],"
		"\"keywords\":[\"\\\""FFFD"\\\"\",\"",
		keywords[1], "\",\"y\"]}", NULL));
}

static void test_uids_are_limited(void **state ATTR_UNUSED)
{
	ARRAY_TYPE(seq_range) all, uids;
	struct seq_range_iter iter;
	unsigned int n;

	t_array_init(&all, 4);
	t_array_init(&uids, 4);
	seq_range_array_add_range(&all, 1, 9);
	seq_range_array_add_range(&all, UINT32_MAX - 9999, UINT32_MAX - 1);
	seq_range_array_iter_init(&iter, &all);
	n = http_notify_uids_take(&iter, 0, &uids);
	/* with a comma each */
	assert_int_equal(n, 9 + (HTTP_NOTIFY_UIDS_MAX - 9 * 2) / 11);
	assert_int_equal(seq_range_count(&uids), n);
	assert_true(seq_range_exists(&uids, 1));
	n = http_notify_uids_take(&iter, n, &uids);
	assert_int_equal(n, 9 + 9999);
	assert_true(seq_range_exists(&uids, UINT32_MAX - 1));
	assert_false(seq_range_exists(&uids, 1));
	assert_int_equal(http_notify_uids_take(&iter, n, &uids), n);
	assert_true(array_is_empty(&uids));
}

static void test_strings_that_are_null_are_left_out(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = {
		.uidvalidity = 1, .uid = 2
	};

	assert_string_equal(to_text(&notification),
		"{\"event\":\"messageNew\","
		"\"imap-uidvalidity\":1,\"imap-uid\":2}");
}

static void test_empty_strings_are_not_left_out(void **state ATTR_UNUSED)
{
	assert_string_equal(subject_of(""), "");
	assert_string_equal(folder_of(""), "");
}

static void test_unknown_unseen_is_left_out(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = { .unseen = 5 };
	json_t *json = to_json(&notification);

	assert_null(json_object_get(json, "unseen"));
	assert_null(json_object_get(json, "unread"));
	json_decref(json);
}

static void test_no_unseen_messages_is_a_number(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = {
		.unseen = 0, .have_unseen = TRUE
	};
	json_t *json = to_json(&notification);

	assert_true(json_is_integer(json_object_get(json, "unseen")));
	assert_true(json_is_integer(json_object_get(json, "unread")));
	json_decref(json);
}

static void test_highest_numbers_stay_integers(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = {
		.uidvalidity = UINT32_MAX, .uid = UINT32_MAX,
		.unseen = UINT32_MAX, .have_unseen = TRUE
	};

	assert_string_equal(to_text(&notification),
		"{\"event\":\"messageNew\","
		"\"imap-uidvalidity\":4294967295,\"imap-uid\":4294967295,"
		"\"unseen\":4294967295,\"unread\":4294967295}");
}

static void test_fields_are_omitted(void **state ATTR_UNUSED)
{
	const struct http_notify_notification whole = {
		.user = "u", .uid = 1, .from = "f", .subject = "s",
		.snippet = "t", .have_unseen = TRUE
	};
	struct http_notify_notification notification = whole;

	http_notify_notification_omit(&notification, "subject, unseen");
	assert_string_equal(to_text(&notification),
		"{\"user\":\"u\",\"event\":\"messageNew\","
		"\"imap-uidvalidity\":0,\"imap-uid\":1,"
		"\"from\":\"f\",\"snippet\":\"t\"}");
	http_notify_notification_omit(&notification, "snippet,from");
	assert_string_equal(to_text(&notification),
		"{\"user\":\"u\",\"event\":\"messageNew\","
		"\"imap-uidvalidity\":0,\"imap-uid\":1}");
}

static void test_json_is_appended(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = { .uid = 1 };
	string_t *dest = t_str_new(128);

	str_append(dest, "before ");
	assert_int_equal(http_notify_notification_append_json(
		&notification, HTTP_NOTIFY_FORMAT_OX, dest), 0);
	assert_true(str_begins_with(str_c(dest), "before {\"event\":"));
}

static void test_ascii_is_kept_in_every_text(void **state ATTR_UNUSED)
{
	static const char *const keys[] = {
		"user", "folder", "from", "subject", "snippet"
	};
	struct http_notify_notification notification;
	char ascii[128];
	unsigned int i;

	/* quotes, backslashes, TAB, CR, LF and all other control characters */
	for (i = 0; i < 127; i++)
		ascii[i] = i + 1;
	ascii[i] = '\0';

	i_zero(&notification);
	notification.user = notification.folder = notification.from =
		notification.subject = notification.snippet = ascii;
	for (i = 0; i < N_ELEMENTS(keys); i++)
		assert_string_equal(get_text(&notification, keys[i]), ascii);
}

static void test_control_characters_are_escaped(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = {
		.subject = "\001\t\r\n\033"
	};
	const char *p;

	for (p = to_text(&notification); *p != '\0'; p++)
		assert_true((unsigned char)*p >= ' ');
}

static void test_encoded_words_are_untouched(void **state ATTR_UNUSED)
{
	const char *subject =
		"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?b?w7w=?=";

	assert_string_equal(subject_of(subject), subject);
}

static void test_japanese_folder(void **state ATTR_UNUSED)
{
	assert_string_equal(folder_of(INBOX_JA"/2024"), INBOX_JA"/2024");
}

static void test_latin1_is_replaced(void **state ATTR_UNUSED)
{
	assert_string_equal(subject_of("Caf\xe9 cr\xe8me"),
			    "Caf"FFFD" cr"FFFD"me");
	assert_string_equal(folder_of("Entw\xfcrfe"), "Entw"FFFD"rfe");
}

static void test_broken_utf8_is_replaced(void **state ATTR_UNUSED)
{
	static const char *const broken[] = {
		"\x80", "\xc3", "\xe5\x8f", "\xf0\x9f\x98", /* incomplete */
		"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", /* overlong */
		"\xed\xa0\x80", "\xed\xbf\xbf", /* surrogates */
		"\xed\xa0\xbd\xed\xb8\x80",
		"\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf", /* above U+10FFFF */
		"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80",
		"\xfe", "\xff",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(broken); i++) {
		assert_string_equal(
			subject_of(t_strconcat("a", broken[i], "b", NULL)),
			"a"FFFD"b");
		assert_string_equal(
			subject_of(t_strconcat("a", broken[i], NULL)),
			"a"FFFD);
	}
}

static void test_last_unicode_characters_are_kept(void **state ATTR_UNUSED)
{
	const char *subject = "\x7f\xdf\xbf\xed\x9f\xbf\xef\xbf\xbf"
		"\xf4\x8f\xbf\xbf";

	assert_string_equal(subject_of(subject), subject);
}

/* Characters of one size, after as many bytes as makes each alignment. */
static void
check_cap(const char *(*text_of)(const char *value), size_t max_size,
	  const char *chr)
{
	size_t chr_size = strlen(chr), offset, size;

	for (offset = 0; offset < chr_size; offset++) {
		const char *value = t_strconcat(repeat("x", offset),
			repeat(chr, max_size), NULL);

		/* all of the characters that fit and nothing else */
		size = max_size - (max_size - offset) % chr_size;
		assert_string_equal(text_of(value), t_strndup(value, size));
	}
}

static void test_caps_keep_characters_whole(void **state ATTR_UNUSED)
{
	static const char *const chars[] = {
		"a", "\xc3\xbc", "\xe5\x8f\x97", "\xf0\x9f\x98\x80"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(chars); i++) {
		check_cap(subject_of, HTTP_NOTIFY_TEXT_MAX, chars[i]);
		check_cap(folder_of, HTTP_NOTIFY_FOLDER_MAX, chars[i]);
	}
}

static void test_exact_fit_is_kept_whole(void **state ATTR_UNUSED)
{
	static const char *const last[] = {
		"a", "\xc3\xbc", "\xe5\x8f\x97", "\xf0\x9f\x98\x80"
	};
	const char *value;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(last); i++) {
		value = t_strconcat(repeat("x", HTTP_NOTIFY_TEXT_MAX -
					   strlen(last[i])), last[i], NULL);
		assert_string_equal(subject_of(value), value);
		value = t_strconcat(repeat("x", HTTP_NOTIFY_FOLDER_MAX -
					   strlen(last[i])), last[i], NULL);
		assert_string_equal(folder_of(value), value);
	}
}

static void test_every_text_is_capped(void **state ATTR_UNUSED)
{
	const char *huge = repeat("x", 100*1024);
	const struct http_notify_notification notification = {
		.user = huge, .folder = huge, .from = huge,
		.subject = huge, .snippet = huge
	};

	assert_int_equal(strlen(get_text(&notification, "user")),
			 HTTP_NOTIFY_USER_MAX);
	assert_int_equal(strlen(get_text(&notification, "folder")),
			 HTTP_NOTIFY_FOLDER_MAX);
	assert_int_equal(strlen(get_text(&notification, "from")),
			 HTTP_NOTIFY_TEXT_MAX);
	assert_int_equal(strlen(get_text(&notification, "subject")),
			 HTTP_NOTIFY_TEXT_MAX);
	assert_int_equal(strlen(get_text(&notification, "snippet")),
			 HTTP_NOTIFY_TEXT_MAX);
}

static void test_cap_holds_after_replacing(void **state ATTR_UNUSED)
{
	/* each pair of bytes becomes four */
	const char *subject = subject_of(repeat("\xe9 ", HTTP_NOTIFY_TEXT_MAX));

	assert_string_equal(subject,
			    repeat(FFFD" ", HTTP_NOTIFY_TEXT_MAX / 4));
}

/* Bytes that are replaced by one U+FFFD take its room, not their own. */
static void test_cap_counts_replaced_bytes(void **state ATTR_UNUSED)
{
	const char *garbage = repeat("\xff", HTTP_NOTIFY_TEXT_MAX + 100);

	assert_string_equal(subject_of(t_strconcat(garbage, "text", NULL)),
			    FFFD"text");
}

static unsigned int allocs_left;

static void *malloc_some(size_t size)
{
	return allocs_left > 0 && allocs_left-- > 0 ? malloc(size) : NULL;
}

/* At each place where it may happen. */
static void test_out_of_memory_is_an_error(void **state ATTR_UNUSED)
{
	const struct http_notify_notification notification = {
		.user = "3@1", .folder = "INBOX", .uid = 1, .from = "a@b.c",
		.subject = "x", .snippet = "text", .have_unseen = TRUE
	};
	string_t *text = t_str_new(256);
	unsigned int allocs = 0;
	int ret;

	json_set_alloc_funcs(malloc_some, free);
	do {
		allocs_left = allocs++;
		str_truncate(text, 0);
		ret = http_notify_notification_append_json(
			&notification, HTTP_NOTIFY_FORMAT_OX, text);
	} while (ret < 0 && allocs < 1000);
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(ret, 0);
	/* one for each field at least */
	assert_true(allocs > 10);
	assert_string_equal(str_c(text), to_text(&notification));
}

static unsigned int next_random(void)
{
	static uint32_t seed = 20240229;

	seed = seed * 1664525 + 1013904223;
	/* the low bits of an LCG are not random at all */
	return seed >> 16;
}

/* Pieces that lie near each other in real and in hostile headers. */
static const char *random_text(void)
{
	static const char *const pieces[] = {
		"\xc3", "\xe5\x8f", "\xf0\x9f\x98", "\xed\xa0\x80", "\xff",
		"\xc3\xbc", "\xe5\x8f\x97", "\xf0\x9f\x98\x80", FFFD,
		"\"", "\\", "<", ">", "@", ":", ";", ",", "(", "\r\n ",
		"alice@example.org", "undisclosed-recipients:;",
	};
	string_t *text = t_str_new(4096);
	unsigned int size = next_random() % (3 * HTTP_NOTIFY_TEXT_MAX);

	while (str_len(text) < size) {
		if (next_random() % 4 == 0) {
			str_append(text, pieces[next_random() %
						N_ELEMENTS(pieces)]);
		} else {
			str_append_c(text, 1 + next_random() % 255);
		}
	}
	return str_c(text);
}

static bool text_is_within(json_t *json, const char *key, size_t max_size)
{
	return json_string_length(json_object_get(json, key)) <= max_size;
}

/* Asserts nothing itself: it would leave the data stack's frame open. */
static bool json_of_random_is_valid(void)
{
	struct http_notify_notification notification;
	const char *text;
	json_t *json;
	bool valid;

	i_zero(&notification);
	notification.user = random_text();
	notification.folder = random_text();
	notification.from = random_text();
	notification.subject = random_text();
	notification.snippet = random_text();

	text = to_text(&notification);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	valid = uni_utf8_str_is_valid(text) && json_object_size(json) == 8 &&
		text_is_within(json, "user", HTTP_NOTIFY_USER_MAX) &&
		text_is_within(json, "folder", HTTP_NOTIFY_FOLDER_MAX) &&
		text_is_within(json, "from", HTTP_NOTIFY_TEXT_MAX) &&
		text_is_within(json, "subject", HTTP_NOTIFY_TEXT_MAX) &&
		text_is_within(json, "snippet", HTTP_NOTIFY_TEXT_MAX);
	json_decref(json);
	return valid;
}

static void test_random_bytes_make_valid_json(void **state ATTR_UNUSED)
{
	unsigned int i;
	bool valid;

	for (i = 0; i < 1000; i++) {
		T_BEGIN {
			valid = json_of_random_is_valid();
		} T_END;
		if (!valid)
			fail_msg("round %u", i);
	}
}

static void test_calendar_mail_is_the_message(void **state ATTR_UNUSED)
{
	struct http_notify_notification notification = {
		.user = "bob", .folder = INBOX_JA, .uid = 5, .from = "a@b",
		.subject = "x", .snippet = "y", .have_unseen = TRUE,
	};
	string_t *message = t_str_new(64);

	str_append(message, "To: \\\"b\\\"\\r\\n\\u0000");
	notification.message = message;
	assert_string_equal(to_format(&notification,
				      HTTP_NOTIFY_FORMAT_OX_CALENDAR),
		"{\"user\":\"bob\",\"folder\":\""INBOX_JA"\","
		"\"event\":\"messageNew\","
		"\"body\":\"To: \\\"b\\\"\\r\\n\\u0000\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_in_the_peers_order),
		cmocka_unit_test(test_fields_of_egroupware),
		cmocka_unit_test(test_fields_of_egroupware_may_be_unknown),
		cmocka_unit_test(test_egroupware_hears_of_what_there_is),
		cmocka_unit_test(test_several_messages),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_keywords_are_limited),
		cmocka_unit_test(test_uids_are_limited),
		cmocka_unit_test(test_calendar_mail_is_the_message),
		cmocka_unit_test(test_strings_that_are_null_are_left_out),
		cmocka_unit_test(test_empty_strings_are_not_left_out),
		cmocka_unit_test(test_unknown_unseen_is_left_out),
		cmocka_unit_test(test_no_unseen_messages_is_a_number),
		cmocka_unit_test(test_highest_numbers_stay_integers),
		cmocka_unit_test(test_fields_are_omitted),
		cmocka_unit_test(test_json_is_appended),
		cmocka_unit_test(test_ascii_is_kept_in_every_text),
		cmocka_unit_test(test_control_characters_are_escaped),
		cmocka_unit_test(test_encoded_words_are_untouched),
		cmocka_unit_test(test_japanese_folder),
		cmocka_unit_test(test_latin1_is_replaced),
		cmocka_unit_test(test_broken_utf8_is_replaced),
		cmocka_unit_test(test_last_unicode_characters_are_kept),
		cmocka_unit_test(test_caps_keep_characters_whole),
		cmocka_unit_test(test_exact_fit_is_kept_whole),
		cmocka_unit_test(test_every_text_is_capped),
		cmocka_unit_test(test_cap_holds_after_replacing),
		cmocka_unit_test(test_cap_counts_replaced_bytes),
		cmocka_unit_test(test_out_of_memory_is_an_error),
		cmocka_unit_test(test_random_bytes_make_valid_json),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("notification", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
