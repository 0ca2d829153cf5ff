/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "message-header-decode.h"
#include "unichar.h"

#include "dovecot-compat.h"
#include "header-text.h"

/* As an RFC 2047 encoded word begins; RFC 2231 section 5 has a language after
   the charset. */
#define WORD_BEGIN "=?"
#define WORD_END "?="

#define BASE64_CHARS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

struct encoded_word {
	/* what is encoded, and its end */
	const char *text, *text_end;
	bool base64;
};

const char *http_notify_text_make_valid(const char *text)
{
	string_t *valid = t_str_new(128);

	return uni_utf8_get_valid_data((const unsigned char *)text,
				       strlen(text), valid) ?
		text : str_c(valid);
}

size_t http_notify_text_fit(const char *text, size_t max_size)
{
	size_t size = strlen(text);

	if (size <= max_size)
		return size;
	size = max_size;
	while (size > 0 && !UTF8_IS_START_SEQ(text[size]))
		size--;
	return size;
}

/* Is there a word at p? last_end is the last end of one in the value: without
   it, a value of nothing but beginnings would be searched again at each. */
static bool
encoded_word_at(const char *p, const char *last_end,
		struct encoded_word *word_r)
{
	const char *encoding;

	if (p + strlen(WORD_BEGIN) > last_end ||
	    !str_begins_with(p, WORD_BEGIN))
		return FALSE;
	p += strlen(WORD_BEGIN);
	encoding = p + strcspn(p, "? \t\r\n");
	if (encoding == p || *encoding != '?')
		return FALSE;
	encoding++;
	if (*encoding == '\0' || strchr("bBqQ", *encoding) == NULL ||
	    encoding[1] != '?' || encoding + 2 > last_end)
		return FALSE;
	word_r->base64 = *encoding == 'b' || *encoding == 'B';
	word_r->text = encoding + 2;
	word_r->text_end = strstr(word_r->text, WORD_END);
	i_assert(word_r->text_end != NULL);
	return TRUE;
}

/* The last WORD_END, or the beginning if there is none. */
static const char *last_word_end(const char *value)
{
	const char *p = value + strlen(value);

	while (p > value && !str_begins_with(p, WORD_END))
		p--;
	return p;
}

static void
append_base64(string_t *dest, const struct encoded_word *word)
{
	size_t begin = str_len(dest), size;
	const char *p;

	for (p = word->text; p < word->text_end && *p != '='; p++) {
		if (strchr(BASE64_CHARS, *p) != NULL)
			str_append_c(dest, *p);
	}
	size = str_len(dest) - begin;
	/* a single character at the end has not even one byte */
	if (size % 4 == 1)
		str_truncate(dest, str_len(dest) - 1);
	else if (size % 4 != 0)
		str_append(dest, size % 4 == 2 ? "==" : "=");
}

const char *http_notify_header_text(const char *value)
{
	struct encoded_word word;
	const char *p, *last_end;
	string_t *dest;

	value = http_notify_text_make_valid(value);
	last_end = last_word_end(value);
	dest = t_str_new(128);
	for (p = value; *p != '\0';) {
		if (!encoded_word_at(p, last_end, &word)) {
			str_append_c(dest, *p++);
			continue;
		}
		str_append_data(dest, p, word.text - p);
		if (word.base64)
			append_base64(dest, &word);
		else
			str_append_data(dest, word.text,
					word.text_end - word.text);
		str_append(dest, WORD_END);
		p = word.text_end + strlen(WORD_END);
	}
	return str_c(dest);
}

const char *http_notify_header_text_decode(const char *value)
{
	buffer_t *decoded = t_buffer_create(128);

	value = http_notify_header_text(value);
	if (strstr(value, WORD_BEGIN) == NULL)
		return value;
	message_header_decode_utf8((const unsigned char *)value, strlen(value),
				   decoded, NULL);
	/* NUL may have been encoded as well */
	return http_notify_header_text(str_c(decoded));
}

const char *http_notify_header_text_shorten(const char *value, size_t max_size)
{
	struct encoded_word word;
	const char *p, *end, *last_end;

	value = http_notify_header_text(value);
	if (strlen(value) <= max_size)
		return value;
	value = http_notify_header_text_decode(value);
	end = value + http_notify_text_fit(value, max_size);
	last_end = last_word_end(value);
	for (p = value; p < end;) {
		if (!encoded_word_at(p, last_end, &word)) {
			p++;
			continue;
		}
		if (word.text_end + strlen(WORD_END) > end)
			end = p;
		p = word.text_end + strlen(WORD_END);
	}
	return t_strdup_until(value, end);
}
