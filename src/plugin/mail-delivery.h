/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAIL_DELIVERY_H
#define MAIL_DELIVERY_H

struct mail_user;

/* Is the user's mail being delivered, by LMTP or LDA?

   Mailboxes do not tell: a Sieve script opens them with
   MAILBOX_FLAG_POST_SESSION in an imap process, too. */
bool http_notify_is_delivery(const struct mail_user *user);
/* May the process wait, within a deadline, for each transaction? Or else somebody
   is using the mail, whom nothing may keep waiting. sieve-filter may: it has a
   transaction for each message, and no ioloop runs between them. */
bool http_notify_may_wait(const struct mail_user *user);

#endif
