/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "slow-mark.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define MARKED_SECS 5
/* Sockets of one directory are made within this time. */
#define MADE_SECS 1

bool slow_mark_is_set(const char *socket_path)
{
	const char *slash = strrchr(socket_path, '/');
	struct stat st, dir;
	time_t now = time(NULL);
	int ret;

	if (slash == NULL || stat(socket_path, &st) < 0)
		return FALSE;
	T_BEGIN {
		ret = stat(t_strdup_until(socket_path, slash), &dir);
	} T_END;
	/* A new socket has a new time, and then the directory has it, too. */
	return ret == 0 && st.st_mtime > dir.st_mtime + MADE_SECS &&
		st.st_mtime <= now && now - st.st_mtime < MARKED_SECS;
}

void slow_mark_set(const char *socket_path)
{
	(void)utimensat(AT_FDCWD, socket_path, NULL, 0);
}
