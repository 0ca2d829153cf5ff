/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What events make of what happens to messages and folders. The mail, and the
   look-up of the registration, are the test's. */
#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "str.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "maildir-uid.h"
#include "notification-mail.h"
#include "push-notification-api.h"
#include "registration-lookup.h"

#include "test-common.h"

#define KEYWORDS(...) ((const char *const []){ __VA_ARGS__, NULL })

extern const struct http_notify_event http_notify_event_message_append;
extern const struct http_notify_event http_notify_event_message_new;
extern const struct http_notify_event http_notify_event_calendar_mail;

struct push_notification_api push_notification_api;

static const char *const no_keywords[] = { NULL };

static struct mail_user user;
static struct push_notification_txn ptxn = { .muser = &user };
static struct http_notify_txn *txn;
/* of the message that is being changed */
static enum mail_flags now_flags;
static const char *const *now_keywords;
static unsigned int read_count, looked_at_count, looked_up_count;
static int registered;

enum mail_flags mail_get_flags(struct mail *mail ATTR_UNUSED)
{
	return now_flags;
}

const char *const *mail_get_keywords(struct mail *mail ATTR_UNUSED)
{
	return now_keywords;
}

int mail_get_stream(struct mail *mail ATTR_UNUSED,
		    struct message_size *hdr_size ATTR_UNUSED,
		    struct message_size *body_size ATTR_UNUSED,
		    struct istream **stream_r ATTR_UNUSED)
{
	looked_at_count++;
	return -1;
}

int mail_get_parts(struct mail *mail ATTR_UNUSED,
		   struct message_part **parts_r ATTR_UNUSED)
{
	i_unreached();
}

const char *mailbox_get_vname(const struct mailbox *box)
{
	return box->vname;
}

const char *maildir_uid_name(struct mail *mail ATTR_UNUSED)
{
	return NULL;
}

int maildir_uid_find(struct mailbox *box ATTR_UNUSED,
		     const char *name ATTR_UNUSED, int64_t deadline ATTR_UNUSED,
		     uint32_t *uid_r ATTR_UNUSED,
		     uint32_t *uidvalidity_r ATTR_UNUSED,
		     const char **error_r ATTR_UNUSED)
{
	i_unreached();
}

void http_notify_notification_read_mail(
	struct http_notify_notification *notification,
	struct mail *mail ATTR_UNUSED, pool_t pool)
{
	notification->subject = p_strdup_printf(pool, "subject %u",
						++read_count);
}

void http_notify_notification_count(
	struct http_notify_notification *notification,
	struct mailbox *box ATTR_UNUSED, const ARRAY_TYPE(seq_range) *expunged)
{
	notification->messages = 10;
	if (expunged != NULL)
		notification->messages -= seq_range_count(expunged);
	notification->unseen = 5;
	notification->have_messages = notification->have_unseen = TRUE;
}

int http_notify_registration_lookup(struct mail_user *user ATTR_UNUSED,
				    struct mailbox *box ATTR_UNUSED,
				    unsigned int lifetime_secs ATTR_UNUSED,
				    struct event *event ATTR_UNUSED,
				    const char **user_r)
{
	looked_up_count++;
	*user_r = "3@1";
	return registered;
}

static int setup(void **state ATTR_UNUSED)
{
	txn = http_notify_txn_init();
	txn->registration_needed = TRUE;
	txn->event = event_create(NULL);
	now_flags = 0;
	now_keywords = no_keywords;
	read_count = looked_at_count = looked_up_count = 0;
	registered = 1;
	user.service = "lmtp";
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	event_unref(&txn->event);
	http_notify_txn_unref(&txn);
	return 0;
}

/* Calls the triggers of an event, as push_notification does. */
#define TRIGGER(event_, triggers, trigger, ...) STMT_START { \
	struct http_notify_event_config config = { \
		.txn = txn, .event = event_ \
	}; \
	struct push_notification_event_config ec = { \
		.event = &config.event->push, .config = &config \
	}; \
	if (config.event->push.triggers.trigger != NULL) \
		config.event->push.triggers.trigger(&ptxn, &ec, __VA_ARGS__); \
	} STMT_END
#define FOR_EACH_EVENT(...) STMT_START { \
	const struct http_notify_event *const *event; \
	for (event = http_notify_events; *event != NULL; event++) \
		TRIGGER(*event, __VA_ARGS__); \
	} STMT_END

