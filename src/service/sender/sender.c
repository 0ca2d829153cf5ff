/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "base64.h"
#include "ioloop.h"
#include "llist.h"
#include "str.h"

#include "dovecot-compat.h"
#include "credential-file.h"
#include "curl-thread.h"
#include "netrc.h"
#include "sender.h"
#include "sender-ca.h"
#include "tls-settings.h"
#include "webhook.h"

#include <time.h>

/* How much of an answer's text may be logged, in bytes. */
#define ANSWER_TEXT_MAX 200
/* How much is kept of its reason phrase, and of its body, in bytes: enough to
   recognise a secret that begins within the above, since a URL with credentials
   and a token have at most 2 kB (options.h, credential-file.h). libcurl's buffer
   has this size, too. */
#define ANSWER_KEPT_MAX 4096
/* How much of its body is read, in bytes. Only the status counts. */
#define ANSWER_BODY_READ_MAX (64*1024)
/* How long to use the result of looking up a name. */
#define DNS_CACHE_SECS 10L
/* How many requests to keep for later use, if there were more at a time. Each
   has buffers of libcurl's. */
#define IDLE_REQUESTS_MAX 64
/* How long to use a connection. If its name gets another address, only a new
   connection goes there. */
#define CONNECTION_LIFETIME_SECS 60L

struct sender_request {
	struct sender_request *prev, *next;
	struct sender *sender;
	struct curl_transfer transfer;
	/* those for the proxy alone go to nobody else */
	struct curl_slist *headers, *proxy_headers;
	/* the answer's, once its headers are complete; 0 until then */
	unsigned int status;
	/* the reason phrase of its status line, and its body */
	string_t *phrase, *body;
	size_t body_size;

	/* copied from the target, which may be gone when the answer comes */
	char *name, *host, *query, *username, *password, *netrc_file;
	/* what was read for this request; NULL = none */
	char *token, *proxy_username, *proxy_password;
	/* the handle has TLS options of this target, and is of no use for
	   others */
	bool own_tls;
	/* set if the request can't even be started, and why */
	struct timeout *to_fail;
	char *failure;

	sender_callback_t *callback;
	void *context;
};

struct sender {
	struct curl_thread *thread;
	const struct tls_settings *tls;
	long ssl_min_version;
	struct sender_ca ca;
	char *user_agent;
	/* a target has a proxy */
	bool proxies;

	/* those under way, and those that can be used again */
	struct sender_request *requests, *idle_requests;
	unsigned int idle_count;
};

static void
append_limited(string_t *dest, const char *data, size_t size)
{
	str_append_data(dest, data,
			I_MIN(size, ANSWER_KEPT_MAX - str_len(dest)));
}

/* Keep the reason phrase, which follows version and status, as in
   "HTTP/1.1 500 USR-0010 ...". */
static void
sender_status_line(struct sender_request *req, const char *data, size_t size)
{
	const char *end = data + size, *p = data;
	unsigned int i;

	for (i = 0; i < 2 && p != NULL; i++) {
		p = memchr(p, ' ', end - p);
		if (p != NULL)
			p++;
	}
	while (end > data && (end[-1] == '\r' || end[-1] == '\n'))
		end--;
	str_truncate(req->phrase, 0);
	if (p != NULL && p < end)
		append_limited(req->phrase, p, end - p);
}

/* Once an answer's headers are complete, only its status counts, whatever
   becomes of the body. An answer that breaks off in its headers does not count
   as one; libcurl would not notice this after the status line. */
static size_t
sender_header_callback(char *data, size_t size, size_t nmemb, void *context)
{
	struct sender_request *req = context;
	long status = 0;

	size *= nmemb;
	if (req->status != 0 || size == 0) {
		/* a chunked body may have trailers */
		return size;
	}
	if (size > 5 && memcmp(data, "HTTP/", 5) == 0)
		sender_status_line(req, data, size);
	else if (data[0] == '\r' || data[0] == '\n') {
		/* Interim answers, such as 100 (Continue), come before the
		   real one. */
		(void)curl_easy_getinfo(req->transfer.easy, CURLINFO_RESPONSE_CODE,
					&status);
		if (status >= 200)
			req->status = status;
	}
	return size;
}

