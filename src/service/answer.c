#include "lib.h"
#include "base64.h"
#include "str.h"
#include "strfuncs.h"

#include "answer.h"

/* The first line that a status is in. */
static const struct {
	unsigned int first, last;
	enum answer_class class;
} answer_classes[] = {
	/* no answer, whatever the reason */
	{ 0, 0, ANSWER_UNREACHABLE },
	{ 200, 299, ANSWER_DONE },
	/* redirects are not followed: they would carry credentials
	   elsewhere */
	{ 300, 399, ANSWER_MISCONFIGURED },
	{ 401, 401, ANSWER_MISCONFIGURED },
	{ 403, 404, ANSWER_MISCONFIGURED },
	{ 408, 408, ANSWER_LATER },
	{ 425, 425, ANSWER_LATER },
	{ 429, 429, ANSWER_LATER },
	{ 400, 499, ANSWER_REFUSED },
	{ 0, UINT_MAX, ANSWER_FAILED },
};

enum answer_class answer_classify(const struct answer *answer)
{
	unsigned int i;

	for (i = 0; answer->status < answer_classes[i].first ||
	     answer->status > answer_classes[i].last; i++)
		;
	return answer_classes[i].class;
}

/* The longest run of letters and digits: it stays as it is in whatever way a
   text is escaped, be it for a URL, for JSON or for HTML. */
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

bool answer_text_may_be_logged(const char *text, const char *username,
			       const char *password)
{
	const char *lcase_text = t_str_lcase(text), *pair;
	buffer_t *base64;

	if (strstr(lcase_text, "authorization") != NULL)
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
