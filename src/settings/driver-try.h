/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DRIVER_TRY_H
#define HTTP_NOTIFY_DRIVER_TRY_H

struct mail_user;

/* Would Dovecot's push_notification initialise this driver for the user? If a
   driver fails to, Dovecot goes no further, so that those after it get nothing.
   Only that driver itself knows, therefore a child process loads these plugins
   and tries it, with the user's permissions and settings; nothing of it is
   left in this process. config is what
   push_notification_driver_init() is given: on 2.3 the line, on 2.4 the
   filter's name. prepare(), if not NULL, is called by the child to give the
   user the settings of another protocol.

   Returns TRUE also if it can't be tried, as without the plugin
   push_notification. Else FALSE and error_r, which lives on the data stack. */
bool driver_try(struct mail_user *user, const char *mail_plugin_dir,
		const char *const *mail_plugins, const char *config,
		void (*prepare)(struct mail_user *user, void *context),
		void *context, const char **error_r);

#endif
