/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver with a table of events that is the test's: what happens to
   messages and folders is handed off. push_notification, the look-up of the
   registration and the hand-off are the test's as well. */
#include "lib.h"
#include "array.h"
#include "event-filter.h"
#include "lib-event-private.h"
#include "mail-storage-private.h"
#include "mail-storage-settings.h"
#include "mail-user.h"
#include "str.h"

#include "dovecot-compat.h"
#include "driver-settings.h"
#include "folder.h"
#include "folders.h"
#include "handoff.h"
#include "handoff-client.h"
#include "http-notify-driver.h"
#include "http-notify-event.h"
#include "log-spells.h"
#include "maildir-uid.h"
#include "monotonic.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

#include "test-common.h"

struct mail_user_module_register mail_user_module_register = { 0 };

/* what the look-up returns; if that is pending, what waiting for it takes and
   returns */
static int registered, registered_later;
static unsigned int registration_takes, registration_timeout;
static unsigned int lookup_count, begun_count, waited_count, ended_count;
static const char *lost;
/* what is wrong with the settings, and one of them */
static const char *invalid;
static const char *folders, *omit;
static bool optional, own_name;
static string_t *handed_off;
static unsigned int handoff_timeout;
/* a message without a UID, and whether one can be found */
static struct mail saved_mail;
static bool locked;
static unsigned int looked_for_count;
static int64_t looked_for_deadline;
static int64_t now = 100000;
static unsigned int errors_count, failed_count;

/* The events: a message whose flags are set, and a folder that is renamed. */

static const char *why_not_all(const struct mailbox *box ATTR_UNUSED)
{
	return NULL;
}

static const char *why_not_inbox(const struct mailbox *box)
{
	return box->inbox_user ? NULL : "it is not INBOX";
}

static void flags_set(struct push_notification_txn *ptxn,
		      struct push_notification_event_config *ec,
		      struct push_notification_txn_msg *msg,
		      struct mail *mail,
		      enum mail_flags old_flags ATTR_UNUSED)
{
	struct http_notify_notification *notification =
		http_notify_event_begin(ptxn, ec, msg, mail);

	if (notification != NULL)
		notification->event = "FlagsSet";
}

static void flags_committed(struct http_notify_notification *notification,
			    struct mailbox *box ATTR_UNUSED)
{
	notification->unseen = 5;
	notification->have_unseen = TRUE;
}

static void renamed(struct push_notification_txn *ptxn,
		    struct push_notification_event_config *ec,
		    struct push_notification_txn_mbox *folder,
		    struct mailbox *old ATTR_UNUSED)
{
	struct http_notify_notification *notification =
		http_notify_event_begin_folder(ptxn, ec, folder);

	if (notification != NULL)
		notification->event = "MailboxRename";
}

static const struct http_notify_event event_flags_set = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"FlagsSet",
		.msg_triggers = { .flagchange = flags_set },
	},
	.why_not = why_not_inbox,
	.committed = flags_committed,
};

static const struct http_notify_event event_mailbox_rename = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MailboxRename",
		.mbox_triggers = { .rename = renamed },
	},
	.why_not = why_not_all,
};

const struct http_notify_event *const http_notify_events[] = {
	&event_flags_set, &event_mailbox_rename, NULL
};

/* push_notification */

static struct event_category category = { .name = "push-notification" };
/* the events that the driver has asked for */
static struct push_notification_event_config configs[4];
static unsigned int configs_count;

static struct event_category *get_event_category(void)
{
	return &category;
}

#ifdef HTTP_NOTIFY_HAVE_EVENT_INIT_EVENT
static void event_init(struct push_notification_driver_txn *dtxn ATTR_UNUSED,
		       const char *name, void *config,
		       struct event *event ATTR_UNUSED)
#else
static void event_init(struct push_notification_driver_txn *dtxn ATTR_UNUSED,
		       const char *name, void *config)
