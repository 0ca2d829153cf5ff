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
#include "folder.h"
#include "folders.h"
#include "driver-settings.h"
#include "handoff.h"
#include "handoff-client.h"
#include "http-notify-driver.h"
#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "log-spells.h"
#include "maildir-uid.h"
#include "monotonic.h"
#include "once-per-delivery.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

#include "test-common.h"

struct mail_user_module_register mail_user_module_register = { 0 };

static struct mail_user_settings user_set = { .base_dir = "/run" };
static struct mail_user user = { .username = "bob", .set = &user_set };
/* what the look-up returns; if that is pending, what waiting for it takes and
   returns */
static int registered, registered_later;
static unsigned int registration_takes, registration_timeout;
static unsigned int begun_count, waited_count, ended_count;
static const char *lost;
/* what is wrong with the settings */
static const char *invalid;
static enum http_notify_format format;
static unsigned int events;
static uoff_t msg_max_size;
static const char *folders, *omit;
static bool optional, own_name;
/* it is known that nobody is registered */
static bool missing;
/* who is to be told of a registration, which is being looked up */
static void (*known_callback)(struct mail_user *user);
static bool pending;
static unsigned int sent_count, background_count;
static string_t *handed_off;
static unsigned int handoff_timeout;
/* a message without a UID, and whether one can be found */
static struct mailbox_transaction_context trans;
static struct mail saved_mail = { .transaction = &trans };
static unsigned int looking_takes;
static bool locked;
static unsigned int looked_for_count;
static int64_t looked_for_deadline;
static int64_t now = 100000;
static unsigned int errors_count, failed_count;

/* The events: a message whose flags are set, and a folder that is renamed. */

static void flags_set(struct push_notification_txn *ptxn,
		      struct push_notification_event_config *ec,
		      struct push_notification_txn_msg *msg,
		      struct mail *mail,
		      enum mail_flags old_flags ATTR_UNUSED)
{
	const struct http_notify_event_config *config = ec->config;
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	struct http_notify_happening *happening;

	if (txn == NULL)
		return;
	happening = http_notify_txn_add_to(txn, config->event, msg->mailbox,
					   "key");
	if (mail != NULL)
		http_notify_happening_add_saved(txn, happening, msg, mail);
	else
		http_notify_happening_add_msg(happening, msg);
}

static void flags_committed(struct http_notify_happening *happening,
			    struct mailbox *box ATTR_UNUSED)
{
	happening->notification.unseen = 5;
	happening->notification.have_unseen = TRUE;
}

static void renamed(struct push_notification_txn *ptxn,
		    struct push_notification_event_config *ec,
		    struct push_notification_txn_mbox *folder,
		    struct mailbox *old ATTR_UNUSED)
{
	const struct http_notify_event_config *config = ec->config;
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);

	(void)http_notify_txn_add(txn, config->event, folder->mailbox);
}

static const struct http_notify_event event_flags_set = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"FlagsSet",
		.msg_triggers = { .flagchange = flags_set },
	},
	.id = HTTP_NOTIFY_FLAGS_SET,
	.committed = flags_committed,
};

static const struct http_notify_event event_mailbox_rename = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MailboxRename",
		.mbox_triggers = { .rename = renamed },
	},
	.id = HTTP_NOTIFY_MAILBOX_RENAME,
	.of_folder = TRUE,
};

/* A message that is told as a whole. */
static void calendar_save(struct push_notification_txn *ptxn,
			  struct push_notification_event_config *ec,
			  struct push_notification_txn_msg *msg,
			  struct mail *mail ATTR_UNUSED)
{
	const struct http_notify_event_config *config = ec->config;
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	struct http_notify_happening *happening;
	string_t *message = str_new(txn->pool, 8);

	str_append(message, "To: x");
	happening = http_notify_txn_add(txn, config->event, msg->mailbox);
	happening->notification.message = message;
	happening->notification.message_size = txn->msg_max_size;
	happening->message_id = "<1@x>";
}

