/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "module-dir.h"
#include "mail-storage-private.h"
#include "mail-storage-hooks.h"

#include "driver-settings.h"
#include "export.h"
#include "http-notify-driver.h"
#include "http-notify-event.h"
#include "http-notify-plugin.h"
#include "log-spells.h"
#include "mail-delivery.h"
#include "metadata-dict.h"
#include "once-per-delivery.h"
#include "push-notification-api.h"

/* http_notify_plugin_dependencies is left out on purpose: with it, Dovecot
   would neither load this module without push_notification nor deliver mail. */
HTTP_NOTIFY_EXPORT const char *http_notify_plugin_version = DOVECOT_ABI_VERSION;

/* Are our driver and our events registered? */
static bool in_place = FALSE;

/* Dovecot has no function that tells whether it has a built-in driver "ox". Its
   functions look drivers up by name and find the first. So two drivers of ours
   are registered, under names of their own, and renamed to "ox"; then one
   driver "ox" is unregistered: the built-in one or, if there is none, the first
   of ours. Now the first "ox" is ours. */
static int take_place(const char **error_r)
{
	const struct http_notify_event *const *event;
	unsigned int i;

	if (in_place)
		return 0;
	if (push_notification_api_find(error_r) < 0)
		return -1;
	for (event = http_notify_events; *event != NULL; event++)
		push_notification_api.event_register(&(*event)->push);
	for (i = 0; i < N_ELEMENTS(http_notify_drivers); i++) {
		push_notification_api.driver_register(&http_notify_drivers[i]);
		http_notify_drivers[i].name = HTTP_NOTIFY_DRIVER_OX;
	}
	push_notification_api.driver_unregister(&http_notify_drivers[0]);
	push_notification_api.driver_register(&http_notify_webhook_driver);
	push_notification_api.driver_register(&http_notify_chronos_driver);
	in_place = TRUE;
	return 0;
}

/* A push_notification with a built-in driver "ox" unregisters an "ox" when it
   is unloaded, and treats a missing one as a bug. That may be before or after
   this, while this module is still in memory. So there are two of ours: one is
   unregistered here and one there. */
static void leave_place(void)
{
	const struct http_notify_event *const *event;

	if (!in_place)
		return;
	push_notification_api.driver_unregister(&http_notify_drivers[0]);
	push_notification_api.driver_unregister(&http_notify_webhook_driver);
	push_notification_api.driver_unregister(&http_notify_chronos_driver);
	for (event = http_notify_events; *event != NULL; event++)
		push_notification_api.event_unregister(&(*event)->push);
	in_place = FALSE;
}

/* push_notification may be loaded after us, for a user who needs it. */
static void http_notify_user_created(struct mail_user *user ATTR_UNUSED)
{
	const char *error;

	(void)take_place(&error);
}

static void http_notify_mailbox_allocated(struct mailbox *box)
{
	static bool said = FALSE;
	struct mail_user *user = mail_storage_get_user(box->storage);
	const char *error;

	/* What is missing is logged once per process. */
	if (said || user->autocreated || !http_notify_is_delivery(user))
		return;
	if (push_notification_api_check_user(user, &error) == 0 &&
	    take_place(&error) == 0)
		return;
	said = TRUE;
	e_error(user->event, "http-notify: Mail is delivered "
		"without notifications: %s", error);
}

static const struct mail_storage_hooks http_notify_hooks = {
	.mail_user_created = http_notify_user_created,
	.mailbox_allocated = http_notify_mailbox_allocated,
};

/* Hooks are called in the order of their modules' file names. Ours has to come
   before that of push_notification, which looks for the user's drivers. */
static struct module early_module = { .path = "lib00_http_notify_plugin.so" };

void http_notify_plugin_init(struct module *module)
{
	const char *error;

	early_module.name = module->name;
	mail_storage_hooks_add(&early_module, &http_notify_hooks);
	metadata_dicts_init();
	(void)take_place(&error);
}

void http_notify_plugin_deinit(void)
{
	leave_place();
	mail_storage_hooks_remove(&http_notify_hooks);
	http_notify_driver_deinit();
	metadata_dicts_deinit();
	log_spells_deinit();
	once_per_delivery_deinit();
}
