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
#include "metadata-dict.h"
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
/* the dictionary can be asked without lib-storage: what is under way */
static bool asynchronous;
static unsigned int begun_count, finished_count, aborted_count;
/* the dictionary fails, or is too slow; which has been logged */
static int finish_fails;
static bool said;

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

int http_notify_metadata_get_key(struct mailbox *inbox, const char **key_r)
{
	assert_int_equal(opened_count, freed_count +
			 (inbox == &opened_inbox ? 1 : 0));
	*key_r = t_strdup("key");
	return 0;
}

const char *http_notify_metadata_read_error(const char *error)
{
	return t_strconcat(error, " (do something)", NULL);
}

static metadata_dict_callback_t *answered;
static void *answered_context;

struct metadata_dict_lookup *
metadata_dict_lookup_begin(struct mail_user *of_user, const char *key,
			   unsigned int timeout_msecs,
			   metadata_dict_callback_t *callback, void *context)
{
	assert_ptr_equal(of_user, user);
	assert_string_equal(key, "key");
	assert_int_equal(timeout_msecs, callback == NULL ? 400 :
			 METADATA_DICT_BACKGROUND_MSECS);
	answered = callback;
	answered_context = context;
	if (!asynchronous)
		return NULL;
	begun_count++;
	return (void *)&begun_count;
}

int metadata_dict_lookup_finish(struct metadata_dict_lookup **lookup,
				unsigned int timeout_msecs,
				const char **value_r, const char **error_r,
				bool *said_r)
{
	assert_int_equal(timeout_msecs, answered == NULL ? 300 :
			 METADATA_DICT_BACKGROUND_MSECS);
	assert_ptr_equal(*lookup, &begun_count);
	*lookup = NULL;
	finished_count++;
	*said_r = said;
	if (unreadable) {
		*error_r = t_strdup("it hangs");
		return finish_fails;
	}
	*value_r = t_strdup(value);
	return value == NULL ? 0 : 1;
}

