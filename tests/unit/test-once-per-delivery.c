/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One message for one user, in one delivery and in the next. */
#include "lib.h"
#include "mail-user.h"

#include "once-per-delivery.h"

#include "test-common.h"

static bool once(const char *username, const char *session_id,
		 const char *message_id)
{
	struct mail_user user = {
		.username = username, .session_id = session_id,
	};

	return once_per_delivery(&user, "driver 1", message_id);
}

static void test_copies_of_one_delivery(void **state ATTR_UNUSED)
{
	assert_true(once("bob", "abc", "<1@x>"));
	assert_false(once("bob", "abc", "<1@x>"));
	/* LMTP's second and eleventh recipient */
	assert_false(once("bob", "abc:R2", "<1@x>"));
	assert_true(once("carol", "abc:R11", "<1@x>"));
	assert_false(once("carol", "abc:R12", "<1@x>"));
	assert_true(once("bob", "abc:R2", "<2@x>"));
}

static void test_drivers_are_apart(void **state ATTR_UNUSED)
{
	struct mail_user user = { .username = "bob", .session_id = "abc" };

	assert_true(once_per_delivery(&user, "driver 1", "<1@x>"));
	assert_true(once_per_delivery(&user, "driver 2", "<1@x>"));
	assert_false(once_per_delivery(&user, "driver 2", "<1@x>"));
	assert_false(once_per_delivery(&user, "driver 1", "<1@x>"));
}

static void test_deliveries_are_apart(void **state ATTR_UNUSED)
{
	assert_true(once("bob", "abc", "<1@x>"));
	assert_true(once("bob", "abc:T2", "<1@x>"));
	assert_false(once("bob", "abc:T2:R2", "<1@x>"));
	assert_true(once("bob", "abc:T3", "<1@x>"));
	assert_true(once("bob", "R2", "<1@x>"));
	assert_true(once("bob", "", "<1@x>"));
	assert_true(once("bob", ":R", "<1@x>"));
	assert_true(once("bob", "def", "<1@x>"));
}

/* dovecot-lda may have none, and is there for one delivery. */
static void test_no_session_id(void **state ATTR_UNUSED)
{
	assert_true(once("bob", NULL, "<1@x>"));
	assert_false(once("bob", NULL, "<1@x>"));
}

static void test_no_message_id(void **state ATTR_UNUSED)
{
	assert_true(once("bob", "abc", NULL));
	assert_true(once("bob", "abc", NULL));
	assert_true(once("bob", "abc", ""));
	assert_false(once("bob", "abc", ""));
}

static int teardown(void **state ATTR_UNUSED)
{
	once_per_delivery_deinit();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_copies_of_one_delivery,
					  teardown),
		cmocka_unit_test_teardown(test_drivers_are_apart, teardown),
		cmocka_unit_test_teardown(test_deliveries_are_apart, teardown),
		cmocka_unit_test_teardown(test_no_session_id, teardown),
		cmocka_unit_test_teardown(test_no_message_id, teardown),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("once per delivery", tests, NULL,
					  NULL);
	lib_deinit();
	return ret;
}
