/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DRIVER_LINE_H
#define HTTP_NOTIFY_DRIVER_LINE_H

struct http_notify_options;

/* The settings of push_notification drivers in plugin { }, from the second one
   on with a number behind the name. */
#define DRIVER_SETTING "push_notification_driver"
/* The old name, which Dovecot reads if the above yields no driver. */
#define OLD_DRIVER_SETTING "push_notification_backend"

/* Is name one of these settings, with a number or without? */
bool driver_line_has_name(const char *name, const char *setting);
/* Is the value, "driver:options", one of our driver? */
bool driver_line_is_ours(const char *value);
/* Is it that of an OX endpoint? */
bool driver_line_is_ox(const char *value);
/* Parse the options of a driver of ours. Returns as http_notify_options_parse()
   does. */
int driver_line_parse_options(const char *driver, const char *options,
			      pool_t pool,
			      struct http_notify_options *options_r,
			      const char **error_r);
/* The same for a value of ours. */
int driver_line_parse(const char *value, pool_t pool,
		      struct http_notify_options *options_r,
		      const char **error_r);

#endif
