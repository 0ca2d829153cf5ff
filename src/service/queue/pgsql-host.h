/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_HOST_H
#define HTTP_NOTIFY_PGSQL_HOST_H

#include "guid.h"

/* What identifies this host to others: a random file in the directory of its
   own queue, which is made if there is none. Returns 0, or -1 and error_r, and
   the file's path on the data stack. */
int pgsql_host_guid(const char *directory, guid_128_t guid_r,
		    const char **path_r, const char **error_r);

#endif
