/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "mail-delivery.h"
#include "notification-mail.h"
#include "push-notification-api.h"

const char *http_notify_event_why_no_delivery(const struct mailbox *box)
{
	return http_notify_is_delivery(box->storage->user) ? NULL :
		"only messages that LMTP or LDA delivers are announced";
}

extern const struct http_notify_event http_notify_event_message_new;

/* MessageNew: a delivery. */
static void message_new_save(struct push_notification_txn *ptxn,
			     struct push_notification_event_config *ec,
			     struct push_notification_txn_msg *msg,
			     struct mail *mail)
{
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	struct http_notify_happening *happening;

	if (txn == NULL)
		return;
	happening = http_notify_txn_add(txn, &http_notify_event_message_new,
					msg->mailbox);
	http_notify_happening_add_saved(txn, happening, msg, mail);
	http_notify_notification_read_mail(&happening->notification, mail,
					   txn->pool);
}

static void message_new_committed(struct http_notify_happening *happening,
				  struct mailbox *box)
{
	http_notify_notification_count(&happening->notification, box, NULL);
}

const struct http_notify_event http_notify_event_message_new = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MessageNew",
		.msg_triggers = {
			.save = message_new_save,
		},
	},
	.id = HTTP_NOTIFY_MESSAGE_NEW,
	.why_not = http_notify_event_why_no_delivery,
	.committed = message_new_committed,
};
