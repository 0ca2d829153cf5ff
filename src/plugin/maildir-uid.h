/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MAILDIR_UID_H
#define HTTP_NOTIFY_MAILDIR_UID_H

struct mail;
struct mailbox;

/* A commit to a Maildir assigns UIDs only if nobody else holds the lock of its
   dovecot-uidlist at that moment. Otherwise the next sync does. */

/* While a message is being saved: the name by which it can be found after the
   commit, which lives as long as the mail. NULL if the mailbox is no Maildir,
   i.e. if the commit always assigns a UID. */
const char *maildir_uid_name(struct mail *mail);

/* After such a commit to the mailbox: sync it and find the message. It is tried
   until the deadline, in monotonic milliseconds, to get the lock, without
   waiting for it, and once at least. Returns 0, uid_r and uidvalidity_r, or -1
   and error_r. */
int maildir_uid_find(struct mailbox *box, const char *name, int64_t deadline,
		     uint32_t *uid_r, uint32_t *uidvalidity_r,
		     const char **error_r);

#endif