static const struct http_notify_event event_calendar_mail = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"CalendarMail",
		.msg_triggers = { .save = calendar_save },
	},
	.id = HTTP_NOTIFY_CALENDAR_MAIL,
};

const struct http_notify_event *const http_notify_events[] = {
	&event_flags_set, &event_mailbox_rename, &event_calendar_mail, NULL
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
	struct mail_user *user ATTR_UNUSED, const char *driver,
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
	set_r->options.format = format;
	set_r->options.events = events;
	set_r->handoff_timeout_msecs = 500;
	if (strcmp(driver, HTTP_NOTIFY_DRIVER_CHRONOS) == 0) {
		set_r->options.format = HTTP_NOTIFY_FORMAT_OX_CALENDAR;
		set_r->options.events = http_notify_format_events(
			HTTP_NOTIFY_FORMAT_OX_CALENDAR);
		set_r->options.msg_max_size = msg_max_size;
	}
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

void http_notify_registration_begin_background(
	struct mail_user *user_ ATTR_UNUSED, struct mailbox *box ATTR_UNUSED,
	unsigned int lifetime_secs ATTR_UNUSED, struct event *event ATTR_UNUSED,
	void (*known)(struct mail_user *user))
{
	known_callback = known;
	pending = registered == HTTP_NOTIFY_REGISTRATION_PENDING;
}

bool http_notify_registration_is_pending(struct mail_user *user_ ATTR_UNUSED)
{
	return pending;
}

static void registration_is_known(void)
{
	pending = FALSE;
	known_callback(&user);
}

int http_notify_registration_finish(struct mail_user *user_,
				    unsigned int timeout_msecs,
				    struct event *event, const char **user_r,
				    const char **lost_r)
{
	return http_notify_registration_wait(user_, NULL, timeout_msecs, event,
					     user_r, lost_r);
}

bool http_notify_registration_is_missing(
	struct mail_user *user_ ATTR_UNUSED,
	unsigned int lifetime_secs ATTR_UNUSED)
{
	return missing;
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
	now += looking_takes;
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
	str_printfa(handed_off, "%s %s %u", handoff->username,
		    handoff->folder, handoff->uid);
	if (handoff->uidvalidity != 0)
		str_printfa(handed_off, "/%u", handoff->uidvalidity);
	str_printfa(handed_off, " %s\n", handoff->body);
}

void handoff_client_send(struct handoff_client *client ATTR_UNUSED,
			 unsigned int timeout_msecs)
{
	handoff_timeout = timeout_msecs;
	sent_count++;
}

void handoff_client_send_background(struct handoff_client *client ATTR_UNUSED,
				    unsigned int timeout_msecs)
{
	handoff_timeout = timeout_msecs;
	background_count++;
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

static struct push_notification_driver_user duser;
static struct push_notification_txn ptxn;
static struct mailbox inbox;
static struct push_notification_driver_txn dtxn, *dtxn_p = &dtxn;

/* What push_notification does for each of a user's drivers. */
static void init_driver(struct push_notification_driver_user *of_user)
{
	const char *error;
	int ret;

	if (of_user->driver == NULL)
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
	registration_takes = begun_count = waited_count = ended_count = 0;
	failed_count = 0;
	lost = NULL;
	configs_count = looked_for_count = errors_count = 0;
	locked = FALSE;
	invalid = NULL;
	format = HTTP_NOTIFY_FORMAT_OX;
	events = ~HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_CALENDAR_MAIL);
	msg_max_size = 5;
	missing = FALSE;
	sent_count = background_count = looking_takes = 0;
	inbox.inbox_user = TRUE;
	user.service = "lmtp";
	folders = "*";
	omit = NULL;
	optional = own_name = FALSE;
	handed_off = str_new(default_pool, 256);
	i_zero(&duser);
	i_zero(&ptxn);
	i_zero(&dtxn);
	ptxn.pool = pool_alloconly_create("transaction", 1024);
	ptxn.muser = &user;
	ptxn.t = &trans;
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

/* What push_notification does after the commit, for each of the user's
   drivers. */
static void end(void)
{
	struct push_notification_driver_txn *each;

	array_foreach_elem(&ptxn.drivers, each)
		duser.driver->v.end_txn(each, TRUE);
	array_clear(&ptxn.drivers);
}

static int teardown(void **state ATTR_UNUSED)
{
	end();
	duser.driver->v.deinit(&duser);
	http_notify_driver_deinit();
	log_spells_deinit();
	once_per_delivery_deinit();
	deinit_user();
	pool_unref(&ptxn.pool);
	str_free(&handed_off);
	return 0;
}

/* Something sets the flags of a message. */
static void
trigger(struct push_notification_txn_msg *msg, struct mail *mail)
{
	unsigned int i;

	for (i = 0; i < configs_count; i++) {
		const struct push_notification_event *event = configs[i].event;

		if (event->msg_triggers.flagchange != NULL) {
			event->msg_triggers.flagchange(&ptxn, &configs[i], msg,
						       mail, 0);
		}
	}
}

static void
set_flags_of(struct mailbox *box, struct push_notification_txn_msg *msg,
	     struct mail *mail)
{
	begin(box);
	trigger(msg, mail);
	end();
}

static void
set_flags(struct mailbox *box, struct push_notification_txn_msg *msg)
{
	set_flags_of(box, msg, NULL);
}

static void test_event_of_a_message(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = {
		.mailbox = "INBOX", .uid = 7, .uid_validity = 8
	};

	set_flags(&inbox, &msg);
	assert_string_equal(str_c(handed_off),
		"bob INBOX 7 {\"user\":\"3@1\",\"event\":\"flagsSet\","
		"\"folder\":\"INBOX\",\"imap-uidvalidity\":8,\"imap-uid\":7,"
		"\"unseen\":5,\"unread\":5}\n");
}

static void test_messages_are_told_together(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msgs[] = {
		{ .mailbox = "INBOX", .uid = 9, .uid_validity = 8 },
		{ .mailbox = "INBOX", .uid = 7, .uid_validity = 8 },
		{ .mailbox = "INBOX", .uid = 8, .uid_validity = 8 },
	};
	unsigned int i;

	begin(&inbox);
	for (i = 0; i < N_ELEMENTS(msgs); i++)
		trigger(&msgs[i], NULL);
	assert_string_equal(str_c(handed_off), "");
	end();
	assert_string_equal(str_c(handed_off),
		"bob INBOX 7 {\"user\":\"3@1\",\"event\":\"flagsSet\","
		"\"folder\":\"INBOX\",\"imap-uidvalidity\":8,"
		"\"imap-uid\":[7,8,9],\"unseen\":5,\"unread\":5}\n");
}

/* Their number is limited. */
static void test_many_messages(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };
	const char *second;

	begin(&inbox);
	for (msg.uid = 10000; msg.uid < 30000; msg.uid++)
		trigger(&msg, NULL);
	end();
	assert_true(str_begins_with(str_c(handed_off), "bob INBOX 10000 {"));
	second = strchr(str_c(handed_off), '\n') + 1;
	assert_true(second - str_c(handed_off) > HTTP_NOTIFY_UIDS_MAX);
	assert_true(second - str_c(handed_off) < HTTP_NOTIFY_UIDS_MAX + 1024);
	assert_true(str_begins_with(second, "bob INBOX 20922 {"));
	assert_non_null(strstr(second, ",29999],"));
	assert_string_equal(strchr(second, '\n'), "\n");
}

static void egroupware(void)
{
	duser.driver->v.deinit(&duser);
	format = HTTP_NOTIFY_FORMAT_EGROUPWARE;
	init_driver(&duser);
}

static void test_event_of_a_folder(void **state ATTR_UNUSED)
{
	struct mailbox box = { .vname = "Sent" };
	struct push_notification_txn_mbox folder = { .mailbox = "Sent" };

	ptxn.t = NULL;
	egroupware();
	begin(&box);
	assert_int_equal(configs_count, 1);
	configs[0].event->mbox_triggers.rename(&ptxn, &configs[0], &folder,
					       NULL);
	end();
	assert_string_equal(str_c(handed_off),
		"bob Sent 0 {\"user\":\"3@1\",\"event\":\"MailboxRename\","
		"\"folder\":\"Sent\"}\n");
}

static void again(void)
{
	duser.driver->v.deinit(&duser);
	init_driver(&duser);
}

/* To duser, two drivers for calendar mail, which are told of nothing else, and
   one of them takes larger ones. */
static void test_calendar_mail(void **state ATTR_UNUSED)
{
	struct push_notification_driver_user calendars[] = {
		{ .driver = &http_notify_chronos_driver },
		{ .driver = &http_notify_chronos_driver },
	};
	struct push_notification_driver_txn txns[N_ELEMENTS(calendars)], *txn;
	struct push_notification_txn_msg msg = { .mailbox = "Sent" };
	struct mailbox box = { .vname = "Sent" };
	unsigned int i;

	begin(&box);
	configs_count = 0;
	for (i = 0; i < N_ELEMENTS(calendars); i++) {
		init_driver(&calendars[i]);
		msg_max_size++;
		txn = &txns[i];
		i_zero(txn);
		txn->ptxn = &ptxn;
		txn->duser = &calendars[i];
		assert_true(duser.driver->v.begin_txn(txn));
		array_push_back(&ptxn.drivers, &txn);
	}
	assert_int_equal(configs_count, 1);
	configs[0].event->msg_triggers.save(&ptxn, &configs[0], &msg, NULL);
	end();
	for (i = 0; i < N_ELEMENTS(calendars); i++)
		calendars[i].driver->v.deinit(&calendars[i]);
	/* whether it has a UID or not */
	assert_string_equal(str_c(handed_off), "bob Sent 0 {\"user\":\"3@1\","
		"\"folder\":\"Sent\",\"event\":\"messageNew\","
		"\"body\":\"To: x\"}\n");
	assert_int_equal(looked_for_count, 0);
}

/* The same message for a driver for calendar mail in a transaction of its
   own. */
static void
calendar_mail_is_saved(struct push_notification_driver_user *calendar,
		       bool committed)
{
	struct push_notification_driver_txn txn = {
		.ptxn = &ptxn, .duser = calendar
	}, *txn_p = &txn;
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	configs_count = 0;
	ptxn.mbox = &inbox;
	assert_true(calendar->driver->v.begin_txn(&txn));
	array_push_back(&ptxn.drivers, &txn_p);
	configs[0].event->msg_triggers.save(&ptxn, &configs[0], &msg, NULL);
	calendar->driver->v.end_txn(&txn, committed);
	array_clear(&ptxn.drivers);
}

static void test_calendar_mail_is_told_once_to_each(void **state ATTR_UNUSED)
{
	struct push_notification_driver_user calendars[] = {
		{ .driver = &http_notify_chronos_driver },
		{ .driver = &http_notify_chronos_driver },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(calendars); i++) {
		init_driver(&calendars[i]);
		calendar_mail_is_saved(&calendars[i], FALSE);
		assert_string_equal(str_c(handed_off), "");
		calendar_mail_is_saved(&calendars[i], TRUE);
		assert_string_not_equal(str_c(handed_off), "");
		str_truncate(handed_off, 0);
		calendar_mail_is_saved(&calendars[i], TRUE);
		assert_string_equal(str_c(handed_off), "");
	}
	for (i = 0; i < N_ELEMENTS(calendars); i++)
		calendars[i].driver->v.deinit(&calendars[i]);
}

static void test_folder_that_is_not_included(void **state ATTR_UNUSED)
{
	struct mailbox box = { .vname = "Sent" };

	folders = "%,Lists/*,!Sent";
	again();
	ptxn.mbox = &box;
	assert_false(duser.driver->v.begin_txn(&dtxn));
	box.vname = "Lists/c";
	begin(&box);
	end();
}

static void test_driver_hears_of_its_events(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	events = HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MAILBOX_RENAME);
	again();
	ptxn.mbox = &inbox;
	assert_false(duser.driver->v.begin_txn(&dtxn));
	events = HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_FLAGS_SET);
	again();
	set_flags(&inbox, &msg);
	assert_string_not_equal(str_c(handed_off), "");
}

