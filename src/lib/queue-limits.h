/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_LIMITS_H
#define HTTP_NOTIFY_QUEUE_LIMITS_H

/* Limits of the service: a number of notifications and a size, such as
   "100000 100M". Both functions return 0, or -1 if the value is none. */

/* http_notify_queue_limit: from when on new ones are refused. The size may be
   left out, which is this one then. Either may be "unlimited", and is at
   least 1. A million of those that are no whole messages are below this. */
#define HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT "1000000 4G"

int http_notify_queue_limit_parse(const char *value, unsigned int *rows_r,
				  uint64_t *bytes_r);

/* http_notify_lost_limit: how much of what was given up is kept. */
#define HTTP_NOTIFY_DEFAULT_LOST_LIMIT "100000 100M"
#define HTTP_NOTIFY_DEFAULT_LOST_KEEP_SECS (7*24*60*60)

int http_notify_lost_limit_parse(const char *value, unsigned int *rows_r,
				 uint64_t *bytes_r);

#endif
