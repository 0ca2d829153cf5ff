/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "http-url.h"
#include "str.h"

#include "dovecot-compat.h"
#include "mail-events.h"
#include "options.h"
#include "queue-limits.h"

#include "test-common.h"

#define URL "url=http://login:pass@node1.example.org:8009/v1/notify"
#define NO_CREDENTIALS_URL "url=http://node1.example.org/"

/* in every URL whose error is looked at, and in no error */
#define LOGIN "l0gin"
#define SECRET "s3cret"

#define WORDS(...) ((const char *const []) { __VA_ARGS__, NULL })

static struct http_notify_options parse(const char *const *words)
{
	struct http_notify_options options;
	const char *error;

	if (http_notify_options_parse(words, pool_datastack_create(),
				      &options, &error) < 0)
		fail_msg("refused: %s", error);
	return options;
}

static const char *parse_error(const char *const *words)
{
	struct http_notify_options options;
	const char *error = NULL;

	if (http_notify_options_parse(words, pool_datastack_create(),
				      &options, &error) == 0)
		fail_msg("accepted: %s", words[0]);
	assert_non_null(error);
	if (strstr(error, LOGIN) != NULL || strstr(error, SECRET) != NULL)
		fail_msg("credentials: %s", error);
	return error;
}

static void assert_contains(const char *str, const char *part)
{
	if (strstr(str, part) == NULL)
		fail_msg("'%s' is not in: %s", part, str);
}

/* Each word is refused with an error that names it. */
static void check_refused(const char *const *words)
{
	for (; *words != NULL; words++)
		assert_contains(parse_error(WORDS(*words, URL)), *words);
}

static const char *word_of_size(const char *begin, size_t value_size)
{
	string_t *word = t_str_new(value_size + 32);
	size_t size = strcspn(begin, "=") + 1 + value_size;

	str_append(word, begin);
	while (str_len(word) < size)
		str_append_c(word, 'x');
	return str_c(word);
}

static void test_defaults(void **state ATTR_UNUSED)
{
	struct http_notify_options options = parse(WORDS(URL));

	assert_string_equal(t_strconcat("url=", options.url, NULL), URL);
	assert_null(options.standby_url);
	assert_int_equal(options.timeout_msecs, 2000);
	assert_int_equal(options.max_age_secs, 60*60);
	assert_int_equal(options.max_retries, HTTP_NOTIFY_NO_MAX_RETRIES);
	assert_int_equal(options.max_per_second,
			 HTTP_NOTIFY_NO_MAX_PER_SECOND);
	assert_null(options.netrc_file);
	assert_int_equal(options.format, HTTP_NOTIFY_FORMAT_OX);
	assert_true(options.user_from_metadata);
	assert_int_equal(options.cache_lifetime_secs, 60);
	assert_string_equal(options.folders, "INBOX");
	assert_false(options.registration_optional);
	assert_null(options.omit);
	assert_string_equal(options.method, "PUT");
	assert_null(options.token_file);
	assert_null(options.sign_file);
	assert_null(options.proxy);
	assert_null(options.proxy_netrc_file);
	assert_null(options.ca_file);
	assert_null(options.cert_file);
	assert_null(options.key_file);
}

static void test_all_options(void **state ATTR_UNUSED)
{
	struct http_notify_options options = parse(WORDS(
		"url=https://node1.example.org/notify",
		"standby_url=https://node2.example.org/notify",
		"timeout_msecs=500", "max_age=2h", "max_retries=7",
		"user_from_metadata=no", "cache_lifetime=30s",
		"netrc_file=/etc/dovecot/http-notify.netrc",
		"folders=INBOX,Lists/*,!Lists/old",
		"registration=optional", "omit=subject,snippet",
		"method=POST", "sign_file=/etc/dovecot/keys",
		"proxy=http://proxy:3128", "proxy_netrc_file=/etc/proxy",
		"ca_file=/ca.pem", "cert_file=/cert.pem",
		"key_file=/key.pem", "format=egroupware"));

	assert_string_equal(options.url, "https://node1.example.org/notify");
	assert_string_equal(options.standby_url,
			    "https://node2.example.org/notify");
	assert_int_equal(options.timeout_msecs, 500);
	assert_int_equal(options.max_age_secs, 2*60*60);
	assert_int_equal(options.max_retries, 7);
	assert_false(options.user_from_metadata);
	assert_int_equal(options.cache_lifetime_secs, 30);
	assert_string_equal(options.netrc_file,
			    "/etc/dovecot/http-notify.netrc");
	assert_string_equal(options.folders, "INBOX,Lists/*,!Lists/old");
	assert_true(options.registration_optional);
	assert_string_equal(options.omit, "subject,snippet");
	assert_string_equal(options.method, "POST");
	assert_string_equal(options.sign_file, "/etc/dovecot/keys");
	assert_string_equal(options.proxy, "http://proxy:3128");
	assert_string_equal(options.proxy_netrc_file, "/etc/proxy");
	assert_string_equal(options.ca_file, "/ca.pem");
	assert_string_equal(options.cert_file, "/cert.pem");
	assert_string_equal(options.key_file, "/key.pem");
	assert_int_equal(options.format, HTTP_NOTIFY_FORMAT_EGROUPWARE);
}