static void test_nobody_is_registered(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	registered = 0;
	set_flags(&inbox, &msg);
	assert_string_equal(str_c(handed_off), "");
}

static void test_it_is_known_that_nobody_is_registered(void **state ATTR_UNUSED)
{
	missing = TRUE;
	ptxn.mbox = &inbox;
	assert_false(duser.driver->v.begin_txn(&dtxn));
	assert_int_equal(begun_count, 0);
	assert_int_equal(configs_count, 0);
}

static void test_registration_is_of_no_use(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	registered = -1;
	set_flags(&inbox, &msg);
	assert_string_equal(str_c(handed_off), "");
}

static void test_nothing_is_told_without_a_commit(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	begin(&inbox);
	trigger(&msg, NULL);
	duser.driver->v.end_txn(&dtxn, FALSE);
	array_clear(&ptxn.drivers);
	assert_string_equal(str_c(handed_off), "");
}

static void another_driver(struct push_notification_driver_txn *other)
{
	*other = dtxn;
	other->context = NULL;
	assert_true(duser.driver->v.begin_txn(other));
	array_push_back(&ptxn.drivers, &other);
}

/* The same message by duser, as it is, and by one with what is set now. */
static void set_flags_by_two(struct push_notification_txn_msg *msg)
{
	struct push_notification_driver_user other_user = {};
	struct push_notification_driver_txn other = { .ptxn = &ptxn };
	struct push_notification_driver_txn *other_p = &other;

	init_driver(&other_user);
	other.duser = &other_user;
	begin(&inbox);
	assert_true(duser.driver->v.begin_txn(&other));
	array_push_back(&ptxn.drivers, &other_p);
	trigger(msg, NULL);
	end();
	other_user.driver->v.deinit(&other_user);
}

