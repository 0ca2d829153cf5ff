/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines that come over the hand-off socket, in either direction. */
#include "lib.h"
#include "istream.h"
#include "str.h"
#include "strescape.h"

#include "body-event.h"
#include "handoff.h"
#include "mail-events.h"

#include "fuzz-common.h"

/* All there are: they repeat nothing of the line. */
static void check_error(const char *error)
{
	static const char *const errors[] = {
		"SESSION expected",
		"SESSION is not a GUID",
		"NOTIFY expected",
		"NOTIFY has too few fields",
		"NOTIFY has an invalid sequence number",
		"NOTIFY has an invalid UID",
		"OK or FAIL expected",
		"reply has an invalid sequence number",
		NULL
	};

	i_assert(str_array_find(errors, error));
}

static void check_session(const char *const *fields)
{
	guid_128_t session, again;
	string_t *dest = t_str_new(64);
	const char *error;

	if (http_notify_handoff_parse_session(fields, session, &error) < 0) {
		check_error(error);
		return;
	}
	http_notify_handoff_append_session(dest, session);
	i_assert(http_notify_handoff_parse_session(fuzz_fields_of(dest), again,
						   &error) == 0);
	i_assert(guid_128_equals(again, session));
}

static void
check_handoff_equals(const struct http_notify_handoff *a,
		     const struct http_notify_handoff *b)
{
	unsigned int i;

	i_assert(a->seq == b->seq);
	i_assert(strcmp(a->username, b->username) == 0);
	i_assert(strcmp(a->folder, b->folder) == 0);
	i_assert(a->uid == b->uid && a->uidvalidity == b->uidvalidity);
	i_assert(strcmp(a->body, b->body) == 0);
	for (i = 0; a->options[i] != NULL; i++)
		i_assert(null_strcmp(a->options[i], b->options[i]) == 0);
	i_assert(b->options[i] == NULL);
}

static void check_handoff(const char *const *fields)
{
	struct http_notify_handoff handoff, again;
	enum http_notify_mail_event event;
	string_t *dest = t_str_new(256);
	const char *error, *name;

	if (http_notify_handoff_parse(fields, &handoff, &error) < 0) {
		check_error(error);
		return;
	}
	i_assert(handoff.seq > 0 && handoff.seq <= INT64_MAX);
	i_assert(handoff.options[0] != NULL);

	http_notify_handoff_append(dest, &handoff);
	i_assert(http_notify_handoff_parse(fuzz_fields_of(dest), &again,
					   &error) == 0);
	check_handoff_equals(&handoff, &again);

	name = http_notify_body_event(handoff.body);
	i_assert(*name == '\0' ||
		 http_notify_mail_event_find(name, &event) == 0);
}

static void check_reply(const char *const *fields)
{
	struct http_notify_handoff_reply reply, again;
	string_t *dest = t_str_new(128);
	const char *error;

	if (http_notify_handoff_parse_reply(fields, &reply, &error) < 0) {
		check_error(error);
		return;
	}
	http_notify_handoff_append_reply(dest, &reply);
	i_assert(http_notify_handoff_parse_reply(fuzz_fields_of(dest), &again,
						 &error) == 0);
	i_assert(again.seq == reply.seq);
	i_assert(null_strcmp(again.error, reply.error) == 0);
}

void fuzz_one(const unsigned char *data, size_t size, pool_t pool)
{
	struct istream *input = i_stream_create_from_data(data, size);
	const char *const *fields;
	const char *line;

	while ((line = i_stream_read_next_line(input)) != NULL) T_BEGIN {
		fields = fuzz_words_dup(pool, t_strsplit_tabescaped(line));
		check_session(fields);
		check_handoff(fields);
		check_reply(fields);
	} T_END;
	i_stream_unref(&input);
}
