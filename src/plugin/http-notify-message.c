#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"
#include "push-notification-drivers.h"
#include "push-notification-events.h"
#include "push-notification-txn-msg.h"

#include "http-notify-message.h"
#include "http-notify-metadata.h"
#include "notification.h"

#define EVENT_NAME "HttpNotifyMessage"

static const char *header_get(struct mail *mail, const char *name)
{
	const char *value;

	return mail_get_first_header(mail, name, &value) > 0 ? value : NULL;
}

/* The envelope sender that LMTP or LDA was given. */
static const char *envelope_sender_get(struct mail *mail)
{
	const char *value;

	return mail_get_special(mail, MAIL_FETCH_FROM_ENVELOPE, &value) < 0 ?
		NULL : value;
}

static const char *snippet_get(struct mail *mail)
{
	const char *value;

	if (mail_get_special(mail, MAIL_FETCH_BODY_SNIPPET, &value) < 0 ||
	    value[0] == '\0')
		return NULL;
	/* the first character says how the snippet was made */
	return value + 1;
}

static struct http_notify_message *
message_read(struct mail *mail, pool_t pool)
{
	struct http_notify_message *message;

	message = p_new(pool, struct http_notify_message, 1);
	T_BEGIN {
		const char *from = t_strdup(header_get(mail, "From"));
		/* Dovecot has From and Subject at hand, for its log. For any
		   other header the message is parsed once more. */
		const char *sender =
			http_notify_notification_has_address(from) ? NULL :
			header_get(mail, "Sender");

		message->from = p_strdup(pool,
			http_notify_notification_choose_from(from, sender,
				envelope_sender_get(mail)));
		message->subject = p_strdup(pool, header_get(mail, "Subject"));
		message->snippet = p_strdup(pool, snippet_get(mail));
	} T_END;
	return message;
}

static void
http_notify_event_message_save(struct push_notification_txn *ptxn,
			       struct push_notification_event_config *ec,
			       struct push_notification_txn_msg *msg,
			       struct mail *mail)
{
	const struct http_notify_event_message_config *config = ec->config;
	struct http_notify_message *message;
	const char *user;

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

	message = message_read(mail, ptxn->pool);
	message->registered_user = user;
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
