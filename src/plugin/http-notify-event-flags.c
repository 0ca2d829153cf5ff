/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "str.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "notification-mail.h"
#include "push-notification-api.h"

/* FlagsSet and FlagsClear: flags or keywords of messages are set or cleared.
   One command may change both of a message, which are told together, as are
   messages whose changes are the same. */
struct flags_change {
	/* the message that is being changed */
	const struct push_notification_txn_msg *msg;
	/* what was set or cleared */
	enum mail_flags flags;
	ARRAY_TYPE(keywords) keywords;
	/* what was set before, if that has changed */
	enum mail_flags flags_old;
	ARRAY_TYPE(keywords) keywords_old;
};

extern const struct http_notify_event http_notify_event_flags_set;
extern const struct http_notify_event http_notify_event_flags_clear;

static const char *const *
keywords_dup(pool_t pool, const ARRAY_TYPE(keywords) *keywords)
{
	const char *keyword, **dup;
	unsigned int i = 0;

	dup = p_new(pool, const char *, array_count(keywords) + 1);
	array_foreach_elem(keywords, keyword)
		dup[i++] = p_strdup(pool, keyword);
	return dup;
}

/* Of messages that are told together. */
static const char *flags_change_key(const struct flags_change *change)
{
	string_t *key = t_str_new(64);
	const char *keyword;

	str_printfa(key, "%x", change->flags);
	array_foreach_elem(&change->keywords, keyword)
		str_printfa(key, " %s", keyword);
	return str_c(key);
}

/* Is it that of the message before, without keywords? There may be thousands of
   them. */
static bool
flags_change_is_last(const struct http_notify_txn *txn,
		     const struct http_notify_event *event,
		     const struct flags_change *change)
{
	const struct http_notify_happening *last = txn->last_group;

	return last != NULL && last->event == event &&
		last->notification.flags == change->flags &&
		last->notification.keywords[0] == NULL &&
		array_is_empty(&change->keywords);
}

static void
flags_change_tell(struct http_notify_txn *txn,
		  const struct http_notify_event *event,
		  const struct flags_change *change)
{
	struct http_notify_happening *happening;
	struct http_notify_notification *notification;

	happening = http_notify_txn_add_to(txn, event, change->msg->mailbox,
					   flags_change_key(change));
	notification = &happening->notification;
	if (!notification->have_flags) {
		notification->have_flags = TRUE;
		notification->flags = change->flags;
		notification->keywords =
			keywords_dup(txn->pool, &change->keywords);
		notification->have_flags_old =
			event == &http_notify_event_flags_clear;
		notification->flags_old = change->flags_old;
		notification->keywords_old =
			keywords_dup(txn->pool, &change->keywords_old);
	}
	http_notify_happening_add_msg(happening, change->msg);
}

/* The message's changes are complete. */
static void
flags_change_end(struct http_notify_txn *txn,
		 const struct http_notify_event *event)
{
	struct flags_change *change = txn->events[event->id];

	if (change == NULL || change->msg == NULL)
		return;
	if (change->flags == 0 && array_is_empty(&change->keywords)) {
		/* nothing that this event is about */
	} else if (flags_change_is_last(txn, event, change))
		http_notify_happening_add_msg(txn->last_group, change->msg);
	else T_BEGIN {
		flags_change_tell(txn, event, change);
	} T_END;
	change->msg = NULL;
	change->flags = change->flags_old = 0;
	array_clear(&change->keywords);
	array_clear(&change->keywords_old);
}

static struct flags_change *
flags_change_get(struct push_notification_txn *ptxn,
		 struct push_notification_event_config *ec,
		 struct push_notification_txn_msg *msg)
{
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	const struct http_notify_event_config *config = ec->config;
	struct flags_change *change;

	/* A message without a UID is being saved: these are its first flags. */
	if (txn == NULL || msg->uid == 0)
		return NULL;
	change = txn->events[config->event->id];
	if (change == NULL) {
		change = p_new(txn->pool, struct flags_change, 1);
		p_array_init(&change->keywords, txn->pool, 4);
		p_array_init(&change->keywords_old, txn->pool, 4);
		txn->events[config->event->id] = change;
	}
	if (change->msg != msg)
		flags_change_end(txn, config->event);
	change->msg = msg;
	return change;
}

static void
flags_changed(struct push_notification_txn *ptxn,
	      struct push_notification_event_config *ec,
	      struct push_notification_txn_msg *msg, struct mail *mail,
	      enum mail_flags old_flags)
{
	const struct http_notify_event_config *config = ec->config;
	struct flags_change *change = flags_change_get(ptxn, ec, msg);
	enum mail_flags flags;

	if (change == NULL)
		return;
	flags = mail_get_flags(mail);
	if (config->event == &http_notify_event_flags_set)
		change->flags |= flags & ~old_flags &
			MAIL_FLAGS_NONRECENT;
	else {
		change->flags |= old_flags & ~flags &
			MAIL_FLAGS_NONRECENT;
		change->flags_old = old_flags;
	}
}

/* Add those of the keywords that are not among the others. */
static void
keywords_add_missing(ARRAY_TYPE(keywords) *dest, const char *const *keywords,
		     const char *const *others)
{
	for (; *keywords != NULL; keywords++) {
		if (!str_array_find(others, *keywords))
			array_push_back(dest, keywords);
	}
}

static void
keywords_changed(struct push_notification_txn *ptxn,
		 struct push_notification_event_config *ec,
		 struct push_notification_txn_msg *msg, struct mail *mail,
		 const char *const *old_keywords)
{
	static const char *const none[] = { NULL };
	const struct http_notify_event_config *config = ec->config;
	struct flags_change *change = flags_change_get(ptxn, ec, msg);
	const char *const *keywords;

	if (change == NULL)
		return;
	keywords = mail_get_keywords(mail);
	if (config->event == &http_notify_event_flags_set) {
		keywords_add_missing(&change->keywords, keywords, old_keywords);
		return;
	}
	keywords_add_missing(&change->keywords, old_keywords, keywords);
	array_clear(&change->keywords_old);
	keywords_add_missing(&change->keywords_old, old_keywords, none);
}

static void flags_set_finish(struct http_notify_txn *txn)
{
	flags_change_end(txn, &http_notify_event_flags_set);
}

static void flags_clear_finish(struct http_notify_txn *txn)
{
	flags_change_end(txn, &http_notify_event_flags_clear);
}

/* Other flags do not change the number of unseen messages. */
static void flags_committed(struct http_notify_happening *happening,
			    struct mailbox *box)
{
	struct http_notify_notification *notification =
		&happening->notification;

	if (notification->flags != MAIL_SEEN)
		return;
	http_notify_notification_count(notification, box, NULL);
	notification->have_messages = FALSE;
}

const struct http_notify_event http_notify_event_flags_set = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"FlagsSet",
		.msg_triggers = {
			.flagchange = flags_changed,
			.keywordchange = keywords_changed,
		},
	},
	.id = HTTP_NOTIFY_FLAGS_SET,
	.finish = flags_set_finish,
	.committed = flags_committed,
};

const struct http_notify_event http_notify_event_flags_clear = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"FlagsClear",
		.msg_triggers = {
			.flagchange = flags_changed,
			.keywordchange = keywords_changed,
		},
	},
	.id = HTTP_NOTIFY_FLAGS_CLEAR,
	.finish = flags_clear_finish,
	.committed = flags_committed,
};
