#ifndef HTTP_NOTIFY_MESSAGE_H
#define HTTP_NOTIFY_MESSAGE_H

#include "notification.h"

struct push_notification_txn_msg;

/* A push_notification event: a message saved by a delivery, read while its
   mail transaction is open. Dovecot's MessageNew has the From header only, and
   reads each message before anybody knows whether the user is registered. */
extern struct push_notification_event http_notify_event_message;

/* The event's configuration, one per driver and mail transaction. */
struct http_notify_event_message_config {
	/* how old a registration may be */
	unsigned int registration_lifetime_secs;
	struct event *event;
};

/* What was read. It lives as long as the mail transaction. */
struct http_notify_message {
	/* user= of the registration */
	const char *registered_user;
	/* with from, subject and snippet */
	struct http_notify_notification notification;
};

/* Returns NULL if the message leads to no notification. */
const struct http_notify_message *
http_notify_message_get(struct push_notification_txn_msg *msg);

#endif
