/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SETTINGS_H
#define HTTP_NOTIFY_SETTINGS_H

/* Our settings as Dovecot 2.4 knows them. Some belong to its built-in driver
   and its HTTP client. These are looked up with this filter's name, inside
   which they have our defaults. */
#define HTTP_NOTIFY_SETTINGS_FILTER_NAME "http_notify_endpoint"
/* The same for calendar mail. */
#define HTTP_NOTIFY_SETTINGS_CALENDAR_FILTER_NAME "http_notify_calendar"

struct http_notify_driver_settings;
struct http_notify_options;
struct http_notify_service_settings;

/* The settings of one push_notification { } filter for a mail user, and those
   that are the same for all filters. Their fields are private to
   http-notify-settings.c, so that everything about a setting on 2.4 is in one
   file. */
struct http_notify_endpoint_settings {
	pool_t pool;
};
struct http_notify_settings {
	pool_t pool;
};

/* Settings of other programs and plugins that doveadm needs, but has no
   definitions of. */
struct http_notify_foreign_settings {
	pool_t pool;

	/* names of the push_notification { } filters */
	ARRAY_TYPE(const_string) push_notifications;
	bool imap_metadata;
};

extern const struct setting_parser_info http_notify_endpoint_setting_parser_info;
extern const struct setting_parser_info http_notify_foreign_setting_parser_info;
extern const struct setting_parser_info http_notify_setting_parser_info;

/* Get the options, which live in the pool. calendar: the endpoint is one for
   calendar mail. */
void http_notify_endpoint_settings_get_options(
	const struct http_notify_endpoint_settings *set, bool calendar,
	pool_t pool, struct http_notify_options *options_r);
/* Returns the driver's name, which lives as long as the settings; "" = the
   filter's name is the driver's as well. */
const char *http_notify_endpoint_settings_get_driver(
	const struct http_notify_endpoint_settings *set);

/* Fill in those members of driver_set and service_set that come from the
   settings for all filters. The others are not touched. */
void http_notify_settings_get_driver(
	const struct http_notify_settings *set,
	struct http_notify_driver_settings *driver_set);
void http_notify_settings_get_service(
	const struct http_notify_settings *set, pool_t pool,
	struct http_notify_service_settings *service_set);

#endif
