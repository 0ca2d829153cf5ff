/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"

#include "netrc.h"

#define BLANKS " \t\r\n"

/* Returns a word in quotes, which text is at the begin of, and goes on after
   it; NULL if it does not end. */
static const char *next_quoted(const char **text)
{
	string_t *word = t_str_new(32);
	const char *p = *text + 1;

	for (; *p != '"'; p++) {
		if (*p == '\\')
			p++;
		if (*p == '\0')
			return NULL;
		str_append_c(word, *p);
	}
	*text = p + 1;
	return str_c(word);
}

/* Returns 1 and the next word, 0 at the end, or -1. */
static int next_word(const char **text, const char **word_r)
{
	const char *begin;

	*text += strspn(*text, BLANKS);
	while (**text == '#') {
		*text += strcspn(*text, "\n");
		*text += strspn(*text, BLANKS);
	}
	begin = *text;
	if (*begin == '\0')
		return 0;
	if (*begin == '"') {
		*word_r = next_quoted(text);
		return *word_r == NULL ? -1 : 1;
	}
	*text += strcspn(begin, BLANKS);
	*word_r = t_strdup_until(begin, *text);
	return 1;
}

/* Skip a macro, which ends with an empty line. */
static void skip_macro(const char **text)
{
	bool empty = FALSE;

	while (**text != '\0' && !empty) {
		*text += strcspn(*text, "\n");
		if (**text == '\n')
			*text += 1;
		empty = (*text)[strspn(*text, "\r")] == '\n';
	}
}

int netrc_find(const char *text, const char *host, const char **login_r,
	       const char **password_r)
{
	const char *name, *value;
	bool found = FALSE;
	int ret;

	*login_r = *password_r = NULL;
	while ((ret = next_word(&text, &name)) > 0) {
		if (found && (strcmp(name, "machine") == 0 ||
			      strcmp(name, "default") == 0))
			break;
		if (strcmp(name, "default") == 0) {
			found = TRUE;
			continue;
		}
		if (strcmp(name, "macdef") == 0) {
			skip_macro(&text);
			continue;
		}
		if (next_word(&text, &value) <= 0)
			return -1;
		if (strcmp(name, "machine") == 0)
			found = strcasecmp(value, host) == 0;
		else if (strcmp(name, "login") == 0) {
			if (found)
				*login_r = value;
		} else if (strcmp(name, "password") == 0) {
			if (found)
				*password_r = value;
		} else if (strcmp(name, "account") != 0)
			return -1;
	}
	if (ret < 0)
		return -1;
	return *login_r != NULL && *password_r != NULL ? 1 : 0;
}