#endif
{
	unsigned int i;

	for (i = 0; strcmp(http_notify_events[i]->push.name, name) != 0; i++)
		assert_non_null(http_notify_events[i + 1]);
	assert_true(configs_count < N_ELEMENTS(configs));
	configs[configs_count].event = &http_notify_events[i]->push;
	configs[configs_count++].config = config;
}

struct push_notification_api push_notification_api = {
	.event_init = event_init,
	.get_event_category = get_event_category,
};

/* The rest that the driver uses. */

int http_notify_driver_settings_get(
	struct mail_user *user ATTR_UNUSED,
	http_notify_driver_config *config ATTR_UNUSED, pool_t pool ATTR_UNUSED,
	struct http_notify_driver_settings *set_r, const char **error_r)
{
	if (invalid != NULL) {
		*error_r = invalid;
		return -1;
	}
	set_r->options.url = "http://x/";
	set_r->options.user_from_metadata = !own_name;
	set_r->options.registration_optional = optional;
	set_r->options.omit = omit;
	set_r->options.folders = folders;
	set_r->options.method = HTTP_NOTIFY_DEFAULT_METHOD;
	set_r->handoff_timeout_msecs = 500;
	return 0;
}

void http_notify_folder_get(const struct mailbox *box,
			    struct http_notify_folder *folder_r)
{
	i_zero(folder_r);
	folder_r->name = box->inbox_user ? "INBOX" : box->vname;
	folder_r->separator = '/';
	folder_r->special_uses = "";
}

int http_notify_registration_lookup(struct mail_user *user_ ATTR_UNUSED,
				    struct mailbox *box ATTR_UNUSED,
				    unsigned int lifetime_secs ATTR_UNUSED,
				    struct event *event ATTR_UNUSED,
				    const char **user_r)
{
	lookup_count++;
	*user_r = "3@1";
	return registered;
}

void http_notify_registration_begin(struct mail_user *user_ ATTR_UNUSED,
				    struct mailbox *box ATTR_UNUSED,
				    unsigned int lifetime_secs ATTR_UNUSED,
				    unsigned int timeout_msecs)
{
	assert_int_equal(timeout_msecs, 400);
	begun_count++;
}

int http_notify_registration_wait(struct mail_user *user_ ATTR_UNUSED,
				  struct mailbox *box ATTR_UNUSED,
				  unsigned int timeout_msecs,
				  struct event *event ATTR_UNUSED,
				  const char **user_r, const char **lost_r)
{
	waited_count++;
	registration_timeout = timeout_msecs;
	now += registration_takes;
	*user_r = registered_later > 0 ? "4@1" : NULL;
	*lost_r = lost;
	return registered_later;
}

void http_notify_registration_end(struct mail_user *user_ ATTR_UNUSED)
{
	ended_count++;
}

const char *maildir_uid_name(struct mail *mail)
{
	return mail == &saved_mail ? "name" : NULL;
}

int maildir_uid_find(struct mailbox *box ATTR_UNUSED, const char *name,
		     int64_t deadline, uint32_t *uid_r,
		     uint32_t *uidvalidity_r, const char **error_r)
{
	assert_string_equal(name, "name");
	looked_for_count++;
	looked_for_deadline = deadline;
	if (locked) {
		*error_r = "it is locked";
		return -1;
	}
	*uid_r = 9;
	*uidvalidity_r = 8;
	return 0;
}

int64_t http_notify_monotonic_msecs(void)
{
	return now;
}

struct handoff_client *handoff_client_init(const char *path ATTR_UNUSED)
{
	return (void *)&handed_off;
}

void handoff_client_deinit(struct handoff_client **client)
{
	*client = NULL;
}

void handoff_client_add(struct handoff_client *client ATTR_UNUSED,
			const struct http_notify_handoff *handoff,
			struct event *event ATTR_UNUSED)
{
	str_printfa(handed_off, "%s %s %u %s\n", handoff->username,
		    handoff->folder, handoff->uid, handoff->body);
}

