#include "lib.h"
#include "mail-storage.h"

#include "notification.h"
#include "notification-mail.h"

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

void http_notify_notification_read_mail(
	struct http_notify_notification *notification, struct mail *mail,
	pool_t pool)
{
	T_BEGIN {
		const char *from = t_strdup(header_get(mail, "From"));
		/* A delivery has From and Subject at hand, for its log. For any
		   other header the message is parsed once more. */
		const char *sender =
			http_notify_notification_has_address(from) ? NULL :
			header_get(mail, "Sender");

		notification->from = p_strdup(pool,
			http_notify_notification_choose_from(from, sender,
				envelope_sender_get(mail)));
		notification->subject = p_strdup(pool,
						 header_get(mail, "Subject"));
		notification->snippet = p_strdup(pool, snippet_get(mail));
	} T_END;
}
