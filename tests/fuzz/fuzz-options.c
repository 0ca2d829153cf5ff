/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of a driver line, from the configuration and from a hand-off. */
#include "lib.h"
#include "http-url.h"
#include "str.h"
#include "strescape.h"

#include "folders.h"
#include "options.h"

#include "fuzz-common.h"

/* Begins and ends what may be credentials, and is nowhere else. */
#define SECRET "sesame"

/* Where a URL has them, if the word is one. */
static const char *authority_of(const char *word)
{
	const char *scheme = strstr(word, "://");
	const char *value = word + strspn(word, "abcdefghijklmnopqrstuvwxyz_");

	if (scheme != NULL)
		return scheme + 3;
	return *value == '=' ? value + 1 : word;
}

/* May it be a URL that a blank in its password has cut off? */
static bool may_be_cut_off(const char *word)
{
	const char *authority = authority_of(word);

	return strchr(word, '@') == NULL &&
		strchr(authority, ':') != NULL &&
		strpbrk(authority, "/?#") == NULL;
}

static const char *add_secret(const char *word)
{
	const char *begin = authority_of(word);
	const char *end = strrchr(begin, '@');

	if (end != NULL) {
		return t_strconcat(t_strdup_until(word, begin), SECRET,
				   t_strdup_until(begin, end), SECRET, end,
				   NULL);
	}
	return may_be_cut_off(word) ? t_strconcat(word, SECRET, NULL) : word;
}

/* Is it fit for a log? */
static void check_log(const char *text)
{
	i_assert(!fuzz_has_controls(text));
	i_assert(strstr(text, SECRET) == NULL);
}

/* Nothing in it can end a request line or a header. */
static void check_request(const char *str)
{
	for (; *str != '\0'; str++)
		i_assert(*str > ' ' && *str <= '~');
}

static void check_url(const char *url)
{
	const struct http_url *http_url;
	pool_t pool = pool_datastack_create();

	if (url == NULL)
		return;
	i_assert(strlen(url) <= HTTP_NOTIFY_OPTION_MAX);
	check_log(http_notify_url_mask(url));

	/* what is requested, and what names the endpoint in the log */
	http_url = http_notify_url_parse(url, pool);
	i_assert(http_url->host.name != NULL && http_url->host.name[0] != '\0');
	check_request(http_url_create(http_url));
	check_request(http_url_create_authority(http_url));
}

static void check_export(const struct http_notify_options *options)
{
	const char *const *words = http_notify_options_export(options);
	struct http_notify_options again;
	const char *error;

	i_assert(http_notify_options_parse(words, pool_datastack_create(),
					   &again, &error) == 0);
	i_assert(strcmp(again.url, options->url) == 0);
	i_assert(null_strcmp(again.standby_url, options->standby_url) == 0);
	i_assert(again.timeout_msecs == options->timeout_msecs);
	i_assert(again.max_age_secs == options->max_age_secs);
	i_assert(again.max_retries == options->max_retries);
	i_assert(again.max_per_second == options->max_per_second);
	i_assert(null_strcmp(again.netrc_file, options->netrc_file) == 0);
	i_assert(strcmp(again.method, options->method) == 0);
	i_assert(null_strcmp(again.token_file, options->token_file) == 0);
	i_assert(null_strcmp(again.sign_file, options->sign_file) == 0);
	i_assert(null_strcmp(again.proxy, options->proxy) == 0);
}

static void check_folders(const char *folders)
{
	static const struct http_notify_folder folder = {
		.name = "Lists/c", .separator = '/', .special_uses = "\\Sent",
	};
	struct http_notify_folder foreign = folder;
	bool included = http_notify_folders_include(folders, &folder);

	foreign.foreign_prefix = "Lists/";
	i_assert(included || !http_notify_folders_include(folders, &foreign));
}

static void check_words(const char *const *words, pool_t pool)
{
	const char **secret_words =
		t_new(const char *, str_array_length(words) + 1);
	struct http_notify_options options;
	const char *error;
	unsigned int i;

	for (i = 0; words[i] != NULL; i++) {
		if (strstr(words[i], SECRET) != NULL)
			return;
		secret_words[i] = add_secret(words[i]);
	}

	words = fuzz_words_dup(pool, secret_words);
	if (http_notify_options_parse(words, pool, &options, &error) < 0) {
		check_log(error);
		return;
	}
	i_assert(options.timeout_msecs > 0);
	i_assert(options.max_age_secs > 0);
	check_url(options.url);
	check_url(options.standby_url);
	check_url(options.proxy);
	check_folders(options.folders);
	check_export(&options);
}

void fuzz_one(const unsigned char *data, size_t size, pool_t pool)
{
	const char *input = p_strndup(pool, data, size);

	/* as the plugin splits a driver line, and the service a hand-off */
	check_words(t_strsplit_spaces(input, " "), pool);
	check_words(t_strsplit_tabescaped(input), pool);
}
