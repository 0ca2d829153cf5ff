/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_NOTIFICATION_MAIL_H
#define HTTP_NOTIFY_NOTIFICATION_MAIL_H

#include "seq-range-array.h"

struct http_notify_notification;
struct mail;
struct mailbox;

/* Fill from, subject and snippet with what a message has. The strings live in
   the pool. For processes that have Dovecot's lib-storage. */
void http_notify_notification_read_mail(
	struct http_notify_notification *notification, struct mail *mail,
	pool_t pool);

/* Fill in how many messages a mailbox has after a transaction was committed to
   it, and how many unseen ones, as far as that can be told. Those that it has
   expunged, if that is not NULL, do not count. */
void http_notify_notification_count(
	struct http_notify_notification *notification, struct mailbox *box,
	const ARRAY_TYPE(seq_range) *expunged);

#endif
