/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "base64.h"
#include "str.h"
#include "strfuncs.h"

#include "sender-answer.h"

/* A query's words that are shorter are no secrets. */
#define QUERY_WORD_MIN 6

/* Returns the longest run of letters and digits: it stays the same however a
   text is escaped, for example for a URL, JSON or HTML. */
static const char *longest_word(const char *text)
{
	const char *word = text;
	size_t size, word_size = 0;

	for (; *text != '\0'; text += size > 0 ? size : 1) {
		size = strspn(text, "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
		if (size > word_size) {
			word = text;
			word_size = size;
		}
	}
	return t_strdup_until(word, word + word_size);
}

static bool text_may_have(const char *lcase_text, const char *secret)
{
	return strstr(lcase_text, t_str_lcase(longest_word(secret))) != NULL;
}

bool answer_text_may_have_query(const char *text, const char *query)
{
	return strlen(longest_word(query)) >= QUERY_WORD_MIN &&
		text_may_have(t_str_lcase(text), query);
}

bool answer_text_may_be_logged(const char *text, const char *username,
			       const char *password, const char *token)
{
	const char *lcase_text = t_str_lcase(text), *pair;
	buffer_t *base64;

	if (strstr(lcase_text, "authorization") != NULL ||
	    (token != NULL && text_may_have(lcase_text, token)))
		return FALSE;
	if (username == NULL)
		return TRUE;
	if (password == NULL)
		password = "";
	pair = t_strconcat(username, ":", password, NULL);
	base64 = t_base64_encode(0, SIZE_MAX, pair, strlen(pair));
	return !text_may_have(lcase_text, str_c(base64)) &&
		(*password == '\0' || !text_may_have(lcase_text, password));
}