static struct push_notification_txn_msg *message(uint32_t uid)
{
	static struct push_notification_txn_msg msgs[10];

	assert_true(uid < N_ELEMENTS(msgs));
	msgs[uid].mailbox = "INBOX";
	msgs[uid].uid = uid;
	msgs[uid].uid_validity = 8;
	return &msgs[uid];
}

static void store(uint32_t uid, enum mail_flags old, enum mail_flags flags)
{
	now_flags = flags;
	FOR_EACH_EVENT(msg_triggers, flagchange, message(uid), NULL, old);
}

static void
store_keywords(uint32_t uid, const char *const *old,
	       const char *const *keywords)
{
	now_keywords = keywords;
	FOR_EACH_EVENT(msg_triggers, keywordchange, message(uid), NULL, old);
}

static void no_uid(const struct http_notify_happening *happening ATTR_UNUSED,
		   const char *error, void *context ATTR_UNUSED)
{
	fail_msg("%s", error);
}

/* Returns what is told of all this in the format of EGroupware, a line each,
   without the fields that are always the same. */
static const char *told(void)
{
	const struct http_notify_event *const *event;
	const struct http_notify_happening *happening;
	struct http_notify_notification notification;
	string_t *dest = t_str_new(256);

	for (event = http_notify_events; *event != NULL; event++) {
		if ((*event)->finish != NULL)
			(*event)->finish(txn);
	}
	http_notify_txn_committed(txn, NULL, 0, no_uid, NULL);
	for (happening = txn->happenings; happening != NULL;
	     happening = happening->next) {
		notification = happening->notification;
		if (!notification.of_folder) {
			assert_int_equal(notification.uidvalidity, 8);
			notification.uidvalidity = 0;
			notification.uids = &happening->uids;
		} else {
			notification.folder = happening->folder;
		}
		assert_int_equal(http_notify_notification_append_json(
			&notification, HTTP_NOTIFY_FORMAT_EGROUPWARE, dest), 0);
		str_append_c(dest, '\n');
	}
	return str_c(dest);
}

#define EVENT(name, uids) \
	"{\"event\":\""name"\",\"imap-uidvalidity\":0,\"imap-uid\":"uids

static void test_flags_are_set(void **state ATTR_UNUSED)
{
	store(1, 0, MAIL_SEEN);
	store(2, MAIL_FLAGGED, MAIL_FLAGGED | MAIL_SEEN);
	store(4, 0, MAIL_ANSWERED | MAIL_SEEN | MAIL_DELETED | MAIL_DRAFT);
	store(3, MAIL_RECENT, MAIL_SEEN | MAIL_RECENT);
	assert_string_equal(told(),
		EVENT("MessageRead",
		      "[1,2,3,4],\"unseen\":5,\"messages\":10}\n")
		EVENT("FlagsSet", "[1,2,3],\"flags\":[\"\\\\Seen\"],"
		      "\"keywords\":[],\"unseen\":5}\n")
		EVENT("MessageTrash", "4,\"unseen\":5,\"messages\":10}\n")
		EVENT("FlagsSet", "4,\"flags\":[\"\\\\Answered\","
		      "\"\\\\Deleted\",\"\\\\Seen\",\"\\\\Draft\"],\"keywords\":[]}\n"));
	/* once for all */
	assert_int_equal(looked_up_count, 1);
}

static void test_flags_are_cleared(void **state ATTR_UNUSED)
{
	store(1, MAIL_SEEN | MAIL_FLAGGED | MAIL_RECENT, MAIL_FLAGGED);
	store(2, MAIL_SEEN, 0);
	assert_string_equal(told(),
		EVENT("FlagsClear", "[1,2],\"flags\":[\"\\\\Seen\"],"
		      "\"keywords\":[],\"flags-old\":[\"\\\\Flagged\","
		      "\"\\\\Seen\",\"\\\\Recent\"],\"keywords-old\":[],"
		      "\"unseen\":5}\n"));
}

