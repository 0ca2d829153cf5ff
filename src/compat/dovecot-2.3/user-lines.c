#include "lib.h"
#include "array.h"
#include "mail-user.h"
#include "str.h"
#include "var-expand.h"

#include "source.h"
#include "user-lines.h"

#define DRIVER_SETTING "push_notification_driver"
#define DRIVER_PREFIX "ox:"

static const char *
setting_get(struct mail_user *user, const char *const *plugin_envs,
	    const char *name)
{
	const char *value = mail_user_plugin_getenv(user, name), *error;
	string_t *str;

	if (value != NULL)
		return value;
	for (; plugin_envs[0] != NULL; plugin_envs += 2) {
		if (strcmp(plugin_envs[0], name) == 0) {
			str = t_str_new(128);
			(void)var_expand_with_funcs(str, plugin_envs[1],
				mail_user_var_expand_table(user),
				mail_user_var_expand_func_table, user, &error);
			return str_c(str);
		}
	}
	return NULL;
}

int user_lines_get(struct mail_user *user,
		   const struct protocol_settings_source *source,
		   pool_t pool, ARRAY_TYPE(user_line) *lines,
		   const char **error_r ATTR_UNUSED)
{
	const char *setting = DRIVER_SETTING, *value;
	struct user_line *line;
	unsigned int i;

	/* Dovecot stops at the first number that is not there */
	for (i = 2; (value = setting_get(user, source->plugin_envs,
					 setting)) != NULL &&
	     *value != '\0'; i++) {
		if (str_begins(value, DRIVER_PREFIX)) {
			line = array_append_space(lines);
			line->setting = setting;
			(void)http_notify_options_parse(
				t_strsplit_spaces(
					value + strlen(DRIVER_PREFIX), " "),
				pool, &line->options, &line->error);
		}
		setting = p_strdup_printf(pool, DRIVER_SETTING"%u", i);
	}
	return 0;
}
