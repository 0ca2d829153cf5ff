/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MAIL_EVENTS_H
#define HTTP_NOTIFY_MAIL_EVENTS_H

/* What may happen to mail, as in RFC 5423. */
enum http_notify_mail_event {
	HTTP_NOTIFY_MESSAGE_NEW,
	HTTP_NOTIFY_MESSAGE_APPEND,
	HTTP_NOTIFY_MESSAGE_EXPUNGE,
	HTTP_NOTIFY_FLAGS_SET,
	HTTP_NOTIFY_FLAGS_CLEAR,
	HTTP_NOTIFY_MESSAGE_READ,
	HTTP_NOTIFY_MESSAGE_TRASH,
	HTTP_NOTIFY_MAILBOX_CREATE,
	HTTP_NOTIFY_MAILBOX_DELETE,
	HTTP_NOTIFY_MAILBOX_RENAME,
	HTTP_NOTIFY_MAILBOX_SUBSCRIBE,
	HTTP_NOTIFY_MAILBOX_UNSUBSCRIBE,
	/* A MessageNew, with all of the message, for the driver of calendar
	   mail. It has no name, so nobody chooses it. */
	HTTP_NOTIFY_CALENDAR_MAIL,

	HTTP_NOTIFY_MAIL_EVENT_COUNT
};

/* Its bit in a set of them. */
#define HTTP_NOTIFY_MAIL_EVENT(event) (1U << (event))

/* Returns its name in RFC 5423, NULL if it has none. */
const char *http_notify_mail_event_name(enum http_notify_mail_event event);

/* Returns all of these, as a text. */
const char *http_notify_mail_event_names(void);

/* Find the event of that name. Returns 0, or -1 if there is none. */
int http_notify_mail_event_find(const char *name,
				enum http_notify_mail_event *event_r);
/* Parse names that are separated by commas, of which there is at least one.
   Returns 0 and the set, or -1 and error_r, which repeats nothing of them. */
int http_notify_mail_events_parse(const char *names, unsigned int *events_r,
				  const char **error_r);

#endif
