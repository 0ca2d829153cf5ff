/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "http-url.h"
#include "settings-parser.h"
#include "str-sanitize.h"
#include "strnum.h"

#include "dovecot-compat.h"
#include "folders.h"
#include "mail-events.h"
#include "options.h"

const char *http_notify_url_mask(const char *url)
{
	const char *begin, *end;

	/* Mask from the scheme to the last '@', so that this works for invalid
	   URLs, too. */
	end = strrchr(url, '@');
	if (end == NULL)
		return url;
	begin = url + strspn(url, "abcdefghijklmnopqrstuvwxyz"
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	begin = str_begins_with(begin, "://") ? begin + 3 : url;
	return t_strconcat(t_strdup_until(url, begin), "***", end, NULL);
}

/* May this URL, which has no '@', have credentials? A blank in a password cuts
   off the rest of the URL. Then the password is where a port would be. */
static bool url_may_be_cut_off(const char *url)
{
	const char *p = strstr(url, "://");

	p = strchr(p == NULL ? url : p + 3, ':');
	if (p == NULL)
		return FALSE;
	p += 1 + strspn(p + 1, "0123456789");
	return *p != '\0' && *p != '/';
}

/* Blank out a URL's query, which may be a secret. If there was a '@' in it, the
   rest has only what followed. */
static const char *url_mask_query(const char *url)
{
	size_t size = strcspn(url, "?&");

	if (strstr(url, "://") == NULL || url[size] == '\0')
		return url;
	return t_strconcat(t_strndup(url, size + 1), "***", NULL);
}

/* May this be what should be in the file that the option names? */
static bool may_be_secret(const char *name, const char *value)
{
	return *value != '/' && *value != '\0' &&
		(strstr(name, "token_file") != NULL ||
		 strstr(name, "sign_file") != NULL);
}

/* Returns an option in a form that an error may repeat. The word may also be a
   URL whose "url=" is missing: that is masked as well. */
static const char *option_for_log(const char *word)
{
	size_t size = strspn(word, "abcdefghijklmnopqrstuvwxyz_");
	const char *name, *value, *masked;

	if (word[size] == '=')
		size++;
	else
		size = 0;
	name = t_strndup(word, size);
	value = word + size;
	masked = http_notify_url_mask(value);
	if ((masked == value && url_may_be_cut_off(value)) ||
	    may_be_secret(name, value))
		masked = "***";
	masked = url_mask_query(masked);
	return str_sanitize(t_strconcat(name, masked, NULL), 256);
}

/* Its name and the '=', unless it may be a URL, which is masked as a whole. */
static const char *option_without_value(const char *word)
{
	const char *value = strchr(word, '=');

	return value == NULL || strchr(word, '@') != NULL ||
		strstr(word, "://") != NULL ? word :
		t_strdup_until(word, value + 1);
}

struct http_url *http_notify_url_parse(const char *url, pool_t pool)
{
	struct http_url *http_url;
	const char *error;

	if (http_url_parse(url, NULL, HTTP_URL_ALLOW_USERINFO_PART, pool,
			   &http_url, &error) < 0)
		i_panic("URL that was accepted before is invalid: %s", error);
	return http_url;
}

static int check_size(const char *value, const char **error_r)
{
	if (strlen(value) <= HTTP_NOTIFY_OPTION_MAX)
		return 0;
	*error_r = t_strdup_printf("is longer than %u bytes",
				   HTTP_NOTIFY_OPTION_MAX);
	return -1;
}

static int check_max_age(unsigned int secs, const char **error_r)
{
	if (secs > 0)
		return 0;
	*error_r = "must be longer than 0";
	return -1;
}

static int check_path(const char *path, const char **error_r)
{
	if (*path == '/')
		return 0;
	*error_r = "must be an absolute path";
	return -1;
}

static int check_method(const char *method, const char **error_r)
{
	if (strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0)
		return 0;
	*error_r = "must be PUT or POST";
	return -1;
}

static int check_url(const char *value, const char **error_r)
{
	struct http_url *url;
	const char *error;

	if (strncasecmp(value, "http://", 7) != 0 &&
	    strncasecmp(value, "https://", 8) != 0) {
		*error_r = "must begin with http:// or https://";
		return -1;
	}
	if (http_url_parse(value, NULL, HTTP_URL_ALLOW_USERINFO_PART,
			   pool_datastack_create(), &url, &error) < 0) {
		/* its error may repeat parts of a password */
		*error_r = strchr(value, '@') != NULL ||
			url_may_be_cut_off(value) ?
			"is not a valid URL (are special characters of "
			"login and password percent-encoded?)" :
			"is not a valid URL (a host may have letters a-z, "
			"digits, - and ., so write it as xn--...; a port is a "
			"number from 1 to 65535; other characters are "
			"percent-encoded)";
		return -1;
	}
	if (url->user == NULL && strchr(value, '@') != NULL) {
		/* as in http://login:12/34@host/, whose host is "login" and
		   whose port is half of the password */
		*error_r = "has a @ but no login (percent-encode a / ? or # "
			"of the password, and a @ of the path)";
		return -1;
	}
	return 0;
}

static int check_proxy(const char *value, const char **error_r)
{
	struct http_url *url;
	const char *error;

	if (strncasecmp(value, "http://", 7) != 0) {
		*error_r = "must begin with http://";
		return -1;
	}
	if (strchr(value, '@') != NULL) {
		*error_r = "must have no credentials (put them in a netrc "
			"file)";
		return -1;
	}
	if (http_url_parse(value, NULL, 0, pool_datastack_create(), &url,
			   &error) < 0 ||
	    (url->path != NULL && strcmp(url->path, "/") != 0) ||
	    url->enc_query != NULL) {
		*error_r = "must be http://, a host and a port";
		return -1;
	}
	return 0;
}

/* The fields that nobody needs to find the message. */
static int check_omit(const char *value, const char **error_r)
{
	static const char *const fields[] = {
		"from", "subject", "snippet", "unseen", NULL
	};
	const char *const *names = t_strsplit_spaces(value, ", ");

	if (*names == NULL) {
		*error_r = "names no field";
		return -1;
	}
	for (; *names != NULL; names++) {
		if (!str_array_find(fields, *names)) {
			*error_r = t_strdup_printf("may only have %s",
				t_strarray_join(fields, ", "));
			return -1;
		}
	}
	return 0;
}

static int
parse_uint(const char *value, unsigned int min, unsigned int max,
	   unsigned int *num_r, const char **error_r)
{
	if (str_to_uint(value, num_r) == 0 && *num_r >= min && *num_r <= max)
		return 0;
	*error_r = t_strdup_printf("must be a number from %u to %u", min, max);
	return -1;
}

static int
parse_time(const char *value, unsigned int *secs_r, const char **error_r)
{
	const char *error;

	if (str_parse_get_interval(value, secs_r, &error) == 0)
		return 0;
	/* its error repeats the value */
	*error_r = "must be a time, such as 90s, 5min or 1h";
	return -1;
}

int http_notify_format_parse(const char *value,
			     enum http_notify_format *format_r,
			     const char **error_r)
{
	if (strcmp(value, "ox") == 0)
		*format_r = HTTP_NOTIFY_FORMAT_OX;
	else if (strcmp(value, "egroupware") == 0)
		*format_r = HTTP_NOTIFY_FORMAT_EGROUPWARE;
	else {
		*error_r = "must be ox or egroupware";
		return -1;
	}
	return 0;
}

const char *http_notify_format_folders(enum http_notify_format format)
{
	return format == HTTP_NOTIFY_FORMAT_OX ? "INBOX" : "*";
}

unsigned int http_notify_format_events(enum http_notify_format format)
{
	switch (format) {
	case HTTP_NOTIFY_FORMAT_OX:
		break;
	case HTTP_NOTIFY_FORMAT_EGROUPWARE:
		return HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_NEW) |
			HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_APPEND) |
			HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_EXPUNGE) |
			HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_FLAGS_SET) |
			HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_FLAGS_CLEAR);
	case HTTP_NOTIFY_FORMAT_OX_CALENDAR:
		return HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_CALENDAR_MAIL);
	}
	return HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_NEW);
}

