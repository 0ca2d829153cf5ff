/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "imap-answer.h"
#include "login.h"
#include "session.h"

static void login_note_capabilities(struct login *login,
				    const struct imap_response *response)
{
	login->has_plain = imap_response_has_word(response, "AUTH=PLAIN");
	login->login_disabled = imap_response_has_word(response,
						       "LOGINDISABLED");
	login->has_id = imap_response_has_word(response, "ID");
}

/* libcurl passes on each line that the server sends. It also acts on the line
   itself, unless this returns false to stop it. */
static bool
login_note_line(struct login *login, const char *line, size_t size)
{
	struct imap_response response;

	while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
		size--;
	if (imap_response_parse(line, size, &response) < 0 ||
	    (!login->greeted && response.kind != IMAP_UNTAGGED)) {
		/* without a greeting, libcurl would go on waiting for one */
		login->not_imap = !login->greeted;
		response.text = line;
		response.size = size;
		imap_response_describe(&response, &login->refusal);
		return login->greeted;
	}
	login->greeted = true;

	switch (response.status) {
	case IMAP_STATUS_PREAUTH:
		/* The server has chosen a user by itself, and libcurl would
		   accept that. The entry would be that user's. */
		login->preauth = true;
		return false;
	case IMAP_STATUS_NO:
	case IMAP_STATUS_BAD:
	case IMAP_STATUS_BYE:
		imap_response_describe(&response, &login->refusal);
		break;
	case IMAP_STATUS_NONE:
		if (imap_response_begins(&response, "CAPABILITY "))
			login_note_capabilities(login, &response);
		break;
	case IMAP_STATUS_OK:
		break;
	}
	return true;
}

static size_t
login_header_callback(char *data, size_t size, size_t nmemb, void *context)
{
	size *= nmemb;
	return login_note_line(context, data, size) ? size : 0;
}

#define setopt(login, option, value) do { \
		CURLcode setopt_ret = curl_easy_setopt((login)->easy, \
			CURLOPT_##option, value); \
		if (setopt_ret != CURLE_OK) \
			failure_set((login)->failure, ADVICE_NONE, \
				    "libcurl: option "#option": %s", \
				    curl_easy_strerror(setopt_ret)); \
	} while (0)

static void login_set_user(struct login *login, const char *user)
{
	const struct session_settings *set = login->set;

	if (set->master_user == NULL)
		setopt(login, USERNAME, user);
	else if (set->master_separator == NULL) {
		setopt(login, USERNAME, set->master_user);
		setopt(login, SASL_AUTHZID, user);
	} else {
		struct buffer name = {};

		buffer_printf(&name, "%s%s%s", user, set->master_separator,
			      set->master_user);
		setopt(login, USERNAME, name.data);
		buffer_free(&name);
	}
	setopt(login, PASSWORD, set->password);
	/* PLAIN sends base64 of UTF-8, so it allows any name and no name can be
	   a command. libcurl's LOGIN would send quoted strings, which do not
	   allow 8-bit names. */
	setopt(login, LOGIN_OPTIONS, "AUTH=PLAIN");
}

