#ifndef HTTP_NOTIFY_DRIVER_H
#define HTTP_NOTIFY_DRIVER_H

/* The push_notification driver "ox": for each new message in INBOX of a
   registered user, one notification handed to the service. */
extern struct push_notification_driver http_notify_driver;

/* Close the process's connection to the service. */
void http_notify_driver_deinit(void);

#endif