void handoff_client_send(struct handoff_client *client ATTR_UNUSED,
			 unsigned int timeout_msecs)
{
	handoff_timeout = timeout_msecs;
}

void handoff_client_wait(struct handoff_client *client ATTR_UNUSED)
{
}

static void ATTR_FORMAT(2, 0)
count_error(const struct failure_context *ctx ATTR_UNUSED,
	    const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	errors_count++;
}

/* Tests */

static struct mail_user_settings user_set = { .base_dir = "/run" };
static struct mail_user user = { .username = "bob", .set = &user_set };
static struct push_notification_driver_user duser;
static struct push_notification_txn ptxn;
static struct push_notification_driver_txn dtxn, *dtxn_p = &dtxn;

/* What push_notification does for each of a user's drivers. */
static void init_driver(struct push_notification_driver_user *of_user)
{
	const char *error;
	int ret;

	of_user->driver = &http_notify_drivers[0];
#ifdef HTTP_NOTIFY_HAVE_DRIVER_CONFIG
	ret = of_user->driver->v.init(NULL, &user, user.pool, &of_user->context,
				      &error);
#else
	ret = of_user->driver->v.init(&user, user.pool, "ox", &of_user->context,
				      &error);
#endif
	assert_int_equal(ret, 0);
}

static void init_user(void)
{
	user.pool = pool_alloconly_create("user", 1024);
	p_array_init(&user.module_contexts, user.pool, 4);
}

static void deinit_user(void)
{
	i_zero(&user.module_contexts);
	pool_unref(&user.pool);
}

static int setup(void **state ATTR_UNUSED)
{
	registered = 1;
	registered_later = 0;
	registration_takes = lookup_count = begun_count = waited_count = ended_count = 0;
	failed_count = 0;
	lost = NULL;
	configs_count = looked_for_count = errors_count = 0;
	locked = FALSE;
	invalid = NULL;
	folders = "*";
	omit = NULL;
	optional = own_name = FALSE;
	handed_off = str_new(default_pool, 256);
	i_zero(&duser);
	i_zero(&ptxn);
	i_zero(&dtxn);
	ptxn.pool = pool_alloconly_create("transaction", 1024);
	ptxn.muser = &user;
	p_array_init(&ptxn.drivers, ptxn.pool, 2);
	dtxn.ptxn = &ptxn;
	dtxn.duser = &duser;
	init_user();
	init_driver(&duser);
	return 0;
}

/* What push_notification does with a driver that takes part. */
static void begin(struct mailbox *box)
{
	ptxn.mbox = box;
	assert_true(duser.driver->v.begin_txn(&dtxn));
	array_push_back(&ptxn.drivers, &dtxn_p);
}

static int teardown(void **state ATTR_UNUSED)
{
	struct push_notification_driver_txn *each;

	array_foreach_elem(&ptxn.drivers, each)
		duser.driver->v.end_txn(each, TRUE);
	duser.driver->v.deinit(&duser);
	http_notify_driver_deinit();
	log_spells_deinit();
	deinit_user();
	pool_unref(&ptxn.pool);
	str_free(&handed_off);
	return 0;
}

/* Flags are set in this mailbox, once for each driver of the user's. */
static void
set_flags_of(struct mailbox *box, struct push_notification_txn_msg *msg,
	     struct mail *mail)
{
	unsigned int i;

	begin(box);
	for (i = 0; i < configs_count; i++) {
		const struct push_notification_event *event = configs[i].event;

		if (event->msg_triggers.flagchange == NULL)
			continue;
		event->msg_triggers.flagchange(&ptxn, &configs[i], msg, mail,
					       0);
		/* another driver's */
		event->msg_triggers.flagchange(&ptxn, &configs[i], msg, mail,
					       0);
	}
	duser.driver->v.process_msg(&dtxn, msg);
}

static void
set_flags(struct mailbox *box, struct push_notification_txn_msg *msg)
{
	set_flags_of(box, msg, NULL);
}

