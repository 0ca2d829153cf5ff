/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MESSAGE_EXCERPT_H
#define HTTP_NOTIFY_MESSAGE_EXCERPT_H

struct istream;
struct message_part;

/* How much is read, in bytes, of the MIME part from which the snippet is taken;
   for the same reason as HTTP_NOTIFY_HEADER_READ_MAX (header-field.h), which is
   for the header. */
#define HTTP_NOTIFY_SNIPPET_READ_MAX (128*1024)

/* The values of header fields. If a field occurs several times, the first one
   counts. Folding is kept, but with LF instead of CRLF; NULs are replaced by
   U+FFFD. NULL = there is no such field. */
struct http_notify_message_headers {
	const char *from, *sender, *subject;
};

/* Read the header that begins at the stream's offset. A value that crosses the
   limit is cut there, and a field beyond it is not found. The values live on
   the data stack. */
void http_notify_message_read_headers(
	struct istream *input, struct http_notify_message_headers *headers_r);

/* Returns the beginning of a message's text, as one line of UTF-8. The message
   must begin at the stream's offset 0; parts are its MIME parts. Returns "" if
   it has no text, NULL if the stream failed. The result lives on the data
   stack. */
const char *http_notify_message_read_snippet(struct istream *input,
					     const struct message_part *parts);

#endif
