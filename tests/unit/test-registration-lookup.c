/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The look-up of a registration: which mailbox is asked, how often, and what an
   error leads to. lib-storage is the test's. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "mail-storage-private.h"
#include "mail-user.h"

#include "log-spells.h"
#include "metadata.h"
#include "registration-lookup.h"

#include "test-common.h"

#define LIFETIME_SECS 60

struct mail_user_module_register mail_user_module_register = { 0 };

/* The user's INBOX as it is opened for the look-up. */
static struct mailbox opened_inbox;
static unsigned int opened_count, freed_count;
/* what METADATA has: NULL = nothing, or it can't be read */
static const char *value;
static bool unreadable;
static const struct mailbox *asked;
static unsigned int asked_count, errors_count;

static struct mail_user *user;

struct mailbox *
http_notify_metadata_inbox(struct mail_user *of_user,
			   enum mailbox_flags flags ATTR_UNUSED)
{
	assert_ptr_equal(of_user, user);
	opened_count++;
	return &opened_inbox;
}

void mailbox_free(struct mailbox **box)
{
	assert_ptr_equal(*box, &opened_inbox);
	*box = NULL;
	freed_count++;
}

int http_notify_metadata_get(struct mailbox *inbox, const char **value_r,
			     const char **error_r)
{
	/* not after it was freed */
	assert_int_equal(opened_count, freed_count +
			 (inbox == &opened_inbox ? 1 : 0));
	asked = inbox;
	asked_count++;
	if (unreadable) {
		*error_r = "no dictionary";
		return -1;
	}
	/* it does not live longer than the mailbox is open */
	*value_r = t_strdup(value);
	return value == NULL ? 0 : 1;
}

static void ATTR_FORMAT(2, 0)
count_error(const struct failure_context *ctx ATTR_UNUSED,
	    const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	errors_count++;
}

static void new_user(void)
{
	pool_t pool = pool_alloconly_create("user", 1024);

	user = p_new(pool, struct mail_user, 1);
	user->pool = pool;
	user->username = p_strdup(pool, "bob");
	p_array_init(&user->module_contexts, pool, 4);
}

static int setup(void **state ATTR_UNUSED)
{
	new_user();
	opened_count = freed_count = asked_count = errors_count = 0;
	asked = NULL;
	unreadable = FALSE;
	value = "user=3@1";
	i_set_error_handler(count_error);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	i_set_error_handler(default_error_handler);
	log_spells_deinit();
	pool_unref(&user->pool);
	return 0;
}

static int look_up(struct mailbox *box, const char **user_r)
{
	struct event *event = event_create(NULL);
	int ret;

	T_BEGIN {
		ret = http_notify_registration_lookup(user, box, LIFETIME_SECS,
						      event, user_r);
	} T_END;
	event_unref(&event);
	return ret;
}

static void test_inbox_of_the_transaction_is_asked(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	const char *registered;

	assert_int_equal(look_up(&inbox, &registered), 1);
	assert_string_equal(registered, "3@1");
	assert_ptr_equal(asked, &inbox);
	assert_int_equal(opened_count, 0);
}

/* Also another user's INBOX is another mailbox. */
static void test_inbox_is_asked_for_another_mailbox(void **state ATTR_UNUSED)
{
	struct mailbox others[] = { { .inbox_user = FALSE },
				    { .inbox_any = TRUE } };
	const char *registered;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(others); i++) {
		ioloop_time += LIFETIME_SECS;
		assert_int_equal(look_up(&others[i], &registered), 1);
		assert_string_equal(registered, "3@1");
		assert_ptr_equal(asked, &opened_inbox);
		assert_int_equal(freed_count, i + 1);
	}
}

static void test_what_was_found_holds_for_a_while(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE }, other = {};
	const char *registered;

	value = NULL;
	assert_int_equal(look_up(&inbox, &registered), 0);
	value = "user=4@1";
	ioloop_time += LIFETIME_SECS - 1;
	assert_int_equal(look_up(&other, &registered), 0);
	assert_int_equal(asked_count, 1);
	ioloop_time++;
	assert_int_equal(look_up(&other, &registered), 1);
	assert_string_equal(registered, "4@1");
	assert_int_equal(asked_count, 2);
}

static void test_errors_are_logged_once_in_a_while(void **state ATTR_UNUSED)
{
	struct mailbox other = {};
	const char *registered;

	unreadable = TRUE;
	assert_int_equal(look_up(&other, &registered), -1);
	assert_int_equal(look_up(&other, &registered), -1);
	assert_int_equal(errors_count, 1);
	assert_int_equal(freed_count, 1);
	ioloop_time += LIFETIME_SECS;
	unreadable = FALSE;
	value = "user=";
	assert_int_equal(look_up(&other, &registered), -1);
	assert_int_equal(errors_count, 2);
	assert_int_equal(freed_count, 2);
}

/* Each message has a user object of its own. */
static int next_message(void)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	const char *registered;

	pool_unref(&user->pool);
	new_user();
	return look_up(&inbox, &registered);
}

static void test_errors_are_logged_once_per_spell(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		unreadable = TRUE;
		assert_int_equal(next_message(), -1);
	}
	assert_int_equal(errors_count, 1);
	unreadable = FALSE;
	for (i = 0; i < 3; i++) {
		value = "user=";
		assert_int_equal(next_message(), -1);
	}
	assert_int_equal(errors_count, 2);
	/* wrong in another way */
	value = "wrong";
	assert_int_equal(next_message(), -1);
	assert_int_equal(errors_count, 3);

	/* not to be registered is in order, too */
	value = NULL;
	assert_int_equal(next_message(), 0);
	value = "wrong";
	assert_int_equal(next_message(), -1);
	assert_int_equal(errors_count, 4);
	unreadable = TRUE;
	assert_int_equal(next_message(), -1);
	assert_int_equal(errors_count, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_inbox_of_the_transaction_is_asked,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_inbox_is_asked_for_another_mailbox,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_was_found_holds_for_a_while,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_errors_are_logged_once_in_a_while,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_errors_are_logged_once_per_spell,
			setup, teardown),
	};
	int ret;

	lib_init();
	ioloop_time = 1000000000;
	ret = cmocka_run_group_tests_name("look-up of a registration", tests,
					  NULL, NULL);
	lib_deinit();
	return ret;
}
