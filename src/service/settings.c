#include "lib.h"
#include "array.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "settings-parser.h"

#include "settings.h"

#include <stddef.h>

#define DEFAULT_QUEUE_LIMIT 1000000

/* Dovecot 2.3 knows no settings of third parties but those in plugin { },
   which are names and values without a type. */
struct http_notify_plugin_settings {
	ARRAY(const char *) plugin_envs;
};

static const struct setting_define http_notify_setting_defines[] = {
	{ .type = SET_STRLIST, .key = "plugin",
	  .offset = offsetof(struct http_notify_plugin_settings, plugin_envs) },
	SETTING_DEFINE_LIST_END
};

static const struct http_notify_plugin_settings http_notify_default_settings = {
	.plugin_envs = ARRAY_INIT
};

const struct setting_parser_info http_notify_setting_parser_info = {
	/* the module that plugin { } belongs to in Dovecot */
	.module_name = "mail",
	.defines = http_notify_setting_defines,
	.defaults = &http_notify_default_settings,

	.type_offset = SIZE_MAX,
	.struct_size = sizeof(struct http_notify_plugin_settings),

	.parent_offset = SIZE_MAX
};

struct http_notify_settings
http_notify_settings_get(struct master_service *service)
{
	const struct http_notify_plugin_settings *plugin_set =
		master_service_settings_get_others(service)[0];
	struct http_notify_settings set;
	const char *const *envs;
	unsigned int i, count = 0;

	i_zero(&set);
	set.queue_limit = DEFAULT_QUEUE_LIMIT;
	envs = array_is_created(&plugin_set->plugin_envs) ?
		array_get(&plugin_set->plugin_envs, &count) : NULL;
	for (i = 0; i + 1 < count; i += 2) {
		const char *name = envs[i], *value = envs[i + 1];

		if (strcmp(name, "http_notify_sync") == 0) {
			if (strcmp(value, "full") == 0)
				set.sync_full = TRUE;
			else if (strcmp(value, "normal") != 0) {
				i_fatal("http_notify_sync=%s: "
					"must be normal or full", value);
			}
		} else if (strcmp(name, "http_notify_queue_limit") == 0) {
			if (str_to_uint(value, &set.queue_limit) < 0 ||
			    set.queue_limit == 0) {
				i_fatal("http_notify_queue_limit=%s: "
					"must be a number of at least 1",
					value);
			}
		} else if (strcmp(name, "http_notify_handoff_timeout") == 0) {
			/* the mail processes' */
		} else if (str_begins(name, "http_notify_"))
			i_warning("plugin { %s } is not a setting", name);
	}
	return set;
}
