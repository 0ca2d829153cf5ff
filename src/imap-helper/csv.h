/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_CSV_H
#define LISTENER_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"

/* Split a line, which has no line end, into fields as RFC 4180 has them. A
   quoted field ends on its line: so a quote that was forgotten costs that line
   and not the rest of the file.

   The line is changed: fields_r point into it. Returns the number of fields,
   which may be more than max (only max are stored), or -1 and error_r. */
int csv_split(char *line, const char *fields_r[], unsigned int max,
	      const char **error_r);

/* Append a field, quoted if it has to be. */
void csv_append(struct buffer *line, const char *field);

#endif
