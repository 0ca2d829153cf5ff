/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "message-address.h"

#include "dovecot-compat.h"
#include "sender-address.h"

#include "test-common.h"

#define SIZE_LIMIT 1024

static const char *repeat(const char *what, size_t count)
{
	string_t *str = t_str_new(strlen(what) * count + 1);

	for (; count > 0; count--)
		str_append(str, what);
	return str_c(str);
}

static const char *
choose_from(const char *from, const char *sender, const char *envelope_sender)
{
	return http_notify_sender_address_choose(from, sender, envelope_sender,
						 "host.example", SIZE_LIMIT);
}

/* The address that an endpoint takes from a "from", "" if it is none. */
static const char *address_in(const char *from)
{
	const struct message_address *addr;

	addr = message_address_parse(pool_datastack_create(),
				     (const unsigned char *)from, strlen(from),
				     1, 0);
	if (addr == NULL || addr->invalid_syntax || addr->domain == NULL)
		return "";
	return t_strconcat(addr->mailbox, "@", addr->domain, NULL);
}

static void test_from_header_comes_first(void **state ATTR_UNUSED)
{
	assert_string_equal(choose_from("Alice <alice@example.org>",
			"sender@example.org", "envelope@example.org"),
		"Alice <alice@example.org>");
}

static void test_from_header_is_kept_verbatim(void **state ATTR_UNUSED)
{
	static const char *const headers[] = {
		"alice@example.org",
		"=?iso-8859-1?q?Andr=E9?= <andre@example.org>",
		"\"Last, First\"\r\n <alice@example.org> (a comment)",
		"alice@example.org, bob@example.org",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(headers); i++) {
		assert_string_equal(choose_from(headers[i], "s@example.org",
						"e@example.org"), headers[i]);
	}
}

static void test_header_without_address_is_skipped(void **state ATTR_UNUSED)
{
	static const char *const headers[] = {
		NULL, "", " ", "\r\n ", "<>", "(comment)",
		"undisclosed-recipients:;", "@", "@@", "@a", "<@example.org>",
		"Nobody <>", "Team: Alice;", "\"Alice", "mailto:",
		"=?utf-8?q?Alice?=",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(headers); i++) {
		assert_string_equal(choose_from(headers[i], "s@example.org",
				"e@example.org"), "s@example.org");
		assert_string_equal(choose_from(headers[i], headers[i],
				"e@example.org"), "e@example.org");
	}
}

static void test_bounce_is_from_mailer_daemon(void **state ATTR_UNUSED)
{
	static const char *const nobody[] = { NULL, "", "<>" };
	const char *daemon = "MAILER-DAEMON@host.example";
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(nobody); i++) {
		assert_string_equal(choose_from(NULL, NULL, nobody[i]), daemon);
		assert_string_equal(choose_from("undisclosed-recipients:;", "",
						nobody[i]), daemon);
	}
}

struct pair {
	const char *header, *from;
};

static void test_address_is_found_in_what_is_none(void **state ATTR_UNUSED)
{
	static const struct pair pairs[] = {
		{ "Alice: Sales <alice@example.org>",
		  "\"Alice: Sales\" <alice@example.org>" },
		{ "=?utf-8?Q?Caf=C3=A9:_News?= <news@example.org>",
		  "\"Caf\xc3\xa9: News\" <news@example.org>" },
		{ "News 12:30 <news@example.org>",
		  "\"News 12:30\" <news@example.org>" },
		{ "Bob :) <bob@example.org>",
		  "\"Bob :)\" <bob@example.org>" },
		{ "\"Bob <bob@example.org>", "Bob <bob@example.org>" },
		{ "Bob <<bob@example.org>>", "Bob <bob@example.org>" },
		{ "<<bob@example.org>>", "<bob@example.org>" },
		{ "mailto:bob@example.org", "<bob@example.org>" },
		{ "Write to: bob@example.org.", "<bob@example.org>" },
		{ "Alice: a@example.net <alice@example.org>",
		  "\"Alice: a@example.net\" <alice@example.org>" },
		{ "Team: Alice <alice@example.org>, bob@example.org;",
		  "\"Team: Alice\" <alice@example.org>" },
		{ "Team: alice@example.org, bob@example.org;",
		  "<alice@example.org>" },
		{ "\"A \\ \"B\": <a@example.org>",
		  "\"A \\\\ \\\"B\\\":\" <a@example.org>" },
		{ "J: <j\xc3\xb6rg@ex\xc3\xa4mple.org>",
		  "\"J:\" <j\xc3\xb6rg@ex\xc3\xa4mple.org>" },
		/* an @ in an encoded word is part of a name */
		{ "Caf=C3: =?utf-8?q?b=40home?= <bob@example.org>",
		  "\"Caf=C3: b@home\" <bob@example.org>" },
		/* a name that can't be quoted */
		{ "a: =?utf-8?q?=3D=3Fx=3FB=3FYQ=3D=3D=3F=3D?= <a@example.org>",
		  "<a@example.org>" },
		{ "a:\001\002 <a@example.org>", NULL },
	};
	const char *from;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(pairs); i++) {
		from = choose_from(pairs[i].header, "s@example.org",
				   "e@example.org");
		if (pairs[i].from != NULL)
			assert_string_equal(from, pairs[i].from);
		assert_string_not_equal(from, "s@example.org");
		assert_string_not_equal(address_in(from), "");
	}
}

