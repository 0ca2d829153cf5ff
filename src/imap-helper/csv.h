/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_CSV_H
#define LISTENER_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"

/* Split a line, without its line end, into fields as in RFC 4180, except that a
   quoted field must end on its line. So a forgotten quote spoils only its line,
   not the rest of the file.

   The line is changed, and fields_r point into it. Returns the number of
   fields, which may be more than max (only max are stored), or -1 and
   error_r. */
int csv_split(char *line, const char *fields_r[], unsigned int max,
	      const char **error_r);

/* Append a field, in quotes if it needs them. */
void csv_append(struct buffer *line, const char *field);

#endif