static void test_keywords_are_set_and_cleared(void **state ATTR_UNUSED)
{
	store_keywords(1, KEYWORDS("a", "b"), KEYWORDS("b", "c", "d"));
	store_keywords(2, KEYWORDS("a"), KEYWORDS("c", "d"));
	store_keywords(3, no_keywords, KEYWORDS("c"));
	assert_string_equal(told(),
		EVENT("FlagsSet", "[1,2],\"flags\":[],"
		      "\"keywords\":[\"c\",\"d\"]}\n")
		EVENT("FlagsClear", "[1,2],\"flags\":[],\"keywords\":[\"a\"],"
		      "\"flags-old\":[],\"keywords-old\":[\"a\",\"b\"]}\n")
		EVENT("FlagsSet", "3,\"flags\":[],\"keywords\":[\"c\"]}\n"));
}

/* As by STORE FLAGS (\Seen new). */
static void test_flags_and_keywords_of_one_message(void **state ATTR_UNUSED)
{
	store(1, MAIL_FLAGGED, MAIL_SEEN);
	store_keywords(1, KEYWORDS("old"), KEYWORDS("new"));
	assert_string_equal(told(),
		EVENT("MessageRead", "1,\"unseen\":5,\"messages\":10}\n")
		EVENT("FlagsSet", "1,\"flags\":[\"\\\\Seen\"],"
		      "\"keywords\":[\"new\"],\"unseen\":5}\n")
		EVENT("FlagsClear", "1,\"flags\":[\"\\\\Flagged\"],"
		      "\"keywords\":[\"old\"],\"flags-old\":[\"\\\\Flagged\"],"
		      "\"keywords-old\":[\"old\"]}\n"));
}

static void test_first_flags_are_not_told(void **state ATTR_UNUSED)
{
	store(0, 0, MAIL_SEEN);
	store_keywords(0, no_keywords, KEYWORDS("a"));
	assert_string_equal(told(), "");
}

static void test_messages_are_expunged(void **state ATTR_UNUSED)
{
	FOR_EACH_EVENT(msg_triggers, expunge, message(5));
	FOR_EACH_EVENT(msg_triggers, expunge, message(2));
	FOR_EACH_EVENT(msg_triggers, expunge, message(0));
	assert_string_equal(told(),
		EVENT("MessageExpunge",
		      "[2,5],\"unseen\":5,\"messages\":8}\n"));
}

static void test_messages_are_saved(void **state ATTR_UNUSED)
{
	struct mail_storage storage = { .name = "maildir" };
	struct mailbox box = { .storage = &storage };
	struct mailbox_transaction_context trans = {};
	struct mail mail = { .box = &box, .transaction = &trans };

	FOR_EACH_EVENT(msg_triggers, append, message(3), &mail);
	FOR_EACH_EVENT(msg_triggers, append, message(4), &mail);
	assert_int_equal(looked_at_count, 0);
	FOR_EACH_EVENT(msg_triggers, save, message(5), &mail);
	FOR_EACH_EVENT(msg_triggers, save, message(6), &mail);
	assert_string_equal(told(),
		EVENT("MessageAppend", "[3,4],\"subject\":\"subject 1\","
		      "\"unseen\":5,\"messages\":10}\n")
		EVENT("MessageNew", "5,\"subject\":\"subject 2\","
		      "\"unseen\":5,\"messages\":10}\n")
		EVENT("MessageNew", "6,\"subject\":\"subject 3\","
		      "\"unseen\":5,\"messages\":10}\n"));
}

/* Dovecot's reader may not stay at the first one. */
static void test_messages_are_saved_to_an_mbox(void **state ATTR_UNUSED)
{
	struct mail_storage storage = { .name = "mbox" };
	struct mailbox box = { .storage = &storage };
	struct mailbox_transaction_context trans = {};
	struct mail mail = { .box = &box, .transaction = &trans };

	FOR_EACH_EVENT(msg_triggers, append, message(3), &mail);
	FOR_EACH_EVENT(msg_triggers, append, message(4), &mail);
	assert_string_equal(told(),
		EVENT("MessageAppend", "[3,4],\"subject\":\"subject 1\","
		      "\"unseen\":5,\"messages\":10}\n"));
	assert_int_equal(read_count, 1);
	assert_int_equal(looked_at_count, 1);
}

static const char *why_not(const struct http_notify_event *event)
{
	struct mail_storage storage = { .user = &user };
	struct mailbox box = {
		.storage = &storage, .flags = MAILBOX_FLAG_POST_SESSION,
	};

	return event->why_not == NULL ? NULL : event->why_not(&box);
}