/* Returns 0, or -1 and error_r, which is NULL if there is no such option. */
static int
parse_option(const char *name, const char *value, pool_t pool,
	     struct http_notify_options *options, const char **error_r)
{
	if (check_size(value, error_r) < 0)
		return -1;
	if (strcmp(name, "url") == 0) {
		options->url = p_strdup(pool, value);
		return check_url(value, error_r);
	}
	if (strcmp(name, "standby_url") == 0) {
		options->standby_url = p_strdup(pool, value);
		return check_url(value, error_r);
	}
	if (strcmp(name, "timeout_msecs") == 0) {
		return parse_uint(value, 1, HTTP_NOTIFY_MAX_TIMEOUT_MSECS,
				  &options->timeout_msecs, error_r);
	}
	if (strcmp(name, "max_age") == 0) {
		if (parse_time(value, &options->max_age_secs, error_r) < 0)
			return -1;
		return check_max_age(options->max_age_secs, error_r);
	}
	if (strcmp(name, "max_retries") == 0) {
		return parse_uint(value, 0, HTTP_NOTIFY_NO_MAX_RETRIES - 1,
				  &options->max_retries, error_r);
	}
	if (strcmp(name, "user_from_metadata") == 0) {
		if (*value == '\0' || strcasecmp(value, "yes") == 0)
			options->user_from_metadata = TRUE;
		else if (strcasecmp(value, "no") == 0)
			options->user_from_metadata = FALSE;
		else {
			*error_r = "must be yes or no";
			return -1;
		}
		return 0;
	}
	if (strcmp(name, "cache_lifetime") == 0) {
		return parse_time(value, &options->cache_lifetime_secs,
				  error_r);
	}
	if (strcmp(name, "netrc_file") == 0) {
		options->netrc_file = p_strdup(pool, value);
		return check_path(value, error_r);
	}
	if (strcmp(name, "max_per_second") == 0) {
		return parse_uint(value, 1, HTTP_NOTIFY_NO_MAX_PER_SECOND - 1,
				  &options->max_per_second, error_r);
	}
	if (strcmp(name, "method") == 0) {
		options->method = p_strdup(pool, value);
		return check_method(value, error_r);
	}
	if (strcmp(name, "token_file") == 0) {
		options->token_file = p_strdup(pool, value);
		return check_path(value, error_r);
	}
	if (strcmp(name, "sign_file") == 0) {
		options->sign_file = p_strdup(pool, value);
		return check_path(value, error_r);
	}
	if (strcmp(name, "proxy") == 0) {
		options->proxy = p_strdup(pool, value);
		return check_proxy(value, error_r);
	}
	if (strcmp(name, "proxy_netrc_file") == 0) {
		options->proxy_netrc_file = p_strdup(pool, value);
		return check_path(value, error_r);
	}
	if (strcmp(name, "ca_file") == 0) {
		options->ca_file = p_strdup(pool, value);
		return check_path(value, error_r);
	}
	if (strcmp(name, "cert_file") == 0) {
		options->cert_file = p_strdup(pool, value);
		return check_path(value, error_r);
	}
	if (strcmp(name, "key_file") == 0) {
		options->key_file = p_strdup(pool, value);
		return check_path(value, error_r);
	}
	if (strcmp(name, "folders") == 0) {
		options->folders = p_strdup(pool, value);
		return http_notify_folders_check(value, error_r);
	}
	if (strcmp(name, "registration") == 0) {
		options->registration_optional = strcmp(value, "optional") == 0;
		if (options->registration_optional ||
		    strcmp(value, "required") == 0)
			return 0;
		*error_r = "must be required or optional";
		return -1;
	}
	if (strcmp(name, "omit") == 0) {
		options->omit = p_strdup(pool, value);
		return check_omit(value, error_r);
	}
	if (strcmp(name, "format") == 0)
		return http_notify_format_parse(value, &options->format,
						error_r);
	if (strcmp(name, "events") == 0) {
		return http_notify_mail_events_parse(value, &options->events,
						     error_r);
	}
	*error_r = NULL;
	return -1;
}

