/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "csv.h"

/* Remove the quotes in place. Returns what follows the field, or NULL if the
   closing quote is missing. */
static char *csv_unquote(char *field)
{
	char *from = field + 1, *to = field;

	for (;; from++) {
		if (*from == '\0')
			return NULL;
		if (*from == '"') {
			if (from[1] != '"')
				break;
			from++;
		}
		*to++ = *from;
	}
	/* to is before the closing quote, so what follows that stays intact */
	*to = '\0';
	return from + 1;
}

int csv_split(char *line, const char *fields_r[], unsigned int max,
	      const char **error_r)
{
	unsigned int count = 0;
	char *field = line, *end;

	for (;;) {
		if (*field == '"') {
			end = csv_unquote(field);
			if (end == NULL) {
				*error_r = "a quote is not closed";
				return -1;
			}
			if (*end != ',' && *end != '\0') {
				*error_r = "text follows a closing quote";
				return -1;
			}
		} else {
			end = field + strcspn(field, ",\"");
			if (*end == '"') {
				*error_r = "a quote is inside of a field "
					"that does not begin with one";
				return -1;
			}
		}
		if (count < max)
			fields_r[count] = field;
		count++;
		if (*end == '\0')
			return count;
		*end = '\0';
		field = end + 1;
	}
}

void csv_append(struct buffer *line, const char *field)
{
	const char *p;

	if (field[strcspn(field, ",\"\r\n")] == '\0') {
		buffer_append_str(line, field);
		return;
	}
	buffer_append_str(line, "\"");
	for (p = field; *p != '\0'; p++) {
		if (*p == '"')
			buffer_append_str(line, "\"");
		buffer_append(line, p, 1);
	}
	buffer_append_str(line, "\"");
}
