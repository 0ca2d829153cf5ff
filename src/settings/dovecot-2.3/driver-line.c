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
	const char *name = t_strcut(value, ':');

	return strcasecmp(name, HTTP_NOTIFY_DRIVER_OX) == 0 ||
		strcasecmp(name, HTTP_NOTIFY_DRIVER_CHRONOS) == 0;
}

bool driver_line_is_ours(const char *value)
{
	return driver_line_is_ox(value) ||
		strcasecmp(t_strcut(value, ':'),
			   HTTP_NOTIFY_DRIVER_WEBHOOK) == 0;
}

int driver_line_parse_options(const char *driver, const char *options,
			      pool_t pool,
			      struct http_notify_options *options_r,
			      const char **error_r)
{
	const char *const *words = t_strsplit_spaces(options, " ");

	return strcasecmp(driver, HTTP_NOTIFY_DRIVER_CHRONOS) == 0 ?
		http_notify_calendar_options_parse(words, pool, options_r,
						   error_r) :
		http_notify_options_parse(words, pool, options_r, error_r);
}

int driver_line_parse(const char *value, pool_t pool,
		      struct http_notify_options *options_r,
		      const char **error_r)
{
	const char *options = strchr(value, ':');

	return driver_line_parse_options(t_strcut(value, ':'),
		options == NULL ? "" : options + 1, pool, options_r, error_r);
}