static bool url_has_credentials(const char *url)
{
	pool_t pool = pool_datastack_create();

	return url != NULL && http_notify_url_parse(url, pool)->user != NULL;
}

static int
check_credentials(const struct http_notify_options *options,
		  const struct http_notify_option_names *names,
		  const char **error_r)
{
	const char *name = names->netrc_file, *file = options->netrc_file;
	const char *other = NULL;

	if (url_has_credentials(options->url) ||
	    url_has_credentials(options->standby_url))
		other = "the URL";
	if (options->token_file != NULL) {
		if (file != NULL)
			other = names->netrc_file;
		name = names->token_file;
		file = options->token_file;
	}
	if (file == NULL || other == NULL)
		return 0;
	*error_r = t_strdup_printf("%s: %s has credentials as well, "
		"give them in one place only", option_for_log(
		t_strconcat(name, "=", file, NULL)), other);
	return -1;
}

int http_notify_options_parse(const char *const *words, pool_t pool,
			      struct http_notify_options *options_r,
			      const char **error_r)
{
	static const struct http_notify_option_names names = {
		.netrc_file = "netrc_file", .token_file = "token_file",
	};
	const char *name, *value, *error;

	i_zero(options_r);
	options_r->timeout_msecs = HTTP_NOTIFY_DEFAULT_TIMEOUT_MSECS;
	options_r->max_age_secs = HTTP_NOTIFY_DEFAULT_MAX_AGE_SECS;
	options_r->max_retries = HTTP_NOTIFY_NO_MAX_RETRIES;
	options_r->max_per_second = HTTP_NOTIFY_NO_MAX_PER_SECOND;
	options_r->format = HTTP_NOTIFY_FORMAT_OX;
	options_r->user_from_metadata = TRUE;
	options_r->cache_lifetime_secs =
		HTTP_NOTIFY_DEFAULT_CACHE_LIFETIME_SECS;
	options_r->method = HTTP_NOTIFY_DEFAULT_METHOD;

	for (; *words != NULL; words++) {
		value = strchr(*words, '=');
		name = value == NULL ? *words : t_strdup_until(*words, value);
		value = value == NULL ? "" : value + 1;
		if (parse_option(name, value, pool, options_r, &error) == 0)
			continue;
		/* the value of what is no option may be a secret, as with
		   token= instead of token_file= */
		*error_r = error == NULL ?
			t_strdup_printf("%s: is not an option of this driver",
				option_for_log(option_without_value(*words))) :
			t_strdup_printf("%s: %s", option_for_log(*words),
					error);
		return -1;
	}

	if (options_r->folders == NULL) {
		options_r->folders =
			http_notify_format_folders(options_r->format);
	}
	if (options_r->events == 0) {
		options_r->events =
			http_notify_format_events(options_r->format);
	}
	if (options_r->url == NULL) {
		*error_r = "url= is missing: the endpoint to notify";
		return -1;
	}
	return check_credentials(options_r, &names, error_r);
}

