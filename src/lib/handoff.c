/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "strescape.h"
#include "strnum.h"

#include "handoff.h"

void http_notify_handoff_append_session(string_t *dest,
					const guid_128_t session)
{
	str_printfa(dest, "SESSION\t%s\n", guid_128_to_string(session));
}

void http_notify_handoff_append(string_t *dest,
				const struct http_notify_handoff *handoff)
{
	const char *const *option;

	str_printfa(dest, "NOTIFY\t%"PRIu64"\t", handoff->seq);
	str_append_tabescaped(dest, handoff->username);
	str_append_c(dest, '\t');
	str_append_tabescaped(dest, handoff->folder);
	str_printfa(dest, "\t%u", handoff->uid);
	if (handoff->uidvalidity != 0)
		str_printfa(dest, "/%u", handoff->uidvalidity);
	str_append_c(dest, '\t');
	str_append_tabescaped(dest, handoff->body);
	for (option = handoff->options; *option != NULL; option++) {
		str_append_c(dest, '\t');
		str_append_tabescaped(dest, *option);
	}
	str_append_c(dest, '\n');
}

void http_notify_handoff_append_reply(
	string_t *dest, const struct http_notify_handoff_reply *reply)
{
	if (reply->error == NULL) {
		str_printfa(dest, "OK\t%"PRIu64"\n", reply->seq);
		return;
	}
	str_printfa(dest, "FAIL\t%"PRIu64"\t", reply->seq);
	str_append_tabescaped(dest, reply->error);
	str_append_c(dest, '\n');
}

int http_notify_handoff_parse_session(const char *const *fields,
				      guid_128_t session_r,
				      const char **error_r)
{
	if (str_array_length(fields) != 2 || strcmp(fields[0], "SESSION") != 0)
		*error_r = "SESSION expected";
	else if (guid_128_from_string(fields[1], session_r) < 0)
		*error_r = "SESSION is not a GUID";
	else
		return 0;
	return -1;
}

static int
parse_uid(const char *field, struct http_notify_handoff *handoff)
{
	if (str_parse_uint32(field, &handoff->uid, &field) < 0)
		return -1;
	if (*field == '\0')
		return 0;
	return *field == '/' && handoff->uid != 0 ?
		str_to_uint32(field + 1, &handoff->uidvalidity) : -1;
}

int http_notify_handoff_parse(const char *const *fields,
			      struct http_notify_handoff *handoff_r,
			      const char **error_r)
{
	i_zero(handoff_r);
	if (fields[0] == NULL || strcmp(fields[0], "NOTIFY") != 0)
		*error_r = "NOTIFY expected";
	else if (str_array_length(fields) < 7)
		*error_r = "NOTIFY has too few fields";
	else if (str_to_uint64(fields[1], &handoff_r->seq) < 0 ||
		 handoff_r->seq == 0 || handoff_r->seq > INT64_MAX)
		*error_r = "NOTIFY has an invalid sequence number";
	else if (parse_uid(fields[4], handoff_r) < 0)
		*error_r = "NOTIFY has an invalid UID";
	else {
		handoff_r->username = fields[2];
		handoff_r->folder = fields[3];
		handoff_r->body = fields[5];
		handoff_r->options = fields + 6;
		return 0;
	}
	return -1;
}

int http_notify_handoff_parse_reply(const char *const *fields,
				    struct http_notify_handoff_reply *reply_r,
				    const char **error_r)
{
	unsigned int count = str_array_length(fields);

	i_zero(reply_r);
	if (count == 3 && strcmp(fields[0], "FAIL") == 0)
		reply_r->error = fields[2];
	else if (count != 2 || strcmp(fields[0], "OK") != 0) {
		*error_r = "OK or FAIL expected";
		return -1;
	}
	if (str_to_uint64(fields[1], &reply_r->seq) < 0) {
		*error_r = "reply has an invalid sequence number";
		return -1;
	}
	return 0;
}
