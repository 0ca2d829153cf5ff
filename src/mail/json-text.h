/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_JSON_TEXT_H
#define HTTP_NOTIFY_JSON_TEXT_H

/* Text inside a JSON string (RFC 8259), without its quotes. */

/* Is all of it UTF-8 (RFC 3629)? NUL is. */
bool http_notify_is_utf8(const unsigned char *data, size_t size);

/* Append what is UTF-8, up to the first byte that is not, or that belongs to a
   character which the data has only the beginning of. Returns how many bytes of
   the data that is. */
size_t http_notify_json_append(string_t *dest, const unsigned char *data,
			       size_t size);
/* Append all of it, with U+FFFD in place of each byte that is not UTF-8. */
void http_notify_json_append_replaced(string_t *dest,
				      const unsigned char *data, size_t size);

#endif