/* Of an HTTP/2 stream that ended in an error. When an answer comes together
   with the stream's reset, as a server does that has not read the request to
   its end, libcurl 7.88 takes note of the status, but does not pass the headers
   on. Returns 0 if there is none. */
static unsigned int sender_request_stream_status(struct sender_request *req)
{
	unsigned int status = 0;
#if LIBCURL_VERSION_NUM >= 0x075400
	struct curl_header *header;
	size_t idx = 0;

	/* the last one is after all interim answers */
	while (curl_easy_header(req->transfer.easy, ":status", idx, CURLH_PSEUDO, -1,
				&header) == CURLHE_OK) {
		if (str_to_uint(header->value, &status) < 0)
			status = 0;
		idx++;
	}
#endif
	return status < 200 ? 0 : status;
}

static size_t
sender_body_callback(char *data, size_t size, size_t nmemb, void *context)
{
	struct sender_request *req = context;

	size *= nmemb;
	append_limited(req->body, data, size);
	req->body_size += size;
	/* Nobody needs more of the body: returning 0 ends the transfer. */
	return req->body_size > ANSWER_BODY_READ_MAX ? 0 : size;
}

static struct curl_blob blob_of(const char *str)
{
	struct curl_blob blob = {
		.data = (void *)(uintptr_t)str,
		.len = strlen(str),
		.flags = CURL_BLOB_NOCOPY,
	};
	return blob;
}

#define setopt(easy, option, value) STMT_START { \
		CURLcode setopt_ret = \
			curl_easy_setopt(easy, CURLOPT_##option, value); \
		if (setopt_ret != CURLE_OK) \
			i_fatal("libcurl: option "#option": %s", \
				curl_easy_strerror(setopt_ret)); \
	} STMT_END

static long ssl_min_version(const char *ssl_min_protocol)
{
	static const struct {
		const char *name;
		long version;
	} versions[] = {
		{ "TLSv1", CURL_SSLVERSION_TLSv1_0 },
		{ "TLSv1.1", CURL_SSLVERSION_TLSv1_1 },
		{ "TLSv1.2", CURL_SSLVERSION_TLSv1_2 },
		{ "TLSv1.3", CURL_SSLVERSION_TLSv1_3 },
		{ "ANY", CURL_SSLVERSION_DEFAULT },
		/* the newest that the library has */
		{ "LATEST", CURL_SSLVERSION_TLSv1_3 },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(versions); i++) {
		if (strcasecmp(versions[i].name, ssl_min_protocol) == 0)
			return versions[i].version;
	}
	i_fatal("ssl_min_protocol=%s is not known", ssl_min_protocol);
}

static void sender_request_set_tls(struct sender *sender, CURL *easy)
{
	const struct tls_settings *tls = sender->tls;
	long verify = tls->require_valid_cert ? 1 : 0;
	struct curl_blob blob;

	setopt(easy, SSL_VERIFYPEER, verify);
	setopt(easy, SSL_VERIFYHOST, verify * 2);
	setopt(easy, SSLVERSION, sender->ssl_min_version);
	if (sender->ca.file != NULL || sender->ca.dir != NULL) {
		setopt(easy, CAINFO, sender->ca.file);
		setopt(easy, CAPATH, sender->ca.dir);
	}
	if (tls->cert[0] != '\0') {
		blob = blob_of(tls->cert);
		setopt(easy, SSLCERT_BLOB, &blob);
	}
	if (tls->key[0] != '\0') {
		blob = blob_of(tls->key);
		setopt(easy, SSLKEY_BLOB, &blob);
	}
	/* even if it is empty: without one, OpenSSL asks for it at the terminal,
	   if there is one, which blocks all transfers */
	setopt(easy, KEYPASSWD, tls->key_password);
	if (tls->cipher_list[0] != '\0')
		setopt(easy, SSL_CIPHER_LIST, tls->cipher_list);
	if (tls->cipher_suites[0] != '\0')
		setopt(easy, TLS13_CIPHERS, tls->cipher_suites);
	if (tls->curve_list[0] != '\0')
		setopt(easy, SSL_EC_CURVES, tls->curve_list);
}

