/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "settings-parser.h"
#include "str-sanitize.h"

#include "driver-settings.h"
#include "http-notify-settings.h"
#include "queue-limits.h"
#include "mail-events.h"
#include "options.h"
#include "service-settings.h"

struct endpoint_settings {
	struct http_notify_endpoint_settings base;

	/* of Dovecot's push_notification plugin; "" = the filter's name is the
	   driver's as well */
	const char *push_notification_driver;
	/* of the driver that is built into Dovecot */
	const char *push_notification_ox_url;
	unsigned int push_notification_ox_cache_ttl_msecs;
	bool push_notification_ox_user_from_metadata;
	/* of the driver that Dovecot Pro has */
	const char *push_notification_chronos_url;
	uoff_t push_notification_chronos_msg_max_size;
	bool push_notification_chronos_user_from_metadata;
	/* of Dovecot's HTTP clients */
	unsigned int http_client_request_timeout_msecs;

	const char *http_notify_standby_url;
	unsigned int http_notify_max_age_secs;
	/* or SET_UINT_UNLIMITED */
	unsigned int http_notify_max_retries;
	const char *http_notify_netrc_file;
	/* or SET_UINT_UNLIMITED */
	unsigned int http_notify_max_per_second;
	/* PUT or POST */
	const char *http_notify_method;
	const char *http_notify_token_file;
	const char *http_notify_sign_file;
	const char *http_notify_proxy;
	const char *http_notify_proxy_netrc_file;
	const char *http_notify_ca_file;
	const char *http_notify_cert_file;
	const char *http_notify_key_file;
	/* "" = those of the format */
	const char *http_notify_folders;
	/* required or optional */
	const char *http_notify_registration;
	const char *http_notify_omit;
	/* ox or egroupware */
	const char *http_notify_format;
	/* "" = those of the format */
	const char *http_notify_events;
};

struct common_settings {
	struct http_notify_settings base;

	/* sqlite or pgsql */
	const char *http_notify_queue;
	const char *http_notify_pgsql;
	const char *http_notify_pgsql_password_file;
	/* normal or full */
	const char *http_notify_sync;
	const char *http_notify_queue_limit;
	unsigned int http_notify_lost_keep_secs;
	const char *http_notify_lost_limit;
	unsigned int http_notify_handoff_timeout_msecs;
};

static bool
http_notify_endpoint_settings_check(void *_set, pool_t pool,
				    const char **error_r);
static bool
http_notify_settings_check(void *_set, pool_t pool, const char **error_r);

#define DEF(type, name) \
	SETTING_DEFINE_STRUCT_##type(#name, name, \
		struct endpoint_settings)
#define DEF_SECS(name) \
	SETTING_DEFINE_STRUCT_TIME(#name, name##_secs, \
		struct endpoint_settings)
#define DEF_MSECS(name) \
	SETTING_DEFINE_STRUCT_TIME_MSECS(#name, name##_msecs, \
		struct endpoint_settings)

static const struct setting_define http_notify_endpoint_setting_defines[] = {
	DEF(STR, push_notification_driver),
	DEF(STR, push_notification_ox_url),
	DEF_MSECS(push_notification_ox_cache_ttl),
	DEF(BOOL, push_notification_ox_user_from_metadata),
	DEF(STR, push_notification_chronos_url),
	DEF(SIZE, push_notification_chronos_msg_max_size),
	DEF(BOOL, push_notification_chronos_user_from_metadata),
	DEF_MSECS(http_client_request_timeout),
	DEF(STR, http_notify_standby_url),
	DEF_SECS(http_notify_max_age),
	DEF(UINT, http_notify_max_retries),
	DEF(STR, http_notify_netrc_file),
	DEF(UINT, http_notify_max_per_second),
	DEF(ENUM, http_notify_method),
	DEF(STR, http_notify_token_file),
	DEF(STR, http_notify_sign_file),
	DEF(STR, http_notify_proxy),
	DEF(STR, http_notify_proxy_netrc_file),
	DEF(STR, http_notify_ca_file),
	DEF(STR, http_notify_cert_file),
	DEF(STR, http_notify_key_file),
	DEF(STR, http_notify_folders),
	DEF(ENUM, http_notify_registration),
	DEF(STR, http_notify_omit),
	DEF(ENUM, http_notify_format),
	DEF(STR, http_notify_events),
	{ .type = SET_FILTER_NAME, .key = HTTP_NOTIFY_SETTINGS_FILTER_NAME },
	{ .type = SET_FILTER_NAME,
	  .key = HTTP_NOTIFY_SETTINGS_CALENDAR_FILTER_NAME },

	SETTING_DEFINE_LIST_END
};

