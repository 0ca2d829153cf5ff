/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PUSH_NOTIFICATION_API_H
#define HTTP_NOTIFY_PUSH_NOTIFICATION_API_H

#include "push-notification-drivers.h"
#include "push-notification-events.h"
#include "push-notification-plugin.h"
#include "push-notification-txn-mbox.h"
#include "push-notification-txn-msg.h"

/* The functions of Dovecot's push_notification plugin that this plugin uses.
   They are looked up when they are needed: push_notification may be loaded
   later, for a user whose mail_plugins has it, or not at all, and a module with
   an undefined symbol would stop all mail. */
struct push_notification_api {
#define PUSH_NOTIFICATION_API(name) \
	__typeof__(push_notification_##name) *name
	PUSH_NOTIFICATION_API(driver_register);
	PUSH_NOTIFICATION_API(driver_unregister);
	PUSH_NOTIFICATION_API(event_init);
	PUSH_NOTIFICATION_API(event_register);
	PUSH_NOTIFICATION_API(event_unregister);
	PUSH_NOTIFICATION_API(get_event_category);
#undef PUSH_NOTIFICATION_API
};

/* Filled in by push_notification_api_find(). Drivers and events may use it:
   they are not called before that has succeeded. */
extern struct push_notification_api push_notification_api;

struct mail_user;

/* Look the functions up. Returns 0 if push_notification is loaded and has
   registered its drivers and events, or -1 and error_r. */
int push_notification_api_find(const char **error_r);
/* Returns 0 if push_notification sees what happens to the user's mail, or -1
   and error_r, which says what is missing and what to do. Other users of the
   process may have other plugins. */
int push_notification_api_check_user(struct mail_user *user,
				     const char **error_r);

#ifdef HTTP_NOTIFY_HAVE_EVENT_INIT_EVENT
#define push_notification_api_event_init(dtxn, name, config, event) \
	push_notification_api.event_init(dtxn, name, config, event)
#else
#define push_notification_api_event_init(dtxn, name, config, event) \
	push_notification_api.event_init(dtxn, name, config)
#endif

#endif
