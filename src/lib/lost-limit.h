/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LOST_LIMIT_H
#define HTTP_NOTIFY_LOST_LIMIT_H

/* http_notify_lost_limit: how much of what was given up is kept, as a number of
   notifications and a size, such as "100000 100M" */
#define HTTP_NOTIFY_DEFAULT_LOST_LIMIT "100000 100M"
#define HTTP_NOTIFY_DEFAULT_LOST_KEEP_SECS (7*24*60*60)

/* Returns 0, or -1 if it is none. */
int http_notify_lost_limit_parse(const char *value, unsigned int *rows_r,
				 uint64_t *bytes_r);

#endif
