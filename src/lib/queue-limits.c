/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "settings-parser.h"

#include "dovecot-compat.h"
#include "queue-limits.h"

#define UNLIMITED "unlimited"

static int size_parse(const char *value, uint64_t *bytes_r)
{
	const char *error;
	uoff_t bytes;

	if (str_parse_get_size(value, &bytes, &error) < 0)
		return -1;
	*bytes_r = bytes;
	return 0;
}

int http_notify_queue_limit_parse(const char *value, unsigned int *rows_r,
				  uint64_t *bytes_r)
{
	const char *default_size =
		strchr(HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT, ' ') + 1;
	const char *const *words = t_strsplit_spaces(value, " ");
	unsigned int count = str_array_length(words);
	const char *size = count < 2 ? default_size : words[1];

	if (count < 1 || count > 2)
		return -1;
	if (strcmp(words[0], UNLIMITED) == 0)
		*rows_r = UINT_MAX;
	else if (str_to_uint(words[0], rows_r) < 0)
		return -1;
	if (strcmp(size, UNLIMITED) == 0)
		*bytes_r = UINT64_MAX;
	else if (size_parse(size, bytes_r) < 0)
		return -1;
	return *rows_r > 0 && *bytes_r > 0 ? 0 : -1;
}

int http_notify_lost_limit_parse(const char *value, unsigned int *rows_r,
				 uint64_t *bytes_r)
{
	const char *const *words = t_strsplit_spaces(value, " ");

	if (str_array_length(words) != 2 ||
	    str_to_uint(words[0], rows_r) < 0)
		return -1;
	return size_parse(words[1], bytes_r);
}