static void test_registration_is_optional_for_one(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	registered = 0;
	optional = TRUE;
	set_flags_by_two(&msg);
	assert_true(str_begins_with(str_c(handed_off),
				    "bob INBOX 7 {\"user\":\"bob\","));
	assert_string_equal(strchr(str_c(handed_off), '\n'), "\n");
}

static void test_registration_wins_where_there_is_one(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	optional = TRUE;
	set_flags_by_two(&msg);
	assert_non_null(strstr(str_c(handed_off),
			       "\nbob INBOX 7 {\"user\":\"3@1\","));
}

static void test_registration_that_is_not_needed(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	/* but by duser */
	registered = HTTP_NOTIFY_REGISTRATION_PENDING;
	registered_later = -1;
	optional = own_name = TRUE;
	set_flags_by_two(&msg);
	assert_true(str_begins_with(str_c(handed_off),
				    "bob INBOX 7 {\"user\":\"bob\","));
	assert_string_equal(strchr(str_c(handed_off), '\n'), "\n");
	assert_int_equal(begun_count, 1);
	assert_int_equal(waited_count, 1);

	/* by nobody */
	again();
	configs_count = 0;
	set_flags(&inbox, &msg);
	assert_int_equal(begun_count, 1);
	assert_int_equal(waited_count, 1);
}

