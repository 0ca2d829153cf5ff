/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REGISTRATION_H
#define HTTP_NOTIFY_REGISTRATION_H

/* The IMAP helper, which is built without Dovecot, includes this as well. */
#include <stdbool.h>
#include <stdint.h>

/* A METADATA entry (RFC 5464) on the server level, i.e. on the empty mailbox
   name, registers a user. */
#define HTTP_NOTIFY_METADATA_ENTRY \
	"/private/vendor/vendor.dovecot/http-notify"

/* Longest value of "user=", in bytes. A longer one is refused, not cut: a
   shortened name would be somebody else's. */
#define HTTP_NOTIFY_USER_MAX 1024

/* Parse the value of a METADATA entry: TAB-separated key=value words, of which
   only "user" has a meaning. It is the name by which the endpoint knows the
   user, and is sent unchanged. OX writes user=<user id>@<context id>; others
   may write something else. The last "user" counts.

   The value comes from the user and may hold anything. Returns 0 and user_r,
   which lives on the data stack, or -1 and error_r, which never repeats the
   value. */
int http_notify_registration_parse(const char *value, const char **user_r,
				   const char **error_r);

/* Is user, as parsed above, what an OX server itself would write: the decimal
   ids of a user and the context, from 1 to 2147483647, without leading zeros?
   OX silently ignores most other forms, and takes a few, such as 03@1, for
   another user. The ids are valid only if this returns true. */
bool http_notify_registration_parse_ox(const char *user, uint32_t *user_id_r,
				       uint32_t *context_id_r);
/* The same for the whole value of an entry, "user=" included. To find out
   whether a user is registered, OX compares the whole value: with any addition
   to it, the user does not count as registered. */
bool http_notify_registration_is_of_ox(const char *value, uint32_t *user_id_r,
				       uint32_t *context_id_r);

#endif
