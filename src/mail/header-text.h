/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HEADER_TEXT_H
#define HTTP_NOTIFY_HEADER_TEXT_H

/* All results live on the data stack or are the argument. */

/* Replace each run of bytes that is no UTF-8 by U+FFFD, which may make the text
   longer or shorter. */
const char *http_notify_text_make_valid(const char *text);

/* The size in bytes of the whole characters of valid UTF-8 that fit into
   max_size. */
size_t http_notify_text_fit(const char *text, size_t max_size);

/* A header field's value as endpoints can decode it: valid UTF-8, its encoded
   words (RFC 2047) as they are, but for the base64 of a word that is incomplete
   or has other characters in it, which is made whole: the decoder of OX's
   server throws at it if it does not know the charset either. */
const char *http_notify_header_text(const char *value);

/* The words are decoded. Where that made new ones, see
   http_notify_header_text(). */
const char *http_notify_header_text_decode(const char *value);

/* The same as http_notify_header_text(), in max_size bytes at most. A longer
   value is decoded, and ends at a whole character, not within a word. */
const char *http_notify_header_text_shorten(const char *value, size_t max_size);

#endif