static void test_format(void **state ATTR_UNUSED)
{
	assert_int_equal(parse(WORDS(URL, "format=ox")).format,
			 HTTP_NOTIFY_FORMAT_OX);
	check_refused(WORDS("format=", "format", "format=OX", "format=json"));

	/* the folders of each, unless there are others */
	assert_string_equal(parse(WORDS(URL, "format=ox")).folders, "INBOX");
	assert_string_equal(parse(WORDS(URL, "format=egroupware")).folders,
			    "*");
	assert_string_equal(parse(WORDS(URL, "folders=INBOX",
					"format=egroupware")).folders,
			    "INBOX");
}

#define EVENTS(word) parse(WORDS(URL, word)).events

static void test_events(void **state ATTR_UNUSED)
{
	assert_int_equal(parse(WORDS(URL)).events,
			 HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_NEW));
	assert_int_equal(EVENTS("format=egroupware"), 0x1f);
	assert_int_equal(EVENTS("events=MessageNew"), 0x1);
	/* with blanks, as on 2.4 */
	assert_int_equal(EVENTS("events= MessageNew , MessageAppend"), 0x3);
	assert_int_equal(EVENTS("events=FlagsSet,MessageExpunge,FlagsSet"),
			 HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_FLAGS_SET) |
			 HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_EXPUNGE));
	assert_int_equal(parse(WORDS(URL, "events=MessageRead",
				     "format=egroupware")).events,
			 HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_MESSAGE_READ));
	check_refused(WORDS("events=", "events", "events=messageNew",
			    "events=MessageNew,", "events=,MessageNew",
			    "events=MessageNew;FlagsSet"));
	assert_contains(parse_error(WORDS(URL, "events=MessageNew,Flags")),
			"events=MessageNew,Flags: must be some of these, "
			"separated by commas: MessageNew, MessageAppend, ");
}

static void test_url_is_kept_verbatim(void **state ATTR_UNUSED)
{
	static const char *const urls[] = {
		"http://node1.example.org",
		"https://node1.example.org/",
		"HTTP://Node1.Example.ORG:8009/preliminary/?a=b&c=d",
		"http://login@node1.example.org/",
		"http://login:p%40ss%3Aword@node1.example.org/",
		"http://192.0.2.1:8009/",
		"http://login:pass@[2001:db8::1]:8009/",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(urls); i++) {
		struct http_notify_options options = parse(WORDS(
			t_strconcat("url=", urls[i], NULL),
			t_strconcat("standby_url=", urls[i], NULL)));

		assert_string_equal(options.url, urls[i]);
		assert_string_equal(options.standby_url, urls[i]);
	}
}

static void test_bad_urls_are_refused(void **state ATTR_UNUSED)
{
	static const char *const urls[] = {
		"", "x", "/notify", "node1.example.org/notify",
		"ftp://node1.example.org/",
		"http://", "http:///notify", "http://node1.example.org:99999/",
		"http://node1 .example.org/", "http://node1.example.org/#top",
		"http://node1.example.org/%zz",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(urls); i++) {
		check_refused(WORDS(
			t_strconcat("url=", urls[i], NULL),
			t_strconcat("standby_url=", urls[i], NULL)));
	}
}

static void test_no_credentials_of_a_url_cut_off(void **state ATTR_UNUSED)
{
	/* a blank in the password ends the option */
	assert_contains(parse_error(WORDS("url=http://"LOGIN":"SECRET)),
			"url=***: ");
	assert_contains(parse_error(WORDS("standby_url="LOGIN":"SECRET)),
			"standby_url=***: ");
	assert_contains(parse_error(WORDS("url=http://"LOGIN":"SECRET"?x")),
			"url=***: ");
}

static void test_no_secret_that_is_no_credential(void **state ATTR_UNUSED)
{
	/* a query may be one */
	assert_string_equal(parse_error(WORDS("url=http://h:0/?key="SECRET)),
		"url=http://h:0/?***: is not a valid URL (a host may have "
		"letters a-z, digits, - and ., so write it as xn--...; a port "
		"is a number from 1 to 65535; other characters are "
		"percent-encoded)");
	assert_contains(parse_error(WORDS("url=http://h/?a=x@y&key="SECRET)),
			"url=http://***@y&***: has a @ but no login");
	assert_contains(parse_error(WORDS(URL, "proxy=http://p/?"SECRET)),
			"proxy=http://p/?***: must be http://");
	assert_contains(parse_error(WORDS("http://h/?key="SECRET)),
			"http://h/?***: is not an option of this driver");
	assert_contains(parse_error(WORDS("https://"SECRET"=@h/")),
			"https://***@h/: is not an option of this driver");
	assert_contains(parse_error(WORDS("https://"LOGIN":1/x="SECRET"@h")),
			"https://***@h: is not an option of this driver");
	/* what should be in the file */
	assert_string_equal(parse_error(WORDS(URL, "token_file="SECRET)),
			    "token_file=***: must be an absolute path");
	assert_string_equal(parse_error(WORDS(URL, "sign_file=whsec_"SECRET)),
			    "sign_file=***: must be an absolute path");
	assert_string_equal(parse_error(WORDS(URL, "token_file=")),
			    "token_file=: must be an absolute path");
	/* another name than that of the option */
	assert_string_equal(parse_error(WORDS(URL, "token="SECRET)),
			    "token=: is not an option of this driver");
	assert_string_equal(parse_error(WORDS(URL, "Token_file="SECRET)),
			    "Token_file=: is not an option of this driver");
}

