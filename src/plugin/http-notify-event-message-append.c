/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"

#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "mail-delivery.h"
#include "notification-mail.h"
#include "push-notification-api.h"

extern const struct http_notify_event http_notify_event_message_append;

/* What reads an mbox remembers where the message ends that it has read last. The
   first of several ended with the file when it was read, so that its end is
   wrong once others follow, and Dovecot can't sync the file. Those others are
   looked at, which makes the reader go on. */
static void mbox_reader_go_on(struct mail *mail)
{
	struct istream *input;

	if (strcmp(mail->box->storage->name, "mbox") == 0)
		(void)mail_get_stream(mail, NULL, NULL, &input);
}

/* MessageAppend: an IMAP client appends, copies or moves messages to a folder,
   or another program saves them there. They are told together, with the text of
   the first: there may be many. */
static void message_append(struct push_notification_txn *ptxn,
			   struct push_notification_event_config *ec,
			   struct push_notification_txn_msg *msg,
			   struct mail *mail)
{
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	struct http_notify_happening *happening;

	if (txn == NULL)
		return;
	happening = http_notify_txn_add_to(txn,
		&http_notify_event_message_append, msg->mailbox, "");
	if (!array_is_created(&happening->saved)) {
		http_notify_notification_read_mail(&happening->notification,
						   mail, txn->pool);
	} else
		mbox_reader_go_on(mail);
	http_notify_happening_add_saved(txn, happening, msg, mail);
}

/* A Sieve script saves them like a delivery, wherever it runs. */
static void message_append_save(struct push_notification_txn *ptxn,
				struct push_notification_event_config *ec,
				struct push_notification_txn_msg *msg,
				struct mail *mail)
{
	if (!http_notify_is_delivery(ptxn->muser))
		message_append(ptxn, ec, msg, mail);
}

static void message_append_committed(struct http_notify_happening *happening,
				     struct mailbox *box)
{
	http_notify_notification_count(&happening->notification, box, NULL);
}

const struct http_notify_event http_notify_event_message_append = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"MessageAppend",
		.msg_triggers = {
			.append = message_append,
			.save = message_append_save,
		},
	},
	.id = HTTP_NOTIFY_MESSAGE_APPEND,
	.committed = message_append_committed,
};
