#include "lib.h"
#include "push-notification-drivers.h"
#include "push-notification-events.h"

#include "http-notify-driver.h"
#include "http-notify-message.h"
#include "http-notify-plugin.h"

const char *http_notify_plugin_version = DOVECOT_ABI_VERSION;
const char *http_notify_plugin_dependencies[] = { "push_notification", NULL };

/* The driver built into Dovecot, of the same name. It must be registered again
   when we leave, since its plugin unregisters it and takes a missing driver
   for a bug. */
extern struct push_notification_driver push_notification_driver_ox;

void http_notify_plugin_init(struct module *module ATTR_UNUSED)
{
	push_notification_event_register(&http_notify_event_message);
	push_notification_driver_unregister(&push_notification_driver_ox);
	push_notification_driver_register(&http_notify_driver);
}

void http_notify_plugin_deinit(void)
{
	push_notification_driver_unregister(&http_notify_driver);
	push_notification_driver_register(&push_notification_driver_ox);
	push_notification_event_unregister(&http_notify_event_message);
	http_notify_driver_deinit();
}
