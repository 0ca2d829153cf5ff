/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "dovecot-compat.h"
#include "credential-file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static int
credential_file_open(const char *path, int *fd_r, struct stat *st_r,
		     const char **error_r)
{
	*fd_r = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (*fd_r == -1 || fstat(*fd_r, st_r) < 0) {
		*error_r = t_strdup_printf(
			"can't be read by the service's user: %m");
	} else if (!S_ISREG(st_r->st_mode))
		*error_r = "is not a regular file";
	else
		return 0;
	i_close_fd(fd_r);
	return -1;
}

int credential_file_check(const char *path, const char **error_r)
{
	struct stat st;
	int fd;

	if (credential_file_open(path, &fd, &st, error_r) < 0)
		return -1;
	i_close_fd(&fd);
	if (st.st_size <= CREDENTIAL_FILE_OTHERS_MAX)
		return 0;
	*error_r = t_strdup_printf("is longer than %u bytes",
				   CREDENTIAL_FILE_OTHERS_MAX);
	return -1;
}

int credential_file_read(const char *path, const char **text_r,
			 const char **error_r)
{
	char *text = t_malloc0(CREDENTIAL_FILE_MAX + 2);
	struct stat st;
	ssize_t size;
	int fd;

	if (credential_file_open(path, &fd, &st, error_r) < 0)
		return -1;
	size = read(fd, text, CREDENTIAL_FILE_MAX + 1);
	if (size < 0)
		*error_r = t_strdup_printf("can't be read: %m");
	i_close_fd(&fd);
	if (size < 0)
		return -1;
	if (size > CREDENTIAL_FILE_MAX) {
		*error_r = t_strdup_printf("is longer than %u bytes",
					   CREDENTIAL_FILE_MAX);
		return -1;
	}
	if (strlen(text) != (size_t)size) {
		*error_r = "is not a text file";
		return -1;
	}
	if (str_begins_with(text, BYTE_ORDER_MARK)) {
		*error_r = "begins with a byte order mark, which an editor has "
			"added: save it without";
		return -1;
	}
	*text_r = text;
	return 0;
}

int credential_file_read_token(const char *path, const char **token_r,
			       const char **error_r)
{
	const char *text, *p;

	if (credential_file_read(path, &text, error_r) < 0)
		return -1;
	text = t_str_trim(text, " \t\r\n");
	if (*text == '\0') {
		*error_r = "is empty";
		return -1;
	}
	if (strlen(text) > CREDENTIAL_TOKEN_MAX) {
		*error_r = t_strdup_printf("is longer than %u bytes",
					   CREDENTIAL_TOKEN_MAX);
		return -1;
	}
	for (p = text; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~') {
			*error_r = "must have one word of visible ASCII "
				"characters";
			return -1;
		}
	}
	*token_r = text;
	return 0;
}