static void test_url_without_scheme_is_refused(void **state ATTR_UNUSED)
{
	check_refused(WORDS("url=//node1.example.org/",
			    "standby_url=//node1.example.org/"));
}

static void test_url_is_required(void **state ATTR_UNUSED)
{
	static const char *const none[] = { NULL };

	assert_contains(parse_error(none), "url=");
	assert_contains(parse_error(WORDS("max_age=1h")), "url=");
	assert_contains(parse_error(WORDS(
		"standby_url=http://node2.example.org/")), "url=");
}

static void test_longest_values_are_kept_whole(void **state ATTR_UNUSED)
{
	const char *url = word_of_size("url=http://node1.example.org/",
				       HTTP_NOTIFY_OPTION_MAX);
	const char *standby_url = t_strconcat("standby_", url, NULL);
	const char *netrc_file = word_of_size("netrc_file=/",
					      HTTP_NOTIFY_OPTION_MAX);
	struct http_notify_options options =
		parse(WORDS(url, standby_url, netrc_file));

	assert_string_equal(options.url, url + strlen("url="));
	assert_string_equal(options.standby_url, url + strlen("url="));
	assert_string_equal(options.netrc_file,
			    netrc_file + strlen("netrc_file="));
}

static void test_longer_values_are_refused(void **state ATTR_UNUSED)
{
	const char *url = word_of_size(
		"url=http://"LOGIN":"SECRET"@node1.example.org/",
		HTTP_NOTIFY_OPTION_MAX + 1);
	const char *netrc_file = word_of_size("netrc_file=/",
					      HTTP_NOTIFY_OPTION_MAX + 1);
	const char *error;

	error = parse_error(WORDS(url));
	assert_contains(error, "url=http://***@node1.example.org/");
	assert_contains(error, "longer than 2048 bytes");
	error = parse_error(WORDS(t_strconcat("standby_", url, NULL), URL));
	assert_contains(error, "standby_url=http://***@node1.example.org/");
	error = parse_error(WORDS(netrc_file, URL));
	assert_contains(error, "netrc_file=/xxx");
}

static void test_timeout_msecs(void **state ATTR_UNUSED)
{
	assert_int_equal(parse(WORDS(URL,
			"timeout_msecs=1")).timeout_msecs, 1);
	assert_int_equal(parse(WORDS(URL,
			"timeout_msecs=600000")).timeout_msecs, 600000);
	check_refused(WORDS("timeout_msecs=0", "timeout_msecs=600001",
			    "timeout_msecs=99999999999", "timeout_msecs=-1",
			    "timeout_msecs=2s", "timeout_msecs=x",
			    "timeout_msecs=", "timeout_msecs"));
}

static void test_max_age(void **state ATTR_UNUSED)
{
	assert_int_equal(parse(WORDS(URL, "max_age=1s")).max_age_secs, 1);
	assert_int_equal(parse(WORDS(URL, "max_age=90s")).max_age_secs, 90);
	assert_int_equal(parse(WORDS(URL, "max_age=2d")).max_age_secs,
			 2*24*60*60);
	check_refused(WORDS("max_age=0", "max_age=0s", "max_age=10",
			    "max_age=-1h", "max_age=1x", "max_age=x",
			    "max_age=99999999999h", "max_age=", "max_age"));
}

static void test_max_retries(void **state ATTR_UNUSED)
{
	assert_int_equal(parse(WORDS(URL,
			"max_retries=0")).max_retries, 0);
	assert_int_equal(parse(WORDS(URL,
			"max_retries=4294967294")).max_retries, 4294967294);
	check_refused(WORDS("max_retries=4294967295", "max_retries=-1",
			    "max_retries=1.5", "max_retries=x",
			    "max_retries=", "max_retries"));
}

static void test_max_per_second(void **state ATTR_UNUSED)
{
	assert_int_equal(parse(WORDS(URL,
			"max_per_second=1")).max_per_second, 1);
	assert_int_equal(parse(WORDS(URL,
			"max_per_second=4294967294")).max_per_second,
			4294967294);
	check_refused(WORDS("max_per_second=0", "max_per_second=4294967295",
			    "max_per_second=0.5", "max_per_second=",
			    "max_per_second"));
}

static void test_user_from_metadata(void **state ATTR_UNUSED)
{
	assert_true(parse(WORDS(URL, "user_from_metadata=no",
				"user_from_metadata")).user_from_metadata);
	assert_true(parse(WORDS(URL, "user_from_metadata=no",
				"user_from_metadata=yes")).user_from_metadata);
	assert_false(parse(WORDS(URL,
				 "user_from_metadata=no")).user_from_metadata);
	check_refused(WORDS("user_from_metadata=maybe", "user_from_metadata=0",
			    "user_from_metadata=nope"));
}

