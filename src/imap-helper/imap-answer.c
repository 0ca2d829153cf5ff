/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap-answer.h"

/* The longest part of a response that a reason repeats, in bytes. */
#define DESCRIPTION_MAX 200

static bool
word_is(const char *data, size_t size, const char *word)
{
	return size == strlen(word) && strncasecmp(data, word, size) == 0;
}

static size_t word_size(const char *data, const char *end)
{
	const char *p = data;

	while (p < end && *p != ' ')
		p++;
	return p - data;
}

static enum imap_status status_of(const char *word, size_t size)
{
	static const struct {
		const char *name;
		enum imap_status status;
	} names[] = {
		{ "OK", IMAP_STATUS_OK },
		{ "NO", IMAP_STATUS_NO },
		{ "BAD", IMAP_STATUS_BAD },
		{ "BYE", IMAP_STATUS_BYE },
		{ "PREAUTH", IMAP_STATUS_PREAUTH },
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (word_is(word, size, names[i].name))
			return names[i].status;
	}
	return IMAP_STATUS_NONE;
}

int imap_response_parse(const char *line, size_t size,
			struct imap_response *response_r)
{
	const char *p = line, *end = line + size;
	size_t word;

	memset(response_r, 0, sizeof(*response_r));
	if (size > 0 && *p == '+') {
		response_r->kind = IMAP_CONTINUATION;
		response_r->text = p + 1;
		response_r->size = end - response_r->text;
		return 0;
	}

	word = word_size(p, end);
	if (word == 0 || p + word == end)
		return -1;
	if (word == 1 && *p == '*')
		response_r->kind = IMAP_UNTAGGED;
	else {
		response_r->kind = IMAP_TAGGED;
		response_r->tag = p;
		response_r->tag_size = word;
	}
	p += word + 1;

	word = word_size(p, end);
	response_r->status = status_of(p, word);
	if (response_r->status != IMAP_STATUS_NONE) {
		p += word;
		if (p < end)
			p++;
	} else if (response_r->kind == IMAP_TAGGED)
		return -1;
	response_r->text = p;
	response_r->size = end - p;
	return 0;
}

void imap_reader_feed(struct imap_reader *reader, const void *data,
		      size_t size)
{
	struct buffer *input = &reader->input;

	if (reader->begin > 0) {
		memmove(input->data, input->data + reader->begin,
			input->used - reader->begin);
		input->used -= reader->begin;
		reader->line -= reader->begin;
		reader->scanned -= reader->begin;
		reader->begin = 0;
	}
	buffer_append(input, data, size);
}

/* Does a line announce a literal ("{12}", also "{12+}")? */
static bool
line_literal_size(const char *line, const char *end, size_t *size_r)
{
	const char *p;
	size_t size = 0;

	if (end - line < 3 || end[-1] != '}')
		return false;
	for (p = end - 1; p > line && p[-1] != '{'; p--) ;
	if (p == line)
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		/* stop at a size that will be refused */
		if (size <= IMAP_RESPONSE_MAX)
			size = size * 10 + (*p - '0');
	}
	if (*p == '+')
		p++;
	*size_r = size;
	return p == end - 1 && p[-1] != '{';
}

/* Status responses end in text for humans, where {3} is just text. */
static bool response_may_have_literals(const char *begin, const char *end)
{
	struct imap_response response;

	return imap_response_parse(begin, end - begin, &response) == 0 &&
		response.kind == IMAP_UNTAGGED &&
		response.status == IMAP_STATUS_NONE;
}

static const char *line_end(const char *begin, const char *newline)
{
	return newline > begin && newline[-1] == '\r' ? newline - 1 : newline;
}

int imap_reader_next(struct imap_reader *reader,
		     struct imap_response *response_r, const char **error_r)
{
	const char *data = reader->input.data;
	const char *begin, *line, *end, *newline;
	size_t used = reader->input.used, literal;

	for (;;) {
		if (used - reader->begin > IMAP_RESPONSE_MAX &&
		    reader->scanned - reader->begin > IMAP_RESPONSE_MAX) {
			*error_r = "the server sent an answer of more than "
				"1 MB";
			return -1;
		}
		/* a literal is incomplete, or nothing new has come */
		if (reader->scanned >= used)
			return 0;
		newline = memchr(data + reader->scanned, '\n',
				 used - reader->scanned);
		if (newline == NULL) {
			reader->scanned = used;
			continue;
		}
		begin = data + reader->begin;
		line = data + reader->line;
		end = line_end(line, newline);
		reader->scanned = reader->line = newline + 1 - data;
		if (line_literal_size(line, end, &literal) &&
		    response_may_have_literals(begin, end)) {
			if (literal > IMAP_RESPONSE_MAX) {
				*error_r = "the server sent an answer of "
					"more than 1 MB";
				return -1;
			}
			reader->scanned += literal;
			reader->line = reader->scanned;
			continue;
		}

		reader->begin = reader->scanned;
		/* skip empty lines */
		if (end == begin)
			continue;
		if (imap_response_parse(begin, end - begin, response_r) < 0) {
			*error_r = "the server's answer is not IMAP";
			return -1;
		}
		return 1;
	}
}

void imap_reader_free(struct imap_reader *reader)
{
	buffer_free(&reader->input);
	memset(reader, 0, sizeof(*reader));
}

