/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "notification-mail.h"
#include "push-notification-api.h"

extern const struct http_notify_event http_notify_event_message_expunge;

/* MessageExpunge: messages are removed. */
static void message_expunge(struct push_notification_txn *ptxn,
			    struct push_notification_event_config *ec,
			    struct push_notification_txn_msg *msg)
{
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);

	/* A message without a UID is removed before anybody has heard of it. */
	if (txn == NULL || msg->uid == 0)
		return;
	http_notify_happening_add_msg(http_notify_txn_add_to(txn,
		&http_notify_event_message_expunge, msg->mailbox, ""), msg);
}

/* Their index still has them until the next sync. */
static void message_expunge_committed(struct http_notify_happening *happening,
				      struct mailbox *box)
{
	http_notify_notification_count(&happening->notification, box,
				       &happening->uids);
}

const struct http_notify_event http_notify_event_message_expunge = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MessageExpunge",
		.msg_triggers = {
			.expunge = message_expunge,
		},
	},
	.id = HTTP_NOTIFY_MESSAGE_EXPUNGE,
	.committed = message_expunge_committed,
};