/* By Sieve, as in a delivery. */
static void test_message_that_a_script_files_is_not_new(
	void **state ATTR_UNUSED)
{
	struct mailbox_transaction_context trans = {};
	struct mail mail = { .transaction = &trans };

	assert_null(why_not(&http_notify_event_message_new));
	user.service = "lda";
	assert_null(why_not(&http_notify_event_message_new));
	assert_null(why_not(&http_notify_event_calendar_mail));
	user.service = "sieve-filter";
	assert_non_null(why_not(&http_notify_event_message_new));
	assert_non_null(why_not(&http_notify_event_calendar_mail));
	assert_null(why_not(&http_notify_event_message_append));
	TRIGGER(&http_notify_event_message_append, msg_triggers, save,
		message(3), &mail);
	assert_string_equal(told(),
		EVENT("MessageAppend", "3,\"subject\":\"subject 1\","
		      "\"unseen\":5,\"messages\":10}\n"));
}

static void test_folders_change(void **state ATTR_UNUSED)
{
	struct push_notification_txn_mbox folder = { .mailbox = "Sent" };
	struct mailbox old = { .vname = "Old" };

	FOR_EACH_EVENT(mbox_triggers, create, &folder);
	FOR_EACH_EVENT(mbox_triggers, delete, &folder);
	FOR_EACH_EVENT(mbox_triggers, rename, &folder, &old);
	FOR_EACH_EVENT(mbox_triggers, subscribe, &folder);
	FOR_EACH_EVENT(mbox_triggers, unsubscribe, &folder);
	assert_string_equal(told(),
		"{\"event\":\"MailboxCreate\",\"folder\":\"Sent\"}\n"
		"{\"event\":\"MailboxDelete\",\"folder\":\"Sent\"}\n"
		"{\"event\":\"MailboxRename\",\"folder\":\"Sent\","
			"\"folder-old\":\"Old\"}\n"
		"{\"event\":\"MailboxSubscribe\",\"folder\":\"Sent\"}\n"
		"{\"event\":\"MailboxUnsubscribe\",\"folder\":\"Sent\"}\n");
}

static void test_nobody_is_registered(void **state ATTR_UNUSED)
{
	struct push_notification_txn_mbox folder = { .mailbox = "Sent" };
	struct mail mail = {};
	struct mailbox old = { .vname = "Old" };

	registered = 0;
	store(1, 0, MAIL_SEEN);
	store_keywords(1, no_keywords, KEYWORDS("a"));
	FOR_EACH_EVENT(msg_triggers, expunge, message(5));
	FOR_EACH_EVENT(msg_triggers, append, message(3), &mail);
	FOR_EACH_EVENT(msg_triggers, save, message(5), &mail);
	FOR_EACH_EVENT(mbox_triggers, rename, &folder, &old);
	assert_string_equal(told(), "");
	assert_int_equal(looked_up_count, 1);
	assert_int_equal(read_count, 0);
}

/* Every event has a row in the table, and is called what it is in RFC 5423 if
   that has it. */
static void test_table(void **state ATTR_UNUSED)
{
	const struct http_notify_event *const *event;
	unsigned int events = 0;
	const char *name;

	for (event = http_notify_events; *event != NULL; event++) {
		events |= HTTP_NOTIFY_MAIL_EVENT((*event)->id);
		name = http_notify_mail_event_name((*event)->id);
		if ((*event)->id == HTTP_NOTIFY_CALENDAR_MAIL) {
			assert_null(name);
			name = "CalendarMail";
		}
		assert_string_equal((*event)->push.name, t_strconcat(
			HTTP_NOTIFY_EVENT_PREFIX, name, NULL));
	}
	assert_int_equal(events,
		HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MAIL_EVENT_COUNT) - 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_flags_are_set),
		TEST(test_flags_are_cleared),
		TEST(test_keywords_are_set_and_cleared),
		TEST(test_flags_and_keywords_of_one_message),
		TEST(test_first_flags_are_not_told),
		TEST(test_messages_are_expunged),
		TEST(test_messages_are_saved),
		TEST(test_messages_are_saved_to_an_mbox),
		TEST(test_message_that_a_script_files_is_not_new),
		TEST(test_folders_change),
		TEST(test_nobody_is_registered),
		TEST(test_table),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("events", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
