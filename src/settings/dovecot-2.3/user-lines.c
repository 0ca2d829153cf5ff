/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "mail-user.h"
#include "settings-parser.h"
#include "str.h"
#include "str-sanitize.h"
#include "var-expand.h"

#include "driver-line.h"
#include "driver-try.h"
#include "protocol-settings.h"
#include "protocol-settings-source.h"
#include "user-lines.h"

#define HANDOFF_TIMEOUT_SETTING "http_notify_handoff_timeout"

struct user_lines_context {
	struct mail_user *user;
	const struct protocol_settings *set;
	/* plugin { }, with the user's own settings from the userdb: names, each
	   followed by its value with variables expanded; NULL at the end */
	const char *const *envs;
	const char *const *mail_plugins;
	pool_t pool;
	ARRAY_TYPE(user_line) *lines;

	/* the names of the lines that are looked at here, in Dovecot's order */
	ARRAY_TYPE(const_string) names_read;
	/* drivers that Dovecot initialises, ours and others */
	unsigned int drivers_count;
	/* NULL = Dovecot reads the next line; else why not */
	const char *stopped;
};

/* userdb fields */

static const char *const empty_fields[] = { NULL };

static const char *const *userdb_fields(struct mail_user *user)
{
	return user->userdb_fields == NULL ? empty_fields :
		user->userdb_fields;
}

/* The plugin { } setting that a userdb field sets. */
static const char *field_get_name(const char *field)
{
	const char *name = t_strcut(field, '=');
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '+')
		name = t_strndup(name, len - 1);
	return str_begins(name, "plugin/") ? name + strlen("plugin/") : name;
}

int user_plugins_get(struct mail_user *user,
		     const struct protocol_settings *set, pool_t pool,
		     const char *const **plugins_r,
		     const char **error_r ATTR_UNUSED)
{
	const char *const *fields = userdb_fields(user);
	const char *plugins = t_strarray_join(set->mail_plugins, " ");
	const char *value;

	for (; *fields != NULL; fields++) {
		if (str_begins(*fields, "mail_plugins=")) {
			value = *fields + strlen("mail_plugins=");
			plugins = value;
		} else if (str_begins(*fields, "mail_plugins+=")) {
			value = *fields + strlen("mail_plugins+=");
			/* Dovecot appends it without a separator */
			plugins = t_strconcat(plugins, value, NULL);
		}
	}
	*plugins_r = (const char *const *)
		p_strsplit_spaces(pool, plugins, ", ");
	return 0;
}

/* plugin { } */

static const char *
envs_find(const char *const *envs, const char *name)
{
	for (; envs[0] != NULL; envs += 2) {
		if (strcmp(envs[0], name) == 0)
			return envs[1];
	}
	return NULL;
}

static const char *
expand(struct mail_user *user, const char *value, pool_t pool)
{
	string_t *str = t_str_new(128);
	const char *error;

	(void)var_expand_with_funcs(str, value,
				    mail_user_var_expand_table(user),
				    mail_user_var_expand_func_table, user,
				    &error);
	return p_strdup(pool, str_c(str));
}

/* Returns the protocol's values, not doveadm's own. */
static const char *const *
envs_get(struct mail_user *user, const struct protocol_settings *set,
	 pool_t pool)
{
	const char *const *fields, *const *envs, *name, *value;
	ARRAY_TYPE(const_string) all;

	p_array_init(&all, pool, 32);
	/* the userdb's come first: envs_find() returns the first one */
	for (fields = userdb_fields(user); *fields != NULL; fields++) {
		name = p_strdup(pool, field_get_name(*fields));
		value = mail_user_plugin_getenv(user, name);
		if (value != NULL) {
			array_push_back(&all, &name);
			array_push_back(&all, &value);
		}
	}
	for (envs = set->source->plugin_envs; envs[0] != NULL; envs += 2) {
		value = expand(user, envs[1], pool);
		array_push_back(&all, &envs[0]);
		array_push_back(&all, &value);
	}
	array_append_zero(&all);
	return array_front(&all);
}

/* Lines */

static struct user_line *
line_add(struct user_lines_context *ctx, const char *name, const char *error)
{
	struct user_line *line = array_append_space(ctx->lines);

	line->setting = p_strdup(ctx->pool, name);
	line->error = p_strdup(ctx->pool, error);
	return line;
}

static const char *handoff_timeout_error(const char *const *envs)
{
	const char *value = envs_find(envs, HANDOFF_TIMEOUT_SETTING), *error;
	unsigned int msecs;

	if (value == NULL ||
	    settings_get_time_msecs(value, &msecs, &error) == 0)
		return NULL;
	return t_strdup_printf(HANDOFF_TIMEOUT_SETTING"=%s: %s",
			       str_sanitize(value, 64), error);
}