static int
check_string(const char *name, const char *value,
	     int (*check)(const char *value, const char **error_r),
	     const char **error_r)
{
	const char *error;

	if (value == NULL || (check_size(value, &error) == 0 &&
			      check(value, &error) == 0))
		return 0;
	*error_r = t_strdup_printf("%s: %s", option_for_log(
		t_strconcat(name, "=", value, NULL)), error);
	return -1;
}

int http_notify_options_check(const struct http_notify_options *options,
			      const struct http_notify_option_names *names,
			      const char **error_r)
{
	const char *error;

	if (check_string(names->url, options->url, check_url, error_r) < 0 ||
	    check_string(names->standby_url, options->standby_url, check_url,
			 error_r) < 0 ||
	    check_string(names->netrc_file, options->netrc_file, check_path,
			 error_r) < 0 ||
	    check_string(names->token_file, options->token_file, check_path,
			 error_r) < 0 ||
	    check_string(names->sign_file, options->sign_file, check_path,
			 error_r) < 0 ||
	    check_string(names->proxy, options->proxy, check_proxy,
			 error_r) < 0 ||
	    check_string(names->proxy_netrc_file, options->proxy_netrc_file,
			 check_path, error_r) < 0 ||
	    check_string(names->ca_file, options->ca_file, check_path,
			 error_r) < 0 ||
	    check_string(names->cert_file, options->cert_file, check_path,
			 error_r) < 0 ||
	    check_string(names->key_file, options->key_file, check_path,
			 error_r) < 0 ||
	    check_string(names->folders, options->folders,
			 http_notify_folders_check, error_r) < 0 ||
	    check_string(names->omit, options->omit, check_omit, error_r) < 0)
		return -1;
	if (options->timeout_msecs == 0) {
		*error_r = t_strdup_printf("%s=0: must be longer than 0",
					   names->timeout);
		return -1;
	}
	if (check_max_age(options->max_age_secs, &error) < 0) {
		*error_r = t_strdup_printf("%s=0: %s", names->max_age, error);
		return -1;
	}
	if (options->max_per_second == 0) {
		*error_r = t_strdup_printf("%s=0: must be at least 1",
					   names->max_per_second);
		return -1;
	}
	return check_credentials(options, names, error_r);
}

