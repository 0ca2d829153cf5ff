#include "lib.h"
#include "mail-user.h"
#include "settings.h"

#include "driver-settings.h"
#include "endpoint-settings.h"
#include "http-notify-settings.h"

int http_notify_driver_settings_get(struct mail_user *user,
				    http_notify_driver_config *config,
				    pool_t pool,
				    struct http_notify_driver_settings *set_r,
				    const char **error_r)
{
	const struct http_notify_settings *set;

	if (settings_get(user->event, &http_notify_setting_parser_info, 0,
			 &set, error_r) < 0)
		return -1;
	set_r->handoff_timeout_msecs = set->http_notify_handoff_timeout_msecs;
	settings_free(set);
	return http_notify_endpoint_options_get(user->event, config, pool,
						&set_r->options, error_r);
}