static void test_cache_lifetime(void **state ATTR_UNUSED)
{
	assert_int_equal(parse(WORDS(URL,
			"cache_lifetime=0")).cache_lifetime_secs, 0);
	assert_int_equal(parse(WORDS(URL,
			"cache_lifetime=5 mins")).cache_lifetime_secs, 5*60);
	check_refused(WORDS("cache_lifetime=60", "cache_lifetime=-1s",
			    "cache_lifetime=x", "cache_lifetime=",
			    "cache_lifetime"));
}

static void test_netrc_file_is_an_absolute_path(void **state ATTR_UNUSED)
{
	assert_string_equal(parse(WORDS(NO_CREDENTIALS_URL,
			"netrc_file=/etc/netrc")).netrc_file, "/etc/netrc");
	check_refused(WORDS("netrc_file=netrc", "netrc_file=./netrc",
			    "netrc_file=~/netrc", "netrc_file=", "netrc_file"));
}

static void test_folders(void **state ATTR_UNUSED)
{
	assert_string_equal(parse(WORDS(URL, "folders=*,!\\Junk")).folders,
			    "*,!\\Junk");
	check_refused(WORDS("folders=", "folders", "folders=INBOX,",
			    "folders=,INBOX", "folders=!", "folders=*,!",
			    "folders=!Trash", "folders=!\\Junk,!Trash"));
	assert_contains(parse_error(WORDS(URL, "folders=M\xfcll")), "UTF-8");
	assert_contains(parse_error(WORDS(URL, word_of_size("folders=x",
		HTTP_NOTIFY_OPTION_MAX + 1))), "longer than 2048 bytes");
}

static void test_registration(void **state ATTR_UNUSED)
{
	struct http_notify_options options = parse(WORDS(URL,
			"registration=optional", "registration=required"));

	assert_false(options.registration_optional);
	assert_true(http_notify_options_need_registration(&options));
	options = parse(WORDS(URL, "registration=optional"));
	assert_true(http_notify_options_need_registration(&options));
	options = parse(WORDS(URL, "user_from_metadata=no"));
	assert_true(http_notify_options_need_registration(&options));
	options = parse(WORDS(URL, "registration=optional",
			      "user_from_metadata=no"));
	assert_false(http_notify_options_need_registration(&options));
	check_refused(WORDS("registration=", "registration",
			    "registration=no", "registration=Optional"));
}

static void test_omit(void **state ATTR_UNUSED)
{
	assert_string_equal(parse(WORDS(URL,
		"omit=from,subject,snippet,unseen")).omit,
		"from,subject,snippet,unseen");
	check_refused(WORDS("omit=", "omit", "omit=,", "omit=subject,uid",
			    "omit=user", "omit=Subject"));
}

static void test_method(void **state ATTR_UNUSED)
{
	assert_string_equal(parse(WORDS(URL, "method=POST")).method, "POST");
	assert_string_equal(parse(WORDS(URL, "method=PUT")).method, "PUT");
	check_refused(WORDS("method=GET", "method=post", "method=", "method"));
}

static void test_token_file_and_sign_file(void **state ATTR_UNUSED)
{
	struct http_notify_options options = parse(WORDS(NO_CREDENTIALS_URL,
		"token_file=/etc/token", "sign_file=/etc/keys"));

	assert_string_equal(options.token_file, "/etc/token");
	assert_string_equal(options.sign_file, "/etc/keys");
	check_refused(WORDS("token_file=", "sign_file=", "sign_file"));
	/* signatures go with any credentials */
	(void)parse(WORDS(URL, "sign_file=/etc/keys"));
	(void)parse(WORDS(NO_CREDENTIALS_URL, "netrc_file=/etc/netrc",
			  "sign_file=/etc/keys"));
}

static void test_proxy(void **state ATTR_UNUSED)
{
	static const char *const good[] = {
		"http://proxy", "http://proxy/", "HTTP://proxy:3128/",
		"http://192.0.2.1:8080", "http://[2001:db8::1]:8080",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(good); i++) {
		assert_string_equal(parse(WORDS(URL,
			t_strconcat("proxy=", good[i], NULL))).proxy, good[i]);
	}
	check_refused(WORDS("proxy=", "proxy", "proxy=proxy:3128",
			    "proxy=https://proxy/", "proxy=socks5://proxy",
			    "proxy=http://", "proxy=http://proxy/path",
			    "proxy=http://proxy/?", "proxy=http://proxy:99999",
			    "proxy_netrc_file=netrc"));
	assert_contains(parse_error(WORDS(URL,
		"proxy=http://"LOGIN":"SECRET"@proxy:3128")),
		"proxy=http://***@proxy:3128: must have no credentials");
}

static void test_tls_files(void **state ATTR_UNUSED)
{
	check_refused(WORDS("ca_file=ca.pem", "cert_file=", "key_file"));
}

static void test_token_is_instead_of_others(void **state ATTR_UNUSED)
{
	assert_contains(parse_error(WORDS("token_file=/etc/token",
		"url=http://"LOGIN":"SECRET"@node1.example.org/")),
		"token_file=/etc/token: the URL has credentials as well");
	assert_contains(parse_error(WORDS("token_file=/etc/token",
		NO_CREDENTIALS_URL, "netrc_file=/etc/netrc")),
		"token_file=/etc/token: netrc_file has credentials as well");
}

