/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "env-util.h"
#include "settings-parser.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "mail-storage-settings.h"

#include "protocol-settings.h"
#include "protocol-settings-source.h"

#include <stddef.h>
#include <stdlib.h>

struct mail_settings {
	const char *mail_plugins;
	const char *mail_plugin_dir;
	const char *mail_attribute_dict;
	ARRAY(const char *) plugin_envs;
};

struct imap_settings {
	bool imap_metadata;
};

#define DEF(_type, struct_name, name) \
	{ .type = _type, .key = #name, \
	  .offset = offsetof(struct struct_name, name) }

static const struct setting_define mail_setting_defines[] = {
	DEF(SET_STR, mail_settings, mail_plugins),
	DEF(SET_STR, mail_settings, mail_plugin_dir),
	DEF(SET_STR, mail_settings, mail_attribute_dict),
	{ .type = SET_STRLIST, .key = "plugin",
	  .offset = offsetof(struct mail_settings, plugin_envs) },
	SETTING_DEFINE_LIST_END
};

static const struct mail_settings mail_default_settings = {
	.mail_plugins = "",
	.mail_plugin_dir = "",
	.mail_attribute_dict = "",
	.plugin_envs = ARRAY_INIT
};

static const struct setting_parser_info mail_setting_parser_info = {
	.module_name = "mail",
	.defines = mail_setting_defines,
	.defaults = &mail_default_settings,
	.type_offset = SIZE_MAX,
	.struct_size = sizeof(struct mail_settings),
	.parent_offset = SIZE_MAX
};

static const struct setting_define imap_setting_defines[] = {
	DEF(SET_BOOL, imap_settings, imap_metadata),
	SETTING_DEFINE_LIST_END
};

static const struct imap_settings imap_default_settings = {
	.imap_metadata = FALSE
};

static const struct setting_parser_info imap_setting_parser_info = {
	.module_name = "imap",
	.defines = imap_setting_defines,
	.defaults = &imap_default_settings,
	.type_offset = SIZE_MAX,
	.struct_size = sizeof(struct imap_settings),
	.parent_offset = SIZE_MAX
};

static const char *const *
plugin_envs_dup(const struct mail_settings *mail_set, pool_t pool)
{
	ARRAY_TYPE(const_string) envs;
	const char *env;

	p_array_init(&envs, pool, 32);
	if (array_is_created(&mail_set->plugin_envs)) {
		array_foreach_elem(&mail_set->plugin_envs, env) {
			env = p_strdup(pool, env);
			array_push_back(&envs, &env);
		}
	}
	array_append_zero(&envs);
	return array_front(&envs);
}

/* doveadm may have got its own settings as environment variables. Those are for
   its own protocol only, so they must not be used here. */
static int
settings_read_from_socket(struct master_service_settings_input *input,
			  const char *base_dir, const char **error_r)
{
	static const char *const env = "DOVECONF_ENV";
	struct master_service_settings_output output;
	const char *old_env = t_strdup(getenv(env));
	int ret;

	input->config_path = t_strconcat(base_dir, "/config", NULL);
	input->never_exec = TRUE;
	env_remove(env);
	ret = master_service_settings_read(master_service, input, &output,
					   error_r);
	if (old_env != NULL)
		env_put(env, old_env);
	return ret;
}

/* Dovecot sends only what is set in dovecot.conf. */
static const char *default_mail_plugin_dir(void)
{
	const struct mail_user_settings *defaults =
		mail_user_setting_parser_info.defaults;

	return defaults->mail_plugin_dir;
}

int protocol_settings_read(const char *base_dir, const char *protocol,
			   const struct ip_addr *remote_ip, pool_t pool,
			   struct protocol_settings *set_r,
			   const char **error_r)
{
	static const char *const modules[] = { "mail", "imap", NULL };
	const struct setting_parser_info *roots[] = {
		&mail_setting_parser_info, &imap_setting_parser_info, NULL
	};
	struct master_service_settings_input input = {
		.roots = roots,
		.extra_modules = modules,
		.service = protocol,
	};
	struct protocol_settings_source *source;
	const struct mail_settings *mail_set;
	const struct imap_settings *imap_set;
	void **sets;

	if (remote_ip != NULL)
		input.remote_ip = *remote_ip;
	if (settings_read_from_socket(&input, base_dir, error_r) < 0)
		return -1;
	sets = master_service_settings_get_others(master_service);
	mail_set = sets[0];
	imap_set = sets[1];

	source = p_new(pool, struct protocol_settings_source, 1);
	source->plugin_envs = plugin_envs_dup(mail_set, pool);

	i_zero(set_r);
	set_r->mail_plugins =
		(const char *const *)p_strsplit_spaces(pool,
			mail_set->mail_plugins, ", ");
	set_r->mail_plugin_dir = p_strdup(pool,
		mail_set->mail_plugin_dir[0] != '\0' ?
		mail_set->mail_plugin_dir : default_mail_plugin_dir());
	set_r->attribute_dict = mail_set->mail_attribute_dict[0] == '\0' ?
		NULL : p_strdup(pool, mail_set->mail_attribute_dict);
	set_r->imap_metadata = imap_set->imap_metadata;
	set_r->source = source;
	return 0;
}

void protocol_settings_free(struct protocol_settings *set ATTR_UNUSED)
{
}
