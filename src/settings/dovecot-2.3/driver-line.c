/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "driver-line.h"
#include "driver-settings.h"

bool driver_line_has_name(const char *name, const char *setting)
{
	const char *number;

	if (!str_begins(name, setting))
		return FALSE;
	number = name + strlen(setting);
	return number[strspn(number, "0123456789")] == '\0';
}

bool driver_line_is_ox(const char *value)
{
	return strcasecmp(t_strcut(value, ':'), HTTP_NOTIFY_DRIVER_OX) == 0;
}

bool driver_line_is_ours(const char *value)
{
	return driver_line_is_ox(value) ||
		strcasecmp(t_strcut(value, ':'),
			   HTTP_NOTIFY_DRIVER_WEBHOOK) == 0;
}

int driver_line_parse(const char *value, pool_t pool,
		      struct http_notify_options *options_r,
		      const char **error_r)
{
	const char *words = strchr(value, ':');

	return http_notify_options_parse(
		t_strsplit_spaces(words == NULL ? "" : words + 1, " "),
		pool, options_r, error_r);
}