static struct sender_request *sender_request_create(struct sender *sender)
{
	struct sender_request *req;
	CURL *easy;

	req = i_new(struct sender_request, 1);
	req->sender = sender;
	req->phrase = str_new(default_pool, 64);
	req->body = str_new(default_pool, 64);
	req->transfer.easy = easy = curl_easy_init();
	if (easy == NULL)
		i_fatal_status(FATAL_OUTOFMEM, "libcurl: out of memory");

	setopt(easy, NOSIGNAL, 1L);
	setopt(easy, BUFFERSIZE, (long)ANSWER_KEPT_MAX);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* libcurl resolves names in threads with the system's resolver, so that
	   nsswitch.conf and /etc/hosts apply as for everything else on the
	   host; c-ares would only ask the DNS. If a name is still being
	   resolved when the time is up, don't join its thread: that would block
	   all transfers until the resolver gives up. */
	setopt(easy, QUICK_EXIT, 1L);
#endif
	/* libcurl 8.16 and later also remember for half of this time that a
	   name was not found. By default that would be 30 seconds. */
	setopt(easy, DNS_CACHE_TIMEOUT, DNS_CACHE_SECS);
	/* Before 8.16, libcurl waits for an address that does not answer for
	   half of the time, or for all of it if that is short, before it tries
	   another one. Don't begin with the same address each time. */
	setopt(easy, DNS_SHUFFLE_ADDRESSES, 1L);
#if LIBCURL_VERSION_NUM >= 0x075000
	setopt(easy, MAXLIFETIME_CONN, CONNECTION_LIFETIME_SECS);
#endif
	/* Don't use the proxies and exceptions that the environment may name
	   for other programs. */
	setopt(easy, NOPROXY, "");
	/* A proxy's answer to CONNECT is not the endpoint's. */
	setopt(easy, SUPPRESS_CONNECT_HEADERS, 1L);
	/* The body is in memory, so use libcurl's POST, whatever it is called. */
	setopt(easy, POST, 1L);
	setopt(easy, USERAGENT, sender->user_agent);
	setopt(easy, HTTPAUTH, CURLAUTH_BASIC);
	setopt(easy, HEADERFUNCTION, sender_header_callback);
	setopt(easy, HEADERDATA, req);
	setopt(easy, WRITEFUNCTION, sender_body_callback);
	setopt(easy, WRITEDATA, req);
	sender_request_set_tls(sender, easy);
	return req;
}

static void sender_request_forget_target(struct sender_request *req)
{
	i_free(req->name);
	i_free(req->host);
	i_free(req->query);
	i_free(req->username);
	i_free(req->password);
	i_free(req->netrc_file);
	i_free(req->token);
	i_free(req->proxy_username);
	i_free(req->proxy_password);
	i_free(req->failure);
	curl_slist_free_all(req->headers);
	curl_slist_free_all(req->proxy_headers);
	req->headers = req->proxy_headers = NULL;
}

static void sender_request_free(struct sender_request *req)
{
	curl_easy_cleanup(req->transfer.easy);
	timeout_remove(&req->to_fail);
	sender_request_forget_target(req);
	str_free(&req->phrase);
	str_free(&req->body);
	i_free(req);
}

