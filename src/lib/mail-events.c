/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "mail-events.h"

static const char *const event_names[HTTP_NOTIFY_MAIL_EVENT_COUNT + 1] = {
	[HTTP_NOTIFY_MESSAGE_NEW] = "MessageNew",
	[HTTP_NOTIFY_MESSAGE_APPEND] = "MessageAppend",
	[HTTP_NOTIFY_MESSAGE_EXPUNGE] = "MessageExpunge",
	[HTTP_NOTIFY_FLAGS_SET] = "FlagsSet",
	[HTTP_NOTIFY_FLAGS_CLEAR] = "FlagsClear",
	[HTTP_NOTIFY_MESSAGE_READ] = "MessageRead",
	[HTTP_NOTIFY_MESSAGE_TRASH] = "MessageTrash",
	[HTTP_NOTIFY_MAILBOX_CREATE] = "MailboxCreate",
	[HTTP_NOTIFY_MAILBOX_DELETE] = "MailboxDelete",
	[HTTP_NOTIFY_MAILBOX_RENAME] = "MailboxRename",
	[HTTP_NOTIFY_MAILBOX_SUBSCRIBE] = "MailboxSubscribe",
	[HTTP_NOTIFY_MAILBOX_UNSUBSCRIBE] = "MailboxUnsubscribe",
};

const char *http_notify_mail_event_name(enum http_notify_mail_event event)
{
	return event_names[event];
}

const char *http_notify_mail_event_names(void)
{
	return t_strarray_join(event_names, ", ");
}

int http_notify_mail_event_find(const char *name,
				enum http_notify_mail_event *event_r)
{
	unsigned int i;

	for (i = 0; event_names[i] != NULL; i++) {
		if (strcmp(event_names[i], name) == 0) {
			*event_r = i;
			return 0;
		}
	}
	return -1;
}

int http_notify_mail_events_parse(const char *names, unsigned int *events_r,
				  const char **error_r)
{
	enum http_notify_mail_event event;
	const char *const *name;

	*events_r = 0;
	for (name = t_strsplit(names, ","); *name != NULL; name++) {
		if (http_notify_mail_event_find(t_str_trim(*name, " \t"),
						&event) < 0) {
			*events_r = 0;
			break;
		}
		*events_r |= HTTP_NOTIFY_MAIL_EVENT(event);
	}
	if (*events_r != 0)
		return 0;
	/* the value may have parts of a password in it */
	*error_r = t_strconcat("must be some of these, separated by commas: ",
			       http_notify_mail_event_names(), NULL);
	return -1;
}
