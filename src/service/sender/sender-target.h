/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_TARGET_H
#define HTTP_NOTIFY_SENDER_TARGET_H

struct http_notify_options;

/* Where requests go, and how. */
struct sender_target {
	/* host and port, for the log */
	const char *label;
	/* without credentials */
	const char *url;
	/* the URL's host, an IPv6 address without brackets, as it is in a
	   netrc file */
	const char *host;
	/* of an HTTP proxy, with its port; NULL = none */
	const char *proxy;
	/* the endpoint's or proxy's host and port to connect to, which libcurl
	   looks up together, such as "https://host"; NULL = the host is an
	   address */
	const char *name;
	/* Basic credentials, decoded; NULL = none */
	const char *username, *password;
	/* netrc(5) file that has the credentials instead; NULL = none */
	const char *netrc_file;
	/* files with a Bearer token and with keys to sign with; NULL = none */
	const char *token_file, *sign_file;
	/* netrc(5) file with the proxy's credentials, and the host to look for
	   there; NULL = none */
	const char *proxy_netrc_file, *proxy_host;
	/* PEM files instead of those of the TLS settings; NULL = none. The key
	   may be in cert_file. */
	const char *ca_file, *cert_file, *key_file;
	/* PUT or POST */
	const char *method;
	/* from connecting to the end of the answer */
	unsigned int timeout_msecs;
};

/* url is one of the options' URLs. The result lives in the pool. */
void sender_target_init(struct sender_target *target_r, const char *url,
			const struct http_notify_options *options, pool_t pool);

#endif
