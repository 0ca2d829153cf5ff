/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EVENT_H
#define HTTP_NOTIFY_EVENT_H

#include "mail-events.h"
#include "push-notification-events.h"

struct http_notify_happening;
struct http_notify_txn;
struct mailbox;

/* The name of an event is this prefix and its name in RFC 5423. Dovecot's own
   events, such as its MessageNew, are not used: they do their work before it is
   known whether the user is registered, and provide too little. */
#define HTTP_NOTIFY_EVENT_PREFIX "HttpNotify"

/* Something that happens to mail and leads to a notification. */
struct http_notify_event {
	/* Its name, and what triggers it. A trigger calls
	   http_notify_txn_registered() and then, if that is so, says what has
	   happened (http-notify-txn.h). */
	struct push_notification_event push;
	enum http_notify_mail_event id;
	/* it happens to a folder itself */
	bool of_folder;
	/* Returns NULL if it may happen in this mailbox, else why not, as the
	   debug line is to say it. NULL = it may happen in any. */
	const char *(*why_not)(const struct mailbox *box);
	/* Called at the end of the transaction, for what its triggers have put
	   off. NULL = nothing. */
	void (*finish)(struct http_notify_txn *txn);
	/* Called for each happening after the commit: fill in what can be read
	   then. NULL = nothing. */
	void (*committed)(struct http_notify_happening *happening,
			  struct mailbox *box);
};

/* why_not() of what happens in deliveries by LMTP and LDA only. */
const char *http_notify_event_why_no_delivery(const struct mailbox *box);

/* All of them, NULL at the end: http-notify-events.c. */
extern const struct http_notify_event *const http_notify_events[];

#endif
