#include "lib.h"
#include "array.h"
#include "mail-user.h"
#include "settings.h"

#include "endpoint-settings.h"
#include "http-notify-settings.h"
#include "source.h"
#include "user-lines.h"

#define DRIVER_NAME "ox"

/* May this field of the userdb be a setting that is looked at here? Others, such
   as uid, are no settings at all. */
static bool may_be_setting(const char *key)
{
	return str_begins_with(key, "push_notification") ||
		str_begins_with(key, "http_");
}

/* The user's own settings, which are in the userdb, on top of others. */
static struct settings_instance *
user_settings_instance(struct mail_user *user, struct settings_root *root)
{
	struct settings_instance *instance = settings_instance_new(root);
	const char *const *fields = user->userdb_fields;
	const char *key, *value;

	for (; fields != NULL && *fields != NULL; fields++) {
		t_split_key_value_eq(*fields, &key, &value);
		if (may_be_setting(key)) {
			settings_override(instance, key, value,
					  SETTINGS_OVERRIDE_TYPE_USERDB);
		}
	}
	return instance;
}

static bool is_ours(struct event *event, const char *name)
{
	const char *driver, *error;

	if (http_notify_endpoint_driver_get(event, name, &driver, &error) < 0) {
		/* what is wrong is its line's error */
		return TRUE;
	}
	return strcmp(driver, DRIVER_NAME) == 0;
}

static void
user_lines_get_all(struct event *event, const ARRAY_TYPE(const_string) *names,
		   pool_t pool, ARRAY_TYPE(user_line) *lines)
{
	struct user_line *line;
	const char *name;

	array_foreach_elem(names, name) {
		if (!is_ours(event, name))
			continue;
		line = array_append_space(lines);
		line->setting = p_strdup_printf(pool, "push_notification %s",
						name);
		(void)http_notify_endpoint_options_get(event, name, pool,
						       &line->options,
						       &line->error);
	}
}

int user_lines_get(struct mail_user *user,
		   const struct protocol_settings_source *source,
		   pool_t pool, ARRAY_TYPE(user_line) *lines,
		   const char **error_r)
{
	struct settings_instance *instance =
		user_settings_instance(user, source->root);
	const struct http_notify_foreign_settings *set;
	struct event *event;
	int ret;

	event = event_create(NULL);
	event_set_ptr(event, SETTINGS_EVENT_INSTANCE, instance);
	event_set_ptr(event, SETTINGS_EVENT_VAR_EXPAND_PARAMS,
		      (void *)mail_user_var_expand_params(user));
	ret = settings_get(event, &http_notify_foreign_setting_parser_info, 0,
			   &set, error_r);
	if (ret == 0) {
		if (array_is_created(&set->push_notifications)) {
			user_lines_get_all(event, &set->push_notifications,
					   pool, lines);
		}
		settings_free(set);
	}
	event_unref(&event);
	settings_instance_free(&instance);
	return ret;
}