static void
sender_request_set_own_tls(struct sender_request *req,
			   const struct sender_target *target)
{
	CURL *easy = req->transfer.easy;
	struct sender_ca ca;

	req->own_tls = target->ca_file != NULL || target->cert_file != NULL;
	if (target->ca_file != NULL) {
		sender_ca_init_file(&ca, target->ca_file);
		setopt(easy, CAINFO, ca.file);
		setopt(easy, CAPATH, ca.dir);
		sender_ca_deinit(&ca);
	}
	if (target->cert_file != NULL) {
		setopt(easy, SSLCERT_BLOB, NULL);
		setopt(easy, SSLKEY_BLOB, NULL);
		setopt(easy, KEYPASSWD, "");
		setopt(easy, SSLCERT, target->cert_file);
		setopt(easy, SSLKEY, target->key_file);
	}
}

static void
sender_request_set_target(struct sender_request *req,
			  const struct sender_target *target)
{
	CURL *easy = req->transfer.easy;
	bool tls = str_begins_with(target->url, "https:");

	req->name = i_strdup(target->name);
	req->host = i_strdup(target->host);
	req->query = i_strdup(target->url + strcspn(target->url, "?"));
	req->username = i_strdup(target->username);
	req->password = i_strdup(target->password);
	req->netrc_file = i_strdup(target->netrc_file);
	setopt(easy, URL, target->url);
	setopt(easy, CUSTOMREQUEST, target->method);
	setopt(easy, PROXY, target->proxy == NULL ? "" : target->proxy);
	setopt(easy, PROXYUSERNAME, NULL);
	setopt(easy, HTTP_VERSION, tls ? CURL_HTTP_VERSION_2TLS :
	       CURL_HTTP_VERSION_1_1);
	/* HTTP/2: prefer another stream to another connection. libcurl would also
	   wait for one to the same host by another proxy, which may hang. */
	if (target->proxy != NULL)
		req->sender->proxies = TRUE;
	setopt(easy, PIPEWAIT, tls && !req->sender->proxies ? 1L : 0L);
	setopt(easy, TIMEOUT_MS, (long)target->timeout_msecs);
	setopt(easy, CONNECTTIMEOUT_MS, (long)target->timeout_msecs);
	setopt(easy, USERNAME, target->username);
	setopt(easy, PASSWORD, target->password);
	setopt(easy, NETRC, target->netrc_file == NULL ?
	       CURL_NETRC_IGNORED : CURL_NETRC_REQUIRED);
	setopt(easy, NETRC_FILE, target->netrc_file);
}

/* OX says what went wrong in the reason phrase, other servers in the body. */
static const char *answer_text(struct sender_request *req)
{
	if (str_len(req->phrase) == 0 || str_len(req->body) == 0)
		return t_strconcat(str_c(req->phrase), str_c(req->body), NULL);
	return t_strconcat(str_c(req->phrase), ": ", str_c(req->body), NULL);
}

/* Returns 0, or -1 and error_r. */
static int
netrc_lookup(const char *text, const char *host, const char **username_r,
	     const char **password_r, const char **error_r)
{
	int ret = netrc_find(text, host, username_r, password_r);

	if (ret < 0)
		*error_r = "can't be understood as a netrc file";
	else if (ret == 0) {
		*error_r = t_strdup_printf("has no login and password for "
					   "machine %s", host);
	}
	return ret > 0 ? 0 : -1;
}

/* Was this refused since its netrc file has no credentials for the endpoint?
   libcurl sends none then, and says nothing. Returns why, or NULL. */
static const char *netrc_failure(struct sender_request *req)
{
	const char *text, *username, *password, *error;

	/* a longer file is too much to be read here */
	if ((req->status != 401 && req->status != 403) ||
	    credential_file_read(req->netrc_file, &text, &error) < 0 ||
	    netrc_lookup(text, req->host, &username, &password, &error) == 0)
		return NULL;
	return error;
}

