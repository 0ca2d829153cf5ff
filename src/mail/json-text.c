/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "unichar.h"

#include "json-text.h"

/* Returns how many bytes the character has; 0 if it is none. Dovecot's
   functions for this accept surrogates, which others do not. */
static size_t utf8_char_size(const unsigned char *p, size_t size)
{
	unsigned char min = 0x80, max = 0xbf;
	size_t i, char_size;

	if (*p < 0x80)
		return 1;
	if (*p < 0xc2 || *p > 0xf4)
		return 0;
	char_size = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	if (char_size > size)
		return 0;
	switch (*p) {
	case 0xe0: min = 0xa0; break;
	case 0xed: max = 0x9f; break;
	case 0xf0: min = 0x90; break;
	case 0xf4: max = 0x8f; break;
	}
	if (p[1] < min || p[1] > max)
		return 0;
	for (i = 2; i < char_size; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return char_size;
}

bool http_notify_is_utf8(const unsigned char *data, size_t size)
{
	size_t pos, char_size;

	for (pos = 0; pos < size; pos += char_size) {
		char_size = utf8_char_size(data + pos, size - pos);
		if (char_size == 0)
			return FALSE;
	}
	return TRUE;
}

static void json_append_escaped(string_t *dest, unsigned char c)
{
	switch (c) {
	case '"': str_append(dest, "\\\""); break;
	case '\\': str_append(dest, "\\\\"); break;
	case '\n': str_append(dest, "\\n"); break;
	case '\r': str_append(dest, "\\r"); break;
	case '\t': str_append(dest, "\\t"); break;
	default: str_printfa(dest, "\\u%04x", c);
	}
}

size_t http_notify_json_append(string_t *dest, const unsigned char *data,
			       size_t size)
{
	size_t pos = 0, plain = 0, char_size;

	while (pos < size &&
	       (char_size = utf8_char_size(data + pos, size - pos)) > 0) {
		if (data[pos] < ' ' || data[pos] == '"' || data[pos] == '\\') {
			str_append_data(dest, data + plain, pos - plain);
			json_append_escaped(dest, data[pos]);
			plain = pos + 1;
		}
		pos += char_size;
	}
	str_append_data(dest, data + plain, pos - plain);
	return pos;
}

void http_notify_json_append_replaced(string_t *dest,
				      const unsigned char *data, size_t size)
{
	size_t pos;

	while ((pos = http_notify_json_append(dest, data, size)) < size) {
		str_append(dest, UNICODE_REPLACEMENT_CHAR_UTF8);
		data += pos + 1;
		size -= pos + 1;
	}
}