static const struct endpoint_settings
http_notify_endpoint_default_settings = {
	.push_notification_driver = "",
	.push_notification_ox_url = "",
	/* These must be Dovecot's defaults: it insists that all definitions of
	   a setting have the same one ... */
	.push_notification_ox_cache_ttl_msecs = 60*1000,
	.push_notification_ox_user_from_metadata = FALSE,
	.push_notification_chronos_url = "",
	.push_notification_chronos_msg_max_size =
		HTTP_NOTIFY_DEFAULT_MSG_MAX_SIZE,
	.push_notification_chronos_user_from_metadata = FALSE,
	.http_client_request_timeout_msecs = 60*1000,
	.http_notify_standby_url = "",
	.http_notify_max_age_secs = HTTP_NOTIFY_DEFAULT_MAX_AGE_SECS,
	.http_notify_max_retries = SET_UINT_UNLIMITED,
	.http_notify_netrc_file = "",
	.http_notify_max_per_second = SET_UINT_UNLIMITED,
	.http_notify_method = "PUT:POST",
	.http_notify_token_file = "",
	.http_notify_sign_file = "",
	.http_notify_proxy = "",
	.http_notify_proxy_netrc_file = "",
	.http_notify_ca_file = "",
	.http_notify_cert_file = "",
	.http_notify_key_file = "",
	.http_notify_folders = "",
	.http_notify_registration = "required:optional",
	.http_notify_omit = "",
	.http_notify_format = "ox:egroupware",
	.http_notify_events = "",
};

/* ... except inside our own filters, which nobody else reads: there the
   defaults are ours. */
static const struct setting_keyvalue
http_notify_endpoint_default_settings_keyvalue[] = {
	{ HTTP_NOTIFY_SETTINGS_FILTER_NAME
	  "/push_notification_ox_user_from_metadata", "yes" },
	{ HTTP_NOTIFY_SETTINGS_FILTER_NAME"/http_client_request_timeout",
	  "2s" },
	{ HTTP_NOTIFY_SETTINGS_CALENDAR_FILTER_NAME
	  "/http_client_request_timeout", "2s" },
	{ HTTP_NOTIFY_SETTINGS_CALENDAR_FILTER_NAME"/http_notify_registration",
	  "optional" },
	{ NULL, NULL }
};

const struct setting_parser_info http_notify_endpoint_setting_parser_info = {
	.name = "http_notify_endpoint",

	.defines = http_notify_endpoint_setting_defines,
	.defaults = &http_notify_endpoint_default_settings,
	.default_settings = http_notify_endpoint_default_settings_keyvalue,

	.struct_size = sizeof(struct endpoint_settings),
	.pool_offset1 = 1 + offsetof(struct endpoint_settings, base.pool),
	.check_func = http_notify_endpoint_settings_check,
};

#undef DEF
#undef DEF_SECS
#undef DEF_MSECS
#define DEF(type, name) \
	SETTING_DEFINE_STRUCT_##type(#name, name, struct common_settings)
