/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_SETTINGS_H
#define HTTP_NOTIFY_ENDPOINT_SETTINGS_H

struct http_notify_options;

/* The options of push_notification <name> { }, for which event finds the
   settings. They live in the pool. Returns 0, or -1 and error_r, which has no
   secrets in it. */
int http_notify_endpoint_options_get(struct event *event, const char *name,
				     pool_t pool,
				     struct http_notify_options *options_r,
				     const char **error_r);

/* Its driver. The name lives on the data stack. Returns 0, or -1 and error_r. */
int http_notify_endpoint_driver_get(struct event *event, const char *name,
				    const char **driver_r,
				    const char **error_r);

#endif
