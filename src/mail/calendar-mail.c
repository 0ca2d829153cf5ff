/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "message-header-decode.h"
#include "message-part.h"
#include "rfc822-parser.h"
#include "str.h"

#include "calendar-mail.h"
#include "header-field.h"
#include "header-params.h"

#include <ctype.h>

#define CALENDAR_TYPE "text/calendar"
#define CALENDAR_SUFFIX ".ics"

/* The suffix at p ends a name there. */
static bool suffix_at(const char *p)
{
	size_t size = strlen(CALENDAR_SUFFIX);

	return strncasecmp(p, CALENDAR_SUFFIX, size) == 0 &&
		!i_isalnum(p[size]);
}

static bool ends_in_suffix(const char *name)
{
	const char *suffix = strrchr(name, CALENDAR_SUFFIX[0]);

	return suffix != NULL && suffix_at(suffix) &&
		strspn(suffix + strlen(CALENDAR_SUFFIX), " \t\n") ==
		strlen(suffix + strlen(CALENDAR_SUFFIX));
}

static bool has_suffix_somewhere(const char *value)
{
	for (; *value != '\0'; value++) {
		if (suffix_at(value))
			return TRUE;
	}
	return FALSE;
}

static bool
append_decoded(const unsigned char *data, size_t size,
	       const char *charset ATTR_UNUSED, void *context)
{
	string_t *dest = context;

	str_append_data(dest, data, size);
	return TRUE;
}

/* Decodes RFC 2047, as far as it matters: the suffix is ASCII, so bytes are not
   converted from their charset, which may take a while for many words. */
static const char *words_decode(const char *value)
{
	string_t *dest = t_str_new(128);

	message_header_decode((const unsigned char *)value, strlen(value),
			      append_decoded, dest);
	return str_c(dest);
}

/* Content-Type and Content-Disposition differ in the name of the parameter. */
static bool
field_is_calendar(const struct http_notify_header_field *field,
		  const char *param_name)
{
	const char *value = http_notify_header_field_value(field);
	struct rfc822_parser_context parser;
	string_t *type = t_str_new(64), *name = t_str_new(128);
	bool ret;

	if (value == NULL)
		return FALSE;
	rfc822_parser_init(&parser, (const unsigned char *)value,
			   strlen(value), NULL);
	(void)rfc822_skip_lwsp(&parser);
	(void)rfc822_parse_content_type(&parser, type);
	ret = strcasecmp(str_c(type), CALENDAR_TYPE) == 0 ||
		/* a blank or a colon in a name without quotes */
		(http_notify_header_param_get(&parser, param_name, name) < 0 &&
		 has_suffix_somewhere(words_decode(value))) ||
		ends_in_suffix(words_decode(str_c(name)));
	rfc822_parser_deinit(&parser);
	return ret;
}

static bool
part_is_calendar(struct istream *input, const struct message_part *part)
{
	struct http_notify_header_field fields[] = {
		{ .name = "Content-Type" }, { .name = "Content-Disposition" },
	};

	i_stream_seek(input, part->physical_pos);
	http_notify_header_fields_read(input, fields, N_ELEMENTS(fields));
	return field_is_calendar(&fields[0], "name") ||
		field_is_calendar(&fields[1], "filename");
}

bool http_notify_message_has_calendar(struct istream *input,
				      const struct message_part *parts)
{
	const struct message_part *part;
	bool found = FALSE;

	for (part = parts; part != NULL && !found; part = part->next) {
		if ((part->flags & MESSAGE_PART_FLAG_MULTIPART) == 0) T_BEGIN {
			found = part_is_calendar(input, part);
		} T_END;
		/* the parser allows no more than some hundred levels */
		found = found ||
			http_notify_message_has_calendar(input, part->children);
	}
	return found;
}