#define DEF_SECS(name) \
	SETTING_DEFINE_STRUCT_TIME(#name, name##_secs, struct common_settings)
#define DEF_MSECS(name) \
	SETTING_DEFINE_STRUCT_TIME_MSECS(#name, name##_msecs, \
		struct common_settings)

static const struct setting_define http_notify_setting_defines[] = {
	DEF(ENUM, http_notify_queue),
	DEF(STR, http_notify_pgsql),
	DEF(STR, http_notify_pgsql_password_file),
	DEF(ENUM, http_notify_sync),
	DEF(STR, http_notify_queue_limit),
	DEF_SECS(http_notify_lost_keep),
	DEF(STR, http_notify_lost_limit),
	DEF_MSECS(http_notify_handoff_timeout),

	SETTING_DEFINE_LIST_END
};

static const struct common_settings http_notify_default_settings = {
	.http_notify_queue = "sqlite:pgsql",
	.http_notify_pgsql = "",
	.http_notify_pgsql_password_file = "",
	.http_notify_sync = "normal:full",
	.http_notify_queue_limit = HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT,
	.http_notify_lost_keep_secs = HTTP_NOTIFY_DEFAULT_LOST_KEEP_SECS,
	.http_notify_lost_limit = HTTP_NOTIFY_DEFAULT_LOST_LIMIT,
	.http_notify_handoff_timeout_msecs = 500,
};

const struct setting_parser_info http_notify_setting_parser_info = {
	.name = "http_notify",

	.defines = http_notify_setting_defines,
	.defaults = &http_notify_default_settings,

	.struct_size = sizeof(struct common_settings),
	.pool_offset1 = 1 + offsetof(struct common_settings, base.pool),
	.check_func = http_notify_settings_check,
};

#undef DEF
#define DEF(type, name) \
	SETTING_DEFINE_STRUCT_##type(#name, name, \
		struct http_notify_foreign_settings)

static const struct setting_define http_notify_foreign_setting_defines[] = {
	{ .type = SET_FILTER_ARRAY, .key = "push_notification",
	  .offset = offsetof(struct http_notify_foreign_settings,
			     push_notifications),
	  .filter_array_field_name = "push_notification_name" },
	DEF(BOOL, imap_metadata),

	SETTING_DEFINE_LIST_END
};

static const struct http_notify_foreign_settings
http_notify_foreign_default_settings = {
	.push_notifications = ARRAY_INIT,
	.imap_metadata = FALSE,
};

const struct setting_parser_info http_notify_foreign_setting_parser_info = {
	.name = "http_notify_foreign",

	.defines = http_notify_foreign_setting_defines,
	.defaults = &http_notify_foreign_default_settings,

	.struct_size = sizeof(struct http_notify_foreign_settings),
	.pool_offset1 = 1 + offsetof(struct http_notify_foreign_settings, pool),
};

/* Returns NULL if the value is not set, or is unknown because its %{variables}
   are not expanded, as when doveconf checks it. */
static const char *value_or_null(const char *value)
{
	return value[0] == '\0' || value == set_value_unknown ? NULL : value;
}

/* Get how the endpoint's notifications look, and which ones it gets. Returns 0,
   or -1 and error_r. */
static int
endpoint_settings_get_format(const struct endpoint_settings *set, bool calendar,
			     struct http_notify_options *options,
			     const char **error_r)
{
	const char *events, *error;

	if (calendar)
		options->format = HTTP_NOTIFY_FORMAT_OX_CALENDAR;
	else if (http_notify_format_parse(set->http_notify_format,
					  &options->format, &error) < 0)
		i_unreached();
	options->folders = set->http_notify_folders[0] == '\0' ?
		http_notify_format_folders(options->format) :
		value_or_null(set->http_notify_folders);
	events = calendar ? NULL : value_or_null(set->http_notify_events);
	if (events == NULL) {
		options->events = http_notify_format_events(options->format);
		return 0;
	}
	if (http_notify_mail_events_parse(events, &options->events,
					  &error) == 0)
		return 0;
	*error_r = t_strdup_printf("http_notify_events=%s: %s",
		str_sanitize(http_notify_url_mask(events), 256), error);
	return -1;
}

