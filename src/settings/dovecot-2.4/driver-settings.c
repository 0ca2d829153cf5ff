/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-user.h"
#include "settings.h"

#include "driver-settings.h"
#include "endpoint-settings.h"
#include "http-notify-settings.h"

int http_notify_driver_settings_get(struct mail_user *user,
				    const char *driver ATTR_UNUSED,
				    http_notify_driver_config *config,
				    pool_t pool,
				    struct http_notify_driver_settings *set_r,
				    const char **error_r)
{
	const struct http_notify_settings *set;

	if (settings_get(user->event, &http_notify_setting_parser_info, 0,
			 &set, error_r) < 0)
		return -1;
	http_notify_settings_get_driver(set, set_r);
	settings_free(set);
	return http_notify_endpoint_options_get(user->event, config, pool,
						&set_r->options, error_r);
}