static void test_credentials_are_in_one_place_only(void **state ATTR_UNUSED)
{
	const char *netrc_file = "netrc_file=/etc/netrc";

	assert_contains(parse_error(WORDS(netrc_file,
		"url=http://"LOGIN":"SECRET"@node1.example.org/")),
		netrc_file);
	assert_contains(parse_error(WORDS(
		"url=http://"LOGIN"@node1.example.org/", netrc_file)),
		netrc_file);
	assert_contains(parse_error(WORDS(NO_CREDENTIALS_URL, netrc_file,
		"standby_url=http://"LOGIN":"SECRET"@node2.example.org/")),
		netrc_file);
}

static void test_unknown_options_are_refused(void **state ATTR_UNUSED)
{
	check_refused(WORDS("retries=", "URL=", "max_age_secs=", "verbose", "",
			    "=", "http://node1.example.org/"));
}

static void test_bad_option_is_not_made_good_later(void **state ATTR_UNUSED)
{
	assert_contains(parse_error(WORDS(URL, "max_age=x", "max_age=1h")),
			"max_age=x");
}

static const char *const userinfos[] = {
	LOGIN":"SECRET"@", LOGIN"@", ":"SECRET"@",
	/* characters that ought to be percent-encoded */
	LOGIN":"SECRET"@"SECRET"@", LOGIN":"SECRET":@",
	LOGIN":"SECRET"/"SECRET"@", LOGIN":"SECRET"?"SECRET"@",
	LOGIN":"SECRET"#"SECRET"@", LOGIN":"SECRET" "SECRET"@",
	LOGIN":"SECRET"="SECRET"@", LOGIN":"SECRET"%zz@",
	LOGIN":"SECRET"://"SECRET"@",
};

/* parse_error() looks for them. */
static void check_no_credentials(const char *const *names)
{
	unsigned int i;

	for (; *names != NULL; names++) {
		for (i = 0; i < N_ELEMENTS(userinfos); i++) {
			(void)parse_error(WORDS(t_strconcat(*names, "http://",
				userinfos[i], "node1.example.org:99999/",
				NULL), URL));
		}
	}
}

static void test_no_credentials_of_a_bad_url(void **state ATTR_UNUSED)
{
	check_no_credentials(WORDS("url=", "standby_url="));
}

static void test_no_credentials_of_a_misnamed_url(void **state ATTR_UNUSED)
{
	check_no_credentials(WORDS("urll=", "standby=", "netrc_file=", "proxy=",
				   "timeout_msecs=", "max_age=", "max_retries=",
				   "user_from_metadata=", "cache_lifetime="));
}

static void test_no_credentials_of_a_url_without_name(void **state ATTR_UNUSED)
{
	check_no_credentials(WORDS(""));
}

static void
test_no_credentials_of_a_url_without_scheme(void **state ATTR_UNUSED)
{
	static const char *const urls[] = {
		LOGIN":"SECRET"@node1.example.org",
		LOGIN"@node1.example.org",
		"http:/"LOGIN":"SECRET"@node1.example.org/",
		"http:"LOGIN":"SECRET"@node1.example.org/",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(urls); i++) {
		(void)parse_error(WORDS(t_strconcat("url=", urls[i], NULL)));
		(void)parse_error(WORDS(t_strconcat("standby_url=", urls[i],
						    NULL), URL));
	}
}

/* What is before the slash looks like a host and its port. */
static void
test_password_that_begins_like_a_port_is_refused(void **state ATTR_UNUSED)
{
	static const char *const separators[] = { "/", "?", "#" };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(separators); i++) {
		assert_contains(parse_error(WORDS(t_strconcat("url=http://"
			LOGIN":1234", separators[i], SECRET"@node1.example.org/",
			NULL))), "url=http://***@node1.example.org/: ");
	}
}

static void
test_no_credentials_of_a_password_like_a_url(void **state ATTR_UNUSED)
{
	(void)parse_error(WORDS(
		"url="LOGIN":"SECRET"://"SECRET"@node1.example.org/"));
}

static void
test_error_names_the_option_of_a_url_without_scheme(void **state ATTR_UNUSED)
{
	assert_true(str_begins_with(parse_error(WORDS(
		"url="LOGIN":"SECRET"@node1.example.org")), "url="));
	assert_true(str_begins_with(parse_error(WORDS(URL,
		"standby_url="LOGIN":"SECRET"@node2.example.org")),
		"standby_url="));
}

static void test_errors_are_fit_for_a_log(void **state ATTR_UNUSED)
{
	static const char *const names[] = {
		"x=", "url=", "timeout_msecs=", "max_age=", "max_retries=",
		"user_from_metadata=", "cache_lifetime=", "netrc_file="
	};
	const char *error;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(names); i++) {
		error = parse_error(WORDS(t_strconcat(names[i], "a\nb\033[2J",
						      NULL), URL));
		assert_null(strpbrk(error, "\n\033"));
		error = parse_error(WORDS(word_of_size(names[i], 1024), URL));
		assert_true(strlen(error) < 1024);
	}

	/* a value that is refused for the sake of another */
	error = parse_error(WORDS(URL, "netrc_file=/a\nb\033[2J"));
	assert_null(strpbrk(error, "\n\033"));
	error = parse_error(WORDS(URL, word_of_size("netrc_file=/", 1024)));
	assert_true(strlen(error) < 1024);
	(void)parse_error(WORDS(URL, "netrc_file=/"LOGIN":"SECRET"@node1"));
}

