/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "message-header-parser.h"
#include "str.h"

#include "header-field.h"

static void
header_field_add_line(struct http_notify_header_field *field,
		      const struct message_header_line *hdr)
{
	if (!hdr->continued) {
		field->reading = field->value == NULL &&
			strcasecmp(hdr->name, field->name) == 0;
		if (field->reading)
			field->value = t_str_new(128);
	}
	if (!field->reading)
		return;
	str_append_data(field->value, hdr->value, hdr->value_len);
	/* If no_newline is set, the parser has split a long line. */
	if (hdr->continues && !hdr->no_newline)
		str_append_c(field->value, '\n');
}

void http_notify_header_fields_read(struct istream *input,
				    struct http_notify_header_field *fields,
				    unsigned int count)
{
	struct istream *limited =
		i_stream_create_limit(input, HTTP_NOTIFY_HEADER_READ_MAX);
	struct message_header_parser_ctx *parser =
		message_parse_header_init(limited, NULL,
			MESSAGE_HEADER_PARSER_FLAG_SKIP_INITIAL_LWSP |
			MESSAGE_HEADER_PARSER_FLAG_DROP_CR);
	struct message_header_line *hdr;
	unsigned int i;

	while (message_parse_header_next(parser, &hdr) > 0 && !hdr->eoh) {
		for (i = 0; i < count; i++)
			header_field_add_line(&fields[i], hdr);
	}
	message_parse_header_deinit(&parser);
	i_stream_unref(&limited);
}

const char *
http_notify_header_field_value(const struct http_notify_header_field *field)
{
	const char *value;

	if (field->value == NULL)
		return NULL;
	value = message_header_strdup(pool_datastack_create(),
				      str_data(field->value),
				      str_len(field->value));
	/* The parser keeps leading blanks if there is nothing else. */
	return value + strspn(value, " \t");
}