/* Returns 0, or -1 and error_r, after which the options are not complete. */
static int endpoint_settings_get_options(const struct endpoint_settings *set,
					 bool calendar,
					 struct http_notify_options *options_r,
					 const char **error_r)
{
	i_zero(options_r);
	if (calendar) {
		options_r->url =
			value_or_null(set->push_notification_chronos_url);
		options_r->msg_max_size =
			set->push_notification_chronos_msg_max_size;
		options_r->user_from_metadata =
			set->push_notification_chronos_user_from_metadata;
	} else {
		options_r->url = value_or_null(set->push_notification_ox_url);
		options_r->user_from_metadata =
			set->push_notification_ox_user_from_metadata;
	}
	options_r->standby_url = value_or_null(set->http_notify_standby_url);
	/* A longer timeout is no error: it may be set for Dovecot's other HTTP
	   clients, and doveconf runs our check on it there, too. */
	options_r->timeout_msecs = I_MIN(set->http_client_request_timeout_msecs,
					 HTTP_NOTIFY_MAX_TIMEOUT_MSECS);
	options_r->max_age_secs = set->http_notify_max_age_secs;
	options_r->max_retries = set->http_notify_max_retries;
	options_r->netrc_file = value_or_null(set->http_notify_netrc_file);
	options_r->max_per_second = set->http_notify_max_per_second;
	options_r->method = set->http_notify_method;
	options_r->token_file = value_or_null(set->http_notify_token_file);
	options_r->sign_file = value_or_null(set->http_notify_sign_file);
	options_r->proxy = value_or_null(set->http_notify_proxy);
	options_r->proxy_netrc_file =
		value_or_null(set->http_notify_proxy_netrc_file);
	options_r->ca_file = value_or_null(set->http_notify_ca_file);
	options_r->cert_file = value_or_null(set->http_notify_cert_file);
	options_r->key_file = value_or_null(set->http_notify_key_file);
	options_r->registration_optional =
		strcmp(set->http_notify_registration, "optional") == 0;
	options_r->omit = value_or_null(set->http_notify_omit);
	options_r->cache_lifetime_secs =
		set->push_notification_ox_cache_ttl_msecs / 1000;
	return endpoint_settings_get_format(set, calendar, options_r, error_r);
}

void http_notify_endpoint_settings_get_options(
	const struct http_notify_endpoint_settings *_set, bool calendar,
	pool_t pool, struct http_notify_options *options_r)
{
	const struct endpoint_settings *set =
		container_of(_set, const struct endpoint_settings, base);
	const char *error;

	if (endpoint_settings_get_options(set, calendar, options_r, &error) < 0)
		i_unreached();
	options_r->url = p_strdup(pool, options_r->url);
	options_r->standby_url = p_strdup(pool, options_r->standby_url);
	options_r->netrc_file = p_strdup(pool, options_r->netrc_file);
	options_r->method = p_strdup(pool, options_r->method);
	options_r->token_file = p_strdup(pool, options_r->token_file);
	options_r->sign_file = p_strdup(pool, options_r->sign_file);
	options_r->proxy = p_strdup(pool, options_r->proxy);
	options_r->proxy_netrc_file =
		p_strdup(pool, options_r->proxy_netrc_file);
	options_r->ca_file = p_strdup(pool, options_r->ca_file);
	options_r->cert_file = p_strdup(pool, options_r->cert_file);
	options_r->key_file = p_strdup(pool, options_r->key_file);
	options_r->folders = p_strdup(pool, options_r->folders);
	options_r->omit = p_strdup(pool, options_r->omit);
}

const char *http_notify_endpoint_settings_get_driver(
	const struct http_notify_endpoint_settings *_set)
{
	const struct endpoint_settings *set =
		container_of(_set, const struct endpoint_settings, base);

	return set->push_notification_driver;
}

