/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EVENT_H
#define HTTP_NOTIFY_EVENT_H

#include "notification.h"
#include "push-notification-events.h"

struct mailbox;
struct push_notification_txn_mbox;

/* An event is named as in RFC 5423 behind this. Dovecot's own, such as its
   MessageNew, do their work before anybody knows whether the user is
   registered, and yield too little. */
#define HTTP_NOTIFY_EVENT_PREFIX "HttpNotify"

/* What happens to mail and leads to a notification. */
struct http_notify_event {
	/* Its name, and what triggers it. A trigger asks
	   http_notify_event_begin(), or _begin_folder(), and fills in what can
	   be read while the mail transaction is open. */
	struct push_notification_event push;
	/* Does it happen in this mailbox? */
	bool (*is_for)(const struct mailbox *box);
	/* Fill in what can be read after the commit, besides the folder and, of
	   a message, UIDVALIDITY and UID. NULL = nothing. */
	void (*committed)(struct http_notify_notification *notification,
			  struct mailbox *box);
};

/* All of them, NULL at the end: http-notify-events.c. */
extern const struct http_notify_event *const http_notify_events[];

/* The configuration that triggers have, one per driver and mail transaction. */
struct http_notify_event_config {
	/* how old a registration may be */
	unsigned int registration_lifetime_secs;
	struct event *event;
};

/* What an event has found out. It lives as long as the mail transaction. */
struct http_notify_event_data {
	/* user= of the registration */
	const char *registered_user;
	struct http_notify_notification notification;
};

/* For triggers. Returns the notification to be filled in, whose strings are to
   live in the transaction's pool; NULL if there is to be none. */
struct http_notify_notification *
http_notify_event_begin(struct push_notification_txn *ptxn,
			struct push_notification_event_config *ec,
			struct push_notification_txn_msg *msg);
/* The same for what happens to a folder. */
struct http_notify_notification *
http_notify_event_begin_folder(struct push_notification_txn *ptxn,
			       struct push_notification_event_config *ec,
			       struct push_notification_txn_mbox *folder);

/* Returns NULL if the event has not happened to the message, or the folder, or
   leads to no notification. */
const struct http_notify_event_data *
http_notify_event_get(const struct http_notify_event *event,
		      struct push_notification_txn_msg *msg);
const struct http_notify_event_data *
http_notify_event_get_folder(const struct http_notify_event *event,
			     struct push_notification_txn_mbox *folder);

#endif
