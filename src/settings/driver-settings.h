/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DRIVER_SETTINGS_H
#define HTTP_NOTIFY_DRIVER_SETTINGS_H

#include "options.h"

/* The names of our drivers: that of Dovecot's built-in one, which takes its
   place, and one for endpoints that are not OX. They do the same. That of
   Dovecot Pro's is for calendar mail, which goes out as whole messages. */
#define HTTP_NOTIFY_DRIVER_OX "ox"
#define HTTP_NOTIFY_DRIVER_WEBHOOK "webhook"
#define HTTP_NOTIFY_DRIVER_CHRONOS "chronos"

struct mail_user;
struct push_notification_driver_config;

/* One of a mail user's push_notification drivers. */
struct http_notify_driver_settings {
	struct http_notify_options options;
	/* http_notify_handoff_timeout: how long a delivery may wait for its
	   notification to be queued */
	unsigned int handoff_timeout_msecs;
};

/* Declares Dovecot's push_notification_driver_vfuncs.init(), with the
   parameters user, pool, context, error_r and config. The latter is for
   http_notify_driver_settings_get(). */
#ifndef HTTP_NOTIFY_HAVE_DRIVER_CONFIG
/* <name> of push_notification <name> { } */
typedef const char http_notify_driver_config;
#define HTTP_NOTIFY_DRIVER_INIT(name) \
	name(struct mail_user *user, pool_t pool, const char *config, \
	     void **context, const char **error_r ATTR_UNUSED)
#else
/* the options of the line */
typedef struct push_notification_driver_config http_notify_driver_config;
#define HTTP_NOTIFY_DRIVER_INIT(name) \
	name(struct push_notification_driver_config *config, \
	     struct mail_user *user, pool_t pool, \
	     void **context, const char **error_r ATTR_UNUSED)
#endif

/* Get the settings of a driver of this name, which live in the pool. Returns 0,
   or -1 and error_r, which has no secrets in it. */
int http_notify_driver_settings_get(struct mail_user *user, const char *driver,
				    http_notify_driver_config *config,
				    pool_t pool,
				    struct http_notify_driver_settings *set_r,
				    const char **error_r);

#endif
