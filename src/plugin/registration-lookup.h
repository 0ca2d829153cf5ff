/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REGISTRATION_LOOKUP_H
#define HTTP_NOTIFY_REGISTRATION_LOOKUP_H

struct mail_user;
struct mailbox;

/* Look up the user's registration; box is a mailbox of the user's that is open.
   A value not older than lifetime_secs is taken from the mail user object's
   memory instead; "not registered" is such a value, too.

   Returns 1 and user_r, to be sent to the endpoint, which lives as long as
   the mail user; 0 if the user is not registered; -1 if the METADATA could not
   be read or is of no use, which has been logged. */
int http_notify_registration_lookup(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    struct event *event, const char **user_r);

#endif
