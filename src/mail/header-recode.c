/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"

#include "header-recode.h"
#include "json-text.h"

#include <ctype.h>

#define CHARSET "iso-8859-1"
#define WORD_BEGIN "=?"CHARSET"?Q?"
#define WORD_END "?="
/* RFC 2047 section 2: longest encoded word */
#define WORD_MAX 75

/* RFC 5322 section 3.2.3, without the dot, and the backslash, which characters
   of Shift_JIS and Big5 end in */
#define SPECIALS "()<>[]:;@,\""

/* Fields whose words end at specials as well as at blanks, also with "Resent-"
   before them. */
static const char *const address_fields[] = {
	"From", "Sender", "Reply-To", "To", "Cc", "Bcc", NULL
};
static const char *const parameter_fields[] = {
	"Content-Type", "Content-Disposition", NULL
};
static const char *const file_name_parameters[] = {
	"name", "filename", NULL
};

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_special(unsigned char c)
{
	return c != '\0' && strchr(SPECIALS, c) != NULL;
}

static const unsigned char *
skip_blanks(const unsigned char *p, const unsigned char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static const unsigned char *
trim_blanks(const unsigned char *begin, const unsigned char *end)
{
	while (end > begin && is_blank(end[-1]))
		end--;
	return end;
}

/* Is the text one of these words, in whichever case? */
static bool
is_one_of(const unsigned char *begin, const unsigned char *end,
	  const char *const *words)
{
	for (; *words != NULL; words++) {
		if ((size_t)(end - begin) == strlen(*words) &&
		    strncasecmp((const char *)begin, *words, end - begin) == 0)
			return TRUE;
	}
	return FALSE;
}

/* Folding is undone. */
static void
append_unfolded(string_t *dest, const unsigned char *p,
		const unsigned char *end)
{
	for (; p < end; p++) {
		if (*p != '\r' && *p != '\n')
			str_append_c(dest, *p);
	}
}

/* Returns the end of a quoted string. If content is not NULL, what is in it is
   appended. */
static const unsigned char *
quoted_string(const unsigned char *p, const unsigned char *end,
	      string_t *content)
{
	for (p++; p < end && *p != '"'; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		if (content != NULL)
			append_unfolded(content, p, p + 1);
	}
	return p < end ? p + 1 : end;
}

static void append_encoded_word(string_t *dest, const string_t *content)
{
	const unsigned char *p = str_data(content), *end = p + str_len(content);
	const size_t max = WORD_MAX - strlen(WORD_BEGIN) - strlen(WORD_END);
	size_t begin, used;

	str_append(dest, WORD_BEGIN);
	for (used = 0; p < end; p++) {
		if (used + strlen("=XX") > max) {
			str_append(dest, WORD_END"\\r\\n "WORD_BEGIN);
			used = 0;
		}
		begin = str_len(dest);
		if (*p < 0x80 && i_isalnum(*p))
			str_append_c(dest, *p);
		else if (*p == ' ')
			str_append_c(dest, '_');
		else
			str_printfa(dest, "=%02X", *p);
		used += str_len(dest) - begin;
	}
	str_append(dest, WORD_END);
}

static bool
is_encoded_word(const unsigned char *begin, const unsigned char *end)
{
	return end - begin > 4 && memcmp(begin, "=?", 2) == 0 &&
		memcmp(end - 2, WORD_END, 2) == 0;
}

/* Returns the end of a word, which is not empty unless p is the end. */
static const unsigned char *
word_end(const unsigned char *p, const unsigned char *end, bool address)
{
	const unsigned char *begin = p;

	if (address && p < end && *p == '"')
		return quoted_string(p, end, NULL);
	while (p < end && !is_blank(*p) && !(address && is_special(*p)))
		p++;
	return p > begin || p == end ? p : p + 1;
}

static void
recode_word(string_t *dest, const unsigned char *blank,
	    const unsigned char *word, const unsigned char *end,
	    const unsigned char *value_end, bool after_encoded, bool address)
{
	const unsigned char *next = skip_blanks(end, value_end);
	string_t *content = t_str_new(128);

	/* Blanks between two encoded words are not shown: those that are to be
	   are encoded as well. */
	if (after_encoded) {
		append_unfolded(content, blank, word);
		if (blank == word)
			str_append_c(dest, ' ');
	}
	if (address && *word == '"')
		(void)quoted_string(word, end, content);
	else
		append_unfolded(content, word, end);
	if (is_encoded_word(next, word_end(next, value_end, address)))
		append_unfolded(content, end, next);
	append_encoded_word(dest, content);
}

static void
recode_words(string_t *dest, const unsigned char *p,
	     const unsigned char *end, bool address)
{
	const unsigned char *blank, *word;
	bool after_encoded = FALSE;

	while (p < end) {
		blank = p;
		word = skip_blanks(blank, end);
		p = word_end(word, end, address);
		(void)http_notify_json_append(dest, blank, word - blank);
		if (http_notify_is_utf8(word, p - word)) {
			(void)http_notify_json_append(dest, word, p - word);
			after_encoded = is_encoded_word(word, p);
		} else T_BEGIN {
			recode_word(dest, blank, word, p, end, after_encoded,
				    address);
			after_encoded = TRUE;
		} T_END;
	}
}

/* RFC 2231 section 7: attribute-char */
static void append_percent_encoded(string_t *dest, const string_t *content)
{
	const unsigned char *p = str_data(content), *end = p + str_len(content);

	for (; p < end; p++) {
		if (*p < 0x80 && (i_isalnum(*p) || *p == '.' || *p == '-' ||
				  *p == '_'))
			str_append_c(dest, *p);
		else
			str_printfa(dest, "%%%02X", *p);
	}
}

/* name=value, maybe with blanks around it */
static void
recode_parameter(string_t *dest, const unsigned char *p,
		 const unsigned char *end)
{
	const unsigned char *name = skip_blanks(p, end);
	const unsigned char *equals = memchr(p, '=', end - p);
	const unsigned char *name_end, *value, *value_end;
	string_t *content = t_str_new(128);

	name_end = equals == NULL ? name : trim_blanks(name, equals);
	if (http_notify_is_utf8(p, end - p) ||
	    !is_one_of(name, name_end, file_name_parameters)) {
		http_notify_json_append_replaced(dest, p, end - p);
		return;
	}
	value = skip_blanks(equals + 1, end);
	if (value < end && *value == '"') {
		value_end = quoted_string(value, end, content);
	} else {
		value_end = trim_blanks(value, end);
		append_unfolded(content, value, value_end);
	}
	(void)http_notify_json_append(dest, p, name_end - p);
	str_append(dest, "*="CHARSET"''");
	append_percent_encoded(dest, content);
	http_notify_json_append_replaced(dest, value_end, end - value_end);
}

static void
recode_parameters(string_t *dest, const unsigned char *p,
		  const unsigned char *end)
{
	const unsigned char *param;

	while (p < end) {
		for (param = p; p < end && *p != ';';)
			p = *p == '"' ? quoted_string(p, end, NULL) : p + 1;
		T_BEGIN {
			recode_parameter(dest, param, p);
		} T_END;
		if (p < end) {
			str_append_c(dest, ';');
			p++;
		}
	}
}

void http_notify_header_field_recode(string_t *dest,
				     const unsigned char *field, size_t size)
{
	static const char resent[] = "Resent-";
	const unsigned char *end = field + size, *name = field, *name_end;
	const unsigned char *value = memchr(field, ':', size), *line_end = end;

	/* a quoted string may lack its end */
	while (end > field && (end[-1] == '\r' || end[-1] == '\n'))
		end--;
	name_end = value == NULL ? field : trim_blanks(field, value);
	value = value == NULL ? field : value + 1;
	http_notify_json_append_replaced(dest, field, value - field);
	if (is_one_of(name, name_end, parameter_fields)) {
		recode_parameters(dest, value, end);
	} else {
		if ((size_t)(name_end - name) >= strlen(resent) &&
		    strncasecmp((const char *)name, resent,
				strlen(resent)) == 0)
			name += strlen(resent);
		recode_words(dest, value, end,
			     is_one_of(name, name_end, address_fields));
	}
	(void)http_notify_json_append(dest, end, line_end - end);
}
