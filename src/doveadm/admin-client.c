/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "net.h"
#include "str.h"
#include "str-sanitize.h"
#include "strescape.h"
#include "write-full.h"

#include "admin-client.h"
#include "admin-protocol.h"
#include "doveadm-http-notify.h"
#include "monotonic.h"
#include "version-compat.h"

#include <poll.h>

struct admin_client {
	char *path;
	int fd;
	struct istream *input;
	bool version_received;
	/* An answer did not come. If it comes later, it must not be taken for
	   that of another command. */
	bool broken;
};

struct admin_client *
admin_client_init(const char *base_dir, const char **error_r)
{
	struct admin_client *client;
	const char *path = t_strconcat(base_dir, "/"HTTP_NOTIFY_ADMIN_SOCKET,
				       NULL);
	int fd;

	fd = net_connect_unix(path);
	if (fd == -1) {
		*error_r = t_strdup_printf("connect(%s) failed: %m (%s)", path,
			doveadm_http_notify_connect_hint());
		return NULL;
	}
	fd_close_on_exec(fd, TRUE);
	net_set_nonblock(fd, TRUE);
	client = i_new(struct admin_client, 1);
	client->path = i_strdup(path);
	client->fd = fd;
	client->input = i_stream_create_fd(fd, SIZE_MAX);
	return client;
}

void admin_client_deinit(struct admin_client **_client)
{
	struct admin_client *client = *_client;

	*_client = NULL;
	i_stream_unref(&client->input);
	i_close_fd(&client->fd);
	i_free(client->path);
	i_free(client);
}

void admin_client_send(struct admin_client *client,
		       const struct http_notify_admin_command *command)
{
	string_t *str = t_str_new(256);

	if (!client->version_received) {
		str_printfa(str, "VERSION\t"HTTP_NOTIFY_ADMIN_NAME"\t%u\t%u\n",
			    HTTP_NOTIFY_ADMIN_VERSION_MAJOR,
			    HTTP_NOTIFY_ADMIN_VERSION_MINOR);
	}
	http_notify_admin_append(str, command);
	/* Ignore errors: without an answer, admin_client_read() will fail. */
	net_set_nonblock(client->fd, FALSE);
	(void)write_full(client->fd, str_data(str), str_len(str));
	net_set_nonblock(client->fd, TRUE);
}

static const char *
admin_client_read_line(struct admin_client *client,
		       unsigned int timeout_msecs, const char **error_r)
{
	int64_t deadline = http_notify_monotonic_msecs() + timeout_msecs;
	struct pollfd pfd = { .fd = client->fd, .events = POLLIN };
	const char *line;
	int64_t left;

	while ((line = i_stream_read_next_line(client->input)) == NULL) {
		if (client->input->eof || client->input->stream_errno != 0) {
			*error_r = "the service closed the connection "
				"(its log says why)";
			return NULL;
		}
		left = deadline - http_notify_monotonic_msecs();
		if (left <= 0) {
			*error_r = "the service does not answer";
			return NULL;
		}
		if (poll(&pfd, 1, left) < 0 && errno != EINTR)
			i_fatal("poll() failed: %m");
	}
	return line;
}

static int
admin_client_read_version(struct admin_client *client,
			  unsigned int timeout_msecs, const char **error_r)
{
	const char *line = admin_client_read_line(client, timeout_msecs,
						  error_r);

	if (line == NULL)
		return -1;
	if (!version_string_verify(line, HTTP_NOTIFY_ADMIN_NAME,
				   HTTP_NOTIFY_ADMIN_VERSION_MAJOR)) {
		*error_r = "the service is of another version";
		return -1;
	}
	client->version_received = TRUE;
	return 0;
}

/* The fields may hold text that others have set, and they go to a terminal. */
static const char *const *split_sanitized(const char *line)
{
	const char *const *fields = t_strsplit_tabescaped(line);
	unsigned int i, count = str_array_length(fields);
	const char **sanitized = t_new(const char *, count + 1);

	for (i = 0; i < count; i++)
		sanitized[i] = str_sanitize(fields[i], SIZE_MAX);
	return sanitized;
}

/* Returns the same as admin_client_read(). *fail_r is set if -1 means that the
   service answered FAIL. */
static int
admin_client_read_answer(struct admin_client *client,
			 unsigned int timeout_msecs, unsigned int fields_count,
			 const char *const **row_r, uint64_t *count_r,
			 const char **fail_r, const char **error_r)
{
	const char *line, *const *fields;
	unsigned int count;

	if (!client->version_received &&
	    admin_client_read_version(client, timeout_msecs, error_r) < 0)
		return -1;
	do {
		line = admin_client_read_line(client, timeout_msecs, error_r);
		if (line == NULL)
			return -1;
	} while (strcmp(line, HTTP_NOTIFY_ADMIN_WAIT) == 0);
	fields = split_sanitized(line);
	count = str_array_length(fields);
	if (count == 1 + fields_count && strcmp(fields[0], "ROW") == 0) {
		*row_r = fields + 1;
		return 1;
	}
	if (count == 2 && strcmp(fields[0], "OK") == 0 &&
	    str_to_uint64(fields[1], count_r) == 0)
		return 0;
	if (count == 2 && strcmp(fields[0], "FAIL") == 0)
		*fail_r = fields[1];
	else
		*error_r = "invalid answer";
	return -1;
}

int admin_client_read(struct admin_client *client, unsigned int timeout_msecs,
		      unsigned int fields_count, const char *const **row_r,
		      uint64_t *count_r, const char **error_r)
{
	const char *fail = NULL, *error;
	int ret;

	if (client->broken) {
		*error_r = t_strdup_printf("%s: an earlier command has failed",
					   client->path);
		return -1;
	}
	ret = admin_client_read_answer(client, timeout_msecs, fields_count,
				       row_r, count_r, &fail, &error);
	if (fail != NULL)
		*error_r = fail;
	else if (ret < 0) {
		client->broken = TRUE;
		*error_r = t_strdup_printf("%s: %s", client->path, error);
	}
	return ret;
}

int admin_client_fd(const struct admin_client *client)
{
	return client->fd;
}

bool admin_client_has_answer(struct admin_client *client)
{
	unsigned int lines = client->version_received ? 1 : 2;
	const unsigned char *data;
	size_t size, i;

	(void)i_stream_read(client->input);
	data = i_stream_get_data(client->input, &size);
	for (i = 0; i < size && lines > 0; i++)
		lines -= data[i] == '\n' ? 1 : 0;
	return lines == 0 || client->input->eof ||
		client->input->stream_errno != 0;
}
