/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_BUFFER_H
#define LISTENER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* A growing sequence of bytes, with a NUL after the last one once something was
   added. {} is an empty buffer. Running out of memory ends the program. */
struct buffer {
	char *data; /* NULL until something was added */
	size_t used, size;
};

void buffer_append(struct buffer *buf, const void *data, size_t size);
void buffer_append_str(struct buffer *buf, const char *str);
void buffer_printf(struct buffer *buf, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Append text of unknown origin for a terminal or a log: control characters,
   backslashes and invalid UTF-8 are escaped (\n, \t, \\, \xNN). If data is
   longer than max bytes, "..." replaces the rest. */
void buffer_append_escaped(struct buffer *buf, const char *data, size_t size,
			   size_t max);
void buffer_clear(struct buffer *buf);
void buffer_free(struct buffer *buf);
/* Returns the contents, never NULL. Valid until the buffer changes. */
const char *buffer_str(const struct buffer *buf);
/* Returns the contents, which the caller has to free, and empties the
   buffer. */
char *buffer_steal(struct buffer *buf);

bool utf8_is_valid(const char *data, size_t size);

/* These end the program if there is no memory left. */
void *alloc0(size_t size);
void *alloc_again(void *mem, size_t size);
char *str_copy(const char *str);
char *str_copy_n(const char *data, size_t size);

#endif
