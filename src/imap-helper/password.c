/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "password.h"

#define PASSWORD_SIZE_MAX 1024

/* Read until there is a whole line or data is full. Returns the size of what
   was read, which may be more than a line, or -1 with errno. */
static ssize_t password_read(int fd, char *data, size_t size)
{
	size_t used = 0;
	ssize_t ret;

	while (used < size && memchr(data, '\n', used) == NULL) {
		ret = read(fd, data + used, size - used);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return -1;
		if (ret == 0)
			break;
		used += ret;
	}
	return used;
}

static char *password_from_fd(int fd, const char **error_r)
{
	char data[PASSWORD_SIZE_MAX], *password = NULL;
	struct stat st;
	ssize_t size;
	size_t len;

	if (fstat(fd, &st) < 0) {
		*error_r = strerror(errno);
		return NULL;
	}
	/* the permissions of a pipe say nothing */
	if (S_ISREG(st.st_mode) && (st.st_mode & (S_IROTH | S_IWOTH)) != 0) {
		*error_r = "other users can read or write it: chmod o= it, "
			"and change the password";
		return NULL;
	}
	size = password_read(fd, data, sizeof(data));
	if (size < 0) {
		*error_r = strerror(errno);
		return NULL;
	}
	for (len = 0; len < (size_t)size && data[len] != '\n'; len++) ;
	if (len > 0 && data[len - 1] == '\r')
		len--;
	if (len == 0)
		*error_r = "its first line is empty";
	else if (len == sizeof(data))
		*error_r = "its first line is longer than a password";
	else if (memchr(data, '\0', len) != NULL)
		*error_r = "there is a NUL byte in it";
	else
		password = str_copy_n(data, len);
	explicit_bzero(data, sizeof(data));
	return password;
}

char *password_get(const char *path, const char **error_r)
{
	char *password;
	int fd;

	if (path == NULL) {
		password = getenv(PASSWORD_VARIABLE);
		if (password == NULL || *password == '\0') {
			*error_r = "there is no password: give "
				"--password-file or set "PASSWORD_VARIABLE;
			return NULL;
		}
		password = str_copy(password);
		(void)unsetenv(PASSWORD_VARIABLE);
		return password;
	}

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		*error_r = strerror(errno);
		return NULL;
	}
	password = password_from_fd(fd, error_r);
	(void)close(fd);
	return password;
}

void password_free(char **password)
{
	if (*password != NULL)
		explicit_bzero(*password, strlen(*password));
	free(*password);
	*password = NULL;
}