static void test_fields_are_omitted_by_one_driver(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	const char *second;

	omit = "unseen";
	set_flags_by_two(&msg);
	second = strchr(str_c(handed_off), '\n');
	assert_non_null(strstr(str_c(handed_off), "\"unseen\":5"));
	assert_null(strstr(second, "unseen"));
	assert_null(strstr(second, "unread"));
}

/* Each hands off what has happened. */
static void test_two_drivers_of_a_user(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = {
		.mailbox = "INBOX", .uid = 7, .uid_validity = 8
	};
	struct push_notification_driver_txn other;
	const char *once;

	set_flags(&inbox, &msg);
	once = t_strdup(str_c(handed_off));
	str_truncate(handed_off, 0);
	configs_count = 0;
	begin(&inbox);
	another_driver(&other);
	/* push_notification is asked once */
	assert_int_equal(configs_count, 1);
	trigger(&msg, NULL);
	end();
	assert_string_equal(str_c(handed_off), t_strconcat(once, once, NULL));
	assert_int_equal(sent_count, 2);
}

static void test_uid_is_found_after_the_commit(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };
	struct push_notification_driver_txn other;

	begin(&inbox);
	another_driver(&other);
	trigger(&msg, &saved_mail);
	looking_takes = 100;
	end();
	assert_non_null(strstr(str_c(handed_off), "bob INBOX 9 {"));
	assert_non_null(strstr(str_c(handed_off),
			       "\"imap-uidvalidity\":8,\"imap-uid\":9,"));
	/* half of the hand-off's time, and only once */
	assert_int_equal(looked_for_deadline, now - 100 + 250);
	assert_int_equal(looked_for_count, 1);
	/* the hand-off has what is left */
	assert_int_equal(handoff_timeout, 400);
}