static void test_missing_domain_is_added(void **state ATTR_UNUSED)
{
	static const struct pair pairs[] = {
		{ "root", "<root@host.example>" },
		{ "<root>", "<root@host.example>" },
		{ "root (Cron Daemon)", "\"Cron Daemon\" <root@host.example>" },
		{ "\"Cron Daemon\" <root>", "\"Cron Daemon\" <root@host.example>" },
		{ "root, daemon", "<root@host.example>" },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(pairs); i++) {
		assert_string_equal(
			choose_from(pairs[i].header, "s@example.org", NULL),
			pairs[i].from);
	}
}

/* OX fails with these as well. */
static void test_words_are_made_whole(void **state ATTR_UNUSED)
{
	assert_string_equal(choose_from("=?unknown-8bit?B?xOQ?= <a@b.org>",
					NULL, NULL),
			    "=?unknown-8bit?B?xOQ=?= <a@b.org>");
}

static void test_header_that_fits_is_kept_whole(void **state ATTR_UNUSED)
{
	static const char address[] = " <alice@example.org>";
	const char *header = t_strconcat(
		repeat("n", SIZE_LIMIT - strlen(address)),
		address, NULL);

	assert_string_equal(choose_from(header, NULL, NULL), header);
	assert_string_equal(choose_from(t_strconcat("n", header, NULL),
					NULL, NULL), "<alice@example.org>");
}

static void
test_huge_display_name_is_reduced_to_address(void **state ATTR_UNUSED)
{
	const char *name = repeat("name ", 20*1024);

	assert_string_equal(
		choose_from(t_strconcat("\"", name, "\" <alice@example.org>",
					NULL), "s@example.org", NULL),
		"<alice@example.org>");
	assert_string_equal(
		choose_from(t_strconcat(name, "<root>", NULL), "s@example.org",
			    NULL), "<root@host.example>");
}

static void test_too_long_address_is_skipped(void **state ATTR_UNUSED)
{
	const char *address = t_strconcat(repeat("a", SIZE_LIMIT),
					  "@example.org", NULL);

	assert_string_equal(choose_from(address, "s@example.org", NULL),
			    "s@example.org");
	assert_true(str_begins_with(choose_from(address, address, address),
				    "MAILER-DAEMON@"));
}

static void test_reduced_address_keeps_its_quotes(void **state ATTR_UNUSED)
{
	const char *header = t_strconcat(repeat("name ", 1024),
					 "<\"a, b\"@example.org>", NULL);

	assert_string_equal(address_in(choose_from(header, NULL, NULL)),
			    "a, b@example.org");
}

static void test_reduced_address_is_still_one(void **state ATTR_UNUSED)
{
	/* read as the mailbox ".", which is written as "<.>" */
	const char *header = t_strconcat(".", repeat("@", 1024), NULL);

	assert_string_equal(choose_from(header, "s@example.org", NULL),
			    "s@example.org");
	assert_true(str_begins_with(choose_from(header, header, header),
				    "MAILER-DAEMON@"));
}

/* A raw Latin-1 name: it fits as it came, and not after replacing. */
static void test_replacing_costs_no_address(void **state ATTR_UNUSED)
{
	const char *header = t_strconcat("\"", repeat("\xe9""a", 500),
					 "\" <a@b.org>", NULL);

	assert_true(strlen(header) <= SIZE_LIMIT);
	assert_string_equal(choose_from(header, NULL, NULL), "<a@b.org>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_header_comes_first),
		cmocka_unit_test(test_from_header_is_kept_verbatim),
		cmocka_unit_test(test_header_without_address_is_skipped),
		cmocka_unit_test(test_bounce_is_from_mailer_daemon),
		cmocka_unit_test(test_address_is_found_in_what_is_none),
		cmocka_unit_test(test_missing_domain_is_added),
		cmocka_unit_test(test_words_are_made_whole),
		cmocka_unit_test(test_header_that_fits_is_kept_whole),
		cmocka_unit_test(test_huge_display_name_is_reduced_to_address),
		cmocka_unit_test(test_too_long_address_is_skipped),
		cmocka_unit_test(test_reduced_address_keeps_its_quotes),
		cmocka_unit_test(test_reduced_address_is_still_one),
		cmocka_unit_test(test_replacing_costs_no_address),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("sender-address", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
