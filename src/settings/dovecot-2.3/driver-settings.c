/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-user.h"
#include "settings-parser.h"
#include "push-notification-drivers.h"

#include "driver-line.h"
#include "driver-settings.h"

#define DEFAULT_HANDOFF_TIMEOUT_MSECS 500
#define HANDOFF_TIMEOUT_SETTING "http_notify_handoff_timeout"

int http_notify_driver_settings_get(struct mail_user *user, const char *driver,
				    http_notify_driver_config *config,
				    pool_t pool,
				    struct http_notify_driver_settings *set_r,
				    const char **error_r)
{
	const char *line = config->raw_config == NULL ? "" : config->raw_config;
	const char *value, *error;

	if (driver_line_parse_options(driver, line, pool, &set_r->options,
				      error_r) < 0)
		return -1;

	set_r->handoff_timeout_msecs = DEFAULT_HANDOFF_TIMEOUT_MSECS;
	value = mail_user_plugin_getenv(user, HANDOFF_TIMEOUT_SETTING);
	if (value != NULL &&
	    settings_get_time_msecs(value, &set_r->handoff_timeout_msecs,
				    &error) < 0) {
		*error_r = t_strdup_printf(HANDOFF_TIMEOUT_SETTING"=%s: %s",
					   value, error);
		return -1;
	}
	return 0;
}
