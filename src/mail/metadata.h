/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_METADATA_H
#define HTTP_NOTIFY_METADATA_H

#include "mail-storage.h"
#include "mailbox-attribute.h"

struct mail_user;
struct mailbox;

/* Reads and writes a user's registration where lib-storage keeps it. For
   processes that have Dovecot's lib-storage. */

/* The key by which lib-storage keeps our private entry of the server level,
   after the GUID of INBOX. */
#define HTTP_NOTIFY_METADATA_KEY \
	MAILBOX_ATTRIBUTE_PREFIX_DOVECOT_PVT_SERVER \
	"vendor/vendor.dovecot/http-notify"

/* Returns the user's INBOX, to which private METADATA of the server level
   belongs. It will ignore ACLs and is not open yet. The caller has to free it
   with mailbox_free(). */
struct mailbox *
http_notify_metadata_inbox(struct mail_user *user, enum mailbox_flags flags);

/* Get the value. The mailbox is opened if it is not open yet. Returns 1 and
   value_r, which lives on the data stack or until the mailbox is closed; 0 if
   there is no registration; -1 and error_r, which says what to do if the
   dictionary failed. */
int http_notify_metadata_get(struct mailbox *inbox, const char **value_r,
			     const char **error_r);
/* Get the key of the value in the user's METADATA dictionary; it lives on the
   data stack. The mailbox is opened if it is not open yet. Returns 0, or -1 if
   only http_notify_metadata_get() can get the value, or say what is wrong. */
int http_notify_metadata_get_key(struct mailbox *inbox, const char **key_r);
/* Returns what to say, and to do, if the dictionary could not be read because
   of the error. */
const char *http_notify_metadata_read_error(const char *error);
/* Set the value, or remove the entry if value is NULL. The mailbox must be
   open. Returns 0, or -1 and error_r, which says what to do. */
int http_notify_metadata_set(struct mailbox *inbox, const char *value,
			     const char **error_r);
/* Check that METADATA can be written: set another entry beside the registration
   and remove it again. The mailbox must be open. Returns 0, or -1 and error_r
   as above. */
int http_notify_metadata_try_set(struct mailbox *inbox, const char **error_r);

#endif
