/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_SETTINGS_H
#define HTTP_NOTIFY_ENDPOINT_SETTINGS_H

struct http_notify_options;

/* Get the options of push_notification <name> { }, looking the settings up by
   event. They live in the pool. Returns 0, or -1 and error_r, which has no
   secrets in it. */
int http_notify_endpoint_options_get(struct event *event, const char *name,
				     pool_t pool,
				     struct http_notify_options *options_r,
				     const char **error_r);

/* Get the name of its driver, which is the filter's unless one is set. It lives
   on the data stack or is name itself. Returns 0, or -1 and error_r. */
int http_notify_endpoint_driver_get(struct event *event, const char *name,
				    const char **driver_r,
				    const char **error_r);

#endif
