/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "base64.h"
#include "rfc822-parser.h"
#include "str.h"

#include "header-params.h"
#include "header-recode.h"
#include "json-text.h"
#include "message-recode.h"

/* How deep parts may be nested. For each level the message is looked through
   once more. */
#define DEPTH_MAX 32
/* bytes of content that make a line of base64 (RFC 2045 section 6.8) */
#define BASE64_LINE_BYTES 57

#define CTE_NAME "Content-Transfer-Encoding"
#define CTE_BASE64 CTE_NAME": base64\\r\\n"

enum encoding {
	/* the content is what it is */
	ENCODING_NONE,
	/* other bytes than ASCII are content */
	ENCODING_QUOTED_PRINTABLE,
	/* other bytes than ASCII are ignored */
	ENCODING_ASCII
};

/* The message, an attached one or a part. */
struct entity {
	/* where the header begins and ends: at the blank line, if any */
	const unsigned char *header, *header_end;
	/* the content, after the blank line */
	const unsigned char *body, *end;

	/* of the content: "multipart/mixed", "" = not known */
	string_t *type;
	/* two dashes and the boundary; empty if there is none */
	string_t *delimiter;
	enum encoding encoding;
};

static void
entity_recode(string_t *dest, const unsigned char *data,
	      const unsigned char *end, const char *default_type,
	      unsigned int depth);

/* JavaMail takes CR CR LF for one line end. */
static const unsigned char *
line_next(const unsigned char *p, const unsigned char *end)
{
	while (p < end && *p != '\r' && *p != '\n')
		p++;
	if (p == end || *p++ == '\n')
		return p;
	if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
		return p + 2;
	return p < end && *p == '\n' ? p + 1 : p;
}

static const unsigned char *
line_end_begin(const unsigned char *begin, const unsigned char *end)
{
	if (end > begin && end[-1] == '\n')
		end--;
	else if (end > begin && end[-1] == '\r')
		return end - 1;
	return end > begin && end[-1] == '\r' ? end - 1 : end;
}

/* with the lines that continue it */
static const unsigned char *
field_next(const unsigned char *p, const unsigned char *end)
{
	do {
		p = line_next(p, end);
	} while (p < end && (*p == ' ' || *p == '\t'));
	return p;
}

/* Returns the field's value; NULL if that is another field. */
static const unsigned char *
field_value(const unsigned char *field, const unsigned char *end,
	    const char *name)
{
	size_t size = strlen(name);

	if ((size_t)(end - field) <= size ||
	    strncasecmp((const char *)field, name, size) != 0)
		return NULL;
	for (field += size; field < end; field++) {
		if (*field == ':')
			return field + 1;
		if (*field != ' ' && *field != '\t')
			break;
	}
	return NULL;
}

static void
entity_parse_type(struct entity *entity, const unsigned char *value,
		  const unsigned char *end)
{
	struct rfc822_parser_context parser;
	string_t *boundary = t_str_new(80);

	str_truncate(entity->type, 0);
	rfc822_parser_init(&parser, value, end - value, NULL);
	(void)rfc822_skip_lwsp(&parser);
	(void)rfc822_parse_content_type(&parser, entity->type);
	(void)http_notify_header_param_get(&parser, "boundary", boundary);
	rfc822_parser_deinit(&parser);
	if (str_len(boundary) > 0) {
		str_append(entity->delimiter, "--");
		str_append_str(entity->delimiter, boundary);
	}
}

static enum encoding
encoding_parse(const unsigned char *value, const unsigned char *end)
{
	static const struct {
		const char *name;
		enum encoding encoding;
	} encodings[] = {
		{ "quoted-printable", ENCODING_QUOTED_PRINTABLE },
		{ "base64", ENCODING_ASCII },
		{ "uuencode", ENCODING_ASCII },
		{ "x-uuencode", ENCODING_ASCII },
		{ "x-uue", ENCODING_ASCII },
	};
	struct rfc822_parser_context parser;
	string_t *name = t_str_new(32);
	unsigned int i;

	rfc822_parser_init(&parser, value, end - value, NULL);
	(void)rfc822_skip_lwsp(&parser);
	(void)rfc822_parse_mime_token(&parser, name);
	rfc822_parser_deinit(&parser);
	for (i = 0; i < N_ELEMENTS(encodings); i++) {
		if (strcasecmp(str_c(name), encodings[i].name) == 0)
			return encodings[i].encoding;
	}
	return ENCODING_NONE;
}

static void
entity_init(struct entity *entity, const unsigned char *data,
	    const unsigned char *end, const char *default_type)
{
	const unsigned char *p, *next, *value;
	bool have_type = FALSE, have_encoding = FALSE;

	i_zero(entity);
	entity->header = data;
	entity->end = end;
	entity->type = t_str_new(32);
	str_append(entity->type, default_type);
	entity->delimiter = t_str_new(80);
	/* of several fields, the first one counts */
	for (p = data; p < end && *p != '\r' && *p != '\n'; p = next) {
		next = field_next(p, end);
		value = field_value(p, next, "Content-Type");
		if (value != NULL && !have_type) {
			have_type = TRUE;
			entity_parse_type(entity, value, next);
		}
		value = field_value(p, next, CTE_NAME);
		if (value != NULL && !have_encoding) {
			have_encoding = TRUE;
			entity->encoding = encoding_parse(value, next);
		}
	}
	entity->header_end = p;
	entity->body = line_next(p, end);
}

