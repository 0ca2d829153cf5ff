/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "message-part.h"
#include "message-snippet.h"
#include "str.h"

#include "header-field.h"
#include "message-excerpt.h"

/* as many as Dovecot's own snippets have */
#define SNIPPET_CHARS_MAX 200

void http_notify_message_read_headers(
	struct istream *input, struct http_notify_message_headers *headers_r)
{
	struct http_notify_header_field fields[] = {
		{ .name = "From" }, { .name = "Sender" }, { .name = "Subject" },
	};

	http_notify_header_fields_read(input, fields, N_ELEMENTS(fields));
	headers_r->from = http_notify_header_field_value(&fields[0]);
	headers_r->sender = http_notify_header_field_value(&fields[1]);
	headers_r->subject = http_notify_header_field_value(&fields[2]);
}

static bool
part_has_type(struct istream *input, const struct message_part *part,
	      const char *type)
{
	struct http_notify_header_field field = { .name = "Content-Type" };
	bool ret;

	i_stream_seek(input, part->physical_pos);
	T_BEGIN {
		http_notify_header_fields_read(input, &field, 1);
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
