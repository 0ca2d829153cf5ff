/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "read-full.h"
#include "write-full.h"

#include "pgsql-host.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_NAME "host"
#define TEXT_SIZE (GUID_128_SIZE * 2)

static int host_read(const char *path, guid_128_t guid_r)
{
	char text[TEXT_SIZE + 1] = "";
	int fd, ret = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (read_full(fd, text, TEXT_SIZE) > 0)
		ret = guid_128_from_string(text, guid_r) < 0 ? 0 : 1;
	i_close_fd(&fd);
	return ret;
}

/* Nobody reads half of it. */
static int host_write(const char *path, const guid_128_t guid)
{
	const char *temp = t_strconcat(path, ".new", NULL);
	const char *text = t_strconcat(guid_128_to_string(guid), "\n", NULL);
	int fd, ret;

	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	ret = write_full(fd, text, strlen(text)) < 0 || fsync(fd) < 0 ||
		rename(temp, path) < 0 ? -1 : 0;
	i_close_fd(&fd);
	return ret;
}

int pgsql_host_guid(const char *directory, guid_128_t guid_r,
		    const char **path_r, const char **error_r)
{
	const char *path = t_strconcat(directory, "/"FILE_NAME, NULL);
	int ret = host_read(path, guid_r);

	*path_r = path;

	if (ret == 0) {
		guid_128_generate(guid_r);
		ret = host_write(path, guid_r);
	}
	if (ret < 0)
		*error_r = t_strdup_printf("%s: %m", path);
	return ret < 0 ? -1 : 0;
}
