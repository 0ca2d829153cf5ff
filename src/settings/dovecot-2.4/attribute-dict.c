/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "settings.h"

#include "attribute-dict.h"

static int dict_open(struct mail_user *user, struct settings_instance *instance,
		     struct dict **dict_r)
{
	struct event *event = event_create(user->event);
	const char *error;
	int ret;

	if (instance != NULL)
		event_set_ptr(event, SETTINGS_EVENT_INSTANCE, instance);
	settings_event_add_filter_name(event, "mail_attribute");
	ret = dict_init_auto(event, dict_r, &error);
	event_unref(&event);
	return ret > 0 ? 0 : -1;
}

/* The same with another redis_request_timeout. */
static int dict_open_redis(struct mail_user *user, unsigned int timeout_msecs,
			   struct dict **dict_r)
{
	struct settings_instance *instance =
		settings_instance_dup(settings_instance_find(user->event));
	int ret;

	settings_override(instance, "redis_request_timeout",
			  t_strdup_printf("%u ms", timeout_msecs),
			  SETTINGS_OVERRIDE_TYPE_CODE);
	ret = dict_open(user, instance, dict_r);
	settings_instance_free(&instance);
	return ret;
}

int http_notify_attribute_dict_init(struct mail_user *user,
				    unsigned int timeout_msecs,
				    struct dict **dict_r,
				    enum attribute_dict_kind *kind_r,
				    const char **name_r)
{
	if (dict_open(user, NULL, dict_r) < 0)
		return -1;
	*kind_r = ATTRIBUTE_DICT_BLOCKS;
	*name_r = t_strdup((*dict_r)->name);
	if (strcmp(*name_r, "proxy") == 0)
		*kind_r = ATTRIBUTE_DICT_ASYNC;
	else if (strcmp(*name_r, "redis") == 0) {
		*kind_r = ATTRIBUTE_DICT_GIVES_UP;
		if (timeout_msecs > 0) {
			dict_deinit(dict_r);
			return dict_open_redis(user, timeout_msecs, dict_r);
		}
	}
	return 0;
}