static const char *answer_status_reason(struct sender_request *req)
{
	const char *failure, *text = answer_text(req);

	if (req->netrc_file != NULL) {
		failure = netrc_failure(req);
		if (failure != NULL) {
			return t_strdup_printf("%u (netrc_file=%s: %s)",
					       req->status, req->netrc_file,
					       failure);
		}
		/* libcurl does not say which credentials it has found there,
		   so they can't be looked for in the text */
		return t_strdup_printf("%u (netrc_file=%s, so the answer's "
				       "text is not logged)", req->status,
				       req->netrc_file);
	}
	if (*text == '\0')
		return t_strdup_printf("%u", req->status);
	if (!answer_text_may_be_logged(text, req->username, req->password,
				       req->token) ||
	    !answer_text_may_be_logged(text, req->proxy_username,
				       req->proxy_password, NULL) ||
	    answer_text_may_have_query(text, req->query)) {
		return t_strdup_printf("%u (the answer's text may hold "
				       "credentials)", req->status);
	}
	return t_strdup_printf("%u %s", req->status,
			       t_strndup(text, ANSWER_TEXT_MAX));
}

/* Returns the last errno that libcurl has seen with this handle, 0 if none. */
static int sender_request_os_errno(struct sender_request *req)
{
	long os_errno = 0;

	(void)curl_easy_getinfo(req->transfer.easy, CURLINFO_OS_ERRNO, &os_errno);
	return os_errno;
}

static const char *
no_answer_reason(struct sender_request *req, CURLcode result)
{
	const char *reason;
	int os_errno;

	if (req->failure != NULL)
		return t_strdup(req->failure);
	if (result == CURLE_OK)
		return "The answer broke off in its headers";
	reason = req->transfer.error[0] != '\0' ? req->transfer.error :
		curl_easy_strerror(result);
	if (result == CURLE_READ_ERROR && req->netrc_file != NULL) {
		/* libcurl reads no other file */
		return t_strdup_printf("netrc_file=%s: %s", req->netrc_file,
				       reason);
	}
	/* If libcurl could not connect, its text does not say why, but errno
	   does. With any other error, errno may only be why an earlier address
	   of the host failed. */
	os_errno = sender_request_os_errno(req);
	if (result == CURLE_COULDNT_CONNECT && os_errno != 0)
		return t_strdup_printf("%s: %s", reason, strerror(os_errno));
	return t_strdup(reason);
}

static void
sender_request_finish(struct sender_request *req, CURLcode result)
{
	struct sender *sender = req->sender;
	sender_callback_t *callback = req->callback;
	void *context = req->context;
	struct answer answer;
	curl_off_t retry_after = 0;

	if (req->status == 0 && result == CURLE_HTTP2_STREAM)
		req->status = sender_request_stream_status(req);
	i_zero(&answer);
	answer.status = req->status;
	if (req->status != 0) {
		(void)curl_easy_getinfo(req->transfer.easy, CURLINFO_RETRY_AFTER,
					&retry_after);
		answer.reason = answer_status_reason(req);
	} else {
		answer.reason = no_answer_reason(req, result);
	}
	answer.retry_after_secs = I_MIN(I_MAX(retry_after, 0), INT_MAX);

	DLLIST_REMOVE(&sender->requests, req);
	if (sender_request_os_errno(req) != 0 ||
	    req->own_tls || sender->idle_count >= IDLE_REQUESTS_MAX) {
		/* older versions of libcurl would report this errno again with
		   the handle's next error */
		sender_request_free(req);
	} else {
		DLLIST_PREPEND(&sender->idle_requests, req);
		sender->idle_count++;
		sender_request_forget_target(req);
	}

	callback(&answer, context);
}

static void header_add(struct curl_slist **headers, const char *header)
{
	struct curl_slist *all = curl_slist_append(*headers, header);

	if (all == NULL)
		i_fatal_status(FATAL_OUTOFMEM, "libcurl: out of memory");
	*headers = all;
}

