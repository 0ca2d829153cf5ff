/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "strescape.h"
#include "strnum.h"

#include "admin-protocol.h"

/* what BODY is about */
#define QUEUE "QUEUE"
#define SPOOLED "SPOOLED"
#define LOST "LOST"

/* what comes before the command of another host */
#define AT "AT"

static const char *const verb_names[] = {
	[HTTP_NOTIFY_ADMIN_HOSTS] = "HOSTS",
	[HTTP_NOTIFY_ADMIN_STATUS] = "STATUS",
	[HTTP_NOTIFY_ADMIN_HISTORY] = "HISTORY",
	[HTTP_NOTIFY_ADMIN_CHECK] = "CHECK",
	[HTTP_NOTIFY_ADMIN_QUEUE] = "QUEUE",
	[HTTP_NOTIFY_ADMIN_SPOOLED] = "SPOOLED",
	[HTTP_NOTIFY_ADMIN_MOVE] = "MOVE",
	[HTTP_NOTIFY_ADMIN_FLUSH] = "FLUSH",
	[HTTP_NOTIFY_ADMIN_PURGE] = "PURGE",
	[HTTP_NOTIFY_ADMIN_LOST] = "LOST",
	[HTTP_NOTIFY_ADMIN_RESEND] = "RESEND",
	[HTTP_NOTIFY_ADMIN_DROP] = "DROP",
	[HTTP_NOTIFY_ADMIN_BODY] = "BODY",
	[HTTP_NOTIFY_ADMIN_WATCH] = "WATCH",
	[HTTP_NOTIFY_ADMIN_PROBE] = "PROBE",
	[HTTP_NOTIFY_ADMIN_SEND] = "SEND",
	[HTTP_NOTIFY_ADMIN_ANNOUNCED] = "ANNOUNCED",
	[HTTP_NOTIFY_ADMIN_ANNOUNCE] = "ANNOUNCE",
};

static void append_field(string_t *dest, const char *field)
{
	str_append_c(dest, '\t');
	str_append_tabescaped(dest, field);
}

static void append_fields(string_t *dest, const char *const *fields)
{
	for (; *fields != NULL; fields++)
		append_field(dest, *fields);
}

static void append_mailbox(string_t *dest,
			   const struct http_notify_admin_command *command)
{
	append_field(dest, command->username);
	append_field(dest, command->folder);
	str_printfa(dest, "\t%u", command->uidvalidity);
}

void http_notify_admin_append(string_t *dest,
			      const struct http_notify_admin_command *command)
{
	if (command->at)
		str_printfa(dest, AT"\t%"PRId64"\t", command->host);
	str_append(dest, verb_names[command->verb]);
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
		append_field(dest, command->user_mask);
		append_field(dest, command->endpoint_mask);
		if (command->until != 0)
			str_printfa(dest, "\t%"PRId64, command->until);
		break;
	case HTTP_NOTIFY_ADMIN_LOST:
	case HTTP_NOTIFY_ADMIN_RESEND:
	case HTTP_NOTIFY_ADMIN_DROP:
		append_field(dest, command->user_mask);
		append_field(dest, command->endpoint_mask);
		append_field(dest, command->folder_mask);
		append_field(dest, command->host_mask);
		append_field(dest, command->reason);
		str_printfa(dest, "\t%u", command->max_secs);
		if (command->to != NULL)
			append_field(dest, command->to);
		break;
	case HTTP_NOTIFY_ADMIN_BODY:
		append_field(dest, command->lost ? LOST :
			     command->spooled ? SPOOLED : QUEUE);
		str_printfa(dest, "\t%"PRId64, command->id);
		break;
	case HTTP_NOTIFY_ADMIN_WATCH:
		append_field(dest, command->user_mask);
		break;
	case HTTP_NOTIFY_ADMIN_SEND:
		append_field(dest, command->username);
		append_field(dest, command->folder);
		str_printfa(dest, "\t%u", command->uid);
		/* fall through */
	case HTTP_NOTIFY_ADMIN_PROBE:
		append_field(dest, command->body);
		append_fields(dest, command->options);
		break;
	case HTTP_NOTIFY_ADMIN_ANNOUNCED:
		append_mailbox(dest, command);
		append_field(dest, command->owner);
		append_fields(dest, command->options);
		break;
	case HTTP_NOTIFY_ADMIN_ANNOUNCE:
		append_mailbox(dest, command);
		str_printfa(dest, "\t%u", command->uid);
		append_field(dest, command->body);
		append_fields(dest, command->options);
		break;
	}
	str_append_c(dest, '\n');
}

static int
parse_mailbox(const char *const *args,
	      struct http_notify_admin_command *command, const char **error_r)
{
	if (str_to_uint32(args[2], &command->uidvalidity) < 0 ||
	    command->uidvalidity == 0) {
		*error_r = "command has an invalid UID validity";
		return -1;
	}
	command->username = args[0];
	command->folder = args[1];
	return 0;
}

