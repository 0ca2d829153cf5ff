#ifndef HTTP_NOTIFY_USER_LINES_H
#define HTTP_NOTIFY_USER_LINES_H

#include "options.h"

struct mail_user;
struct protocol_settings_source;

/* One of a user's push_notification drivers: on 2.3 a line, on 2.4 a
   push_notification { } filter. */
struct user_line {
	/* as the configuration has it */
	const char *setting;
	/* NULL = it is valid; it has no secrets in it */
	const char *error;
	struct http_notify_options options;
};
ARRAY_DEFINE_TYPE(user_line, struct user_line);

/* Get those that name our driver, as the processes that deliver see them, whose
   settings are source (protocol-settings.h). Those of other drivers are none
   of our business. Returns 0, or -1 and error_r. */
int user_lines_get(struct mail_user *user,
		   const struct protocol_settings_source *source,
		   pool_t pool, ARRAY_TYPE(user_line) *lines,
		   const char **error_r);

#endif