static void sender_request_add_header(struct sender_request *req,
				      const char *header)
{
	header_add(&req->headers, header);
}

/* libcurl 7.88 takes a proxy's credentials for percent-encoded, so this makes the
   header. What libcurl takes for a login is sent to nobody then: it is there to
   keep requests out of each other's tunnels. */
static void sender_request_add_proxy_credentials(struct sender_request *req)
{
	const char *pair = t_strconcat(req->proxy_username, ":",
				       req->proxy_password, NULL);
	const char *encoded =
		str_c(t_base64_encode(0, SIZE_MAX, pair, strlen(pair)));

	header_add(&req->proxy_headers,
		   t_strconcat("Proxy-Authorization: Basic ", encoded, NULL));
	setopt(req->transfer.easy, PROXYUSERNAME, encoded);
}

static int
sender_request_add_signature(struct sender_request *req, const char *path,
			     const char *id, const char *body,
			     const char **error_r)
{
	string_t *signature = t_str_new(128);
	time_t now = time(NULL);
	const char *keys;

	if (credential_file_read(path, &keys, error_r) < 0 ||
	    webhook_sign(signature, keys, id, now, body, error_r) < 0)
		return -1;
	sender_request_add_header(req, t_strconcat("webhook-id: ", id, NULL));
	sender_request_add_header(req, t_strconcat("webhook-timestamp: ",
						   dec2str(now), NULL));
	sender_request_add_header(req, t_strconcat("webhook-signature: ",
						   str_c(signature), NULL));
	return 0;
}

static int
sender_request_read_proxy_netrc(struct sender_request *req,
				const struct sender_target *target,
				const char **error_r)
{
	const char *text, *username, *password;

	if (credential_file_read(target->proxy_netrc_file, &text, error_r) < 0 ||
	    netrc_lookup(text, target->proxy_host, &username, &password,
			 error_r) < 0)
		return -1;
	req->proxy_username = i_strdup(username);
	req->proxy_password = i_strdup(password);
	sender_request_add_proxy_credentials(req);
	return 0;
}

/* A file that libcurl reads; NULL = none. */
static int
sender_check_file(const char *option, const char *path, const char **error_r)
{
	const char *error;

	if (path == NULL || credential_file_check(path, &error) == 0)
		return 0;
	*error_r = t_strdup_printf("%s=%s: %s", option, path, error);
	return -1;
}

/* Returns 0, or -1 and error_r. */
static int
sender_request_read_files(struct sender_request *req,
			  const struct sender_target *target, const char *id,
			  const char *body, const char **error_r)
{
	const char *token, *error;

	/* libcurl treats a netrc file that it can't open as an empty one, blocks
	   if a file is a pipe, and reads the longest one to its end */
	if (sender_check_file("netrc_file", target->netrc_file, error_r) < 0 ||
	    sender_check_file("ca_file", target->ca_file, error_r) < 0 ||
	    sender_check_file("cert_file", target->cert_file, error_r) < 0 ||
	    sender_check_file("key_file", target->key_file, error_r) < 0)
		return -1;
	if (target->key_file != NULL && target->cert_file == NULL) {
		*error_r = t_strdup_printf("key_file=%s: cert_file is not set",
					   target->key_file);
		return -1;
	}
	if (target->token_file != NULL) {
		if (credential_file_read_token(target->token_file, &token,
					       &error) < 0) {
			*error_r = t_strdup_printf("token_file=%s: %s",
						   target->token_file, error);
			return -1;
		}
		req->token = i_strdup(token);
		sender_request_add_header(req, t_strconcat(
			"Authorization: Bearer ", token, NULL));
	}
	if (target->proxy_netrc_file != NULL &&
	    sender_request_read_proxy_netrc(req, target, &error) < 0) {
		*error_r = t_strdup_printf("proxy_netrc_file=%s: %s",
					   target->proxy_netrc_file, error);
		return -1;
	}
	if (target->sign_file != NULL &&
	    sender_request_add_signature(req, target->sign_file, id, body,
					 &error) < 0) {
		*error_r = t_strdup_printf("sign_file=%s: %s",
					   target->sign_file, error);
		return -1;
	}
	return 0;
}