void metadata_dict_lookup_abort(struct metadata_dict_lookup **lookup)
{
	assert_ptr_equal(*lookup, &begun_count);
	*lookup = NULL;
	aborted_count++;
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
	begun_count = finished_count = aborted_count = 0;
	asynchronous = said = FALSE;
	finish_fails = -2;
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

static void test_look_ups_take_no_more_memory(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	const char *registered;
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < 300; i++) {
		ioloop_time += LIFETIME_SECS;
		unreadable = i % 3 == 0;
		value = i % 3 == 1 ? "user=" : i % 2 == 0 ? "user=3@1" :
			"user=someone-else@another-context-with-a-long-name";
		(void)look_up(&inbox, &registered);
		if (i == 9)
			used = pool_alloconly_get_total_used_size(user->pool);
	}
	assert_int_equal(asked_count, i);
	assert_int_equal(pool_alloconly_get_total_used_size(user->pool), used);
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
	/* it may be readable again */
	ioloop_time += METADATA_DICT_SPELL_MSECS / 1000;
	assert_true(METADATA_DICT_SPELL_MSECS / 1000 < LIFETIME_SECS);
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

static void begin(struct mailbox *box)
{
	http_notify_registration_begin(user, box, LIFETIME_SECS, 400);
}

static int wait(struct mailbox *box, const char **user_r, const char **lost_r)
{
	struct event *event = event_create(NULL);
	int ret;

	T_BEGIN {
		ret = http_notify_registration_wait(user, box, 300, event,
						    user_r, lost_r);
	} T_END;
	event_unref(&event);
	return ret;
}

static void test_what_has_begun_is_waited_for(void **state ATTR_UNUSED)
{
	struct mailbox other = {};
	const char *registered, *lost;

	asynchronous = TRUE;
	begin(&other);
	/* another driver's */
	begin(&other);
	assert_int_equal(begun_count, 1);
	assert_int_equal(freed_count, opened_count);
	assert_int_equal(look_up(&other, &registered),
			 HTTP_NOTIFY_REGISTRATION_PENDING);
	assert_int_equal(wait(&other, &registered, &lost), 1);
	assert_string_equal(registered, "3@1");
	assert_null(lost);
	/* the next message, and the next transaction */
	assert_int_equal(wait(&other, &registered, &lost), 1);
	begin(&other);
	assert_int_equal(look_up(&other, &registered), 1);
	assert_string_equal(registered, "3@1");
	assert_int_equal(begun_count, 1);
	assert_int_equal(finished_count, 1);
	/* it has grown old */
	ioloop_time += LIFETIME_SECS;
	value = NULL;
	begin(&other);
	assert_int_equal(wait(&other, &registered, &lost), 0);
	assert_null(registered);
	assert_null(lost);
	assert_int_equal(asked_count, 0);
}

static void test_others_are_asked_by_lib_storage(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	const char *registered;

	begin(&inbox);
	assert_int_equal(asked_count, 0);
	assert_int_equal(look_up(&inbox, &registered), 1);
	assert_int_equal(asked_count, 1);
}

static unsigned int known_count;

static void known(struct mail_user *of_user)
{
	assert_ptr_equal(of_user, user);
	known_count++;
}

static void test_in_the_background(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct event *event = event_create(NULL);
	const char *registered, *lost;

	known_count = 0;
	asynchronous = TRUE;
	assert_false(http_notify_registration_is_missing(user, LIFETIME_SECS));
	http_notify_registration_begin_background(user, &inbox, LIFETIME_SECS,
						  event, known);
	http_notify_registration_begin_background(user, &inbox, LIFETIME_SECS,
						  event, known);
	assert_int_equal(begun_count, 1);
	assert_int_equal(look_up(&inbox, &registered),
			 HTTP_NOTIFY_REGISTRATION_PENDING);
	assert_true(http_notify_registration_is_pending(user));
	answered(answered_context);
	assert_int_equal(known_count, 1);
	assert_false(http_notify_registration_is_pending(user));
	assert_int_equal(http_notify_registration_finish(user, 0, event,
							 &registered, &lost),
			 1);
	assert_string_equal(registered, "3@1");
	assert_false(http_notify_registration_is_missing(user, LIFETIME_SECS));

	/* it is known for a while */
	http_notify_registration_begin_background(user, &inbox, LIFETIME_SECS,
						  event, known);
	assert_int_equal(begun_count, 1);
	ioloop_time += LIFETIME_SECS;
	value = NULL;
	http_notify_registration_begin_background(user, &inbox, LIFETIME_SECS,
						  event, known);
	assert_int_equal(begun_count, 2);
	answered(answered_context);
	assert_true(http_notify_registration_is_missing(user, LIFETIME_SECS));
	ioloop_time += LIFETIME_SECS;
	assert_false(http_notify_registration_is_missing(user, LIFETIME_SECS));

	/* the user leaves */
	http_notify_registration_begin_background(user, &inbox, LIFETIME_SECS,
						  event, known);
	http_notify_registration_end(user);
	assert_int_equal(known_count, 2);
	assert_int_equal(aborted_count, 1);
	event_unref(&event);
}

/* A look-up belongs to a transaction, but the user may have two. */
static void test_what_was_left_begins_again(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	const char *registered, *lost;

	asynchronous = TRUE;
	http_notify_registration_end(user);
	begin(&inbox);
	http_notify_registration_end(user);
	http_notify_registration_end(user);
	assert_int_equal(aborted_count, 1);
	begin(&inbox);
	assert_int_equal(look_up(&inbox, &registered),
			 HTTP_NOTIFY_REGISTRATION_PENDING);
	http_notify_registration_end(user);
	asynchronous = FALSE;
	http_notify_registration_begin(user, &inbox, 0, 400);
	assert_int_equal(look_up(&inbox, &registered), 1);
	assert_int_equal(wait(&inbox, &registered, &lost), 1);
	assert_string_equal(registered, "3@1");
}

static void test_a_dictionary_that_hangs_is_logged_once(
	void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	const char *registered, *lost;
	unsigned int i;

	asynchronous = unreadable = TRUE;
	for (i = 0; i < 3; i++) {
		begin(&inbox);
		assert_int_equal(wait(&inbox, &registered, &lost), -1);
		assert_null(registered);
		assert_string_equal(lost, "METADATA can't be read: it hangs");
		assert_int_equal(errors_count, 1);
		pool_unref(&user->pool);
		new_user();
		if (i == 1) {
			/* another user's */
			user->username = "carol";
			said = TRUE;
		}
	}
	/* it fails */
	finish_fails = -1;
	said = FALSE;
	begin(&inbox);
	assert_int_equal(wait(&inbox, &registered, &lost), -1);
	assert_string_equal(lost, "METADATA can't be read: it hangs "
			    "(do something)");
	assert_int_equal(errors_count, 2);
	ioloop_time += LIFETIME_SECS;
	/* an invalid one is not lost */
	unreadable = FALSE;
	value = "wrong";
	begin(&inbox);
	assert_int_equal(wait(&inbox, &registered, &lost), -1);
	assert_null(lost);
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
			test_look_ups_take_no_more_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_errors_are_logged_once_in_a_while,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_errors_are_logged_once_per_spell,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_has_begun_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_others_are_asked_by_lib_storage, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_in_the_background, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_was_left_begins_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_dictionary_that_hangs_is_logged_once,
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