static void login_set_tls(struct login *login)
{
	setopt(login, USE_SSL, login->set->allow_plaintext ? CURLUSESSL_TRY :
	       CURLUSESSL_ALL);
	setopt(login, SSL_VERIFYPEER, 1L);
	setopt(login, SSL_VERIFYHOST, 2L);
	setopt(login, SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (login->set->ca_file != NULL) {
		setopt(login, CAINFO, login->set->ca_file);
		/* No CAs of the system: libcurl 8.21 and later would add them
		   for NULL. */
		setopt(login, CAPATH, "/dev/null");
	}
}

static void login_set_options(struct login *login, CURLSH *share,
			      const char *user)
{
	long timeout = login->set->timeout_msecs;

	setopt(login, SHARE, share);
	setopt(login, ERRORBUFFER, login->curl_error);
	setopt(login, NOSIGNAL, 1L);
	setopt(login, URL, login->set->url);
	setopt(login, CONNECT_ONLY, 1L);
	setopt(login, TIMEOUT_MS, timeout);
	setopt(login, CONNECTTIMEOUT_MS, timeout);
	/* in seconds; the default would be 120 */
	setopt(login, SERVER_RESPONSE_TIMEOUT, timeout / 1000 + 1);
	setopt(login, HEADERFUNCTION, login_header_callback);
	setopt(login, HEADERDATA, login);
	/* ignore all_proxy: that is usually a proxy for the web */
	setopt(login, PROXY, "");
#if LIBCURL_VERSION_NUM >= 0x075700
	/* don't wait for a resolver beyond the timeout */
	setopt(login, QUICK_EXIT, 1L);
#endif
	login_set_tls(login);
	login_set_user(login, user);
}

const char *login_curl_reason(const struct login *login, CURLcode code)
{
	return login->curl_error[0] != '\0' ? login->curl_error :
		curl_easy_strerror(code);
}

static void login_fail_refused(struct login *login)
{
	if (login->refusal.used > 0) {
		failure_set(login->failure,
			    login->set->master_user == NULL ? ADVICE_LOGIN :
			    ADVICE_MASTER, "login refused: %s",
			    login->refusal.data);
	} else if (!login->has_plain) {
		failure_set(login->failure, ADVICE_NO_PLAIN,
			    "the server offers no AUTH=PLAIN%s",
			    login->login_disabled ?
			    ", and LOGIN is disabled" : "");
	} else
		failure_set(login->failure, ADVICE_LOGIN, "login refused");
}

static void login_fail_tls(struct login *login, CURLcode code)
{
	if (code == CURLE_PEER_FAILED_VERIFICATION) {
		failure_set(login->failure, ADVICE_CERTIFICATE,
			    "the certificate of %s is not accepted: %s",
			    login->set->host, login_curl_reason(login, code));
	} else {
		failure_set(login->failure, ADVICE_SERVER, "no TLS with %s: %s",
			    login->set->host, login_curl_reason(login, code));
	}
	login->failure->unreachable = true;
}

static void login_fail_connect(struct login *login, CURLcode code)
{
	const char *host = login->set->host;
	long os_errno = 0;

	switch (code) {
	case CURLE_LOGIN_DENIED:
		login_fail_refused(login);
		return;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		login_fail_tls(login, code);
		return;
	case CURLE_USE_SSL_FAILED:
		failure_set(login->failure, ADVICE_STARTTLS,
			    "%s offers no STARTTLS", host);
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		failure_set(login->failure, ADVICE_SERVER,
			    "%s is not known: %s", host,
			    login_curl_reason(login, code));
		break;
	case CURLE_COULDNT_CONNECT:
		(void)curl_easy_getinfo(login->easy, CURLINFO_OS_ERRNO,
					&os_errno);
		failure_set(login->failure, ADVICE_SERVER,
			    "no connection to %s: %s", host,
			    os_errno != 0 ? strerror(os_errno) :
			    login_curl_reason(login, code));
		break;
	case CURLE_OPERATION_TIMEDOUT:
		failure_set(login->failure, ADVICE_TIMEOUT,
			    "%s did not %s within %u s", host,
			    login->greeted ? "answer the login" : "answer",
			    login->set->timeout_msecs / 1000);
		if (login->greeted)
			return;
		break;
	default:
		if (login->refusal.used > 0) {
			failure_set(login->failure, ADVICE_SERVER_LOG,
				    "%s ended the session: %s", host,
				    login->refusal.data);
		} else {
			failure_set(login->failure, ADVICE_SERVER,
				    "no IMAP session with %s: %s", host,
				    login_curl_reason(login, code));
		}
		if (login->greeted)
			return;
	}
	login->failure->unreachable = true;
}

bool login_run(struct login *login, CURLSH *share, const char *user)
{
	CURLcode code;

	login->easy = curl_easy_init();
	if (login->easy == NULL) {
		failure_set(login->failure, ADVICE_NONE,
			    "libcurl: out of memory");
		return false;
	}
	login_set_options(login, share, user);
	if (login->failure->reason != NULL)
		return false;
	code = curl_easy_perform(login->easy);
	if (login->not_imap) {
		failure_set(login->failure, ADVICE_SERVER,
			    "%s does not speak IMAP: %s", login->set->host,
			    login->refusal.data);
		login->failure->unreachable = true;
	} else if (login->preauth) {
		failure_set(login->failure, ADVICE_NONE,
			    "%s has logged in another user by itself "
			    "(PREAUTH): choose a port where it does not",
			    login->set->host);
		login->failure->unreachable = true;
	} else if (code != CURLE_OK)
		login_fail_connect(login, code);
	else if (curl_easy_getinfo(login->easy, CURLINFO_ACTIVESOCKET,
				   &login->fd) != CURLE_OK ||
		 login->fd == CURL_SOCKET_BAD)
		failure_set(login->failure, ADVICE_NONE,
			    "libcurl has no socket");
	return login->failure->reason == NULL;
}

void login_free(struct login *login)
{
	/* closes the connection */
	curl_easy_cleanup(login->easy);
	buffer_free(&login->refusal);
}
