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

/* Is its driver ours? The driver's name is the filter's, unless one is set.
   TRUE also if that can't be found out: http_notify_endpoint_options_get()
   fails then, too. */
bool http_notify_endpoint_is_ours(struct event *event, const char *name);
/* Is its driver that of OX endpoints? FALSE if that can't be found out. */
bool http_notify_endpoint_is_ox(struct event *event, const char *name);

#endif
