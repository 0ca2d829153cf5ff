/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DRIVER_H
#define HTTP_NOTIFY_DRIVER_H

#include "push-notification-drivers.h"

#define HTTP_NOTIFY_DRIVER_NAME "ox"

/* The push_notification driver "ox": for each new message in INBOX of a
   registered user, one notification handed to the service. There are two that
   differ in their names only, which are to be changed to "ox". */
extern struct push_notification_driver http_notify_drivers[2];

/* Close the process's connection to the service. */
void http_notify_driver_deinit(void);

#endif