bool http_notify_options_need_registration(
	const struct http_notify_options *options)
{
	return options->user_from_metadata || !options->registration_optional;
}

const char *const *
http_notify_options_export(const struct http_notify_options *options)
{
	ARRAY_TYPE(const_string) words;
	const char *word;

	t_array_init(&words, 8);
#define EXPORT(...) STMT_START { \
		word = t_strdup_printf(__VA_ARGS__); \
		array_push_back(&words, &word); \
	} STMT_END
	EXPORT("url=%s", options->url);
	if (options->standby_url != NULL)
		EXPORT("standby_url=%s", options->standby_url);
	EXPORT("timeout_msecs=%u", options->timeout_msecs);
	EXPORT("max_age=%us", options->max_age_secs);
	if (options->max_retries != HTTP_NOTIFY_NO_MAX_RETRIES)
		EXPORT("max_retries=%u", options->max_retries);
	if (options->max_per_second != HTTP_NOTIFY_NO_MAX_PER_SECOND)
		EXPORT("max_per_second=%u", options->max_per_second);
	if (options->netrc_file != NULL)
		EXPORT("netrc_file=%s", options->netrc_file);
	if (strcmp(options->method, HTTP_NOTIFY_DEFAULT_METHOD) != 0)
		EXPORT("method=%s", options->method);
	if (options->token_file != NULL)
		EXPORT("token_file=%s", options->token_file);
	if (options->sign_file != NULL)
		EXPORT("sign_file=%s", options->sign_file);
	if (options->proxy != NULL)
		EXPORT("proxy=%s", options->proxy);
	if (options->proxy_netrc_file != NULL)
		EXPORT("proxy_netrc_file=%s", options->proxy_netrc_file);
	if (options->ca_file != NULL)
		EXPORT("ca_file=%s", options->ca_file);
	if (options->cert_file != NULL)
		EXPORT("cert_file=%s", options->cert_file);
	if (options->key_file != NULL)
		EXPORT("key_file=%s", options->key_file);
#undef EXPORT
	array_append_zero(&words);
	return array_front(&words);
}
