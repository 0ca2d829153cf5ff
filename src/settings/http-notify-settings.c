#include "lib.h"
#include "settings-parser.h"

#include "http-notify-settings.h"
#include "options.h"

static bool
http_notify_endpoint_settings_check(void *_set, pool_t pool,
				    const char **error_r);
static bool
http_notify_settings_check(void *_set, pool_t pool, const char **error_r);

#define DEF(type, name) \
	SETTING_DEFINE_STRUCT_##type(#name, name, \
		struct http_notify_endpoint_settings)
#define DEF_SECS(name) \
	SETTING_DEFINE_STRUCT_TIME(#name, name##_secs, \
		struct http_notify_endpoint_settings)
#define DEF_MSECS(name) \
	SETTING_DEFINE_STRUCT_TIME_MSECS(#name, name##_msecs, \
		struct http_notify_endpoint_settings)

static const struct setting_define http_notify_endpoint_setting_defines[] = {
	DEF(STR, push_notification_driver),
	DEF(STR, push_notification_ox_url),
	DEF_MSECS(push_notification_ox_cache_ttl),
	DEF(BOOL, push_notification_ox_user_from_metadata),
	DEF_MSECS(http_client_request_timeout),
	DEF(STR, http_notify_standby_url),
	DEF_SECS(http_notify_max_age),
	DEF(UINT, http_notify_max_retries),
	DEF(STR, http_notify_netrc_file),
	{ .type = SET_FILTER_NAME, .key = HTTP_NOTIFY_SETTINGS_FILTER_NAME },

	SETTING_DEFINE_LIST_END
};

static const struct http_notify_endpoint_settings
http_notify_endpoint_default_settings = {
	.push_notification_driver = "",
	.push_notification_ox_url = "",
	/* Dovecot insists on the same defaults for all that share a setting */
	.push_notification_ox_cache_ttl_msecs = 60*1000,
	.push_notification_ox_user_from_metadata = FALSE,
	.http_client_request_timeout_msecs = 60*1000,
	.http_notify_standby_url = "",
	.http_notify_max_age_secs = HTTP_NOTIFY_DEFAULT_MAX_AGE_SECS,
	.http_notify_max_retries = SET_UINT_UNLIMITED,
	.http_notify_netrc_file = "",
};

/* ... but for this filter's, which nobody else looks into. */
static const struct setting_keyvalue
http_notify_endpoint_default_settings_keyvalue[] = {
	{ HTTP_NOTIFY_SETTINGS_FILTER_NAME
	  "/push_notification_ox_user_from_metadata", "yes" },
	{ HTTP_NOTIFY_SETTINGS_FILTER_NAME"/http_client_request_timeout",
	  "2s" },
	{ NULL, NULL }
};

const struct setting_parser_info http_notify_endpoint_setting_parser_info = {
	.name = "http_notify_endpoint",

	.defines = http_notify_endpoint_setting_defines,
	.defaults = &http_notify_endpoint_default_settings,
	.default_settings = http_notify_endpoint_default_settings_keyvalue,

	.struct_size = sizeof(struct http_notify_endpoint_settings),
	.pool_offset1 = 1 + offsetof(struct http_notify_endpoint_settings, pool),
	.check_func = http_notify_endpoint_settings_check,
};

#undef DEF
#undef DEF_MSECS
#define DEF(type, name) \
	SETTING_DEFINE_STRUCT_##type(#name, name, struct http_notify_settings)
#define DEF_MSECS(name) \
	SETTING_DEFINE_STRUCT_TIME_MSECS(#name, name##_msecs, \
		struct http_notify_settings)

static const struct setting_define http_notify_setting_defines[] = {
	DEF(ENUM, http_notify_sync),
	DEF(UINT, http_notify_queue_limit),
	DEF_MSECS(http_notify_handoff_timeout),

	SETTING_DEFINE_LIST_END
};

static const struct http_notify_settings http_notify_default_settings = {
	.http_notify_sync = "normal:full",
	.http_notify_queue_limit = 1000000,
	.http_notify_handoff_timeout_msecs = 500,
};

const struct setting_parser_info http_notify_setting_parser_info = {
	.name = "http_notify",

	.defines = http_notify_setting_defines,
	.defaults = &http_notify_default_settings,

	.struct_size = sizeof(struct http_notify_settings),
	.pool_offset1 = 1 + offsetof(struct http_notify_settings, pool),
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

/* NULL = not set, or not known as long as its %{variables} are not expanded,
   as when doveconf checks it. */
static const char *value_or_null(const char *value)
{
	return value[0] == '\0' || value == set_value_unknown ? NULL : value;
}

void http_notify_endpoint_settings_get_options(
	const struct http_notify_endpoint_settings *set,
	struct http_notify_options *options_r)
{
	i_zero(options_r);
	options_r->url = value_or_null(set->push_notification_ox_url);
	options_r->standby_url = value_or_null(set->http_notify_standby_url);
	/* More is no error: it may be meant for other HTTP clients of Dovecot's,
	   and doveconf checks it there, too. */
	options_r->timeout_msecs = I_MIN(set->http_client_request_timeout_msecs,
					 HTTP_NOTIFY_MAX_TIMEOUT_MSECS);
	options_r->max_age_secs = set->http_notify_max_age_secs;
	options_r->max_retries = set->http_notify_max_retries;
	options_r->netrc_file = value_or_null(set->http_notify_netrc_file);
	options_r->user_from_metadata =
		set->push_notification_ox_user_from_metadata;
	options_r->cache_lifetime_secs =
		set->push_notification_ox_cache_ttl_msecs / 1000;
}

static bool
http_notify_endpoint_settings_check(void *_set, pool_t pool ATTR_UNUSED,
				    const char **error_r)
{
	static const struct http_notify_option_names names = {
		.url = "push_notification_ox_url",
		.standby_url = "http_notify_standby_url",
		.timeout = "http_client_request_timeout",
		.max_age = "http_notify_max_age",
		.netrc_file = "http_notify_netrc_file",
	};
	struct http_notify_options options;

	http_notify_endpoint_settings_get_options(_set, &options);
	return http_notify_options_check(&options, &names, error_r) == 0;
}

static bool
http_notify_settings_check(void *_set, pool_t pool ATTR_UNUSED,
			   const char **error_r)
{
	const struct http_notify_settings *set = _set;

	if (set->http_notify_queue_limit == 0) {
		*error_r = "http_notify_queue_limit must be at least 1";
		return FALSE;
	}
	return TRUE;
}
