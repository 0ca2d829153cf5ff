/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HEADER_RECODE_H
#define HTTP_NOTIFY_HEADER_RECODE_H

/* Append a header field to a JSON string (json-text.h). The field is whole,
   from its name to its last line end, and not UTF-8. Mail programs read such
   bytes as ISO-8859-1, since nothing says what they are. So the words that are
   not UTF-8 become RFC 2047 encoded words of that charset, and file names get
   the encoding of RFC 2231; other parameters have U+FFFD in their place. */
void http_notify_header_field_recode(string_t *dest,
				     const unsigned char *field, size_t size);

#endif