static void test_event_of_a_message(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = {
		.mailbox = "INBOX", .uid = 7, .uid_validity = 8
	};

	set_flags(&inbox, &msg);
	assert_string_equal(str_c(handed_off),
		"bob INBOX 7 {\"user\":\"3@1\",\"event\":\"FlagsSet\","
		"\"folder\":\"INBOX\",\"imap-uidvalidity\":8,\"imap-uid\":7,"
		"\"unseen\":5,\"unread\":5}\n");
}

static void test_event_of_a_folder(void **state ATTR_UNUSED)
{
	struct mailbox box = { .vname = "Sent" };
	struct push_notification_txn_mbox folder = { .mailbox = "Sent" };

	begin(&box);
	assert_int_equal(configs_count, 1);
	configs[0].event->mbox_triggers.rename(&ptxn, &configs[0], &folder,
					       NULL);
	duser.driver->v.process_mbox(&dtxn, &folder);
	assert_string_equal(str_c(handed_off),
		"bob Sent 0 {\"user\":\"3@1\",\"event\":\"MailboxRename\","
		"\"folder\":\"Sent\",\"imap-uidvalidity\":0,"
		"\"imap-uid\":0}\n");
}

static void test_event_of_another_mailbox(void **state ATTR_UNUSED)
{
	struct mailbox box = { .vname = "Sent" };
	struct push_notification_txn_msg msg = { .mailbox = "Sent", .uid = 7 };

	set_flags(&box, &msg);
	assert_string_equal(str_c(handed_off), "");
}

static void test_folder_that_is_not_included(void **state ATTR_UNUSED)
{
	struct push_notification_driver_user other = {};
	struct mailbox box = { .vname = "Lists/c" }, inbox = { .vname = "Sent" };

	folders = "%,Lists/*,!Sent";
	init_driver(&other);
	dtxn.duser = &other;
	ptxn.mbox = &inbox;
	assert_false(other.driver->v.begin_txn(&dtxn));
	ptxn.mbox = &box;
	assert_true(other.driver->v.begin_txn(&dtxn));
	other.driver->v.end_txn(&dtxn, TRUE);
	other.driver->v.deinit(&other);
	dtxn.duser = &duser;
}

static void test_nobody_is_registered(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	registered = 0;
	set_flags(&inbox, &msg);
	assert_string_equal(str_c(handed_off), "");
}

/* The same message by a user's first driver, which is duser, and by another
   one. */
static void
set_flags_by_two(struct push_notification_driver_user *other,
		 struct push_notification_txn_msg *msg)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_driver_txn second = dtxn;
	struct push_notification_driver_txn *second_p = &second;
	unsigned int i;

	second.duser = other;
	begin(&inbox);
	assert_true(other->driver->v.begin_txn(&second));
	array_push_back(&ptxn.drivers, &second_p);
	for (i = 0; i < configs_count; i++) {
		if (configs[i].event == &event_flags_set.push)
			flags_set(&ptxn, &configs[i], msg, NULL, 0);
	}
	duser.driver->v.process_msg(&dtxn, msg);
	str_append(handed_off, "--\n");
	other->driver->v.process_msg(&second, msg);
	for (i = 0; i < 2; i++)
		duser.driver->v.end_txn(i == 0 ? &dtxn : &second, TRUE);
	array_clear(&ptxn.drivers);
	other->driver->v.deinit(other);
}

static void test_registration_is_optional_for_one(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_driver_user other = {};

	registered = 0;
	optional = TRUE;
	init_driver(&other);
	set_flags_by_two(&other, &msg);
	/* the first one needs it */
	assert_true(str_begins_with(str_c(handed_off),
				    "--\nbob INBOX 7 {\"user\":\"bob\","));
}

static void test_registration_wins_where_there_is_one(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_driver_user other = {};

	optional = TRUE;
	init_driver(&other);
	set_flags_by_two(&other, &msg);
	assert_non_null(strstr(str_c(handed_off),
			       "--\nbob INBOX 7 {\"user\":\"3@1\","));
}

