/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "mail-storage-private.h"
#include "message-part.h"
#include "str.h"

#include "calendar-mail.h"
#include "handoff.h"
#include "header-field.h"
#include "http-notify-event.h"
#include "http-notify-txn.h"
#include "message-json.h"
#include "push-notification-api.h"
#include "setting-names.h"

/* What the message may take in JSON; the rest of a hand-off is small. */
#define JSON_SIZE_MAX \
	(HTTP_NOTIFY_HANDOFF_LINE_MAX - HTTP_NOTIFY_HANDOFF_SMALL_LINE_MAX)

extern const struct http_notify_event http_notify_event_calendar_mail;

/* Returns NULL if the message is to be sent, else why not. size_r: in bytes,
   with CRLF at the ends of lines. */
static const char *
calendar_mail_check(const struct http_notify_txn *txn, struct mail *mail,
		    struct istream **input_r, uoff_t *size_r)
{
	struct message_part *parts;

	/* a save has just parsed them */
	if (mail_get_stream(mail, NULL, NULL, input_r) < 0 ||
	    mail_get_parts(mail, &parts) < 0)
		return "the message can't be read";
	*size_r = parts->header_size.virtual_size +
		parts->body_size.virtual_size;
	if (*size_r > txn->msg_max_size) {
		return t_strdup_printf("the message has %"PRIuUOFF_T" bytes, "
			"and "SETTING_MSG_MAX_SIZE" is %"PRIuUOFF_T, *size_r,
			txn->msg_max_size);
	}
	return http_notify_message_has_calendar(*input_r, parts) ? NULL :
		"the message is no calendar mail";
}

static const char *calendar_mail_get_id(struct istream *input)
{
	struct http_notify_header_field field = { .name = "Message-ID" };

	i_stream_seek(input, 0);
	http_notify_header_fields_read(input, &field, 1);
	return http_notify_header_field_value(&field);
}

/* Returns the message as JSON; NULL if it can't be sent, which is logged. */
static const string_t *
calendar_mail_read(const struct http_notify_txn *txn, struct istream *input,
		   uoff_t size)
{
	/* with some room for quotes and the like */
	string_t *message = str_new(txn->pool, size + size / 8 + 1024);
	int ret;

	ret = http_notify_message_append_json(input, JSON_SIZE_MAX, message);
	if (ret > 0)
		return message;
	if (ret < 0) {
		e_error(txn->event, "Calendar mail is not sent: %s",
			i_stream_get_error(input));
	} else {
		e_error(txn->event, "Calendar mail is not sent: "
			"it is too large in JSON");
	}
	return NULL;
}

/* A delivery of calendar mail: an invitation, a reply or the like. It is told
   as a whole message. */
static void
calendar_mail_save(struct push_notification_txn *ptxn,
		   struct push_notification_event_config *ec,
		   struct push_notification_txn_msg *msg, struct mail *mail)
{
	struct http_notify_txn *txn = http_notify_txn_registered(ptxn, ec);
	struct http_notify_happening *happening;
	const string_t *message;
	struct istream *input;
	uoff_t size;
	const char *why_not;

	if (txn == NULL)
		return;
	T_BEGIN {
		why_not = calendar_mail_check(txn, mail, &input, &size);
		if (why_not != NULL)
			e_debug(txn->event, "No notification: %s", why_not);
	} T_END;
	if (why_not != NULL)
		return;
	message = calendar_mail_read(txn, input, size);
	if (message == NULL)
		return;
	/* nobody needs the UID of a message that is told as a whole */
	happening = http_notify_txn_add(txn, &http_notify_event_calendar_mail,
					msg->mailbox);
	happening->notification.message = message;
	happening->notification.message_size = size;
	T_BEGIN {
		happening->message_id =
			p_strdup(txn->pool, calendar_mail_get_id(input));
	} T_END;
}

const struct http_notify_event http_notify_event_calendar_mail = {
	.push = {
		.name = HTTP_NOTIFY_EVENT_PREFIX"CalendarMail",
		.msg_triggers = {
			.save = calendar_mail_save,
		},
	},
	.id = HTTP_NOTIFY_CALENDAR_MAIL,
	.why_not = http_notify_event_why_no_delivery,
};