static void test_mask_keeps_all_but_credentials(void **state ATTR_UNUSED)
{
	assert_string_equal(
		http_notify_url_mask("http://"LOGIN":"SECRET"@node1:8009/v1?a"),
		"http://***@node1:8009/v1?a");
	assert_string_equal(http_notify_url_mask("https://"LOGIN"@node1/"),
			    "https://***@node1/");
	assert_string_equal(http_notify_url_mask("http://node1:8009/v1"),
			    "http://node1:8009/v1");
	assert_string_equal(http_notify_url_mask(""), "");
}

static void test_mask_errs_on_the_safe_side(void **state ATTR_UNUSED)
{
	assert_string_equal(http_notify_url_mask(LOGIN":"SECRET"@node1"),
			    "***@node1");
	assert_string_equal(
		http_notify_url_mask("http://"LOGIN":"SECRET"@"SECRET"@node1/"),
		"http://***@node1/");
}

static void test_url_parse_takes_accepted_urls(void **state ATTR_UNUSED)
{
	struct http_notify_options options = parse(WORDS(
		"url=https://login:p%40ss@node1.example.org:8009/v1"));
	const struct http_url *url = http_notify_url_parse(options.url,
		pool_datastack_create());

	assert_true(url->have_ssl);
	assert_string_equal(url->user, "login");
	assert_string_equal(url->password, "p@ss");
	assert_string_equal(url->host.name, "node1.example.org");
	assert_int_equal(url->port, 8009);
	assert_string_equal(url->path, "/v1");
}

static void check_export(const char *const *words)
{
	struct http_notify_options options = parse(words);
	struct http_notify_options again =
		parse(http_notify_options_export(&options));

	assert_string_equal(again.url, options.url);
	assert_int_equal(null_strcmp(again.standby_url, options.standby_url),
			 0);
	assert_int_equal(again.timeout_msecs, options.timeout_msecs);
	assert_int_equal(again.max_age_secs, options.max_age_secs);
	assert_int_equal(again.max_retries, options.max_retries);
	assert_int_equal(again.max_per_second, options.max_per_second);
	assert_int_equal(null_strcmp(again.netrc_file, options.netrc_file), 0);
	assert_string_equal(again.method, options.method);
	assert_int_equal(null_strcmp(again.token_file, options.token_file), 0);
	assert_int_equal(null_strcmp(again.sign_file, options.sign_file), 0);
	assert_int_equal(null_strcmp(again.proxy, options.proxy), 0);
	assert_int_equal(null_strcmp(again.proxy_netrc_file,
				     options.proxy_netrc_file), 0);
	assert_int_equal(null_strcmp(again.ca_file, options.ca_file), 0);
	assert_int_equal(null_strcmp(again.cert_file, options.cert_file), 0);
	assert_int_equal(null_strcmp(again.key_file, options.key_file), 0);
}

static void test_exported_options_are_the_same(void **state ATTR_UNUSED)
{
	check_export(WORDS(URL));
	check_export(WORDS(URL, "max_retries=0", "max_age=1s",
			   "timeout_msecs=1", "max_per_second=1"));
	check_export(WORDS(URL, "max_retries=4294967294",
			   "max_age=4294967295s", "timeout_msecs=600000"));
	check_export(WORDS(NO_CREDENTIALS_URL,
			   "standby_url=https://node2.example.org/a=b",
			   "netrc_file=/etc/my netrc=1"));
	check_export(WORDS(URL, "proxy=http://proxy:3128/",
			   "proxy_netrc_file=/etc/my netrc=1"));
	check_export(WORDS(URL, "ca_file=/c a", "cert_file=/c",
			   "key_file=/k"));
	check_export(WORDS(NO_CREDENTIALS_URL, "method=POST",
			   "token_file=/etc/my token=1", "sign_file=/keys"));
}

static void test_export_is_for_the_service_only(void **state ATTR_UNUSED)
{
	struct http_notify_options options = parse(WORDS(URL,
		"user_from_metadata=no", "cache_lifetime=0", "folders=*",
		"registration=optional", "omit=from"));
	const char *words = t_strarray_join(
		http_notify_options_export(&options), " ");

	/* these would make one endpoint look like two */
	assert_null(strstr(words, "user_from_metadata"));
	assert_null(strstr(words, "cache_lifetime"));
	assert_null(strstr(words, "folders"));
	assert_null(strstr(words, "registration"));
	assert_null(strstr(words, "omit"));
}

/* Of the driver for calendar mail */

static int
parse_calendar(const char *const *words, struct http_notify_options *options_r,
	       const char **error_r)
{
	return http_notify_calendar_options_parse(words,
		pool_datastack_create(), options_r, error_r);
}

