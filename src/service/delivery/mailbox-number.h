/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MAILBOX_NUMBER_H
#define HTTP_NOTIFY_MAILBOX_NUMBER_H

struct http_notify_options;

/* The numbers by which the queue remembers what has been announced
   (queue_item.mailbox): of a user's folder with its UID validity, and of an
   endpoint. Two have the same one as seldom as 63 random bits. */

/* Returns what stands for the endpoint: its owner, its URL without a password,
   and the files that say who is there: with its credentials, keys to sign with,
   and client certificate. Its other options may change. It lives on the data
   stack. */
const char *
mailbox_number_endpoint(const struct http_notify_options *options);
int64_t mailbox_number(const char *endpoint, const char *username,
		       const char *folder, uint32_t uidvalidity);

#endif