static void
line_read_ours(struct user_lines_context *ctx, const char *name,
	       const char *value)
{
	struct user_line *line = line_add(ctx, name, ctx->stopped);
	const char *error;

	line->ox = driver_line_is_ox(value);
	if (ctx->stopped != NULL)
		return;
	if (driver_line_parse(value, ctx->pool, &line->options, &error) < 0 ||
	    (error = handoff_timeout_error(ctx->envs)) != NULL)
		line->error = p_strdup(ctx->pool, error);
	/* our driver's initialisation never fails, so Dovecot goes on to the
	   next line even if this one is invalid */
	ctx->drivers_count++;
}

/* In the child: give the user the protocol's settings instead of doveadm's. */
static void user_set_envs(struct mail_user *user, void *context)
{
	struct user_lines_context *ctx = context;
	const char *const *envs = ctx->envs;

	p_array_init(&user->set->plugin_envs, user->pool, 32);
	for (; *envs != NULL; envs++)
		array_push_back(&user->set->plugin_envs, envs);
}

static void
line_read_other(struct user_lines_context *ctx, const char *name,
		const char *value)
{
	const char *error;

	if (ctx->stopped != NULL)
		return;
	if (driver_try(ctx->user, ctx->set->mail_plugin_dir, ctx->mail_plugins,
		       value, user_set_envs, ctx, &error)) {
		ctx->drivers_count++;
		return;
	}
	ctx->stopped = t_strdup_printf("Dovecot never reads it, since it stops "
		"at %s, which fails: %s (fix or remove that, or put it after "
		"this one)", name, error);
}

static const char *line_name(const char *setting, unsigned int number)
{
	return number == 1 ? setting :
		t_strdup_printf("%s%u", setting, number);
}

/* Is this line or one after it ours? Only then do others' lines matter. */
static bool
ours_follows(struct user_lines_context *ctx, const char *setting,
	     unsigned int number)
{
	const char *value;

	for (; (value = envs_find(ctx->envs,
				  line_name(setting, number))) != NULL &&
	     *value != '\0'; number++) {
		if (driver_line_is_ours(value))
			return TRUE;
	}
	return FALSE;
}

/* Returns the number of the first line that is missing, at which Dovecot
   stops. */
static unsigned int
lines_read(struct user_lines_context *ctx, const char *setting)
{
	const char *name, *value;
	unsigned int number;

	ctx->stopped = NULL;
	for (number = 1;; number++) {
		name = p_strdup(ctx->pool, line_name(setting, number));
		value = envs_find(ctx->envs, name);
		if (value == NULL || *value == '\0')
			return number;
		array_push_back(&ctx->names_read, &name);
		if (driver_line_is_ours(value))
			line_read_ours(ctx, name, value);
		else if (ours_follows(ctx, setting, number) ||
			 ours_follows(ctx, OLD_DRIVER_SETTING, 1))
			line_read_other(ctx, name, value);
	}
}

static bool was_read(struct user_lines_context *ctx, const char *name)
{
	const char *name_read;

	array_foreach_elem(&ctx->names_read, name_read) {
		if (strcmp(name_read, name) == 0)
			return TRUE;
	}
	return FALSE;
}

/* Add lines of ours whose numbers Dovecot does not get to. */
static void
lines_add_unread(struct user_lines_context *ctx, const char *setting,
		 const char *error)
{
	const char *const *envs;

	for (envs = ctx->envs; envs[0] != NULL; envs += 2) {
		if (driver_line_has_name(envs[0], setting) &&
		    driver_line_is_ours(envs[1]) && !was_read(ctx, envs[0]) &&
		    envs_find(ctx->envs, envs[0]) == envs[1])
			(void)line_add(ctx, envs[0], error);
	}
}

int user_lines_get(struct mail_user *user, const struct protocol_settings *set,
		   pool_t pool, ARRAY_TYPE(user_line) *lines,
		   const char **error_r)
{
	struct user_lines_context ctx = {
		.user = user, .set = set, .pool = pool, .lines = lines
	};
	unsigned int number;

	if (user_plugins_get(user, set, pool, &ctx.mail_plugins, error_r) < 0)
		return -1;
	ctx.envs = envs_get(user, set, pool);
	p_array_init(&ctx.names_read, pool, 8);
	number = lines_read(&ctx, DRIVER_SETTING);
	lines_add_unread(&ctx, DRIVER_SETTING, t_strdup_printf(
		"Dovecot never reads it, since there is no %s: give it that "
		"name (lines are numbered from 2 on, without gaps)",
		line_name(DRIVER_SETTING, number)));

	if (ctx.drivers_count == 0) {
		number = lines_read(&ctx, OLD_DRIVER_SETTING);
		lines_add_unread(&ctx, OLD_DRIVER_SETTING, t_strdup_printf(
			"Dovecot never reads it, since there is no %s",
			line_name(OLD_DRIVER_SETTING, number)));
	} else {
		lines_add_unread(&ctx, OLD_DRIVER_SETTING,
			"Dovecot never reads this old name, since there is "
			DRIVER_SETTING": number it among these");
	}
	return 0;
}
