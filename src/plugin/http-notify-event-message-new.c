/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "notification-mail.h"
#include "push-notification-api.h"

/* MessageNew: a delivery. POST_SESSION marks the mailboxes that this opens, as
   opposed to IMAP. */
static const char *message_new_why_not(const struct mailbox *box)
{
	if ((box->flags & MAILBOX_FLAG_POST_SESSION) == 0)
		return "only messages that LMTP or LDA delivers are announced";
	return NULL;
}

static void message_new_save(struct push_notification_txn *ptxn,
			     struct push_notification_event_config *ec,
			     struct push_notification_txn_msg *msg,
			     struct mail *mail)
{
	struct http_notify_notification *notification;

	notification = http_notify_event_begin(ptxn, ec, msg, mail);
	if (notification != NULL) {
		http_notify_notification_read_mail(notification, mail,
						   ptxn->pool);
	}
}

extern const struct http_notify_event http_notify_event_message_new;

const struct http_notify_event http_notify_event_message_new = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MessageNew",
		.msg_triggers = {
			.save = message_new_save,
		},
	},
	.why_not = message_new_why_not,
	.committed = http_notify_notification_read_unseen,
};
