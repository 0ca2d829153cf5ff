/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "dict.h"
#include "settings.h"
#include "mail-storage-settings.h"
#include "doveadm-settings.h"

#include "http-notify-settings.h"
#include "protocol-settings.h"
#include "protocol-settings-source.h"

/* Don't check or expand values: that may need a user, and there is none. */
#define GET_FLAGS (SETTINGS_GET_FLAG_NO_CHECK | SETTINGS_GET_FLAG_NO_EXPAND)

static int
get_mail_settings(struct event *event, pool_t pool,
		  struct protocol_settings *set_r, const char **error_r)
{
	const struct mail_user_settings *set;

	if (settings_get(event, &mail_user_setting_parser_info, GET_FLAGS,
			 &set, error_r) < 0)
		return -1;
	set_r->mail_plugins = array_is_created(&set->mail_plugins) ?
		p_strarray_dup(pool,
			       settings_boollist_get(&set->mail_plugins)) :
		p_new(pool, const char *, 1);
	set_r->mail_plugin_dir = p_strdup(pool, set->mail_plugin_dir);
	settings_free(set);
	return 0;
}

static int
get_dict_settings(struct event *parent, pool_t pool,
		  struct protocol_settings *set_r, const char **error_r)
{
	struct event *event = event_create(parent);
	const struct dict_settings *set;
	int ret;

	event_set_ptr(event, SETTINGS_EVENT_FILTER_NAME, "mail_attribute");
	ret = settings_get(event, &dict_setting_parser_info, GET_FLAGS,
			   &set, error_r);
	event_unref(&event);
	if (ret < 0)
		return -1;
	if (array_not_empty(&set->dicts)) {
		set_r->attribute_dict = p_strdup(pool,
			t_array_const_string_join(&set->dicts, " "));
	}
	settings_free(set);
	return 0;
}

static int
get_imap_settings(struct event *event, struct protocol_settings *set_r,
		  const char **error_r)
{
	const struct http_notify_foreign_settings *set;

	if (settings_get(event, &http_notify_foreign_setting_parser_info,
			 GET_FLAGS, &set, error_r) < 0)
		return -1;
	set_r->imap_metadata = set->imap_metadata;
	settings_free(set);
	return 0;
}

static int
read_config(struct settings_root *root, const char *protocol,
	    const char **error_r)
{
	const char *const *protocols;
	int fd = doveadm_settings_get_config_fd();

	if (fd == -1) {
		*error_r = "doveadm has read no configuration";
		return -1;
	}
	return settings_read(root, fd, "doveadm's configuration", protocol,
			     protocol, 0, &protocols, error_r);
}

int protocol_settings_read(const char *base_dir ATTR_UNUSED,
			   const char *protocol,
			   const struct ip_addr *remote_ip, pool_t pool,
			   struct protocol_settings *set_r,
			   const char **error_r)
{
	struct event *event;
	int ret;

	i_zero(set_r);
	set_r->source = p_new(pool, struct protocol_settings_source, 1);
	set_r->source->root = settings_root_init();
	if (read_config(set_r->source->root, protocol, error_r) < 0)
		return -1;

	event = event_create(NULL);
	event_set_ptr(event, SETTINGS_EVENT_ROOT, set_r->source->root);
	if (remote_ip != NULL)
		event_add_ip(event, "remote_ip", remote_ip);
	ret = get_mail_settings(event, pool, set_r, error_r);
	if (ret == 0)
		ret = get_dict_settings(event, pool, set_r, error_r);
	if (ret == 0)
		ret = get_imap_settings(event, set_r, error_r);
	event_unref(&event);
	return ret;
}

void protocol_settings_free(struct protocol_settings *set)
{
	if (set->source != NULL)
		settings_root_deinit(&set->source->root);
	set->source = NULL;
}
