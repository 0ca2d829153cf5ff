/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REGISTRATION_LOOKUP_H
#define HTTP_NOTIFY_REGISTRATION_LOOKUP_H

struct mail_user;
struct mailbox;

/* Begin to look up the user's registration, if the METADATA dictionary can be
   asked without waiting for it; box is an open mailbox of the user's. A former
   result, also "not registered", is kept with the mail user object until it is
   lifetime_secs old; a failure for METADATA_DICT_SPELL_MSECS at most. */
void http_notify_registration_begin(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    unsigned int timeout_msecs);

/* The same in the background: unless a former result is known, known() will be
   called when there is one. event is for the log, and has to live until then, or
   until http_notify_registration_end(). */
void http_notify_registration_begin_background(
	struct mail_user *user, struct mailbox *box, unsigned int lifetime_secs,
	struct event *event, void (*known)(struct mail_user *user));
/* Has a look-up begun that is not over yet? */
bool http_notify_registration_is_pending(struct mail_user *user);
/* Returns TRUE if it is known, without a look-up, that the user is not
   registered. */
bool http_notify_registration_is_missing(struct mail_user *user,
					 unsigned int lifetime_secs);

#define HTTP_NOTIFY_REGISTRATION_PENDING 2

/* Look up the registration, unless there is a former result.

   Returns 1 and user_r, user= of the registration, which lives until the next
   look-up; 0 if the user is not registered; -1 if the METADATA could not be
   read or is invalid, which is logged once per spell;
   HTTP_NOTIFY_REGISTRATION_PENDING if that has begun. */
int http_notify_registration_lookup(struct mail_user *user, struct mailbox *box,
				    unsigned int lifetime_secs,
				    struct event *event, const char **user_r);
/* After HTTP_NOTIFY_REGISTRATION_PENDING: wait for the result, for
   timeout_msecs at most. Returns the same. lost_r: what to say of a
   notification that is lost since the METADATA could not be read, else NULL; it
   lives until the next look-up. */
int http_notify_registration_wait(struct mail_user *user, struct mailbox *box,
				  unsigned int timeout_msecs,
				  struct event *event, const char **user_r,
				  const char **lost_r);
/* The same for a look-up in the background, whether known() has been called or
   not. */
int http_notify_registration_finish(struct mail_user *user,
				    unsigned int timeout_msecs,
				    struct event *event, const char **user_r,
				    const char **lost_r);
/* The mail transaction, or in the background the mail user, is over: leave a
   look-up that nobody has waited for. */
void http_notify_registration_end(struct mail_user *user);

#endif
