/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_NOTIFICATION_MAIL_H
#define HTTP_NOTIFY_NOTIFICATION_MAIL_H

struct http_notify_notification;
struct mail;
struct mailbox;

/* Fill from, subject and snippet with what a message has. The strings live in
   the pool. For processes that have Dovecot's lib-storage. */
void http_notify_notification_read_mail(
	struct http_notify_notification *notification, struct mail *mail,
	pool_t pool);

/* Fill in the unseen messages of a mailbox after a transaction was committed to
   it, if they can be told. */
void http_notify_notification_read_unseen(
	struct http_notify_notification *notification, struct mailbox *box);

#endif