/* Without the encoding, if that is to be another one. */
static void
entity_append_header(string_t *dest, const struct entity *entity,
		     bool base64)
{
	const unsigned char *p, *next;

	for (p = entity->header; p < entity->header_end; p = next) {
		next = field_next(p, entity->header_end);
		if (base64 && field_value(p, next, CTE_NAME) != NULL)
			continue;
		if (http_notify_is_utf8(p, next - p))
			(void)http_notify_json_append(dest, p, next - p);
		else
			http_notify_header_field_recode(dest, p, next - p);
	}
	if (base64)
		str_append(dest, CTE_BASE64);
	(void)http_notify_json_append(dest, entity->header_end,
				      entity->body - entity->header_end);
}

static void
append_base64(string_t *dest, const unsigned char *p,
	      const unsigned char *end)
{
	size_t size;

	for (;; p += size) {
		size = I_MIN(end - p, BASE64_LINE_BYTES);
		base64_encode(p, size, dest);
		if (p + size == end)
			break;
		str_append(dest, "\\r\\n");
	}
}

static void
append_quoted_printable(string_t *dest, const unsigned char *p,
			const unsigned char *end)
{
	while ((p += http_notify_json_append(dest, p, end - p)) < end)
		str_printfa(dest, "=%02X", *p++);
}

static void leaf_recode(string_t *dest, const struct entity *entity)
{
	size_t size = entity->end - entity->body;
	bool base64 = FALSE;

	if (!http_notify_is_utf8(entity->body, size))
		base64 = entity->encoding == ENCODING_NONE;
	entity_append_header(dest, entity, base64);
	if (base64)
		append_base64(dest, entity->body, entity->end);
	else if (entity->encoding == ENCODING_QUOTED_PRINTABLE)
		append_quoted_printable(dest, entity->body, entity->end);
	else
		http_notify_json_append_replaced(dest, entity->body, size);
}

/* Is the line a delimiter? It is the last one if *last_r. */
static bool
is_delimiter(const string_t *delimiter, const unsigned char *line,
	     const unsigned char *line_end, bool *last_r)
{
	size_t size = str_len(delimiter);

	if (size == 0 || (size_t)(line_end - line) < size ||
	    memcmp(line, str_data(delimiter), size) != 0)
		return FALSE;
	line += size;
	*last_r = line_end - line >= 2 && memcmp(line, "--", 2) == 0;
	if (*last_r)
		return TRUE;
	while (line < line_end && (*line == ' ' || *line == '\t'))
		line++;
	return line == line_end || *line == '\r' || *line == '\n';
}

static void
multipart_recode(string_t *dest, const struct entity *entity,
		 unsigned int depth)
{
	const char *default_type =
		strcasecmp(str_c(entity->type), "multipart/digest") == 0 ?
		"message/rfc822" : "text/plain";
	/* what does not belong to a part, and the part after that */
	const unsigned char *between = entity->body, *part = NULL;
	const unsigned char *line, *next;
	bool last;

	for (line = entity->body; line < entity->end; line = next) {
		next = line_next(line, entity->end);
		if (!is_delimiter(entity->delimiter, line, next, &last))
			continue;
		if (part != NULL) {
			/* the line end before it belongs to the delimiter */
			between = line_end_begin(part, line);
			entity_recode(dest, part, between, default_type,
				      depth);
			part = NULL;
		}
		if (last)
			break;
		http_notify_json_append_replaced(dest, between,
						 next - between);
		between = part = next;
	}
	if (part != NULL)
		entity_recode(dest, part, entity->end, default_type, depth);
	else
		http_notify_json_append_replaced(dest, between,
						 entity->end - between);
}

static bool type_begins(const struct entity *entity, const char *prefix)
{
	return strncasecmp(str_c(entity->type), prefix, strlen(prefix)) == 0;
}

static bool is_message(const struct entity *entity)
{
	return strcasecmp(str_c(entity->type), "message/rfc822") == 0 ||
		strcasecmp(str_c(entity->type), "message/global") == 0;
}

/* A multipart, a message or something like a message. JavaMail ignores an
   encoding of these. */
static void
composite_recode(string_t *dest, const struct entity *entity,
		 unsigned int depth)
{
	entity_append_header(dest, entity, FALSE);
	if (depth < DEPTH_MAX && type_begins(entity, "multipart/")) {
		multipart_recode(dest, entity, depth + 1);
	} else if (depth < DEPTH_MAX && is_message(entity)) {
		entity_recode(dest, entity->body, entity->end, "text/plain",
			      depth + 1);
	} else {
		http_notify_json_append_replaced(dest, entity->body,
						 entity->end - entity->body);
	}
}

static void
entity_recode(string_t *dest, const unsigned char *data,
	      const unsigned char *end, const char *default_type,
	      unsigned int depth)
{
	struct entity entity;

	T_BEGIN {
		entity_init(&entity, data, end, default_type);
		if (type_begins(&entity, "multipart/") ||
		    type_begins(&entity, "message/"))
			composite_recode(dest, &entity, depth);
		else
			leaf_recode(dest, &entity);
	} T_END;
}

void http_notify_message_recode(string_t *dest, const unsigned char *data,
				size_t size)
{
	entity_recode(dest, data, data + size, "text/plain", 0);
}