static void test_uid_that_the_commit_assigns(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	begin(&inbox);
	trigger(&msg, &saved_mail);
	msg.uid = 5;
	end();
	assert_non_null(strstr(str_c(handed_off), "\"imap-uid\":5,"));
	assert_int_equal(looked_for_count, 0);
}

static void test_hand_off_has_half_of_the_time(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	looking_takes = 1000;
	set_flags_of(&inbox, &msg, &saved_mail);
	assert_int_equal(handoff_timeout, 250);
}

/* The look-up has begun. */
static void registration_is_pending(int result, unsigned int msecs)
{
	registered = HTTP_NOTIFY_REGISTRATION_PENDING;
	registered_later = result;
	registration_takes = msecs;
}

static void test_registration_is_waited_for(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_driver_txn other;

	registration_is_pending(1, 100);
	begin(&inbox);
	another_driver(&other);
	/* by each driver */
	assert_int_equal(begun_count, 2);
	trigger(&msg, NULL);
	assert_int_equal(waited_count, 0);
	end();
	assert_int_equal(registration_timeout, 400);
	assert_non_null(strstr(str_c(handed_off),
			       "bob INBOX 7 {\"user\":\"4@1\","));
	/* once for all drivers */
	assert_int_equal(waited_count, 1);
	assert_int_equal(ended_count, 1);
	/* the hand-off has what is left */
	assert_int_equal(handoff_timeout, 400);
}

static void test_registration_and_uid_share_the_time(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	registration_is_pending(1, 400);
	looking_takes = 50;
	set_flags_of(&inbox, &msg, &saved_mail);
	assert_int_equal(registration_timeout, 400);
	/* half of what is left */
	assert_int_equal(looked_for_deadline, now - 50 + 100 / 2);
	assert_int_equal(handoff_timeout, 50);
}

static void test_nobody_is_registered_after_all(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };

	registration_is_pending(0, 0);
	set_flags_of(&inbox, &msg, &saved_mail);
	assert_int_equal(waited_count, 1);
	assert_int_equal(looked_for_count, 0);
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
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	struct push_notification_driver_txn other;

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
	begin(&inbox);
	another_driver(&other);
	trigger(&msg, NULL);
	end();
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
	ptxn.t = NULL;
	duser.driver->v.deinit(&duser);
	events = HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_FLAGS_SET);
	init_driver(&duser);
	ptxn.mbox = &inbox;
	assert_false(duser.driver->v.begin_txn(&dtxn));
	assert_int_equal(begun_count, 0);
}

static void test_uid_is_not_found(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };
	struct push_notification_driver_txn other;

	locked = TRUE;
	begin(&inbox);
	another_driver(&other);
	trigger(&msg, &saved_mail);
	end();
	assert_string_equal(str_c(handed_off), "");
	assert_int_equal(looked_for_count, 1);
	/* by each driver */
	assert_int_equal(errors_count, 2);
}

