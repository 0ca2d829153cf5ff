/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_OPTIONS_H
#define HTTP_NOTIFY_OPTIONS_H

struct http_url;

/* Longest value of an option, in bytes. */
#define HTTP_NOTIFY_OPTION_MAX 2048

#define HTTP_NOTIFY_NO_MAX_RETRIES UINT_MAX
#define HTTP_NOTIFY_NO_MAX_PER_SECOND UINT_MAX

#define HTTP_NOTIFY_DEFAULT_TIMEOUT_MSECS 2000
/* Longest timeout of an attempt. On 2.3 a longer one is an error, on 2.4 it
   counts as this one. */
#define HTTP_NOTIFY_MAX_TIMEOUT_MSECS (10*60*1000)
#define HTTP_NOTIFY_DEFAULT_MAX_AGE_SECS (60*60)
#define HTTP_NOTIFY_DEFAULT_CACHE_LIFETIME_SECS 60
/* largest msg_max_size, in bytes: the message has to fit into a hand-off,
   whatever becomes of it in JSON */
#define HTTP_NOTIFY_MAX_MSG_SIZE (4*1024*1024)
#define HTTP_NOTIFY_DEFAULT_MSG_MAX_SIZE (1024*1024)
#define HTTP_NOTIFY_DEFAULT_METHOD "PUT"

/* What the body of a notification looks like. */
enum http_notify_format {
	/* of OX */
	HTTP_NOTIFY_FORMAT_OX,
	/* of EGroupware's push server */
	HTTP_NOTIFY_FORMAT_EGROUPWARE,
	/* of OX for calendar mail: that of a driver of its own, so it has no
	   name */
	HTTP_NOTIFY_FORMAT_OX_CALENDAR,
};

/* The options of one driver: an endpoint and how to send to it. */
struct http_notify_options {
	/* As configured. They may hold credentials, so never log them. */
	const char *url;
	const char *standby_url; /* NULL = none */

	/* for one attempt, from connecting to the end of the answer */
	unsigned int timeout_msecs;
	/* when to give up on a notification */
	unsigned int max_age_secs;
	/* HTTP_NOTIFY_NO_MAX_RETRIES = unlimited */
	unsigned int max_retries;
	/* how many attempts begin in a second;
	   HTTP_NOTIFY_NO_MAX_PER_SECOND = unlimited */
	unsigned int max_per_second;
	/* netrc(5) file that only the service can read; NULL = none */
	const char *netrc_file;
	/* PUT or POST */
	const char *method;
	/* a file that only the service can read, with a token to be sent
	   (RFC 6750), instead of other credentials; NULL = none */
	const char *token_file;
	/* likewise, with keys to sign with (Standard Webhooks), one a line */
	const char *sign_file;
	/* URL of an HTTP proxy, without credentials, and a netrc(5) file for
	   these that only the service can read; NULL = none */
	const char *proxy, *proxy_netrc_file;
	/* PEM files that the service can read, instead of Dovecot's settings:
	   the CAs by which the endpoint is verified, and the certificate to show
	   with its key, which may be in the certificate's file; NULL = none */
	const char *ca_file, *cert_file, *key_file;
	/* Set by the service, not by a word: the user ID, if the endpoint is
	   only for notifications of processes with that one; NULL = of all that
	   the admin trusts. */
	const char *owner;

	/* The rest is the mail process's own. */
	enum http_notify_format format;
	/* which ones it hears of (mail-events.h) */
	unsigned int events;
	/* send user= of the registration rather than the mail user's name */
	bool user_from_metadata;
	/* how long a mail user object may reuse a registration */
	unsigned int cache_lifetime_secs;
	/* where something has to happen to be announced (folders.h) */
	const char *folders;
	/* users without a registration are announced as well, by their mail
	   user names */
	bool registration_optional;
	/* fields that are left out of notifications; NULL = none
	   (http_notify_notification_omit()) */
	const char *omit;
	/* largest calendar mail that is sent, in bytes; 0 = the driver is not
	   the one for that */
	uoff_t msg_max_size;
};

/* The options' names for errors: those by which the admin sets them. */
struct http_notify_option_names {
	const char *url, *standby_url, *timeout, *max_age, *netrc_file;
	const char *token_file, *sign_file, *max_per_second;
	const char *proxy, *proxy_netrc_file;
	const char *ca_file, *cert_file, *key_file;
	const char *folders, *omit;
};

/* Parse options, each "name=value" or "name". The strings are copied to the
   pool. Returns 0, or -1 and error_r, which names the option and its value,
   with any credentials in a URL blanked out. */
int http_notify_options_parse(const char *const *words, pool_t pool,
			      struct http_notify_options *options_r,
			      const char **error_r);

/* The same for the driver of calendar mail, which has other defaults, and the
   options msg_max_size and timeout, as Dovecot Pro names them, instead of format
   and events. */
int http_notify_calendar_options_parse(const char *const *words, pool_t pool,
				       struct http_notify_options *options_r,
				       const char **error_r);

/* Check options that Dovecot's settings parser has read. Any string may be
   NULL, url as well: it may not be known yet. Of the numbers, only timeout,
   max_age and max_per_second are checked: they must not be 0. Returns
   0, or -1 and error_r as above. */
int http_notify_options_check(const struct http_notify_options *options,
			      const struct http_notify_option_names *names,
			      const char **error_r);

/* Does a user's registration make a difference? */
bool http_notify_options_need_registration(
	const struct http_notify_options *options);

/* Returns the options that the service needs, as words that _parse() accepts.
   They live on the data stack. */
const char *const *
http_notify_options_export(const struct http_notify_options *options);

/* Parse the name of a format. Returns 0, or -1 and error_r, which says what a
   value must be. */
int http_notify_format_parse(const char *value,
			     enum http_notify_format *format_r,
			     const char **error_r);

/* Returns which folders and events an endpoint of this format hears of by
   itself. */
const char *http_notify_format_folders(enum http_notify_format format);
unsigned int http_notify_format_events(enum http_notify_format format);

/* Parse a URL that _parse() or _check() has accepted; any other causes a panic.
   The result lives in the pool. */
struct http_url *http_notify_url_parse(const char *url, pool_t pool);

/* Returns the URL with its credentials blanked out, for logs. It need not be
   valid. If there is no '@' in it, the result is url itself. */
const char *http_notify_url_mask(const char *url);

#endif