/* It was asked for by the other one, which has come later. */
static void test_registration_that_is_not_needed(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_driver_user other = {};

	ptxn.t = (void *)&ptxn;
	registration_takes = 0;
	registered_later = -1;
	optional = own_name = TRUE;
	duser.driver->v.deinit(&duser);
	init_driver(&duser);
	own_name = optional = FALSE;
	init_driver(&other);
	set_flags_by_two(&other, &msg);
	assert_true(str_begins_with(str_c(handed_off),
				    "bob INBOX 7 {\"user\":\"bob\","));
	assert_true(strcmp(strchr(str_c(handed_off), '\n'), "\n--\n") == 0);
	/* by the other one */
	assert_int_equal(begun_count, 1);
	assert_int_equal(lookup_count, 0);
	assert_int_equal(waited_count, 1);
}

static void test_fields_are_omitted_by_one_driver(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_driver_user other = {};
	const char *second;

	omit = "unseen";
	init_driver(&other);
	set_flags_by_two(&other, &msg);
	second = strstr(str_c(handed_off), "--\n");
	assert_non_null(strstr(str_c(handed_off), "\"unseen\":5"));
	assert_null(strstr(second, "unseen"));
	assert_null(strstr(second, "unread"));
}

static void test_registration_is_of_no_use(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	registered = -1;
	set_flags(&inbox, &msg);
	assert_string_equal(str_c(handed_off), "");
}

static void end(void)
{
	duser.driver->v.end_txn(&dtxn, TRUE);
	array_clear(&ptxn.drivers);
}

/* Each hands off what the first of them has found out. */
static void test_two_drivers_of_a_user(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = {
		.mailbox = "INBOX", .uid = 7, .uid_validity = 8
	};
	struct push_notification_driver_txn other = dtxn;
	struct push_notification_driver_txn *other_p = &other;
	const char *once;

	set_flags(&inbox, &msg);
	once = t_strdup(str_c(handed_off));
	assert_true(duser.driver->v.begin_txn(&other));
	array_push_back(&ptxn.drivers, &other_p);
	duser.driver->v.process_msg(&other, &msg);
	assert_string_equal(str_c(handed_off), t_strconcat(once, once, NULL));
	end();
}

static void test_uid_is_found_after_the_commit(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };
	struct push_notification_driver_txn other = dtxn;
	struct push_notification_driver_txn *other_p = &other;

	set_flags_of(&inbox, &msg, &saved_mail);
	assert_non_null(strstr(str_c(handed_off), "bob INBOX 9 {"));
	assert_non_null(strstr(str_c(handed_off),
			       "\"imap-uidvalidity\":8,\"imap-uid\":9,"));
	/* half of the hand-off's time, and only once */
	assert_int_equal(looked_for_deadline, now + 250);
	str_truncate(handed_off, 0);
	assert_true(duser.driver->v.begin_txn(&other));
	array_push_back(&ptxn.drivers, &other_p);
	duser.driver->v.process_msg(&other, &msg);
	assert_non_null(strstr(str_c(handed_off), "bob INBOX 9 {"));
	assert_int_equal(looked_for_count, 1);
	/* the hand-off has what is left */
	now += 100;
	end();
	assert_int_equal(handoff_timeout, 400);
	end();
	assert_int_equal(handoff_timeout, 500);
}

static void test_hand_off_has_half_of_the_time(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	set_flags_of(&inbox, &msg, &saved_mail);
	now += 1000;
	end();
	assert_int_equal(handoff_timeout, 250);
}

/* There is a transaction, and the look-up has begun. */
static void registration_is_pending(int result, unsigned int msecs)
{
	ptxn.t = (void *)&ptxn;
	registered = HTTP_NOTIFY_REGISTRATION_PENDING;
	registered_later = result;
	registration_takes = msecs;
}