/* No Maildir, but one of another kind that assigned none. */
static void test_uid_can_not_be_found(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX" };
	struct mail mail = { .transaction = &trans };

	set_flags_of(&inbox, &msg, &mail);
	assert_int_equal(looked_for_count, 0);
	assert_int_equal(errors_count, 1);
	assert_string_equal(str_c(handed_off), "");
}

/* Some take any data of a message for theirs. */
static void test_other_drivers_see_no_data(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	set_flags(&inbox, &msg);
	assert_string_not_equal(str_c(handed_off), "");
	assert_false(array_is_created(&msg.eventdata));
}

/* As in IMAP, whose clients wait for nothing. */
static void in_imap(void)
{
	user.service = "imap";
	registration_is_pending(1, 0);
}

static void
test_registration_is_not_waited_for_in_imap(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msgs[] = {
		{ .mailbox = "INBOX", .uid = 7 },
		{ .mailbox = "INBOX", .uid = 8 },
	};

	in_imap();
	set_flags(&inbox, &msgs[0]);
	configs_count = 0;
	set_flags(&inbox, &msgs[1]);
	assert_int_equal(waited_count, 0);
	assert_int_equal(ended_count, 0);
	assert_string_equal(str_c(handed_off), "");
	registration_is_known();
	assert_int_equal(registration_timeout, 0);
	assert_true(str_begins_with(str_c(handed_off),
				    "bob INBOX 7 {\"user\":\"4@1\","));
	assert_non_null(strstr(str_c(handed_off), "\nbob INBOX 8 {"));
	assert_int_equal(background_count, 1);
	assert_int_equal(sent_count, 0);

	/* by now it is known */
	registered = 1;
	configs_count = 0;
	set_flags(&inbox, &msgs[0]);
	assert_int_equal(background_count, 2);
	assert_int_equal(handoff_timeout, 500);
}

/* Such as while a client reads a message, which is marked as seen first. */
static void test_registration_is_known_before_the_commit(
	void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msgs[] = {
		{ .mailbox = "INBOX", .uid = 7 },
		{ .mailbox = "INBOX", .uid = 8 },
	};

	in_imap();
	begin(&inbox);
	trigger(&msgs[0], NULL);
	registration_is_known();
	end();
	assert_true(str_begins_with(str_c(handed_off),
				    "bob INBOX 7 {\"user\":\"4@1\","));
	registered = 1;
	configs_count = 0;
	set_flags(&inbox, &msgs[1]);
	assert_non_null(strstr(str_c(handed_off), "\nbob INBOX 8 {"));
	assert_int_equal(background_count, 2);
}

static void test_nothing_overtakes_what_is_deferred(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msgs[] = {
		{ .mailbox = "INBOX", .uid = 7 },
		{ .mailbox = "INBOX", .uid = 8 },
	};

	in_imap();
	set_flags(&inbox, &msgs[0]);
	/* as by drivers that need no registration */
	registered = 1;
	registered_later = 0;
	configs_count = 0;
	begin(&inbox);
	pending = TRUE;
	trigger(&msgs[1], NULL);
	end();
	assert_string_equal(str_c(handed_off), "");
	registration_is_known();
	assert_true(str_begins_with(str_c(handed_off),
				    "bob INBOX 8 {\"user\":\"3@1\","));
}

/* A Sieve script in IMAP opens its mailboxes as a delivery does. */
/* It does much in a row, for which nobody waits. */
static void test_sieve_filter_defers_nothing(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	unsigned int i;

	user.service = "sieve-filter";
	registration_is_pending(1, 0);
	for (i = 0; i < 256 + 1; i++) {
		configs_count = 0;
		set_flags(&inbox, &msg);
		assert_int_equal(waited_count, i + 1);
		assert_string_not_equal(str_c(handed_off), "");
		str_truncate(handed_off, 0);
	}
	assert_int_equal(errors_count, 0);
	assert_int_equal(background_count, 0);
}