static void
sender_request_set_headers(struct sender_request *req, const char *key)
{
	/* No Expect header: it would delay each request by a round trip or a
	   second. */
	static const char *const headers[] = {
		"Content-Type: application/json", "Accept: */*", "Expect:"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(headers); i++)
		sender_request_add_header(req, headers[i]);
	/* a quoted string, as in draft-ietf-httpapi-idempotency-key-header */
	sender_request_add_header(req, t_strdup_printf(
		"Idempotency-Key: \"%s\"", key));
}

static void sender_request_fail(struct sender_request *req)
{
	timeout_remove(&req->to_fail);
	sender_request_finish(req, CURLE_READ_ERROR);
}

void sender_put(struct sender *sender, const struct sender_target *target,
		const char *body, const char *idempotency_key,
		sender_callback_t *callback, void *context)
{
	struct sender_request *req = sender->idle_requests;
	const char *error;

	if (req != NULL) {
		DLLIST_REMOVE(&sender->idle_requests, req);
		sender->idle_count--;
	} else
		req = sender_request_create(sender);
	DLLIST_PREPEND(&sender->requests, req);

	req->callback = callback;
	req->context = context;
	req->status = 0;
	str_truncate(req->phrase, 0);
	str_truncate(req->body, 0);
	req->body_size = 0;

	sender_request_set_target(req, target);
	sender_request_set_own_tls(req, target);
	sender_request_set_headers(req, idempotency_key);
	if (sender_request_read_files(req, target, idempotency_key, body,
				      &error) < 0) {
		req->failure = i_strdup(error);
		req->to_fail = timeout_add_short(0, sender_request_fail, req);
		return;
	}
	setopt(req->transfer.easy, HTTPHEADER, req->headers);
	setopt(req->transfer.easy, PROXYHEADER, req->proxy_headers);
	setopt(req->transfer.easy, POSTFIELDSIZE, (long)strlen(body));
	setopt(req->transfer.easy, COPYPOSTFIELDS, body);

	req->transfer.name = req->name;
	req->transfer.timeout_msecs = target->timeout_msecs;
	curl_thread_add(sender->thread, &req->transfer);
}

static void sender_request_ended(struct curl_transfer *transfer)
{
	sender_request_finish(container_of(transfer, struct sender_request,
					   transfer), transfer->result);
}

struct sender *sender_init(const struct tls_settings *tls,
			   const char *user_agent, unsigned int max_fds)
{
	struct sender *sender;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		i_fatal("libcurl: initialisation failed");

	sender = i_new(struct sender, 1);
	sender->tls = tls;
	sender->ssl_min_version = ssl_min_version(tls->min_protocol);
	sender_ca_init(&sender->ca, sender->tls);
	sender->user_agent = i_strdup(user_agent);
	sender->thread = curl_thread_init(max_fds, sender_request_ended);
	return sender;
}

void sender_deinit(struct sender **_sender)
{
	struct sender *sender = *_sender;
	struct sender_request *req;

	*_sender = NULL;
	curl_thread_deinit(&sender->thread);
	while ((req = sender->requests) != NULL) {
		DLLIST_REMOVE(&sender->requests, req);
		sender_request_free(req);
	}
	while ((req = sender->idle_requests) != NULL) {
		DLLIST_REMOVE(&sender->idle_requests, req);
		sender_request_free(req);
	}
	i_free(sender->user_agent);
	sender_ca_deinit(&sender->ca);
	i_free(sender);
	curl_global_cleanup();
}

unsigned int sender_max_requests(const struct sender *sender)
{
	return curl_thread_max_transfers(sender->thread);
}
