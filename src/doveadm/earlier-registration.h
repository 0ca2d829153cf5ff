/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EARLIER_REGISTRATION_H
#define HTTP_NOTIFY_EARLIER_REGISTRATION_H

struct mail_user;

/* METADATA belong to a mailbox's GUID. If INBOX gets another one, the user's
   registration is still in the dictionary, but nobody looks for it there. */

struct earlier_registration {
	const char *value;
	/* in the dictionary; empty if it can't be told which are the user's */
	ARRAY_TYPE(const_string) keys;
	bool differ;
};

/* Look for registrations that belong to another GUID than INBOX's. To be called
   for a user who is not registered, after metadata.h has read the
   dictionary. Returns 1 and found_r, which lives on the data stack, if there is
   one, or several with the same value; 0 if there is none; -1 and error_r if
   that can't be told, or which one it is. */
int earlier_registration_find(struct mail_user *user,
			      struct earlier_registration *found_r,
			      const char **error_r);
/* Remove all that was found. Returns 0, or -1 and error_r. */
int earlier_registration_remove(struct mail_user *user,
				const struct earlier_registration *found,
				const char **error_r);

#endif
