/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"

#define BUFFER_SIZE_MIN 64

void *alloc_again(void *mem, size_t size)
{
	mem = realloc(mem, size);
	if (mem == NULL) {
		fputs("http-notify-listener: out of memory\n", stderr);
		exit(1);
	}
	return mem;
}

void *alloc0(size_t size)
{
	return memset(alloc_again(NULL, size), 0, size);
}

char *str_copy_n(const char *data, size_t size)
{
	char *copy = alloc_again(NULL, size + 1);

	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

char *str_copy(const char *str)
{
	return str_copy_n(str, strlen(str));
}

/* Make room for this many more bytes and a NUL. */
static void buffer_reserve(struct buffer *buf, size_t size)
{
	size_t need = buf->used + size + 1;

	if (need <= buf->size)
		return;
	if (buf->size == 0)
		buf->size = BUFFER_SIZE_MIN;
	while (buf->size < need)
		buf->size *= 2;
	buf->data = alloc_again(buf->data, buf->size);
}

void buffer_append(struct buffer *buf, const void *data, size_t size)
{
	buffer_reserve(buf, size);
	if (size > 0)
		memcpy(buf->data + buf->used, data, size);
	buf->used += size;
	buf->data[buf->used] = '\0';
}

void buffer_append_str(struct buffer *buf, const char *str)
{
	buffer_append(buf, str, strlen(str));
}

void buffer_printf(struct buffer *buf, const char *format, ...)
{
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (size < 0)
		return;

	buffer_reserve(buf, size);
	va_start(args, format);
	(void)vsnprintf(buf->data + buf->used, size + 1, format, args);
	va_end(args);
	buf->used += size;
}

void buffer_clear(struct buffer *buf)
{
	buf->used = 0;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

void buffer_free(struct buffer *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

const char *buffer_str(const struct buffer *buf)
{
	return buf->data == NULL ? "" : buf->data;
}

char *buffer_steal(struct buffer *buf)
{
	char *data = buf->data == NULL ? str_copy("") : buf->data;

	memset(buf, 0, sizeof(*buf));
	return data;
}

/* Returns the size of the character that begins here, or 0 if it is not valid
   UTF-8. */
static size_t
utf8_char_size(const unsigned char *p, size_t size, unsigned int *char_r)
{
	static const unsigned int smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int chr;
	size_t i, len;

	if (p[0] < 0x80) {
		*char_r = p[0];
		return 1;
	}
	if (p[0] >= 0xc0 && p[0] < 0xe0) {
		len = 2;
		chr = p[0] & 0x1f;
	} else if (p[0] >= 0xe0 && p[0] < 0xf0) {
		len = 3;
		chr = p[0] & 0x0f;
	} else if (p[0] >= 0xf0 && p[0] < 0xf8) {
		len = 4;
		chr = p[0] & 0x07;
	} else
		return 0;

	if (len > size)
		return 0;
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		chr = chr << 6 | (p[i] & 0x3f);
	}
	/* overlong, surrogates, beyond Unicode */
	if (chr < smallest[len] || (chr >= 0xd800 && chr < 0xe000) ||
	    chr > 0x10ffff)
		return 0;
	*char_r = chr;
	return len;
}

bool utf8_is_valid(const char *data, size_t size)
{
	const unsigned char *p = (const unsigned char *)data;
	unsigned int chr;
	size_t i, len;

	for (i = 0; i < size; i += len) {
		len = utf8_char_size(p + i, size - i, &chr);
		if (len == 0)
			return false;
	}
	return true;
}

/* Is this what a terminal may not show as a character: C0, DEL, C1, a line
   separator, or something that changes the direction of writing? */
static bool is_control(unsigned int chr)
{
	return chr < 0x20 || (chr >= 0x7f && chr < 0xa0) ||
		(chr >= 0x200e && chr <= 0x200f) ||
		(chr >= 0x2028 && chr <= 0x202e) ||
		(chr >= 0x2066 && chr <= 0x2069);
}

void buffer_append_escaped(struct buffer *buf, const char *data, size_t size,
			   size_t max)
{
	const unsigned char *p = (const unsigned char *)data;
	unsigned int chr;
	size_t i, j, len;

	for (i = 0; i < size; i += len) {
		if (i >= max) {
			buffer_append_str(buf, "...");
			break;
		}
		len = utf8_char_size(p + i, size - i, &chr);
		if (len > 0 && chr != '\\' && !is_control(chr)) {
			buffer_append(buf, p + i, len);
			continue;
		}
		if (len == 0)
			len = 1;
		switch (p[i]) {
		case '\\':
			buffer_append_str(buf, "\\\\");
			break;
		case '\n':
			buffer_append_str(buf, "\\n");
			break;
		case '\r':
			buffer_append_str(buf, "\\r");
			break;
		case '\t':
			buffer_append_str(buf, "\\t");
			break;
		default:
			for (j = 0; j < len; j++)
				buffer_printf(buf, "\\x%02x", p[i + j]);
		}
	}
}
