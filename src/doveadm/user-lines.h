#ifndef HTTP_NOTIFY_USER_LINES_H
#define HTTP_NOTIFY_USER_LINES_H

#include "options.h"

struct mail_user;

/* One of a user's push_notification_driver settings. */
struct user_line {
	/* name of the setting */
	const char *setting;
	/* NULL = it is valid; it has no secrets in it */
	const char *error;
	struct http_notify_options options;
};
ARRAY_DEFINE_TYPE(user_line, struct user_line);

/* Get the settings that name our driver. Those of other drivers are none of
   our business. What is not set for doveadm is looked for in plugin_envs, the
   settings of the processes that deliver (protocol-settings.h). */
void user_lines_get(struct mail_user *user, const char *const *plugin_envs,
		    pool_t pool, ARRAY_TYPE(user_line) *lines);

/* What a notification by this line has as its user; value is the user's
   registration. Returns 0, or -1 and error_r. */
int user_line_get_user(const struct user_line *line, struct mail_user *user,
		       const char *value, const char **user_r,
		       const char **error_r);

#endif
