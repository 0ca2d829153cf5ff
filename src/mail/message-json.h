/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MESSAGE_JSON_H
#define HTTP_NOTIFY_MESSAGE_JSON_H

struct istream;

/* Append the message in a stream to a JSON string (RFC 8259), without the
   quotes around that: its UTF-8 is the message, with each line end as CRLF, as
   IMAP shows it. If the message is not UTF-8 itself, it is changed as little as
   needed: see message-recode.h.

   The stream is read from its offset 0. dest must not be on the data stack.
   Returns 1, or 0 if this takes more than max_size bytes, or -1 if the stream
   failed; dest is as it was then. */
int http_notify_message_append_json(struct istream *input, size_t max_size,
				    string_t *dest);

#endif
