/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SETTINGS_H
#define HTTP_NOTIFY_SETTINGS_H

/* The settings as Dovecot 2.4 knows them. Some are the built-in driver's and
   the HTTP client's. For their defaults to be ours they are looked up with this
   filter's name. */
#define HTTP_NOTIFY_SETTINGS_FILTER_NAME "http_notify_endpoint"

struct http_notify_driver_settings;
struct http_notify_options;
struct http_notify_service_settings;

/* Those of one push_notification { } filter of a mail user's, and those that
   hold for all. What is in them only http-notify-settings.c knows: all that
   there is of a setting on 2.4 is there. */
struct http_notify_endpoint_settings {
	pool_t pool;
};
struct http_notify_settings {
	pool_t pool;
};

/* What belongs to other programs and plugins, and is of interest to doveadm,
   which does not have their definitions. */
struct http_notify_foreign_settings {
	pool_t pool;

	/* names of the push_notification { } filters */
	ARRAY_TYPE(const_string) push_notifications;
	bool imap_metadata;
};

extern const struct setting_parser_info http_notify_endpoint_setting_parser_info;
extern const struct setting_parser_info http_notify_foreign_setting_parser_info;
extern const struct setting_parser_info http_notify_setting_parser_info;

/* The options, which live in the pool. */
void http_notify_endpoint_settings_get_options(
	const struct http_notify_endpoint_settings *set, pool_t pool,
	struct http_notify_options *options_r);
/* The driver's name, which lives as long as the settings; empty = the
   filter's. */
const char *http_notify_endpoint_settings_get_driver(
	const struct http_notify_endpoint_settings *set);

/* Set what the driver, and the service, have of the settings that hold for
   all. */
void http_notify_settings_get_driver(
	const struct http_notify_settings *set,
	struct http_notify_driver_settings *driver_set);
void http_notify_settings_get_service(
	const struct http_notify_settings *set,
	struct http_notify_service_settings *service_set);

#endif
