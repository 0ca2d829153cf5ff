/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "master-service-ssl-settings.h"
#include "settings-parser.h"

#include "service-settings.h"

#include <stddef.h>

#define DEFAULT_QUEUE_LIMIT 1000000

/* Dovecot 2.3 accepts settings of third parties only in plugin { }, as names
   and values without a type. */
struct plugin_settings {
	ARRAY(const char *) plugin_envs;
};

static const struct setting_define plugin_setting_defines[] = {
	{ .type = SET_STRLIST, .key = "plugin",
	  .offset = offsetof(struct plugin_settings, plugin_envs) },
	SETTING_DEFINE_LIST_END
};

static const struct plugin_settings plugin_default_settings = {
	.plugin_envs = ARRAY_INIT
};

static const struct setting_parser_info plugin_setting_parser_info = {
	/* the module that plugin { } belongs to in Dovecot */
	.module_name = "mail",
	.defines = plugin_setting_defines,
	.defaults = &plugin_default_settings,

	.type_offset = SIZE_MAX,
	.struct_size = sizeof(struct plugin_settings),

	.parent_offset = SIZE_MAX
};

void http_notify_service_settings_read(struct master_service *service)
{
	const struct setting_parser_info *roots[] = {
		&plugin_setting_parser_info,
		NULL
	};
	struct master_service_settings_input input = {
		.roots = roots,
		.module = plugin_setting_parser_info.module_name,
	};
	struct master_service_settings_output output;
	const char *error;

	if (master_service_settings_read(service, &input, &output, &error) < 0)
		i_fatal("Error reading configuration: %s", error);
}

static void
service_setting_parse(struct http_notify_service_settings *set,
		      const char *name, const char *value)
{
	if (strcmp(name, "http_notify_sync") == 0) {
		if (strcmp(value, "full") == 0)
			set->sync_full = TRUE;
		else if (strcmp(value, "normal") != 0) {
			i_fatal("http_notify_sync=%s: must be normal or full",
				value);
		}
	} else if (strcmp(name, "http_notify_queue_limit") == 0) {
		if (str_to_uint(value, &set->queue_limit) < 0 ||
		    set->queue_limit == 0) {
			i_fatal("http_notify_queue_limit=%s: "
				"must be a number of at least 1", value);
		}
	} else if (strcmp(name, "http_notify_handoff_timeout") == 0) {
		/* used by mail processes, not here */
	} else if (str_begins(name, "http_notify_"))
		i_warning("plugin { %s } is not a setting", name);
}

static void
tls_get(const struct master_service_ssl_settings *set, struct tls_settings *tls_r)
{
	i_zero(tls_r);
	tls_r->require_valid_cert = set->ssl_client_require_valid_cert;
	tls_r->ca_file = set->ssl_client_ca_file;
	tls_r->ca_dir = set->ssl_client_ca_dir;
	tls_r->ca = "";
	tls_r->cert = set->ssl_client_cert;
	tls_r->key = set->ssl_client_key;
	tls_r->key_password = "";
	tls_r->min_protocol = set->ssl_min_protocol;
	tls_r->cipher_list = set->ssl_cipher_list;
	tls_r->cipher_suites = set->ssl_cipher_suites;
	tls_r->curve_list = set->ssl_curve_list;
}

void http_notify_service_settings_get(
	struct master_service *service, pool_t pool ATTR_UNUSED,
	struct http_notify_service_settings *set_r)
{
	const struct plugin_settings *plugin_set =
		master_service_settings_get_others(service)[0];
	const char *const *envs;
	unsigned int i, count = 0;

	i_zero(set_r);
	set_r->state_dir = master_service_settings_get(service)->state_dir;
	set_r->queue_limit = DEFAULT_QUEUE_LIMIT;
	envs = array_is_created(&plugin_set->plugin_envs) ?
		array_get(&plugin_set->plugin_envs, &count) : NULL;
	for (i = 0; i + 1 < count; i += 2)
		service_setting_parse(set_r, envs[i], envs[i + 1]);
	tls_get(master_service_ssl_settings_get(service), &set_r->tls);
}
