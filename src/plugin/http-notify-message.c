#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"
#include "push-notification-drivers.h"
#include "push-notification-events.h"
#include "push-notification-txn-msg.h"

#include "http-notify-message.h"
#include "http-notify-metadata.h"
#include "notification-mail.h"

#define EVENT_NAME "HttpNotifyMessage"

static void
http_notify_event_message_save(struct push_notification_txn *ptxn,
			       struct push_notification_event_config *ec,
			       struct push_notification_txn_msg *msg,
			       struct mail *mail)
{
	const struct http_notify_event_message_config *config = ec->config;
	struct http_notify_message *message;
	const char *user;

	if (config == NULL) {
		/* for the driver "dlog", which asks for all events there are */
		return;
	}
	if (push_notification_txn_msg_get_eventdata(msg, EVENT_NAME) != NULL) {
		/* another driver of this user was first */
		return;
	}
	if (http_notify_metadata_lookup(ptxn->mbox,
					config->registration_lifetime_secs,
					config->event, &user) <= 0)
		return;

	/* Without this Maildir does not promise a UID after the commit, and
	   an endpoint can do nothing without one. */
	mail->transaction->flags |= MAILBOX_TRANSACTION_FLAG_ASSIGN_UIDS;

	message = p_new(ptxn->pool, struct http_notify_message, 1);
	message->registered_user = user;
	http_notify_notification_read_mail(&message->notification, mail,
					   ptxn->pool);
	push_notification_txn_msg_set_eventdata(ptxn, msg, ec, message);
}

const struct http_notify_message *
http_notify_message_get(struct push_notification_txn_msg *msg)
{
	return push_notification_txn_msg_get_eventdata(msg, EVENT_NAME);
}

struct push_notification_event http_notify_event_message = {
	.name = EVENT_NAME,
	.msg_triggers = {
		.save = http_notify_event_message_save,
	},
};
