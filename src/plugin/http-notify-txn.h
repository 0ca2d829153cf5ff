/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_TXN_H
#define HTTP_NOTIFY_TXN_H

#include "notification.h"

struct mail;
struct mailbox;
struct http_notify_driver_user;
struct http_notify_event;
struct push_notification_event_config;
struct push_notification_txn;
struct push_notification_txn_msg;
struct push_notification_txn_mbox;

/* A message that is being saved. */
struct http_notify_saved {
	/* its UID is known after the commit; lives as long as the
	   push_notification_txn */
	const struct push_notification_txn_msg *msg;
	/* of maildir_uid_name() */
	const char *maildir_name;
};

/* What has happened to some messages of a folder, or to a folder. It leads to
   one notification for each driver, or to several if there are a great many
   messages. */
struct http_notify_happening {
	struct http_notify_happening *next;
	const struct http_notify_event *event;
	const char *folder;
	/* NULL = it is told by itself */
	const char *key;

	/* the messages, and those that are being saved; their UID validity is
	   that of msg, NULL if it has happened to the folder, or if a message
	   is told as a whole */
	ARRAY_TYPE(seq_range) uids;
	ARRAY(struct http_notify_saved) saved;
	const struct push_notification_txn_msg *msg;
	/* of a message that is told once per delivery; else NULL */
	const char *message_id;

	/* what else is told of them; strings are in the transaction's pool */
	struct http_notify_notification notification;
};

/* The configuration that triggers get from push_notification; those that it
   calls with another one, or none, are meant for another driver. */
struct http_notify_event_config {
	struct http_notify_txn *txn;
	const struct http_notify_event *event;
};

/* A transaction that is told later, and the drivers that it is told to, NULL at
   the end. */
struct http_notify_deferred {
	struct http_notify_txn *txn;
	struct http_notify_driver_user *const *dusers;
};

/* What has happened in one mail transaction, for all drivers of the user.
   push_notification has a place for this as well, but other drivers see what is
   there, and some take it for an event of their own. And this lives longer, if
   it is not known yet whether the user is registered. */
struct http_notify_txn {
	int refcount;
	pool_t pool;
	/* of the user's, while it is not over */
	struct http_notify_txn *prev, *next;
	/* in the order in which they happened first */
	struct http_notify_happening *happenings, **last;
	/* those that messages are added to, by the names of their events and
	   their keys; the one that the last message was added to */
	HASH_TABLE(const char *, struct http_notify_happening *) groups;
	struct http_notify_happening *last_group;
	/* what the events put off, by their id */
	void *events[HTTP_NOTIFY_MAIL_EVENT_COUNT];

	/* see http_notify_may_wait() */
	bool may_wait:1;
	bool over:1;
	/* Is there a driver that needs a registration, one that needs none, and
	   one that goes on without? */
	bool registration_needed:1;
	bool registration_ignored:1;
	bool registration_optional:1;
	/* http_notify_registration_lookup() has been called; what it says */
	bool looked_up:1;
	int registration;
	/* user= of the registration */
	const char *registered_user;
	/* the largest calendar mail that a driver takes, in bytes */
	uoff_t msg_max_size;

	/* for the look-up */
	unsigned int registration_lifetime_secs;
	struct event *event;
	/* which events push_notification has been asked for */
	unsigned int asked_for;

	/* What was committed while this was saving messages to the same folder,
	   and is told after it; created if there is any. */
	ARRAY(struct http_notify_deferred) followers;
};

struct http_notify_txn *http_notify_txn_init(void);
void http_notify_txn_ref(struct http_notify_txn *txn);
void http_notify_txn_unref(struct http_notify_txn **txn);

/* A driver takes part. Before anything happens. */
void http_notify_txn_take_part(struct http_notify_txn *txn,
			       const struct http_notify_options *options);
/* Is what happens told to any driver, as far as that is known? */
bool http_notify_txn_is_told(const struct http_notify_txn *txn);
/* Returns who a driver is told that it is about, NULL if it is not told. */
const char *
http_notify_txn_get_user(const struct http_notify_txn *txn,
			 const struct http_notify_options *options,
			 const char *username);

/* For triggers. Returns the transaction if something that has happened in it is
   told, NULL if the user would have to be registered, or this is meant for
   another driver. */
struct http_notify_txn *
http_notify_txn_registered(struct push_notification_txn *ptxn,
			   struct push_notification_event_config *ec);

/* For triggers: something has happened that is told by itself. */
struct http_notify_happening *
http_notify_txn_add(struct http_notify_txn *txn,
		    const struct http_notify_event *event, const char *folder);
/* The same for something that may happen to more messages, which are told
   together if their keys are the same. A new one has no messages yet. */
struct http_notify_happening *
http_notify_txn_add_to(struct http_notify_txn *txn,
		       const struct http_notify_event *event,
		       const char *folder, const char *key);

/* It has happened to this message, which has a UID; or which is being saved. */
void http_notify_happening_add_msg(struct http_notify_happening *happening,
				   const struct push_notification_txn_msg *msg);
void http_notify_happening_add_saved(
	struct http_notify_txn *txn, struct http_notify_happening *happening,
	const struct push_notification_txn_msg *msg, struct mail *mail);

/* Is it saving messages to the folder? */
bool http_notify_txn_is_saving(const struct http_notify_txn *txn,
			       const char *folder);

/* The transaction has been committed: find out the UIDs and what else is told.
   What has happened to messages without a UID is left out, which failed() is
   told of. UIDs are looked for until the deadline (monotonic, in
   milliseconds). */
void http_notify_txn_committed(
	struct http_notify_txn *txn, struct mailbox *box, int64_t deadline,
	void (*failed)(const struct http_notify_happening *happening,
		       const char *error, void *context), void *context);

#endif
