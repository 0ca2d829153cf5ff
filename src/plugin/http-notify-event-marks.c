/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "notification-mail.h"
#include "push-notification-api.h"

/* MessageRead and MessageTrash: messages are marked as seen, or as deleted. */
static void marked(struct push_notification_txn *ptxn,
		   struct push_notification_event_config *ec,
		   struct push_notification_txn_msg *msg, struct mail *mail,
		   enum mail_flags old_flags, enum mail_flags flag)
{
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	const struct http_notify_event_config *config = ec->config;

	/* A message without a UID is being saved: these are its first flags. */
	if (txn == NULL || msg->uid == 0 || (old_flags & flag) != 0 ||
	    (mail_get_flags(mail) & flag) == 0)
		return;
	http_notify_happening_add_msg(http_notify_txn_add_to(
		txn, config->event, msg->mailbox, ""), msg);
}

static void message_read(struct push_notification_txn *ptxn,
			 struct push_notification_event_config *ec,
			 struct push_notification_txn_msg *msg,
			 struct mail *mail, enum mail_flags old_flags)
{
	marked(ptxn, ec, msg, mail, old_flags, MAIL_SEEN);
}

static void message_trash(struct push_notification_txn *ptxn,
			  struct push_notification_event_config *ec,
			  struct push_notification_txn_msg *msg,
			  struct mail *mail, enum mail_flags old_flags)
{
	marked(ptxn, ec, msg, mail, old_flags, MAIL_DELETED);
}

static void marked_committed(struct http_notify_happening *happening,
			     struct mailbox *box)
{
	http_notify_notification_count(&happening->notification, box, NULL);
}

extern const struct http_notify_event http_notify_event_message_read;
extern const struct http_notify_event http_notify_event_message_trash;

const struct http_notify_event http_notify_event_message_read = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MessageRead",
		.msg_triggers = {
			.flagchange = message_read,
		},
	},
	.id = HTTP_NOTIFY_MESSAGE_READ,
	.committed = marked_committed,
};

const struct http_notify_event http_notify_event_message_trash = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MessageTrash",
		.msg_triggers = {
			.flagchange = message_trash,
		},
	},
	.id = HTTP_NOTIFY_MESSAGE_TRASH,
	.committed = marked_committed,
};
