/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HEADER_FIELD_H
#define HTTP_NOTIFY_HEADER_FIELD_H

struct istream;

/* How much of a header is read, in bytes. The sender decides how large it is,
   and a mail process has little memory and time to spare. Dovecot's own
   functions for this have no limit, and keep what they read. */
#define HTTP_NOTIFY_HEADER_READ_MAX (256*1024)

/* A field to look for in a header. */
struct http_notify_header_field {
	const char *name;

	/* private */
	string_t *value;
	/* does the line that is being read belong to it? */
	bool reading;
};

/* Look for fields in the header that begins at the stream's offset. If a field
   occurs several times, the first one counts. A value that crosses the limit is
   cut there, and a field beyond it is not found. Values live on the data
   stack. */
void http_notify_header_fields_read(struct istream *input,
				    struct http_notify_header_field *fields,
				    unsigned int count);
/* Returns what was found, NULL = there is no such field. Folding is kept, but
   with LF instead of CRLF; NULs are replaced by U+FFFD. */
const char *
http_notify_header_field_value(const struct http_notify_header_field *field);

#endif