bool imap_response_has_word(const struct imap_response *response,
			    const char *word)
{
	const char *p = response->text, *end = p + response->size;

	while (p < end) {
		size_t size = word_size(p, end);

		if (word_is(p, size, word))
			return true;
		p += size + 1;
	}
	return false;
}

bool imap_response_begins(const struct imap_response *response,
			  const char *prefix)
{
	size_t size = strlen(prefix);

	return response->size >= size &&
		strncasecmp(response->text, prefix, size) == 0;
}

void imap_response_describe(const struct imap_response *response,
			    struct buffer *text)
{
	buffer_clear(text);
	buffer_append_escaped(text, response->text, response->size,
			      DESCRIPTION_MAX);
}

/* -- data: strings and lists -- */

struct cursor {
	const char *p, *end;
};

static bool take(struct cursor *cur, char chr)
{
	if (cur->p == cur->end || *cur->p != chr)
		return false;
	cur->p++;
	return true;
}

static int take_quoted(struct cursor *cur, struct buffer *str)
{
	const char *p;

	for (p = cur->p; p < cur->end && *p != '"'; p++) {
		if (*p == '\\') {
			if (++p == cur->end)
				return -1;
		}
		buffer_append(str, p, 1);
	}
	if (p == cur->end)
		return -1;
	cur->p = p + 1;
	return 0;
}

/* The reader has made sure that literals are complete, but not that they are
   where the syntax allows one. */
static int take_literal(struct cursor *cur, struct buffer *str)
{
	const char *newline = memchr(cur->p, '\n', cur->end - cur->p);
	size_t size;

	if (newline == NULL ||
	    !line_literal_size(cur->p - 1, line_end(cur->p, newline), &size) ||
	    size > (size_t)(cur->end - newline) - 1)
		return -1;
	buffer_append(str, newline + 1, size);
	cur->p = newline + 1 + size;
	return 0;
}

/* Read a quoted string, a literal (also one of RFC 3516) or an atom. The atom
   NIL sets *nil_r; the string "NIL" does not. */
static int
take_string(struct cursor *cur, struct buffer *str, bool *nil_r)
{
	const char *p = cur->p;

	*nil_r = false;
	buffer_clear(str);
	if (take(cur, '"'))
		return take_quoted(cur, str);
	if (p + 1 < cur->end && p[0] == '~' && p[1] == '{')
		cur->p++;
	if (take(cur, '{'))
		return take_literal(cur, str);

	while (cur->p < cur->end && strchr(" ()\"\r\n", *cur->p) == NULL)
		cur->p++;
	if (cur->p == p)
		return -1;
	buffer_append(str, p, cur->p - p);
	if (word_is(str->data, str->used, "NIL")) {
		buffer_clear(str);
		*nil_r = true;
	}
	return 0;
}

static bool take_name(struct cursor *cur, const char *name)
{
	size_t size = word_size(cur->p, cur->end);

	if (!word_is(cur->p, size, name))
		return false;
	cur->p += size;
	return take(cur, ' ');
}

/* Read name-value pairs in parentheses. Returns 1 and the value of the wanted
   name, 0 if it is not among them, -1 if this is not such a list. */
static int
take_pairs(struct cursor *cur, const char *wanted, struct buffer *value,
	   bool *nil_r)
{
	struct buffer name = {}, other = {};
	bool nil, found = false;
	int ret = 0;

	if (!take(cur, '('))
		return -1;
	while (ret == 0 && !take(cur, ')')) {
		bool wanted_one;

		ret = take_string(cur, &name, &nil);
		if (ret < 0)
			break;
		wanted_one = !nil && word_is(buffer_str(&name), name.used,
					     wanted);
		if (!take(cur, ' '))
			ret = -1;
		else if (wanted_one) {
			found = true;
			ret = take_string(cur, value, nil_r);
		} else
			ret = take_string(cur, &other, &nil);
		/* some servers put a space after the last value, too */
		(void)take(cur, ' ');
	}
	buffer_free(&name);
	buffer_free(&other);
	return ret < 0 ? -1 : found ? 1 : 0;
}

int imap_metadata_find(const struct imap_response *response, const char *entry,
		       struct buffer *value, bool *nil_r)
{
	struct cursor cur = { response->text,
			      response->text + response->size };
	struct buffer mailbox = {};
	bool nil, server_level;
	int ret;

	if (response->kind != IMAP_UNTAGGED ||
	    response->status != IMAP_STATUS_NONE ||
	    !take_name(&cur, "METADATA"))
		return 0;
	ret = take_string(&cur, &mailbox, &nil);
	server_level = mailbox.used == 0 && !nil;
	buffer_free(&mailbox);
	if (ret < 0 || !take(&cur, ' '))
		return -1;
	/* it is for another mailbox, or only names entries that have changed */
	if (!server_level || cur.p == cur.end || *cur.p != '(')
		return 0;
	return take_pairs(&cur, entry, value, nil_r);
}

int imap_id_name(const struct imap_response *response, struct buffer *name)
{
	struct cursor cur = { response->text,
			      response->text + response->size };
	bool nil = false;
	int ret;

	if (response->kind != IMAP_UNTAGGED ||
	    response->status != IMAP_STATUS_NONE || !take_name(&cur, "ID") ||
	    cur.p == cur.end || *cur.p != '(')
		return 0;
	ret = take_pairs(&cur, "name", name, &nil);
	return ret == 1 && nil ? 0 : ret;
}
