/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EVENT_H
#define HTTP_NOTIFY_EVENT_H

#include "notification.h"
#include "push-notification-events.h"

struct mail;
struct mailbox;
struct push_notification_txn_mbox;

/* The name of an event is this prefix and its name in RFC 5423. Dovecot's own
   events, such as its MessageNew, are not used: they do their work before it is
   known whether the user is registered, and provide too little. */
#define HTTP_NOTIFY_EVENT_PREFIX "HttpNotify"

/* Something that happens to mail and leads to a notification. */
struct http_notify_event {
	/* Its name, and what triggers it. A trigger calls
	   http_notify_event_begin(), or _begin_folder(), and fills in what can
	   be read while the mail transaction is open. */
	struct push_notification_event push;
	/* Returns NULL if it is wanted for this mailbox, which the option
	   folders includes, else why not, as the debug line is to say it. */
	const char *(*why_not)(const struct mailbox *box);
	/* Fill in what can be read after the commit. The driver itself fills in
	   user and folder and, for a message, UIDVALIDITY and UID. NULL = there
	   is nothing else. */
	void (*committed)(struct http_notify_notification *notification,
			  struct mailbox *box);
};

/* All of them, NULL at the end: http-notify-events.c. */
extern const struct http_notify_event *const http_notify_events[];

/* What events have found out in one mail transaction, for all drivers of the
   user. push_notification has a place for this as well, but other drivers see
   what is there, and some take it for an event of their own. */
struct http_notify_event_txn;

struct http_notify_event_txn *http_notify_event_txn_begin(pool_t pool);
/* The transaction is over. May be called more than once; the memory belongs to
   the pool. */
void http_notify_event_txn_end(struct http_notify_event_txn *txn);

/* The configuration that triggers get, one per driver and mail transaction. */
struct http_notify_event_config {
	struct http_notify_event_txn *txn;
	/* how old a registration that was looked up before may be */
	unsigned int registration_lifetime_secs;
	/* does the driver need one, and if so, does it go on without? */
	bool registration_needed, registration_optional;
	struct event *event;
};

/* What an event has found out. It lives as long as the
   push_notification_txn. */
struct http_notify_event_data {
	/* another event's, of the same message or folder */
	struct http_notify_event_data *next;
	const struct push_notification_event *event;

	/* user= of the registration, NULL if there is none; what is not known
	   yet is known after http_notify_registration_wait(): it may have
	   failed, why the notification is lost then */
	const char *registered_user;
	bool registration_pending;
	bool registration_failed;
	const char *lost;
	/* of maildir_uid_name() */
	const char *maildir_name;
	/* why there is no UID; NULL = not looked for, or found */
	const char *uid_error;
	struct http_notify_notification notification;
};

/* For triggers. Returns the notification to fill in, with strings from the
   transaction's pool; NULL if there is to be none, or if another driver of the
   user has filled it in already. saved: the message that is being saved; NULL
   if it has a UID already. */
struct http_notify_notification *
http_notify_event_begin(struct push_notification_txn *ptxn,
			struct push_notification_event_config *ec,
			struct push_notification_txn_msg *msg,
			struct mail *saved);
/* The same for what happens to a folder. */
struct http_notify_notification *
http_notify_event_begin_folder(struct push_notification_txn *ptxn,
			       struct push_notification_event_config *ec,
			       struct push_notification_txn_mbox *folder);

/* Returns NULL if the event has not happened to the message or folder, or leads
   to no notification. */
struct http_notify_event_data *
http_notify_event_get(const struct http_notify_event *event,
		      struct http_notify_event_txn *txn,
		      const struct push_notification_txn_msg *msg);
struct http_notify_event_data *
http_notify_event_get_folder(const struct http_notify_event *event,
			     struct http_notify_event_txn *txn,
			     const struct push_notification_txn_mbox *folder);

#endif