void http_notify_settings_get_driver(
	const struct http_notify_settings *_set,
	struct http_notify_driver_settings *driver_set)
{
	const struct common_settings *set =
		container_of(_set, const struct common_settings, base);

	driver_set->handoff_timeout_msecs =
		set->http_notify_handoff_timeout_msecs;
}

void http_notify_settings_get_service(
	const struct http_notify_settings *_set, pool_t pool,
	struct http_notify_service_settings *service_set)
{
	const struct common_settings *set =
		container_of(_set, const struct common_settings, base);

	service_set->queue = p_strdup(pool, set->http_notify_queue);
	service_set->pgsql = p_strdup(pool, set->http_notify_pgsql);
	service_set->pgsql_password_file =
		p_strdup(pool, set->http_notify_pgsql_password_file);
	service_set->sync_full = strcmp(set->http_notify_sync, "full") == 0;
	service_set->lost_keep_secs = set->http_notify_lost_keep_secs;
	/* both have been checked */
	(void)http_notify_queue_limit_parse(set->http_notify_queue_limit,
					    &service_set->queue_max_rows,
					    &service_set->queue_max_bytes);
	(void)http_notify_lost_limit_parse(set->http_notify_lost_limit,
					   &service_set->lost_max_rows,
					   &service_set->lost_max_bytes);
}

static bool
http_notify_endpoint_settings_check(void *_set, pool_t pool ATTR_UNUSED,
				    const char **error_r)
{
	struct http_notify_option_names names = {
		.url = "push_notification_ox_url",
		.standby_url = "http_notify_standby_url",
		.timeout = "http_client_request_timeout",
		.max_age = "http_notify_max_age",
		.netrc_file = "http_notify_netrc_file",
		.max_per_second = "http_notify_max_per_second",
		.token_file = "http_notify_token_file",
		.sign_file = "http_notify_sign_file",
		.proxy = "http_notify_proxy",
		.proxy_netrc_file = "http_notify_proxy_netrc_file",
		.ca_file = "http_notify_ca_file",
		.cert_file = "http_notify_cert_file",
		.key_file = "http_notify_key_file",
		.folders = "http_notify_folders",
		.omit = "http_notify_omit",
	};
	struct http_notify_options options;

	if (endpoint_settings_get_options(_set, FALSE, &options, error_r) < 0 ||
	    http_notify_options_check(&options, &names, error_r) < 0)
		return FALSE;
	names.url = "push_notification_chronos_url";
	if (endpoint_settings_get_options(_set, TRUE, &options, error_r) < 0 ||
	    http_notify_options_check(&options, &names, error_r) < 0)
		return FALSE;
	if (options.msg_max_size > 0 &&
	    options.msg_max_size <= HTTP_NOTIFY_MAX_MSG_SIZE)
		return TRUE;
	*error_r = t_strdup_printf("push_notification_chronos_msg_max_size "
		"must be a size of up to %uM, such as 1M",
		HTTP_NOTIFY_MAX_MSG_SIZE / (1024*1024));
	return FALSE;
}

static bool
http_notify_settings_check(void *_set, pool_t pool ATTR_UNUSED,
			   const char **error_r)
{
	const struct common_settings *set = _set;
	unsigned int rows;
	uint64_t bytes;

	if (http_notify_lost_limit_parse(set->http_notify_lost_limit, &rows,
					 &bytes) < 0) {
		*error_r = "http_notify_lost_limit must be a number and a "
			"size, such as "HTTP_NOTIFY_DEFAULT_LOST_LIMIT;
		return FALSE;
	}
	if (http_notify_queue_limit_parse(set->http_notify_queue_limit, &rows,
					  &bytes) < 0) {
		*error_r = "http_notify_queue_limit must be a number of at "
			"least 1 and a size, such as "
			HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT;
		return FALSE;
	}
	return TRUE;
}
