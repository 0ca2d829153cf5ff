/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REGISTRATION_LOOKUP_H
#define HTTP_NOTIFY_REGISTRATION_LOOKUP_H

struct mail_user;
struct mailbox;

/* Look up the user's registration; box is an open mailbox of the user's. A
   former result, also "not registered" or a failure, is kept with the mail user
   object and returned again until it is lifetime_secs old.

   Returns 1 and user_r, user= of the registration, which lives as long as the
   mail user; 0 if the user is not registered; -1 if the METADATA could not be
   read or is invalid, which is logged once per spell. */
int http_notify_registration_lookup(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    struct event *event, const char **user_r);

#endif