static void test_registration_is_waited_for(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_driver_txn other = dtxn;
	struct push_notification_driver_txn *other_p = &other;

	registration_is_pending(1, 100);
	ptxn.mbox = &inbox;
	assert_true(duser.driver->v.begin_txn(&other));
	array_push_back(&ptxn.drivers, &other_p);
	set_flags(&inbox, &msg);
	/* by each driver */
	assert_int_equal(begun_count, 2);
	assert_int_equal(registration_timeout, 400);
	assert_non_null(strstr(str_c(handed_off),
			       "bob INBOX 7 {\"user\":\"4@1\","));
	/* once for all drivers */
	str_truncate(handed_off, 0);
	duser.driver->v.process_msg(&other, &msg);
	assert_non_null(strstr(str_c(handed_off), "\"4@1\""));
	assert_int_equal(waited_count, 1);
	/* the hand-off has what is left */
	assert_int_equal(ended_count, 0);
	end();
	assert_int_equal(ended_count, 1);
	assert_int_equal(handoff_timeout, 400);
}

static void test_registrations_share_the_time(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msgs[2] = {
		{ .mailbox = "INBOX" }, { .mailbox = "INBOX" }
	};
	unsigned int i;

	registration_is_pending(1, 300);
	begin(&inbox);
	for (i = 0; i < N_ELEMENTS(msgs); i++) {
		flags_set(&ptxn, &configs[0], &msgs[i], &saved_mail, 0);
		registration_takes = i == 0 ? 300 : 100;
		duser.driver->v.process_msg(&dtxn, &msgs[i]);
		assert_int_equal(registration_timeout, i == 0 ? 400 : 100);
	}
	/* half of what is left */
	assert_int_equal(looked_for_deadline, now - 100 + 100 / 2);
	end();
	assert_int_equal(handoff_timeout, 50);
}

static void test_nobody_is_registered_after_all(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	registration_is_pending(0, 0);
	set_flags(&inbox, &msg);
	duser.driver->v.process_msg(&dtxn, &msg);
	assert_int_equal(waited_count, 1);
	assert_string_equal(str_c(handed_off), "");
	assert_int_equal(failed_count, 0);
}

static bool
count_failed(struct event *event, enum event_callback_type type,
	     struct failure_context *ctx ATTR_UNUSED,
	     const char *fmt ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	if (type == EVENT_CALLBACK_TYPE_SEND &&
	    null_strcmp(event->sending_name,
			"http_notify_handoff_failed") == 0) {
		assert_string_equal(event_find_field_recursive_str(event,
								   "error"),
				    "it hangs");
		failed_count++;
	}
	return TRUE;
}

/* The look-up has logged that. */
static void test_registration_that_can_not_be_read(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	struct event_filter *filter = event_filter_create();
	const char *error;

	/* as log_debug asks for it */
	assert_int_equal(event_filter_parse(
		"event=http_notify_handoff_failed", filter, &error), 0);
	event_set_global_debug_log_filter(filter);
	event_filter_unref(&filter);
	event_register_callback(count_failed);
	registration_is_pending(-1, 0);
	lost = "it hangs";
	set_flags(&inbox, &msg);
	duser.driver->v.process_msg(&dtxn, &msg);
	event_unregister_callback(count_failed);
	event_unset_global_debug_log_filter();
	assert_string_equal(str_c(handed_off), "");
	assert_int_equal(waited_count, 1);
	/* by each driver */
	assert_int_equal(failed_count, 2);
	assert_int_equal(errors_count, 0);
}

/* Such as the one in which a new user's INBOX is made. */
static void test_nothing_is_begun_without_messages(void **state ATTR_UNUSED)
{
	struct mailbox box = { .vname = "Sent" };

	begin(&box);
	assert_int_equal(begun_count, 0);
}

static void test_uid_is_not_found(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	locked = TRUE;
	set_flags_of(&inbox, &msg, &saved_mail);
	duser.driver->v.process_msg(&dtxn, &msg);
	assert_string_equal(str_c(handed_off), "");
	assert_int_equal(looked_for_count, 1);
	/* by each driver */
	assert_int_equal(errors_count, 2);
	end();
}

