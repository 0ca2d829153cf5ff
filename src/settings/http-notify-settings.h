#ifndef HTTP_NOTIFY_SETTINGS_H
#define HTTP_NOTIFY_SETTINGS_H

/* The settings as Dovecot 2.4 knows them. Some are the built-in driver's and
   the HTTP client's. For their defaults to be ours they are looked up with this
   filter's name. */
#define HTTP_NOTIFY_SETTINGS_FILTER_NAME "http_notify_endpoint"

struct http_notify_options;

/* One of a mail user's push_notification { } filters. */
struct http_notify_endpoint_settings {
	pool_t pool;

	/* of Dovecot's push_notification plugin; without a driver's name it
	   is the filter's */
	const char *push_notification_driver;
	/* of the built-in driver */
	const char *push_notification_ox_url;
	unsigned int push_notification_ox_cache_ttl_msecs;
	bool push_notification_ox_user_from_metadata;
	/* of Dovecot's HTTP client */
	unsigned int http_client_request_timeout_msecs;

	const char *http_notify_standby_url;
	unsigned int http_notify_max_age_secs;
	/* SET_UINT_UNLIMITED = none */
	unsigned int http_notify_max_retries;
	const char *http_notify_netrc_file;
};

/* Those that hold for all. */
struct http_notify_settings {
	pool_t pool;

	/* normal or full */
	const char *http_notify_sync;
	unsigned int http_notify_queue_limit;
	unsigned int http_notify_handoff_timeout_msecs;
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

/* The options, which live as long as the settings. */
void http_notify_endpoint_settings_get_options(
	const struct http_notify_endpoint_settings *set,
	struct http_notify_options *options_r);

#endif
