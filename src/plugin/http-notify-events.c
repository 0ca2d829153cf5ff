/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "http-notify-event.h"

extern const struct http_notify_event http_notify_event_message_new;
extern const struct http_notify_event http_notify_event_message_append;
extern const struct http_notify_event http_notify_event_message_expunge;
extern const struct http_notify_event http_notify_event_flags_set;
extern const struct http_notify_event http_notify_event_flags_clear;
extern const struct http_notify_event http_notify_event_message_read;
extern const struct http_notify_event http_notify_event_message_trash;
extern const struct http_notify_event http_notify_event_mailbox_create;
extern const struct http_notify_event http_notify_event_mailbox_delete;
extern const struct http_notify_event http_notify_event_mailbox_rename;
extern const struct http_notify_event http_notify_event_mailbox_subscribe;
extern const struct http_notify_event http_notify_event_mailbox_unsubscribe;
extern const struct http_notify_event http_notify_event_calendar_mail;

/* The table of events, each of which has a file of its own, or shares it with
   those that are like it. A new one needs only a line in each of the two lists
   here. */
const struct http_notify_event *const http_notify_events[] = {
	&http_notify_event_message_new,
	&http_notify_event_message_append,
	&http_notify_event_message_expunge,
	&http_notify_event_flags_set,
	&http_notify_event_flags_clear,
	&http_notify_event_message_read,
	&http_notify_event_message_trash,
	&http_notify_event_mailbox_create,
	&http_notify_event_mailbox_delete,
	&http_notify_event_mailbox_rename,
	&http_notify_event_mailbox_subscribe,
	&http_notify_event_mailbox_unsubscribe,
	&http_notify_event_calendar_mail,
	NULL
};
