/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "folders.h"

#include "test-common.h"

static const struct http_notify_folder inbox = {
	.name = "INBOX", .separator = '/', .inbox = TRUE, .special_uses = "",
};

static struct http_notify_folder folder(const char *name)
{
	struct http_notify_folder folder = {
		.name = name, .separator = '/', .special_uses = "",
	};

	return folder;
}

static struct http_notify_folder
foreign_folder(const char *prefix, const char *name)
{
	struct http_notify_folder foreign = folder(
		t_strconcat(prefix, name, NULL));

	foreign.foreign_prefix = prefix;
	return foreign;
}

static bool has(const char *folders, const char *name)
{
	struct http_notify_folder of_user = folder(name);
	const char *error;

	assert_int_equal(http_notify_folders_check(folders, &error), 0);
	return http_notify_folders_include(folders, &of_user);
}

static bool
has_foreign(const char *folders, const char *prefix, const char *name)
{
	struct http_notify_folder foreign = foreign_folder(prefix, name);

	return http_notify_folders_include(folders, &foreign);
}

static void test_inbox(void **state ATTR_UNUSED)
{
	struct http_notify_folder renamed = inbox;

	assert_true(http_notify_folders_include("INBOX", &inbox));
	assert_true(http_notify_folders_include("inbox", &inbox));
	assert_true(http_notify_folders_include("*", &inbox));
	assert_false(http_notify_folders_include("*,!inbox", &inbox));
	/* such as in a namespace that is another's alias */
	renamed.name = "alias/INBOX";
	assert_true(http_notify_folders_include("INBOX", &renamed));
	assert_false(has("INBOX", "alias/INBOX"));
	assert_false(has("INBOX", "INBOX/a"));
}

static void test_names(void **state ATTR_UNUSED)
{
	assert_true(has("INBOX,Lists", "Lists"));
	assert_true(has("INBOX, Sent Items ,x", "Sent Items"));
	assert_true(has("Entwürfe", "Entwürfe"));
	assert_false(has("Lists", "lists"));
	assert_false(has("Lists", "Lists/c"));
	assert_false(has("Lists", "Lis"));
}

static void test_wildcards(void **state ATTR_UNUSED)
{
	struct http_notify_folder dotted = folder("a.b");

	assert_true(has("*", "a/b/c"));
	assert_true(has("%", "a"));
	assert_false(has("%", "a/b"));
	assert_true(has("a/%", "a/b"));
	assert_true(has("a/*", "a/b/c"));
	assert_false(has("a/*", "a"));
	assert_true(has("*c", "a/b/c"));
	assert_true(has("Sent%Items", "Sent Items"));
	dotted.separator = '.';
	assert_false(http_notify_folders_include("%", &dotted));
	assert_true(http_notify_folders_include("a.%", &dotted));
}

static void test_exclusions_win_wherever_they_are(void **state ATTR_UNUSED)
{
	assert_false(has("*,!Trash", "Trash"));
	assert_false(has("!Trash,*", "Trash"));
	assert_true(has("!Trash,*", "Trash/a"));
	assert_false(has("Lists/*,!Lists/old*", "Lists/older"));
	assert_true(has("Lists/*,!Lists/old*", "Lists/new"));
	assert_false(has("*, !Lists/%", "Lists/new"));
}

static void test_special_uses(void **state ATTR_UNUSED)
{
	struct http_notify_folder sent = folder("Gesendet");

	sent.special_uses = "\\Archive \\Sent";
	assert_true(http_notify_folders_include("INBOX,\\Sent", &sent));
	assert_true(http_notify_folders_include("\\archive", &sent));
	assert_false(http_notify_folders_include("\\Junk", &sent));
	assert_false(http_notify_folders_include("*,!\\Sent", &sent));
	assert_true(http_notify_folders_include("*,!\\Junk", &sent));
	assert_false(has("\\Sent", "Sent"));
}

static void test_foreign_namespaces_are_named(void **state ATTR_UNUSED)
{
	struct http_notify_folder sent;

	assert_false(has_foreign("*", "shared/ann/", "a"));
	assert_false(has_foreign("s*", "shared/ann/", "a"));
	assert_false(has_foreign("%/ann/*", "shared/ann/", "a"));
	assert_false(has_foreign("share*", "shared/ann/", "a"));
	assert_true(has_foreign("shared*", "shared/ann/", "a"));
	assert_true(has_foreign("shared/*", "shared/ann/", "a"));
	assert_true(has_foreign("shared/%/a", "shared/ann/", "a"));
	assert_true(has_foreign("shared/ann/a", "shared/ann/", "a"));
	assert_false(has_foreign("shared/ann/%", "shared/bob/", "a"));
	/* somebody else's */
	assert_false(has_foreign("INBOX", "shared/ann/", "INBOX"));
	/* one without a prefix */
	assert_false(has_foreign("*", "", "Public"));
	assert_true(has_foreign("Pub*", "", "Public"));
	assert_true(has_foreign("Public", "", "Public"));

	sent = foreign_folder("shared/ann/", "Sent");
	sent.special_uses = "\\Sent";
	assert_false(http_notify_folders_include("*,\\Sent", &sent));
	assert_true(http_notify_folders_include("shared/*", &sent));
}

/* They need not name the namespace. */
static void test_exclusions_are_for_all_namespaces(void **state ATTR_UNUSED)
{
	struct http_notify_folder junk = foreign_folder("shared/ann/", "Junk");

	junk.special_uses = "\\Junk";
	assert_false(http_notify_folders_include("shared/*,!*Junk", &junk));
	assert_false(http_notify_folders_include("shared/*,!\\Junk", &junk));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inbox),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_exclusions_win_wherever_they_are),
		cmocka_unit_test(test_special_uses),
		cmocka_unit_test(test_foreign_namespaces_are_named),
		cmocka_unit_test(test_exclusions_are_for_all_namespaces),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("folders", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