/* Parse the fields after the verb. */
static int
parse_args(const char *const *args, struct http_notify_admin_command *command,
	   const char **error_r)
{
	unsigned int count = str_array_length(args);

	switch (command->verb) {
	case HTTP_NOTIFY_ADMIN_HOSTS:
	case HTTP_NOTIFY_ADMIN_STATUS:
	case HTTP_NOTIFY_ADMIN_HISTORY:
	case HTTP_NOTIFY_ADMIN_MOVE:
	case HTTP_NOTIFY_ADMIN_CHECK:
		if (count == 0)
			return 0;
		break;
	case HTTP_NOTIFY_ADMIN_QUEUE:
	case HTTP_NOTIFY_ADMIN_SPOOLED:
	case HTTP_NOTIFY_ADMIN_FLUSH:
	case HTTP_NOTIFY_ADMIN_PURGE:
		if (count != 2 && (count != 3 ||
				   command->verb == HTTP_NOTIFY_ADMIN_FLUSH))
			break;
		if (count == 3 && (str_to_int64(args[2], &command->until) < 0 ||
				   command->until <= 0)) {
			*error_r = "command has an invalid time";
			return -1;
		}
		command->user_mask = args[0];
		command->endpoint_mask = args[1];
		return 0;
	case HTTP_NOTIFY_ADMIN_LOST:
	case HTTP_NOTIFY_ADMIN_RESEND:
	case HTTP_NOTIFY_ADMIN_DROP:
		if (count != 6 && (count != 7 ||
				   command->verb != HTTP_NOTIFY_ADMIN_RESEND))
			break;
		if (str_to_uint(args[5], &command->max_secs) < 0) {
			*error_r = "command has an invalid time";
			return -1;
		}
		command->user_mask = args[0];
		command->endpoint_mask = args[1];
		command->folder_mask = args[2];
		command->host_mask = args[3];
		command->reason = args[4];
		command->to = args[6];
		return 0;
	case HTTP_NOTIFY_ADMIN_BODY:
		if (count != 2)
			break;
		command->user_mask = command->endpoint_mask = "*";
		command->folder_mask = command->host_mask = "*";
		command->reason = "";
		command->lost = strcmp(args[0], LOST) == 0;
		command->spooled = strcmp(args[0], SPOOLED) == 0;
		if ((!command->lost && !command->spooled &&
		     strcmp(args[0], QUEUE) != 0) ||
		    str_to_int64(args[1], &command->id) < 0 ||
		    command->id <= 0) {
			*error_r = "BODY has an invalid id";
			return -1;
		}
		return 0;
	case HTTP_NOTIFY_ADMIN_WATCH:
		if (count != 1)
			break;
		command->user_mask = args[0];
		return 0;
	case HTTP_NOTIFY_ADMIN_PROBE:
		if (count < 2)
			break;
		command->body = args[0];
		command->options = args + 1;
		return 0;
	case HTTP_NOTIFY_ADMIN_SEND:
		if (count < 5)
			break;
		if (str_to_uint32(args[2], &command->uid) < 0) {
			*error_r = "SEND has an invalid UID";
			return -1;
		}
		command->username = args[0];
		command->folder = args[1];
		command->body = args[3];
		command->options = args + 4;
		return 0;
	case HTTP_NOTIFY_ADMIN_ANNOUNCED:
		if (count < 5)
			break;
		command->owner = args[3];
		command->options = args + 4;
		return parse_mailbox(args, command, error_r);
	case HTTP_NOTIFY_ADMIN_ANNOUNCE:
		if (count < 6)
			break;
		if (str_to_uint32(args[3], &command->uid) < 0 ||
		    command->uid == 0) {
			*error_r = "ANNOUNCE has an invalid UID";
			return -1;
		}
		command->body = args[4];
		command->options = args + 5;
		return parse_mailbox(args, command, error_r);
	}
	*error_r = "command has a wrong number of fields";
	return -1;
}

static bool verb_is_for_hosts(enum http_notify_admin_verb verb)
{
	switch (verb) {
	case HTTP_NOTIFY_ADMIN_STATUS:
	case HTTP_NOTIFY_ADMIN_QUEUE:
	case HTTP_NOTIFY_ADMIN_SPOOLED:
	case HTTP_NOTIFY_ADMIN_FLUSH:
	case HTTP_NOTIFY_ADMIN_PURGE:
	case HTTP_NOTIFY_ADMIN_BODY:
	case HTTP_NOTIFY_ADMIN_WATCH:
		return TRUE;
	default:
		return FALSE;
	}
}

int http_notify_admin_parse(const char *const *fields,
			    struct http_notify_admin_command *command_r,
			    const char **error_r)
{
	unsigned int verb;

	i_zero(command_r);
	if (null_strcmp(fields[0], AT) == 0 && fields[1] != NULL) {
		command_r->at = TRUE;
		if (str_to_int64(fields[1], &command_r->host) < 0) {
			*error_r = "AT has an invalid host";
			return -1;
		}
		fields += 2;
	}
	for (verb = 0; verb < N_ELEMENTS(verb_names); verb++) {
		if (null_strcmp(fields[0], verb_names[verb]) == 0) {
			command_r->verb = verb;
			if (command_r->at && !verb_is_for_hosts(verb))
				break;
			return parse_args(fields + 1, command_r, error_r);
		}
	}
	*error_r = command_r->at ? "command is not known, or not for hosts" :
		"command is not known";
	return -1;
}