static void test_calendar_defaults(void **state ATTR_UNUSED)
{
	struct http_notify_options options;
	const char *error;

	assert_int_equal(parse_calendar(WORDS("url=http://x/"), &options,
					&error), 0);
	assert_string_equal(options.folders, "*");
	assert_true(options.registration_optional);
	assert_int_equal(options.format, HTTP_NOTIFY_FORMAT_OX_CALENDAR);
	assert_int_equal(options.events,
			 HTTP_NOTIFY_MAIL_EVENT(HTTP_NOTIFY_CALENDAR_MAIL));
	assert_false(options.user_from_metadata);
	assert_int_equal(options.msg_max_size, 1024*1024);
	assert_int_equal(options.timeout_msecs, 2000);
	assert_int_equal(parse(WORDS("url=http://x/")).msg_max_size, 0);
}

static void test_calendar_line_of_dovecot_pro(void **state ATTR_UNUSED)
{
	struct http_notify_options options;
	const char *error;

	assert_int_equal(parse_calendar(WORDS(
		"url=http://l:p@x/chronos/v1/itip/pushmail", "max_retries=1",
		"timeout=1500ms", "msg_max_size=2mb", "folders=INBOX",
		"registration=required", "user_from_metadata"), &options,
		&error), 0);
	assert_int_equal(options.max_retries, 1);
	assert_int_equal(options.timeout_msecs, 1500);
	assert_int_equal(options.msg_max_size, 2*1024*1024);
	assert_string_equal(options.folders, "INBOX");
	assert_false(options.registration_optional);
	assert_true(options.user_from_metadata);
}

static void test_calendar_errors(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"msg_max_size=", "msg_max_size=0", "msg_max_size=5M",
		"msg_max_size=x", "timeout=", "timeout=0", "timeout=2",
		"timeout=11min", "timeout=x", "whatever",
		"format=ox", "events=MessageNew",
	};
	struct http_notify_options options;
	const char *error;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		if (parse_calendar(WORDS("url=http://x/", bad[i]), &options,
				   &error) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_contains(error, bad[i]);
	}
	/* they are this driver's only */
	assert_contains(parse_error(WORDS("url=http://x/", "msg_max_size=1M")),
			"is not an option");
	assert_contains(parse_error(WORDS("url=http://x/", "timeout=2s")),
			"is not an option");
}

/* As settings of Dovecot 2.4, which are not words */

static const struct http_notify_option_names names = {
	.url = "the_url",
	.standby_url = "the_standby_url",
	.timeout = "the_timeout",
	.max_age = "the_max_age",
	.netrc_file = "the_netrc_file",
	.max_per_second = "the_max_per_second",
	.token_file = "the_token_file",
	.sign_file = "the_sign_file",
	.ca_file = "the_ca_file",
	.cert_file = "the_cert_file",
	.key_file = "the_key_file",
	.proxy = "the_proxy",
	.proxy_netrc_file = "the_proxy_netrc_file",
	.folders = "the_folders",
	.omit = "the_omit",
};

static const char *check_error(const struct http_notify_options *options)
{
	const char *error = NULL;

	if (http_notify_options_check(options, &names, &error) == 0)
		fail_msg("accepted");
	assert_non_null(error);
	if (strstr(error, LOGIN) != NULL || strstr(error, SECRET) != NULL)
		fail_msg("credentials: %s", error);
	return error;
}

static void test_good_values_pass(void **state ATTR_UNUSED)
{
	struct http_notify_options options = parse(WORDS(
		URL, "standby_url=https://node2/", "timeout_msecs=1",
		"max_age=1s", "max_retries=0"));
	const char *error;

	assert_int_equal(http_notify_options_check(&options, &names, &error),
			 0);
	/* not known before %{variables} are expanded */
	options.url = NULL;
	assert_int_equal(http_notify_options_check(&options, &names, &error),
			 0);
}

static void test_bad_value_is_said_by_its_name(void **state ATTR_UNUSED)
{
	const struct http_notify_options good = parse(WORDS(URL));
	struct http_notify_options options;

	options = good;
	options.url = "http://"LOGIN":"SECRET"@@/";
	assert_contains(check_error(&options), "the_url=http://***@/: ");
	options = good;
	options.standby_url = "node2";
	assert_contains(check_error(&options), "the_standby_url=node2: must");
	options = good;
	options.standby_url = word_of_size("http://node2/?x=",
					   HTTP_NOTIFY_OPTION_MAX);
	assert_contains(check_error(&options), ": is longer than 2048 bytes");
	options = good;
	options.timeout_msecs = 0;
	assert_contains(check_error(&options), "the_timeout=0: must");
	options = good;
	options.max_age_secs = 0;
	assert_contains(check_error(&options), "the_max_age=0: must");
	options = good;
	options.folders = "INBOX,";
	assert_contains(check_error(&options), "the_folders=INBOX,: has");
	options = good;
	options.omit = "snippet, folder";
	assert_contains(check_error(&options),
			"the_omit=snippet, folder: may only have from,");
	options = good;
	options.max_per_second = 0;
	assert_contains(check_error(&options), "the_max_per_second=0: must");
	options = good;
	options.token_file = "token";
	assert_contains(check_error(&options), "the_token_file=***: must");
	options = good;
	options.proxy = "http://"LOGIN":"SECRET"@proxy";
	assert_contains(check_error(&options), "the_proxy=http://***@proxy: ");
	options = good;
	options.proxy_netrc_file = "netrc";
	assert_contains(check_error(&options),
			"the_proxy_netrc_file=netrc: must");
	options = good;
	options.ca_file = "ca";
	assert_contains(check_error(&options), "the_ca_file=ca: must");
	options = good;
	options.cert_file = "cert";
	assert_contains(check_error(&options), "the_cert_file=cert: must");
	options = good;
	options.key_file = "key";
	assert_contains(check_error(&options), "the_key_file=key: must");
	options = good;
	options.sign_file = "keys";
	assert_contains(check_error(&options), "the_sign_file=***: must");
	options = good;
	options.netrc_file = "netrc";
	assert_contains(check_error(&options), "the_netrc_file=netrc: must");
	options.netrc_file = "/netrc";
	assert_contains(check_error(&options),
			"the_netrc_file=/netrc: the URL has credentials");
}

