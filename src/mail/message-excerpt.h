/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_MESSAGE_EXCERPT_H
#define HTTP_NOTIFY_MESSAGE_EXCERPT_H

struct istream;
struct message_part;

/* What is read of a message, in bytes: of its header, and of the MIME part that
   the snippet is taken from. Its sender decides how large these are, and a
   mail process has little memory and time to spare. Dovecot's own functions
   for them know no limit, and they keep what they read. */
#define HTTP_NOTIFY_HEADER_READ_MAX (256*1024)
#define HTTP_NOTIFY_SNIPPET_READ_MAX (128*1024)

/* The values of header fields, of each the first one. They are folded as they
   are in the message, but with LF for CRLF, and NULs are replaced by U+FFFD.
   NULL: there is none. */
struct http_notify_message_headers {
	const char *from, *sender, *subject;
};

/* Read the header that the stream is at. A value is cut where the limit is, and
   a field behind it is not found. The values live on the data stack. */
void http_notify_message_read_headers(
	struct istream *input, struct http_notify_message_headers *headers_r);

/* Read the beginning of a message's text, which is made one line of UTF-8.
   parts are the message's, whose beginning is at the stream's offset 0. Returns
   "" if it has no text, NULL if the stream failed. The result lives on the data
   stack. */
const char *http_notify_message_read_snippet(struct istream *input,
					     const struct message_part *parts);

#endif
