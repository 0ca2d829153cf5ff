/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_METADATA_H
#define HTTP_NOTIFY_METADATA_H

struct mail_user;
struct mailbox;

/* A user's registration where lib-storage keeps it. For processes that have
   Dovecot's lib-storage. */

/* The user's INBOX, to which private METADATA of the server level belongs,
   whatever its ACLs say. It is not open yet. To be freed. */
struct mailbox *
http_notify_metadata_inbox(struct mail_user *user, enum mailbox_flags flags);

/* The mailbox need not be open. Returns 1 and value_r, which lives on the data
   stack or until the mailbox is closed, 0 if there is none, -1 and error_r,
   which says what to do. */
int http_notify_metadata_get(struct mailbox *inbox, const char **value_r,
			     const char **error_r);
/* Set the value, or remove the entry if value is NULL. The mailbox must be
   open. Returns 0, or -1 and error_r, which says what to do. */
int http_notify_metadata_set(struct mailbox *inbox, const char *value,
			     const char **error_r);
/* Try to set another value beside the registration, which is removed again.
   The mailbox must be open. Returns 0, or -1 and error_r. */
int http_notify_metadata_try_set(struct mailbox *inbox, const char **error_r);

#endif
