/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "master-service-ssl-settings.h"
#include "settings-parser.h"
#include "str.h"
#include "var-expand.h"

#include "dovecot-compat.h"
#include "driver-line.h"
#include "queue-limits.h"
#include "options.h"
#include "service-settings.h"

#include <stddef.h>


/* those whose processes hand notifications off */
static const char *const protocols[] = { "lmtp", "lda", "imap" };

ARRAY_DEFINE_TYPE(endpoint, const char *const *);

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

/* Returns the settings as processes of this protocol have them; NULL: as this
   service does. They live until the next call. */
static const struct plugin_settings *
settings_read(struct master_service *service, const char *protocol)
{
	const struct setting_parser_info *roots[] = {
		&plugin_setting_parser_info,
		NULL
	};
	struct master_service_settings_input input = {
		.roots = roots,
		.module = plugin_setting_parser_info.module_name,
		.service = protocol,
	};
	struct master_service_settings_output output;
	const char *error;

	if (master_service_settings_read(service, &input, &output, &error) < 0)
		i_fatal("Error reading configuration: %s", error);
	return master_service_settings_get_others(service)[0];
}

void http_notify_service_settings_read(struct master_service *service)
{
	(void)settings_read(service, NULL);
}

static const char *const *
plugin_envs_get(const struct plugin_settings *set, unsigned int *count_r)
{
	if (array_is_created(&set->plugin_envs))
		return array_get(&set->plugin_envs, count_r);
	*count_r = 0;
	return NULL;
}

/* Append the line's options, unless they depend on the user. */
static void
endpoint_read(const char *line, pool_t pool, ARRAY_TYPE(endpoint) *endpoints)
{
	static const struct var_expand_table no_variables[] = {
		{ .key = '\0' }
	};
	struct http_notify_options options;
	string_t *str = t_str_new(128);
	const char *const *words, *error;

	if (var_expand(str, line, no_variables, &error) > 0 &&
	    driver_line_parse(str_c(str), pool_datastack_create(), &options,
			      &error) == 0) {
		words = (const char *const *)p_strarray_dup(pool,
			http_notify_options_export(&options));
		array_push_back(endpoints, &words);
	}
}

static void
endpoints_read(struct master_service *service, const char *protocol,
	       pool_t pool, ARRAY_TYPE(endpoint) *endpoints)
{
	const char *const *envs;
	unsigned int i, count;

	envs = plugin_envs_get(settings_read(service, protocol), &count);
	for (i = 0; i + 1 < count; i += 2) T_BEGIN {
		if ((driver_line_has_name(envs[i], DRIVER_SETTING) ||
		     driver_line_has_name(envs[i], OLD_DRIVER_SETTING)) &&
		    driver_line_is_ours(envs[i + 1]))
			endpoint_read(envs[i + 1], pool, endpoints);
	} T_END;
}

/* Returns FALSE if it is no such setting. The values live as long as service
   does. */
static bool
queue_setting_parse(struct http_notify_service_settings *set,
		    const char *name, const char *value)
{
	if (strcmp(name, "http_notify_queue") == 0) {
		if (strcmp(value, "sqlite") != 0 &&
		    strcmp(value, "pgsql") != 0) {
			i_fatal("http_notify_queue=%s: must be sqlite or pgsql",
				value);
		}
		set->queue = value;
	} else if (strcmp(name, "http_notify_pgsql") == 0)
		set->pgsql = value;
	else if (strcmp(name, "http_notify_pgsql_password_file") == 0)
		set->pgsql_password_file = value;
	else
		return FALSE;
	return TRUE;
}

static void
service_setting_parse(struct http_notify_service_settings *set,
		      const char *name, const char *value)
{
	const char *error;

	if (queue_setting_parse(set, name, value))
		return;
	if (strcmp(name, "http_notify_sync") == 0) {
		if (strcmp(value, "full") == 0)
			set->sync_full = TRUE;
		else if (strcmp(value, "normal") != 0) {
			i_fatal("http_notify_sync=%s: must be normal or full",
				value);
		}
	} else if (strcmp(name, "http_notify_queue_limit") == 0) {
		if (http_notify_queue_limit_parse(value, &set->queue_max_rows,
						  &set->queue_max_bytes) < 0) {
			i_fatal("http_notify_queue_limit=%s: must be a number "
				"of at least 1 and a size, such as "
				HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT, value);
		}
	} else if (strcmp(name, "http_notify_lost_keep") == 0) {
		if (str_parse_get_interval(value, &set->lost_keep_secs,
					   &error) < 0)
			i_fatal("http_notify_lost_keep=%s: must be a time, "
				"such as 7d", value);
	} else if (strcmp(name, "http_notify_lost_limit") == 0) {
		if (http_notify_lost_limit_parse(value, &set->lost_max_rows,
						 &set->lost_max_bytes) < 0) {
			i_fatal("http_notify_lost_limit=%s: must be a number "
				"and a size, such as "
				HTTP_NOTIFY_DEFAULT_LOST_LIMIT, value);
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
	struct master_service *service, pool_t pool,
	struct http_notify_service_settings *set_r)
{
	const struct master_service_settings *set;
	ARRAY_TYPE(endpoint) endpoints;
	const char *const *envs;
	unsigned int i, count;

	p_array_init(&endpoints, pool, 4);
	for (i = 0; i < N_ELEMENTS(protocols); i++)
		endpoints_read(service, protocols[i], pool, &endpoints);
	array_append_zero(&endpoints);

	i_zero(set_r);
	envs = plugin_envs_get(settings_read(service, NULL), &count);
	set = master_service_settings_get(service);
	set_r->base_dir = set->base_dir;
	set_r->state_dir = set->state_dir;
	set_r->endpoints = array_front(&endpoints);
	set_r->queue = "sqlite";
	set_r->pgsql = set_r->pgsql_password_file = "";
	(void)http_notify_queue_limit_parse(HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT,
					    &set_r->queue_max_rows,
					    &set_r->queue_max_bytes);
	set_r->lost_keep_secs = HTTP_NOTIFY_DEFAULT_LOST_KEEP_SECS;
	(void)http_notify_lost_limit_parse(HTTP_NOTIFY_DEFAULT_LOST_LIMIT,
					   &set_r->lost_max_rows,
					   &set_r->lost_max_bytes);
	for (i = 0; i + 1 < count; i += 2)
		service_setting_parse(set_r, envs[i], envs[i + 1]);
	tls_get(master_service_ssl_settings_get(service), &set_r->tls);
}
