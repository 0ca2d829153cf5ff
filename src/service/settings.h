#ifndef HTTP_NOTIFY_SETTINGS_H
#define HTTP_NOTIFY_SETTINGS_H

struct master_service;
struct setting_parser_info;

/* The service's own settings, from plugin { } of dovecot.conf. */
struct http_notify_settings {
	/* http_notify_sync = normal | full: with full, a stored notification
	   survives a power cut, too */
	bool sync_full;
	/* http_notify_queue_limit: beyond this number of queued notifications
	   new ones are refused */
	unsigned int queue_limit;
};

extern const struct setting_parser_info http_notify_setting_parser_info;

/* Returns the settings that were read with
   http_notify_setting_parser_info as the only other root. Values that make no
   sense are fatal. */
struct http_notify_settings
http_notify_settings_get(struct master_service *service);

#endif
