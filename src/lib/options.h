/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_OPTIONS_H
#define HTTP_NOTIFY_OPTIONS_H

struct http_url;

/* Longest url, standby_url and netrc_file, in bytes. */
#define HTTP_NOTIFY_OPTION_MAX 2048

#define HTTP_NOTIFY_NO_MAX_RETRIES UINT_MAX

#define HTTP_NOTIFY_DEFAULT_TIMEOUT_MSECS 2000
/* An attempt that may take longer than this is not an attempt any more. */
#define HTTP_NOTIFY_MAX_TIMEOUT_MSECS (10*60*1000)
#define HTTP_NOTIFY_DEFAULT_MAX_AGE_SECS (60*60)
#define HTTP_NOTIFY_DEFAULT_CACHE_LIFETIME_SECS 60

/* The options of one driver: an endpoint and how to treat it. */
struct http_notify_options {
	/* As configured: they may hold credentials and belong into no log. */
	const char *url;
	const char *standby_url; /* NULL = none */

	/* one attempt, from connecting to the end of the answer */
	unsigned int timeout_msecs;
	/* give up on a notification this old */
	unsigned int max_age_secs;
	/* HTTP_NOTIFY_NO_MAX_RETRIES = none */
	unsigned int max_retries;
	/* netrc(5) file that only the service can read; NULL = none */
	const char *netrc_file;

	/* send user= of the registration rather than the mail user's name */
	bool user_from_metadata;
	/* how long a mail user object may reuse a registration */
	unsigned int cache_lifetime_secs;
};

/* What the admin knows them by. */
struct http_notify_option_names {
	const char *url, *standby_url, *timeout, *max_age, *netrc_file;
};

/* Parse options, each "name=value" or "name". Returns 0, or -1 and error_r,
   which names option and value, with any credentials in a URL blanked out. */
int http_notify_options_parse(const char *const *words, pool_t pool,
			      struct http_notify_options *options_r,
			      const char **error_r);

/* Do the values make sense? url may be NULL, if it is not known yet. Returns
   0, or -1 and error_r as above. */
int http_notify_options_check(const struct http_notify_options *options,
			      const struct http_notify_option_names *names,
			      const char **error_r);

/* The options that the service needs, as words that _parse() takes. */
const char *const *
http_notify_options_export(const struct http_notify_options *options);

/* Parse a URL that http_notify_options_parse() has accepted. */
struct http_url *http_notify_url_parse(const char *url, pool_t pool);

/* The URL with its credentials blanked out, fit for a log. */
const char *http_notify_url_mask(const char *url);

#endif
