/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "module-dir.h"
#include "mail-storage-service.h"
#include "mail-user.h"

#include "push-notification-api.h"

#include <dlfcn.h>
#include <stddef.h>

struct push_notification_api push_notification_api;

#define SYMBOL(name) \
	{ "push_notification_"#name, \
	  offsetof(struct push_notification_api, name) }

static const struct {
	const char *name;
	size_t offset;
} symbols[] = {
	SYMBOL(driver_register),
	SYMBOL(driver_unregister),
	SYMBOL(event_init),
	SYMBOL(event_register),
	SYMBOL(event_unregister),
	SYMBOL(get_event_category),
};

/* The plugins that tell drivers about a user's transactions. */
static const char *const plugins[] = { "notify", "push_notification" };

int push_notification_api_find(const char **error_r)
{
	struct module *module;
	unsigned int i;
	void *symbol;

	module = module_dir_find(mail_storage_service_modules,
				 "push_notification");
	/* its drivers have to be registered before ours */
	if (module == NULL || !module->initialized) {
		*error_r = "Dovecot's plugin push_notification is not loaded";
		return -1;
	}
	for (i = 0; i < N_ELEMENTS(symbols); i++) {
		symbol = dlsym(module->handle, symbols[i].name);
		memcpy(PTR_OFFSET(&push_notification_api, symbols[i].offset),
		       &symbol, sizeof(symbol));
		if (symbol == NULL) {
			*error_r = t_strdup_printf("Dovecot's plugin "
				"push_notification has no %s() (is there a "
				"later version of dovecot-http-notify for "
				"this Dovecot?)", symbols[i].name);
			return -1;
		}
	}
	return 0;
}

int push_notification_api_check_user(struct mail_user *user,
				     const char **error_r)
{
	string_t *missing = t_str_new(64);
	struct module *module;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(plugins); i++) {
		module = module_dir_find(mail_storage_service_modules,
					 plugins[i]);
		if (module != NULL && mail_user_is_plugin_loaded(user, module))
			continue;
		if (str_len(missing) > 0)
			str_append(missing, " and ");
		str_append(missing, plugins[i]);
	}
	if (str_len(missing) == 0)
		return 0;
	*error_r = t_strdup_printf("mail_plugins has http_notify without "
		"Dovecot's %s (add to mail_plugins: %s)",
		str_c(missing), str_c(missing));
	return -1;
}