/* No Maildir, but one of another kind that assigned none. */
static void test_uid_can_not_be_found(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	set_flags(&inbox, &msg);
	assert_int_equal(looked_for_count, 0);
	assert_int_equal(errors_count, 1);
	assert_string_equal(str_c(handed_off), "");
}

/* Some take any data of a message for theirs. */
static void test_other_drivers_see_no_data(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	set_flags(&inbox, &msg);
	assert_string_not_equal(str_c(handed_off), "");
	assert_false(array_is_created(&msg.eventdata));
}

static void next_message_by_drivers(const char *first, const char *second)
{
	struct push_notification_driver_user drivers[2] = {};
	struct mail_user before = user;
	unsigned int i;

	init_user();
	for (i = 0; i < N_ELEMENTS(drivers); i++) {
		invalid = i == 0 ? first : second;
		init_driver(&drivers[i]);
	}
	for (i = 0; i < N_ELEMENTS(drivers); i++)
		drivers[i].driver->v.deinit(&drivers[i]);
	deinit_user();
	user = before;
}

static void test_invalid_settings_are_logged_once(void **state ATTR_UNUSED)
{
	next_message_by_drivers("bad", "bad");
	assert_int_equal(errors_count, 2);
	next_message_by_drivers("bad", "bad");
	assert_int_equal(errors_count, 2);
	next_message_by_drivers("bad", "worse");
	assert_int_equal(errors_count, 3);
	next_message_by_drivers("bad", NULL);
	assert_int_equal(errors_count, 3);
	next_message_by_drivers("bad", "worse");
	assert_int_equal(errors_count, 4);
}

static void test_driver_with_invalid_settings(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_driver_user other = {};

	invalid = "bad";
	init_driver(&other);
	ptxn.mbox = &inbox;
	dtxn.duser = &other;
	assert_false(other.driver->v.begin_txn(&dtxn));
	other.driver->v.deinit(&other);
	dtxn.duser = &duser;
}

/* The driver "dlog" asks for all events, without a configuration. */
static void test_asked_for_by_others(void **state ATTR_UNUSED)
{
	struct mailbox inbox = { .inbox_user = TRUE };
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_event_config config = {
		.event = &event_flags_set.push
	};

	begin(&inbox);
	flags_set(&ptxn, &config, &msg, NULL, 0);
	duser.driver->v.process_msg(&dtxn, &msg);
	assert_string_equal(str_c(handed_off), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_event_of_a_message),
		TEST(test_event_of_a_folder),
		TEST(test_event_of_another_mailbox),
		TEST(test_folder_that_is_not_included),
		TEST(test_nobody_is_registered),
		TEST(test_registration_is_optional_for_one),
		TEST(test_registration_wins_where_there_is_one),
		TEST(test_registration_that_is_not_needed),
		TEST(test_fields_are_omitted_by_one_driver),
		TEST(test_registration_is_of_no_use),
		TEST(test_two_drivers_of_a_user),
		TEST(test_uid_is_found_after_the_commit),
		TEST(test_hand_off_has_half_of_the_time),
		TEST(test_registration_is_waited_for),
		TEST(test_registrations_share_the_time),
		TEST(test_nobody_is_registered_after_all),
		TEST(test_registration_that_can_not_be_read),
		TEST(test_nothing_is_begun_without_messages),
		TEST(test_uid_is_not_found),
		TEST(test_uid_can_not_be_found),
		TEST(test_other_drivers_see_no_data),
		TEST(test_invalid_settings_are_logged_once),
		TEST(test_driver_with_invalid_settings),
		TEST(test_asked_for_by_others),
	};
	int ret;

	lib_init();
	i_set_error_handler(count_error);
	user.event = event_create(NULL);
	ret = cmocka_run_group_tests_name("driver", tests, NULL, NULL);
	event_unref(&user.event);
	lib_deinit();
	return ret;
}
