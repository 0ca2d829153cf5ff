/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "message-header-parser.h"
#include "message-part.h"
#include "message-snippet.h"
#include "str.h"

#include "message-excerpt.h"

/* as many as Dovecot's own snippets have */
#define SNIPPET_CHARS_MAX 200

/* A field to look for in a header. */
struct header_field {
	const char *name;
	/* of the first field of this name; NULL = not found */
	string_t *value;
	/* does the line that is being read belong to it? */
	bool reading;
};

static void
header_field_add_line(struct header_field *field,
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

static void
header_read(struct istream *input, struct header_field *fields,
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

static const char *header_field_value(const struct header_field *field)
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

void http_notify_message_read_headers(
	struct istream *input, struct http_notify_message_headers *headers_r)
{
	struct header_field fields[] = {
		{ .name = "From" }, { .name = "Sender" }, { .name = "Subject" },
	};

	header_read(input, fields, N_ELEMENTS(fields));
	headers_r->from = header_field_value(&fields[0]);
	headers_r->sender = header_field_value(&fields[1]);
	headers_r->subject = header_field_value(&fields[2]);
}

static bool
part_has_type(struct istream *input, const struct message_part *part,
	      const char *type)
{
	struct header_field field = { .name = "Content-Type" };
	bool ret;

	i_stream_seek(input, part->physical_pos);
	T_BEGIN {
		header_read(input, &field, 1);
		ret = field.value != NULL &&
			strncasecmp(str_c(field.value), type,
				    strlen(type)) == 0;
	} T_END;
	return ret;
}

/* Returns the first text part, NULL if there is none. If that is the HTML of a
   multipart/alternative, and plain text follows it there, returns the plain
   text. An attached message is not searched. */
static const struct message_part *
text_part_find(struct istream *input, const struct message_part *part)
{
	const struct message_part *child, *text = NULL;

	if ((part->flags & MESSAGE_PART_FLAG_TEXT) != 0)
		return part;
	if ((part->flags & MESSAGE_PART_FLAG_MULTIPART) == 0)
		return NULL;
	/* the parser allows no more than some hundred levels */
	for (child = part->children; child != NULL && text == NULL;
	     child = child->next)
		text = text_part_find(input, child);
	if (text != NULL && text->parent == part && text->next != NULL &&
	    (text->next->flags & MESSAGE_PART_FLAG_TEXT) != 0 &&
	    part_has_type(input, part, "multipart/alternative") &&
	    part_has_type(input, text, "text/html") &&
	    part_has_type(input, text->next, "text/plain"))
		text = text->next;
	return text;
}

const char *http_notify_message_read_snippet(struct istream *input,
					     const struct message_part *parts)
{
	const struct message_part *part = text_part_find(input, parts);
	struct istream *limited;
	string_t *snippet = t_str_new(256);
	uoff_t size;
	int ret;

	if (part == NULL)
		return "";
	size = part->header_size.physical_size + part->body_size.physical_size;
	i_stream_seek(input, part->physical_pos);
	limited = i_stream_create_limit(
		input, I_MIN(size, HTTP_NOTIFY_SNIPPET_READ_MAX));
	ret = message_snippet_generate(limited, SNIPPET_CHARS_MAX, snippet);
	i_stream_unref(&limited);
	return ret < 0 ? NULL : str_c(snippet);
}
