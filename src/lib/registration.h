/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_REGISTRATION_H
#define HTTP_NOTIFY_REGISTRATION_H

/* The IMAP helper, which has nothing of Dovecot, includes this as well. */
#include <stdbool.h>
#include <stdint.h>

/* A user is registered by a METADATA entry (RFC 5464) on the server level,
   i.e. on the empty mailbox name. */
#define HTTP_NOTIFY_METADATA_ENTRY \
	"/private/vendor/vendor.dovecot/http-notify"

/* Longest value of "user=", in bytes. A longer one is refused rather than
   capped: a shortened name would be somebody else's. */
#define HTTP_NOTIFY_USER_MAX 1024

/* Parse the value of a METADATA entry: TAB-separated key=value words, of which
   only "user" has a meaning: the name that the endpoint knows the user by, to
   be sent as it is. OX writes user=<user id>@<context id>, others write other
   shapes. The last "user" counts.

   The value comes from the user and may hold anything. Returns 0 and user_r,
   which lives on the data stack, or -1 and error_r, which never repeats the
   value. */
int http_notify_registration_parse(const char *value, const char **user_r,
				   const char **error_r);

/* Is user, as parsed above, what an OX server itself would write: the decimal
   ids of a user and the context, from 1 to 2147483647, without leading zeros?
   OX ignores most other forms silently, and accepts a few of them (03@1) for
   another one's. */
bool http_notify_registration_parse_ox(const char *user, uint32_t *user_id_r,
				       uint32_t *context_id_r);
/* Is it the whole value of an entry? OX compares that for its existence
   check, so an addition of any kind reads as "not registered". */
bool http_notify_registration_is_of_ox(const char *value, uint32_t *user_id_r,
				       uint32_t *context_id_r);

#endif
