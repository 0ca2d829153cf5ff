/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "settings-parser.h"

#include "dovecot-compat.h"
#include "lost-limit.h"

int http_notify_lost_limit_parse(const char *value, unsigned int *rows_r,
				 uint64_t *bytes_r)
{
	const char *const *words = t_strsplit_spaces(value, " ");
	const char *error;
	uoff_t bytes;

	if (str_array_length(words) != 2 ||
	    str_to_uint(words[0], rows_r) < 0 ||
	    str_parse_get_size(words[1], &bytes, &error) < 0)
		return -1;
	*bytes_r = bytes;
	return 0;
}
