/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DRIVER_H
#define HTTP_NOTIFY_DRIVER_H

#include "push-notification-drivers.h"

/* The push_notification driver "ox": hands one notification to the service for
   each event of the table (http-notify-event.h), such as a new message in the
   INBOX of a registered user. There are two drivers, for http-notify-plugin.c,
   which registers them under different names and then renames both to "ox". */
extern struct push_notification_driver http_notify_drivers[2];
/* The driver "webhook" does the same. */
extern struct push_notification_driver http_notify_webhook_driver;
/* The driver "chronos" hands calendar mail to it: whole messages. */
extern struct push_notification_driver http_notify_chronos_driver;

/* Close the process's connection to the service. */
void http_notify_driver_deinit(void);

#endif
