/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "mail-user.h"
#include "settings.h"
#include "mail-storage-settings.h"

#include "driver-try.h"
#include "endpoint-settings.h"
#include "http-notify-settings.h"
#include "protocol-settings.h"
#include "protocol-settings-source.h"
#include "user-lines.h"

/* May this userdb field be a setting that is read here? Others, such as uid,
   are no settings at all. */
static bool may_be_setting(const char *key)
{
	return str_begins_with(key, "push_notification") ||
		str_begins_with(key, "http_") ||
		str_begins_with(key, "mail_plugins");
}

/* Returns the settings of root with the user's own, from the userdb, on top. */
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

/* An event to look up settings with as a process of the protocol does. */
static struct event *
user_event_create(struct mail_user *user, struct settings_instance *instance)
{
	struct event *event = event_create(NULL);

	event_set_ptr(event, SETTINGS_EVENT_INSTANCE, instance);
	event_set_ptr(event, SETTINGS_EVENT_VAR_EXPAND_PARAMS,
		      (void *)mail_user_var_expand_params(user));
	return event;
}

static int
plugins_get(struct event *event, pool_t pool, const char *const **plugins_r,
	    const char **error_r)
{
	const struct mail_user_settings *set;

	if (settings_get(event, &mail_user_setting_parser_info,
			 SETTINGS_GET_FLAG_NO_CHECK |
			 SETTINGS_GET_FLAG_NO_EXPAND, &set, error_r) < 0)
		return -1;
	*plugins_r = array_is_created(&set->mail_plugins) ?
		p_strarray_dup(pool,
			       settings_boollist_get(&set->mail_plugins)) :
		p_new(pool, const char *, 1);
	settings_free(set);
	return 0;
}

int user_plugins_get(struct mail_user *user,
		     const struct protocol_settings *set, pool_t pool,
		     const char *const **plugins_r, const char **error_r)
{
	struct settings_instance *instance =
		user_settings_instance(user, set->source->root);
	struct event *event = user_event_create(user, instance);
	int ret;

	ret = plugins_get(event, pool, plugins_r, error_r);
	event_unref(&event);
	settings_instance_free(&instance);
	return ret;
}

/* In the child: give the user the protocol's settings instead of doveadm's. */
static void user_set_instance(struct mail_user *user, void *instance)
{
	event_set_ptr(user->event, SETTINGS_EVENT_INSTANCE, instance);
}

struct user_lines_context {
	struct mail_user *user;
	struct settings_instance *instance;
	struct event *event;
	const struct protocol_settings *set;
	const char *const *mail_plugins;
	pool_t pool;
	/* NULL = Dovecot reads the next line; else why not */
	const char *stopped;
};

static void
line_read_ours(struct user_lines_context *ctx, const char *name,
	       ARRAY_TYPE(user_line) *lines)
{
	struct user_line *line = array_append_space(lines);

	line->setting = p_strdup_printf(ctx->pool, "push_notification %s",
					name);
	line->ox = http_notify_endpoint_is_ox(ctx->event, name);
	if (ctx->stopped != NULL) {
		line->error = p_strdup(ctx->pool, ctx->stopped);
		return;
	}
	(void)http_notify_endpoint_options_get(ctx->event, name, ctx->pool,
					       &line->options, &line->error);
}

static void
line_read_other(struct user_lines_context *ctx, const char *name)
{
	const char *error;

	if (ctx->stopped != NULL ||
	    driver_try(ctx->user, ctx->set->mail_plugin_dir, ctx->mail_plugins,
		       name, user_set_instance, ctx->instance, &error))
		return;
	ctx->stopped = t_strdup_printf("Dovecot never reads it, since it stops "
		"at push_notification %s, which fails: %s (fix or remove that, "
		"or put it after this one)", name, error);
}

static void
lines_read(struct user_lines_context *ctx,
	   const ARRAY_TYPE(const_string) *names, ARRAY_TYPE(user_line) *lines)
{
	const char *const *name;
	unsigned int i, count, ours_end = 0;

	name = array_get(names, &count);
	for (i = 0; i < count; i++) {
		if (http_notify_endpoint_is_ours(ctx->event, name[i]))
			ours_end = i + 1;
	}
	for (i = 0; i < ours_end; i++) {
		if (http_notify_endpoint_is_ours(ctx->event, name[i]))
			line_read_ours(ctx, name[i], lines);
		else
			line_read_other(ctx, name[i]);
	}
}

int user_lines_get(struct mail_user *user, const struct protocol_settings *set,
		   pool_t pool, ARRAY_TYPE(user_line) *lines,
		   const char **error_r)
{
	struct user_lines_context ctx = {
		.user = user, .set = set, .pool = pool,
	};
	const struct http_notify_foreign_settings *foreign_set;
	int ret;

	ctx.instance = user_settings_instance(user, set->source->root);
	ctx.event = user_event_create(user, ctx.instance);
	ret = plugins_get(ctx.event, pool, &ctx.mail_plugins, error_r);
	if (ret == 0) {
		ret = settings_get(ctx.event,
				   &http_notify_foreign_setting_parser_info, 0,
				   &foreign_set, error_r);
	}
	if (ret == 0) {
		if (array_is_created(&foreign_set->push_notifications)) {
			lines_read(&ctx, &foreign_set->push_notifications,
				   lines);
		}
		settings_free(foreign_set);
	}
	event_unref(&ctx.event);
	settings_instance_free(&ctx.instance);
	return ret;
}
