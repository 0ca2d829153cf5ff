/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DRIVER_TRY_H
#define HTTP_NOTIFY_DRIVER_TRY_H

struct mail_user;

/* Would Dovecot's push_notification plugin initialise this driver for the user?
   If a driver fails, Dovecot does not initialise those after it. Only the
   driver itself knows, so a child process loads these plugins and tries it with
   the user's permissions and settings, which leaves this process as it is.
   config is what push_notification_driver_init() is given: on 2.3 the line, on
   2.4 the filter's name. If prepare() is not NULL, the child calls it after
   loading the plugins, to give the user the settings of another protocol.

   Returns TRUE also if the plugins can't be loaded, for example because
   push_notification is missing. Returns FALSE and error_r, which lives on the
   data stack, if the driver fails, the child dies or takes more than 5 seconds,
   or there can be no child. */
bool driver_try(struct mail_user *user, const char *mail_plugin_dir,
		const char *const *mail_plugins, const char *config,
		void (*prepare)(struct mail_user *user, void *context),
		void *context, const char **error_r);

#endif
