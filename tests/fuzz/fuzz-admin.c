/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that come over the admin socket. */
#include "lib.h"
#include "istream.h"
#include "str.h"
#include "strescape.h"

#include "admin-protocol.h"

#include "fuzz-common.h"

/* All there are: they repeat nothing of the line. */
static void check_error(const char *error)
{
	static const char *const errors[] = {
		"command is not known",
		"command is not known, or not for hosts",
		"AT has an invalid host",
		"command has a wrong number of fields",
		"SEND has an invalid UID",
		"ANNOUNCE has an invalid UID",
		"command has an invalid UID validity",
		"command has an invalid time",
		"BODY has an invalid id",
		NULL
	};

	i_assert(str_array_find(errors, error));
}

/* What a command has not is NULL in both. */
static void
check_equals(const struct http_notify_admin_command *a,
	     const struct http_notify_admin_command *b)
{
	unsigned int i;

	i_assert(a->verb == b->verb);
	i_assert(a->at == b->at && a->host == b->host);
	i_assert(a->until == b->until);
	i_assert(null_strcmp(a->user_mask, b->user_mask) == 0);
	i_assert(null_strcmp(a->endpoint_mask, b->endpoint_mask) == 0);
	i_assert(null_strcmp(a->folder_mask, b->folder_mask) == 0);
	i_assert(null_strcmp(a->host_mask, b->host_mask) == 0);
	i_assert(null_strcmp(a->reason, b->reason) == 0);
	i_assert(a->max_secs == b->max_secs);
	i_assert(a->lost == b->lost && a->spooled == b->spooled);
	i_assert(a->id == b->id);
	i_assert(null_strcmp(a->username, b->username) == 0);
	i_assert(null_strcmp(a->folder, b->folder) == 0);
	i_assert(a->uid == b->uid && a->uidvalidity == b->uidvalidity);
	i_assert(null_strcmp(a->owner, b->owner) == 0);
	i_assert(null_strcmp(a->body, b->body) == 0);
	i_assert((a->options == NULL) == (b->options == NULL));
	if (a->options == NULL)
		return;
	for (i = 0; a->options[i] != NULL; i++)
		i_assert(null_strcmp(a->options[i], b->options[i]) == 0);
	i_assert(b->options[i] == NULL);
}

/* The service uses these without a look. */
static void check_complete(const struct http_notify_admin_command *command)
{
	switch (command->verb) {
	case HTTP_NOTIFY_ADMIN_HOSTS:
	case HTTP_NOTIFY_ADMIN_STATUS:
	case HTTP_NOTIFY_ADMIN_HISTORY:
	case HTTP_NOTIFY_ADMIN_MOVE:
	case HTTP_NOTIFY_ADMIN_CHECK:
		break;
	case HTTP_NOTIFY_ADMIN_QUEUE:
	case HTTP_NOTIFY_ADMIN_SPOOLED:
	case HTTP_NOTIFY_ADMIN_FLUSH:
	case HTTP_NOTIFY_ADMIN_PURGE:
		i_assert(command->user_mask != NULL);
		i_assert(command->endpoint_mask != NULL);
		break;
	case HTTP_NOTIFY_ADMIN_LOST:
	case HTTP_NOTIFY_ADMIN_RESEND:
	case HTTP_NOTIFY_ADMIN_DROP:
	case HTTP_NOTIFY_ADMIN_BODY:
		i_assert(command->user_mask != NULL);
		i_assert(command->endpoint_mask != NULL);
		i_assert(command->folder_mask != NULL);
		i_assert(command->host_mask != NULL);
		i_assert(command->reason != NULL);
		break;
	case HTTP_NOTIFY_ADMIN_WATCH:
		i_assert(command->user_mask != NULL);
		break;
	case HTTP_NOTIFY_ADMIN_SEND:
		i_assert(command->username != NULL);
		i_assert(command->folder != NULL);
		/* fall through */
	case HTTP_NOTIFY_ADMIN_PROBE:
		i_assert(command->body != NULL);
		i_assert(command->options[0] != NULL);
		break;
	case HTTP_NOTIFY_ADMIN_ANNOUNCED:
		i_assert(command->owner != NULL);
		i_assert(command->username != NULL);
		i_assert(command->folder != NULL);
		i_assert(command->options[0] != NULL);
		break;
	case HTTP_NOTIFY_ADMIN_ANNOUNCE:
		i_assert(command->username != NULL);
		i_assert(command->folder != NULL);
		i_assert(command->body != NULL);
		i_assert(command->options[0] != NULL);
		break;
	}
}

static void check_command(const char *const *fields)
{
	struct http_notify_admin_command command, again;
	string_t *dest = t_str_new(256);
	const char *error;

	if (http_notify_admin_parse(fields, &command, &error) < 0) {
		check_error(error);
		return;
	}
	check_complete(&command);
	http_notify_admin_append(dest, &command);
	i_assert(http_notify_admin_parse(fuzz_fields_of(dest), &again,
					 &error) == 0);
	check_equals(&command, &again);
}

void fuzz_one(const unsigned char *data, size_t size, pool_t pool)
{
	struct istream *input = i_stream_create_from_data(data, size);
	const char *line;

	while ((line = i_stream_read_next_line(input)) != NULL) T_BEGIN {
		check_command(fuzz_words_dup(pool,
				t_strsplit_tabescaped(line)));
	} T_END;
	i_stream_unref(&input);
}
