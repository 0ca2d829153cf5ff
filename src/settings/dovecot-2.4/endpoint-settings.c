/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "settings.h"
#include "settings-parser.h"
#include "ssl-settings.h"
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

/* For what is in push_notification <name> { }. */
static struct event *name_event_create(struct event *parent, const char *name)
{
	return filter_event_create(parent, t_strconcat(
		PUSH_NOTIFICATION_SETTINGS_FILTER_NAME"/",
		settings_section_escape(name), NULL));
}

/* our_filter_name: inside which the defaults are ours */
static int
endpoint_settings_get(struct event *parent, const char *name,
		      const char *our_filter_name,
		      const struct http_notify_endpoint_settings **set_r,
		      const char **error_r)
{
	struct event *name_event, *ox_event, *event;
	int ret;

	name_event = name_event_create(parent, name);
	ox_event = filter_event_create(name_event, OX_FILTER_NAME);
	event = filter_event_create(ox_event, our_filter_name);
	ret = settings_get(event, &http_notify_endpoint_setting_parser_info, 0,
			   set_r, error_r);
	event_unref(&event);
	event_unref(&ox_event);
	event_unref(&name_event);
	return ret;
}

/* Get the driver's name, which lives on the data stack. Returns 0, or -1 and
   error_r. */
static int
endpoint_driver_get(struct event *event, const char *name,
		    const char **driver_r, const char **error_r)
{
	const struct http_notify_endpoint_settings *set;
	const char *driver;

	if (endpoint_settings_get(event, name, HTTP_NOTIFY_SETTINGS_FILTER_NAME,
				  &set, error_r) < 0)
		return -1;
	driver = http_notify_endpoint_settings_get_driver(set);
	*driver_r = t_strdup(driver[0] == '\0' ? name : driver);
	settings_free(set);
	return 0;
}

/* Returns 0, or -1 if something else than a file is set. */
static int tls_file_get(const char *value, pool_t pool, const char **path_r)
{
	struct settings_file file;

	if (value[0] == '\0')
		return 0;
	settings_file_get(value, pool, &file);
	*path_r = file.path;
	return file.path[0] == '/' ? 0 : -1;
}

/* What our own settings do not say already. A certificate goes with its key. */
static int
tls_files_get(const struct ssl_settings *inside,
	      const struct ssl_settings *outside, pool_t pool,
	      struct http_notify_options *options, const char **error_r)
{
	int ret = 0;

	if (options->ca_file == NULL &&
	    strcmp(inside->ssl_client_ca_file,
		   outside->ssl_client_ca_file) != 0) {
		ret = tls_file_get(inside->ssl_client_ca_file, pool,
				   &options->ca_file);
	}
	if (ret == 0 &&
	    options->cert_file == NULL && options->key_file == NULL &&
	    (strcmp(inside->ssl_client_cert_file,
		    outside->ssl_client_cert_file) != 0 ||
	     strcmp(inside->ssl_client_key_file,
		    outside->ssl_client_key_file) != 0)) {
		ret = tls_file_get(inside->ssl_client_cert_file, pool,
				   &options->cert_file);
		if (ret == 0) {
			ret = tls_file_get(inside->ssl_client_key_file, pool,
					   &options->key_file);
		}
	}
	if (ret < 0) {
		*error_r = "ssl_client_ca_file, ssl_client_cert_file and "
			"ssl_client_key_file in push_notification { } must be "
			"files with absolute paths";
	}
	return ret;
}

/* Dovecot's own settings are the endpoint's as well if they are in its filter;
   those outside are the service's. */
static int
endpoint_tls_get(struct event *event, const char *name, pool_t pool,
		 struct http_notify_options *options, const char **error_r)
{
	const struct ssl_settings *inside, *outside;
	struct event *name_event;
	const char *error;
	int ret;

	if (settings_get(event, &ssl_setting_parser_info, 0, &outside,
			 &error) < 0) {
		/* dovecot-lda may not read a key that is the service's */
		return 0;
	}
	name_event = name_event_create(event, name);
	ret = settings_get(name_event, &ssl_setting_parser_info, 0, &inside,
			   error_r);
	event_unref(&name_event);
	if (ret == 0) {
		ret = tls_files_get(inside, outside, pool, options, error_r);
		settings_free(inside);
	}
	settings_free(outside);
	return ret;
}

int http_notify_endpoint_options_get(struct event *event, const char *name,
				     pool_t pool,
				     struct http_notify_options *options_r,
				     const char **error_r)
{
	const struct http_notify_endpoint_settings *set;
	const char *driver;
	bool calendar;

	if (endpoint_driver_get(event, name, &driver, error_r) < 0)
		return -1;
	calendar = strcasecmp(driver, HTTP_NOTIFY_DRIVER_CHRONOS) == 0;
	if (endpoint_settings_get(event, name, calendar ?
				  HTTP_NOTIFY_SETTINGS_CALENDAR_FILTER_NAME :
				  HTTP_NOTIFY_SETTINGS_FILTER_NAME,
				  &set, error_r) < 0)
		return -1;
	http_notify_endpoint_settings_get_options(set, calendar, pool,
						  options_r);
	settings_free(set);
	if (options_r->url == NULL) {
		*error_r = t_strdup_printf("push_notification_%s_url is not "
			"set in push_notification %s { }",
			calendar ? "chronos" : "ox", name);
		return -1;
	}
	return endpoint_tls_get(event, name, pool, options_r, error_r);
}

static bool driver_is_ox(const char *driver)
{
	return strcasecmp(driver, HTTP_NOTIFY_DRIVER_OX) == 0 ||
		strcasecmp(driver, HTTP_NOTIFY_DRIVER_CHRONOS) == 0;
}

bool http_notify_endpoint_is_ours(struct event *event, const char *name)
{
	const char *driver, *error;

	return endpoint_driver_get(event, name, &driver, &error) < 0 ||
		driver_is_ox(driver) ||
		strcasecmp(driver, HTTP_NOTIFY_DRIVER_WEBHOOK) == 0;
}

bool http_notify_endpoint_is_ox(struct event *event, const char *name)
{
	const char *driver, *error;

	return endpoint_driver_get(event, name, &driver, &error) == 0 &&
		driver_is_ox(driver);
}