static void test_script_in_imap_waits_for_nothing(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	in_imap();
	inbox.flags = MAILBOX_FLAG_POST_SESSION;
	set_flags(&inbox, &msg);
	inbox.flags = 0;
	assert_int_equal(waited_count, 0);
	assert_int_equal(ended_count, 0);
	registration_is_known();
	assert_non_null(strstr(str_c(handed_off), "bob INBOX 7 {"));
	assert_int_equal(sent_count, 0);
}

static void test_registration_is_waited_for_when_the_user_leaves(
	void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	in_imap();
	registration_takes = 100;
	set_flags(&inbox, &msg);
	duser.driver->v.deinit(&duser);
	assert_int_equal(registration_timeout, 400);
	assert_int_equal(ended_count, 1);
	assert_non_null(strstr(str_c(handed_off), "bob INBOX 7 {"));
	assert_int_equal(handoff_timeout, 400);
	init_driver(&duser);
}

/* One command may have as many transactions, and no answer comes before its
   end. */
static void test_what_is_deferred_is_limited(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };
	unsigned int i, count = 0;
	const char *p;

	in_imap();
	for (i = 1; i < 256; i++) {
		configs_count = 0;
		set_flags(&inbox, &msg);
	}
	assert_int_equal(waited_count, 0);
	assert_string_equal(str_c(handed_off), "");
	configs_count = 0;
	set_flags(&inbox, &msg);
	assert_int_equal(waited_count, 1);
	assert_int_equal(registration_timeout, 400);
	for (p = str_c(handed_off); *p != '\0'; p++)
		count += *p == '\n' ? 1 : 0;
	assert_int_equal(count, 256);
	assert_int_equal(background_count, 1);
	assert_int_equal(errors_count, 0);
}

static void test_nobody_is_registered_in_imap(void **state ATTR_UNUSED)
{
	struct push_notification_txn_msg msg = { .mailbox = "INBOX", .uid = 7 };

	in_imap();
	registered_later = 0;
	set_flags(&inbox, &msg);
	registration_is_known();
	assert_string_equal(str_c(handed_off), "");
	assert_int_equal(background_count, 0);
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
	struct push_notification_event_config config = {
		.event = &event_flags_set.push
	};

	begin(&inbox);
	assert_null(http_notify_txn_registered(&ptxn, &config));
	end();
	assert_string_equal(str_c(handed_off), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_event_of_a_message),
		TEST(test_messages_are_told_together),
		TEST(test_many_messages),
		TEST(test_event_of_a_folder),
		TEST(test_calendar_mail),
		TEST(test_calendar_mail_is_told_once_to_each),
		TEST(test_folder_that_is_not_included),
		TEST(test_registration_is_optional_for_one),
		TEST(test_registration_wins_where_there_is_one),
		TEST(test_registration_that_is_not_needed),
		TEST(test_fields_are_omitted_by_one_driver),
		TEST(test_driver_hears_of_its_events),
		TEST(test_nobody_is_registered),
		TEST(test_it_is_known_that_nobody_is_registered),
		TEST(test_registration_is_of_no_use),
		TEST(test_nothing_is_told_without_a_commit),
		TEST(test_two_drivers_of_a_user),
		TEST(test_uid_is_found_after_the_commit),
		TEST(test_uid_that_the_commit_assigns),
		TEST(test_hand_off_has_half_of_the_time),
		TEST(test_registration_is_waited_for),
		TEST(test_registration_and_uid_share_the_time),
		TEST(test_nobody_is_registered_after_all),
		TEST(test_registration_that_can_not_be_read),
		TEST(test_nothing_is_begun_without_messages),
		TEST(test_uid_is_not_found),
		TEST(test_uid_can_not_be_found),
		TEST(test_other_drivers_see_no_data),
		TEST(test_registration_is_not_waited_for_in_imap),
		TEST(test_registration_is_known_before_the_commit),
		TEST(test_nothing_overtakes_what_is_deferred),
		TEST(test_sieve_filter_defers_nothing),
		TEST(test_script_in_imap_waits_for_nothing),
		TEST(test_registration_is_waited_for_when_the_user_leaves),
		TEST(test_what_is_deferred_is_limited),
		TEST(test_nobody_is_registered_in_imap),
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
