/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "settings.h"
#include "push-notification-settings.h"

#include "driver-settings.h"
#include "endpoint-settings.h"
#include "http-notify-settings.h"

/* the filter of the driver that is built into later versions of Dovecot */
#define OX_FILTER_NAME "push_notification_ox"

/* One filter for each event, since Dovecot 2.4.0 supports no more. */
static struct event *
filter_event_create(struct event *parent, const char *filter_name)
{
	struct event *event = event_create(parent);

	event_set_ptr(event, SETTINGS_EVENT_FILTER_NAME,
		      p_strdup(event_get_pool(event), filter_name));
	return event;
}

static int
endpoint_settings_get(struct event *parent, const char *name,
		      const struct http_notify_endpoint_settings **set_r,
		      const char **error_r)
{
	struct event *name_event, *ox_event, *event;
	int ret;

	name_event = filter_event_create(parent, t_strconcat(
		PUSH_NOTIFICATION_SETTINGS_FILTER_NAME"/",
		settings_section_escape(name), NULL));
	ox_event = filter_event_create(name_event, OX_FILTER_NAME);
	event = filter_event_create(ox_event, HTTP_NOTIFY_SETTINGS_FILTER_NAME);
	ret = settings_get(event, &http_notify_endpoint_setting_parser_info, 0,
			   set_r, error_r);
	event_unref(&event);
	event_unref(&ox_event);
	event_unref(&name_event);
	return ret;
}

int http_notify_endpoint_options_get(struct event *event, const char *name,
				     pool_t pool,
				     struct http_notify_options *options_r,
				     const char **error_r)
{
	const struct http_notify_endpoint_settings *set;

	if (endpoint_settings_get(event, name, &set, error_r) < 0)
		return -1;
	http_notify_endpoint_settings_get_options(set, pool, options_r);
	settings_free(set);
	if (options_r->url == NULL) {
		*error_r = t_strdup_printf("push_notification_ox_url is not "
			"set in push_notification %s { }", name);
		return -1;
	}
	return 0;
}

/* Returns the driver's name, NULL if it can't be found out. */
static const char *endpoint_driver_get(struct event *event, const char *name)
{
	const struct http_notify_endpoint_settings *set;
	const char *driver, *error;

	if (endpoint_settings_get(event, name, &set, &error) < 0)
		return NULL;
	driver = t_strdup(http_notify_endpoint_settings_get_driver(set));
	settings_free(set);
	return driver[0] == '\0' ? name : driver;
}

bool http_notify_endpoint_is_ours(struct event *event, const char *name)
{
	const char *driver = endpoint_driver_get(event, name);

	return driver == NULL ||
		strcasecmp(driver, HTTP_NOTIFY_DRIVER_OX) == 0 ||
		strcasecmp(driver, HTTP_NOTIFY_DRIVER_WEBHOOK) == 0;
}

bool http_notify_endpoint_is_ox(struct event *event, const char *name)
{
	const char *driver = endpoint_driver_get(event, name);

	return driver != NULL && strcasecmp(driver, HTTP_NOTIFY_DRIVER_OX) == 0;
}