static void test_queue_limit(void **state ATTR_UNUSED)
{
	static const struct {
		const char *value;
		unsigned int rows;
		uint64_t bytes;
	} good[] = {
		{ HTTP_NOTIFY_DEFAULT_QUEUE_LIMIT, 1000000, 4ULL << 30 },
		{ "1 1", 1, 1 },
		{ "1000 16M", 1000, 16 << 20 },
		{ "1000 1T", 1000, 1ULL << 40 },
		{ "unlimited unlimited", UINT_MAX, UINT64_MAX },
		/* of former versions */
		{ "20", 20, 4ULL << 30 },
		{ "unlimited", UINT_MAX, 4ULL << 30 },
	};
	static const char *const bad[] = {
		"", " ", "many", "0", "-1", "1.5", "5000000000", "1 0", "0 1G",
		"1000 much", "1000 -1", "1G", "1000 1G 1", "1000,1G",
	};
	unsigned int i, rows;
	uint64_t bytes;

	for (i = 0; i < N_ELEMENTS(good); i++) {
		assert_int_equal(http_notify_queue_limit_parse(good[i].value,
							       &rows, &bytes),
				 0);
		assert_int_equal(rows, good[i].rows);
		assert_true(bytes == good[i].bytes);
	}
	for (i = 0; i < N_ELEMENTS(bad); i++) {
		if (http_notify_queue_limit_parse(bad[i], &rows, &bytes) == 0)
			fail_msg("%s is taken", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_options),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_url_is_kept_verbatim),
		cmocka_unit_test(test_bad_urls_are_refused),
		cmocka_unit_test(test_no_credentials_of_a_url_cut_off),
		cmocka_unit_test(test_no_secret_that_is_no_credential),
		cmocka_unit_test(test_url_without_scheme_is_refused),
		cmocka_unit_test(test_url_is_required),
		cmocka_unit_test(test_calendar_defaults),
		cmocka_unit_test(test_calendar_line_of_dovecot_pro),
		cmocka_unit_test(test_calendar_errors),
		cmocka_unit_test(test_longest_values_are_kept_whole),
		cmocka_unit_test(test_longer_values_are_refused),
		cmocka_unit_test(test_timeout_msecs),
		cmocka_unit_test(test_max_age),
		cmocka_unit_test(test_max_retries),
		cmocka_unit_test(test_max_per_second),
		cmocka_unit_test(test_user_from_metadata),
		cmocka_unit_test(test_cache_lifetime),
		cmocka_unit_test(test_netrc_file_is_an_absolute_path),
		cmocka_unit_test(test_method),
		cmocka_unit_test(test_token_file_and_sign_file),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_tls_files),
		cmocka_unit_test(test_token_is_instead_of_others),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_registration),
		cmocka_unit_test(test_omit),
		cmocka_unit_test(test_credentials_are_in_one_place_only),
		cmocka_unit_test(test_unknown_options_are_refused),
		cmocka_unit_test(test_bad_option_is_not_made_good_later),
		cmocka_unit_test(test_no_credentials_of_a_bad_url),
		cmocka_unit_test(test_no_credentials_of_a_misnamed_url),
		cmocka_unit_test(test_no_credentials_of_a_url_without_name),
		cmocka_unit_test(test_no_credentials_of_a_url_without_scheme),
		cmocka_unit_test(
			test_password_that_begins_like_a_port_is_refused),
		cmocka_unit_test(test_no_credentials_of_a_password_like_a_url),
		cmocka_unit_test(
			test_error_names_the_option_of_a_url_without_scheme),
		cmocka_unit_test(test_errors_are_fit_for_a_log),
		cmocka_unit_test(test_mask_keeps_all_but_credentials),
		cmocka_unit_test(test_mask_errs_on_the_safe_side),
		cmocka_unit_test(test_url_parse_takes_accepted_urls),
		cmocka_unit_test(test_exported_options_are_the_same),
		cmocka_unit_test(test_export_is_for_the_service_only),
		cmocka_unit_test(test_good_values_pass),
		cmocka_unit_test(test_bad_value_is_said_by_its_name),
		cmocka_unit_test(test_queue_limit),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("options", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
