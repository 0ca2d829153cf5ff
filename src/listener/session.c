#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "buffer.h"
#include "imap-answer.h"
#include "registration.h"
#include "session.h"

/* libcurl connects, does TLS and logs in; the commands after that are sent and
   their answers read here, over its connection (CURLOPT_CONNECT_ONLY,
   curl_easy_send() and curl_easy_recv()). Its own way to send any command,
   CURLOPT_CUSTOMREQUEST, is not fit for METADATA: an answer comes line by
   line, so that a literal with a line in it that looks like a tagged response
   ends the command too early; of a long line it drops all but 40 bytes (7.x)
   or gives up (8.x); and two commands can't be sent at once. Besides, it says
   LOGOUT when it closes a connection and waits for the answer, for up to two
   minutes and whatever the timeout is. It does not for these. */

/* Of what the server says, in a reason. */
#define SERVER_TEXT_MAX 200
/* How long the server may take to end the session after all is done. */
#define LOGOUT_MSECS 1000

#define TAG_CAPABILITY "c"
#define TAG_GET "g"
#define TAG_SET "s"
#define TAG_ID "i"
#define TAG_LOGOUT "l"

struct session {
	const struct session_settings *set;
	struct session_result *result;
	CURL *easy;
	char curl_error[CURL_ERROR_SIZE];
	long long deadline;

	/* what was seen while libcurl logged in */
	bool greeted, not_imap, preauth;
	bool has_plain, login_disabled, has_id;
	/* the last NO, BAD or BYE, and the code in it */
	struct buffer refusal;

	curl_socket_t fd;
	struct imap_reader reader;
	struct buffer value;
	bool value_exists, has_metadata;
	/* all was done: what fails now doesn't matter */
	bool done;
};

/* What became of a command. */
struct answer {
	enum imap_status status; /* NONE: it has not come yet */
	enum advice advice;      /* by its [CODE] */
	struct buffer text;
};

long long monotonic_msecs(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* The first reason counts: later trouble comes from the first. */
static void __attribute__((format(printf, 3, 4)))
session_fail(struct session *ses, enum advice advice, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (ses->done || ses->result->reason != NULL)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ses->result->outcome = SESSION_FAILED;
	ses->result->advice = advice;
	ses->result->reason = str_copy(text);
}

static void session_unreachable(struct session *ses)
{
	ses->result->unreachable = true;
}

static void append_server_text(struct buffer *buf,
			       const struct imap_response *response)
{
	buffer_append_escaped(buf, response->text, response->size,
			      SERVER_TEXT_MAX);
}

/* -- the login, by libcurl -- */

static void session_note_capabilities(struct session *ses,
				      const struct imap_response *response)
{
	ses->has_plain = imap_response_has_word(response, "AUTH=PLAIN");
	ses->login_disabled = imap_response_has_word(response,
						     "LOGINDISABLED");
	ses->has_id = imap_response_has_word(response, "ID");
}

/* libcurl hands over each line that the server sends, and takes care of the
   meaning itself, but for what is decided here. Returns false to stop it. */
static bool
session_note_line(struct session *ses, const char *line, size_t size)
{
	struct imap_response response;

	while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
		size--;
	if (imap_response_parse(line, size, &response) < 0 ||
	    (!ses->greeted && response.kind != IMAP_UNTAGGED)) {
		/* libcurl would wait for a greeting that does not come */
		ses->not_imap = !ses->greeted;
		buffer_clear(&ses->refusal);
		buffer_append_escaped(&ses->refusal, line, size,
				      SERVER_TEXT_MAX);
		return ses->greeted;
	}
	ses->greeted = true;

	switch (response.status) {
	case IMAP_STATUS_PREAUTH:
		/* The server has decided who this is, and libcurl would leave
		   it at that: the entry would be another user's. */
		ses->preauth = true;
		return false;
	case IMAP_STATUS_NO:
	case IMAP_STATUS_BAD:
	case IMAP_STATUS_BYE:
		buffer_clear(&ses->refusal);
		append_server_text(&ses->refusal, &response);
		break;
	case IMAP_STATUS_NONE:
		if (imap_response_begins(&response, "CAPABILITY "))
			session_note_capabilities(ses, &response);
		break;
	case IMAP_STATUS_OK:
		break;
	}
	return true;
}

static size_t
session_header_callback(char *data, size_t size, size_t nmemb, void *context)
{
	size *= nmemb;
	return session_note_line(context, data, size) ? size : 0;
}

#define setopt(ses, option, value) do { \
		CURLcode setopt_ret = curl_easy_setopt((ses)->easy, \
			CURLOPT_##option, value); \
		if (setopt_ret != CURLE_OK) \
			session_fail(ses, ADVICE_NONE, \
				     "libcurl: option "#option": %s", \
				     curl_easy_strerror(setopt_ret)); \
	} while (0)

static void session_set_user(struct session *ses, const char *login)
{
	const struct session_settings *set = ses->set;

	if (set->master_user == NULL)
		setopt(ses, USERNAME, login);
	else if (set->master_separator == NULL) {
		setopt(ses, USERNAME, set->master_user);
		setopt(ses, SASL_AUTHZID, login);
	} else {
		struct buffer name = {};

		buffer_printf(&name, "%s%s%s", login, set->master_separator,
			      set->master_user);
		setopt(ses, USERNAME, name.data);
		buffer_free(&name);
	}
	setopt(ses, PASSWORD, set->password);
	/* Base64 of UTF-8, which can hold any name and no command. libcurl's
	   LOGIN would quote, and so could not hold 8-bit names. */
	setopt(ses, LOGIN_OPTIONS, "AUTH=PLAIN");
}

static void session_set_tls(struct session *ses)
{
	setopt(ses, USE_SSL, ses->set->allow_plaintext ? CURLUSESSL_TRY :
	       CURLUSESSL_ALL);
	setopt(ses, SSL_VERIFYPEER, 1L);
	setopt(ses, SSL_VERIFYHOST, 2L);
	setopt(ses, SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (ses->set->ca_file != NULL) {
		setopt(ses, CAINFO, ses->set->ca_file);
		/* and nobody else's */
		setopt(ses, CAPATH, NULL);
	}
}

static void session_set_options(struct session *ses, CURLSH *share,
				const char *login)
{
	long timeout = ses->set->timeout_msecs;

	setopt(ses, SHARE, share);
	setopt(ses, ERRORBUFFER, ses->curl_error);
	setopt(ses, NOSIGNAL, 1L);
	setopt(ses, URL, ses->set->url);
	setopt(ses, CONNECT_ONLY, 1L);
	setopt(ses, TIMEOUT_MS, timeout);
	setopt(ses, CONNECTTIMEOUT_MS, timeout);
	/* in seconds, and at most 120 by default */
	setopt(ses, SERVER_RESPONSE_TIMEOUT, timeout / 1000 + 1);
	setopt(ses, HEADERFUNCTION, session_header_callback);
	setopt(ses, HEADERDATA, ses);
	/* what all_proxy is set to is for the web as a rule */
	setopt(ses, PROXY, "");
#if LIBCURL_VERSION_NUM >= 0x075700
	/* don't wait for a resolver beyond the timeout */
	setopt(ses, QUICK_EXIT, 1L);
#endif
	session_set_tls(ses);
	session_set_user(ses, login);
}

static const char *curl_reason(struct session *ses, CURLcode code)
{
	return ses->curl_error[0] != '\0' ? ses->curl_error :
		curl_easy_strerror(code);
}

static void session_fail_login(struct session *ses)
{
	if (ses->refusal.used > 0) {
		session_fail(ses, ses->set->master_user == NULL ?
			     ADVICE_LOGIN : ADVICE_MASTER,
			     "login refused: %s", ses->refusal.data);
	} else if (!ses->has_plain) {
		session_fail(ses, ADVICE_NO_PLAIN,
			     "the server offers no AUTH=PLAIN%s",
			     ses->login_disabled ?
			     ", and LOGIN is disabled" : "");
	} else
		session_fail(ses, ADVICE_LOGIN, "login refused");
}

static void session_fail_tls(struct session *ses, CURLcode code)
{
	if (code == CURLE_PEER_FAILED_VERIFICATION) {
		session_fail(ses, ADVICE_CERTIFICATE,
			     "the certificate of %s is not accepted: %s",
			     ses->set->host, curl_reason(ses, code));
	} else {
		session_fail(ses, ADVICE_SERVER, "no TLS with %s: %s",
			     ses->set->host, curl_reason(ses, code));
	}
	session_unreachable(ses);
}

static void session_fail_connect(struct session *ses, CURLcode code)
{
	const char *host = ses->set->host;
	long os_errno = 0;

	switch (code) {
	case CURLE_LOGIN_DENIED:
		session_fail_login(ses);
		return;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		session_fail_tls(ses, code);
		return;
	case CURLE_USE_SSL_FAILED:
		session_fail(ses, ADVICE_STARTTLS, "%s offers no STARTTLS",
			     host);
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		session_fail(ses, ADVICE_SERVER, "%s is not known: %s", host,
			     curl_reason(ses, code));
		break;
	case CURLE_COULDNT_CONNECT:
		(void)curl_easy_getinfo(ses->easy, CURLINFO_OS_ERRNO,
					&os_errno);
		session_fail(ses, ADVICE_SERVER, "no connection to %s: %s",
			     host, os_errno != 0 ? strerror(os_errno) :
			     curl_reason(ses, code));
		break;
	case CURLE_OPERATION_TIMEDOUT:
		session_fail(ses, ADVICE_TIMEOUT, "%s did not %s within %u s",
			     host, ses->greeted ? "answer the login" :
			     "answer", ses->set->timeout_msecs / 1000);
		if (ses->greeted)
			return;
		break;
	default:
		if (ses->refusal.used > 0) {
			session_fail(ses, ADVICE_SERVER_LOG,
				     "%s ended the session: %s", host,
				     ses->refusal.data);
		} else {
			session_fail(ses, ADVICE_SERVER,
				     "no IMAP session with %s: %s", host,
				     curl_reason(ses, code));
		}
		if (ses->greeted)
			return;
	}
	session_unreachable(ses);
}

/* Returns whether it is logged in. */
static bool session_login(struct session *ses, CURLSH *share,
			  const char *login)
{
	CURLcode code;

	session_set_options(ses, share, login);
	if (ses->result->reason != NULL)
		return false;
	code = curl_easy_perform(ses->easy);
	if (ses->not_imap) {
		session_fail(ses, ADVICE_SERVER, "%s does not speak IMAP: %s",
			     ses->set->host, ses->refusal.data);
		session_unreachable(ses);
	} else if (ses->preauth) {
		session_fail(ses, ADVICE_NONE, "%s has logged in another user "
			     "by itself (PREAUTH): choose a port where it "
			     "does not", ses->set->host);
		session_unreachable(ses);
	} else if (code != CURLE_OK)
		session_fail_connect(ses, code);
	else if (curl_easy_getinfo(ses->easy, CURLINFO_ACTIVESOCKET,
				   &ses->fd) != CURLE_OK ||
		 ses->fd == CURL_SOCKET_BAD)
		session_fail(ses, ADVICE_NONE, "libcurl has no socket");
	return ses->result->reason == NULL;
}

/* -- the commands -- */

/* Returns the milliseconds until the deadline, 0 if it is over. */
static int session_time_left(struct session *ses)
{
	long long left = ses->deadline - monotonic_msecs();

	if (left <= 0) {
		session_fail(ses, ADVICE_TIMEOUT,
			     "%s did not answer within %u s", ses->set->host,
			     ses->set->timeout_msecs / 1000);
		return 0;
	}
	return left < INT_MAX ? left : INT_MAX;
}

/* Returns whether the socket is ready; by the deadline it has to be. */
static bool session_wait(struct session *ses, short events)
{
	struct pollfd pfd = { .fd = ses->fd, .events = events };
	int left, ret;

	do {
		left = session_time_left(ses);
		ret = left == 0 ? 0 : poll(&pfd, 1, left);
	} while ((ret < 0 && errno == EINTR) || (ret == 0 && left > 0));
	if (ret < 0) {
		session_fail(ses, ADVICE_NONE, "poll() failed: %s",
			     strerror(errno));
	}
	return ret > 0;
}

static bool session_send(struct session *ses, const char *commands)
{
	size_t left = strlen(commands), sent;
	CURLcode code;

	while (left > 0) {
		code = curl_easy_send(ses->easy, commands, left, &sent);
		if (code == CURLE_AGAIN) {
			if (!session_wait(ses, POLLOUT))
				return false;
			continue;
		}
		if (code != CURLE_OK) {
			session_fail(ses, ADVICE_SERVER_LOG,
				     "the connection to %s broke: %s",
				     ses->set->host, curl_reason(ses, code));
			return false;
		}
		commands += sent;
		left -= sent;
	}
	return true;
}

static bool session_receive(struct session *ses)
{
	char data[16384];
	size_t size = 0;
	CURLcode code;

	/* a server that never stops sending is never waited for */
	if (session_time_left(ses) == 0)
		return false;
	for (;;) {
		/* TLS may have some that the socket does not tell of */
		code = curl_easy_recv(ses->easy, data, sizeof(data), &size);
		if (code != CURLE_AGAIN)
			break;
		if (!session_wait(ses, POLLIN))
			return false;
	}
	if (code == CURLE_OK && size > 0) {
		imap_reader_feed(&ses->reader, data, size);
		return true;
	}
	if (ses->refusal.used > 0) {
		session_fail(ses, ADVICE_SERVER_LOG, "%s ended the session: "
			     "%s", ses->set->host, ses->refusal.data);
	} else {
		session_fail(ses, ADVICE_SERVER_LOG,
			     "%s closed the connection%s%s", ses->set->host,
			     code == CURLE_OK ? "" : ": ",
			     code == CURLE_OK ? "" : curl_reason(ses, code));
	}
	return false;
}

static enum advice advice_by_code(const struct imap_response *response)
{
	static const struct {
		const char *code;
		enum advice advice;
	} codes[] = {
		{ "[METADATA MAXSIZE", ADVICE_MAXSIZE },
		{ "[METADATA NOPRIVATE]", ADVICE_NOPRIVATE },
		{ "[METADATA TOOMANY]", ADVICE_TOOMANY },
	};
	unsigned int i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (imap_response_begins(response, codes[i].code))
			return codes[i].advice;
	}
	return ADVICE_SERVER_LOG;
}

static bool session_handle_data(struct session *ses,
				const struct imap_response *response)
{
	struct buffer name = {};
	bool nil = true;
	int ret;

	if (imap_response_begins(response, "CAPABILITY ")) {
		ses->has_metadata =
			imap_response_has_word(response, "METADATA") ||
			imap_response_has_word(response, "METADATA-SERVER");
		return true;
	}
	ret = imap_metadata_find(response, HTTP_NOTIFY_METADATA_ENTRY,
				 &ses->value, &nil);
	if (ret > 0)
		ses->value_exists = !nil;
	else if (ret < 0) {
		session_fail(ses, ADVICE_NONE, "%s's METADATA answer can't be "
			     "understood", ses->set->host);
		return false;
	}
	if (imap_id_name(response, &name) > 0) {
		free(ses->result->server_name);
		ses->result->server_name = buffer_steal(&name);
	}
	buffer_free(&name);
	return true;
}

/* Read until this tag was answered. What comes by the way is noted. */
static bool session_answer(struct session *ses, const char *tag,
			   struct answer *answer)
{
	struct imap_response response;
	const char *error;
	int ret;

	answer->status = IMAP_STATUS_NONE;
	for (;;) {
		ret = imap_reader_next(&ses->reader, &response, &error);
		if (ret < 0) {
			session_fail(ses, ADVICE_NONE, "%s: %s",
				     ses->set->host, error);
			return false;
		}
		if (ret == 0) {
			if (!session_receive(ses))
				return false;
			continue;
		}
		if (response.kind == IMAP_TAGGED) {
			if (response.tag_size != strlen(tag) ||
			    memcmp(response.tag, tag, response.tag_size) != 0)
				continue;
			answer->status = response.status;
			answer->advice = advice_by_code(&response);
			buffer_clear(&answer->text);
			append_server_text(&answer->text, &response);
			return true;
		}
		if (response.kind != IMAP_UNTAGGED)
			continue;
		if (response.status == IMAP_STATUS_BYE) {
			/* the connection is about to close */
			buffer_clear(&ses->refusal);
			append_server_text(&ses->refusal, &response);
		} else if (response.status == IMAP_STATUS_NONE &&
			   !session_handle_data(ses, &response))
			return false;
	}
}

static bool session_is_dovecot(const struct session *ses)
{
	const char *name = ses->result->server_name;

	/* not to say so is an admin's right */
	return name == NULL || strncasecmp(name, "dovecot", 7) == 0;
}

static bool session_answer_is_ok(struct session *ses, const char *tag,
				 const char *what)
{
	struct answer answer = {};
	bool ok;

	ok = session_answer(ses, tag, &answer);
	if (ok && answer.status != IMAP_STATUS_OK) {
		if (answer.advice == ADVICE_SERVER_LOG &&
		    !session_is_dovecot(ses))
			answer.advice = ADVICE_NOT_DOVECOT;
		session_fail(ses, answer.advice,
			     "the METADATA entry can't be %s: %s", what,
			     buffer_str(&answer.text));
		ok = false;
	}
	buffer_free(&answer.text);
	return ok;
}

/* Capability and entry in one round trip: a server without METADATA answers
   the second command with BAD, which does no harm. */
static bool session_read_entry(struct session *ses)
{
	static const char commands[] =
		TAG_CAPABILITY" CAPABILITY\r\n"
		TAG_GET" GETMETADATA \"\" ("HTTP_NOTIFY_METADATA_ENTRY")\r\n";
	struct answer answer = {};
	bool ok;

	ok = (!ses->has_id || session_send(ses, TAG_ID" ID NIL\r\n")) &&
		session_send(ses, commands) &&
		session_answer(ses, TAG_CAPABILITY, &answer);
	buffer_free(&answer.text);
	if (!ok)
		return false;
	if (!ses->has_metadata) {
		session_fail(ses, session_is_dovecot(ses) ? ADVICE_METADATA :
			     ADVICE_NOT_DOVECOT,
			     "%s has no METADATA capability for this login%s",
			     ses->set->host, session_is_dovecot(ses) ? "" :
			     ", and is not Dovecot");
		return false;
	}
	return session_answer_is_ok(ses, TAG_GET, "read");
}

static bool session_write_entry(struct session *ses, const char *value)
{
	struct buffer command = {};
	bool ok;

	/* the bytes that OX sends */
	buffer_append_str(&command, TAG_SET" SETMETADATA \"\" ("
			  HTTP_NOTIFY_METADATA_ENTRY" ");
	if (value == NULL)
		buffer_append_str(&command, "NIL)\r\n");
	else
		buffer_printf(&command, "\"%s\")\r\n", value);
	ok = session_send(ses, command.data) &&
		session_answer_is_ok(ses, TAG_SET, "written");
	buffer_free(&command);
	return ok;
}

static bool
session_value_is(const struct session *ses, const char *value)
{
	if (value == NULL || !ses->value_exists)
		return value == NULL && !ses->value_exists;
	return ses->value.used == strlen(value) &&
		memcmp(ses->value.data, value, ses->value.used) == 0;
}

/* What has been done is done, whatever the server says now. But the next login
   waits for it: so there are never more sessions at the server than jobs, and
   it is the server that closes, with whom the used-up port numbers stay. */
static void session_logout(struct session *ses)
{
	struct answer answer = {};
	long long soon = monotonic_msecs() + LOGOUT_MSECS;

	if (ses->deadline > soon)
		ses->deadline = soon;
	if (session_send(ses, TAG_LOGOUT" LOGOUT\r\n") &&
	    session_answer(ses, TAG_LOGOUT, &answer))
		(void)session_receive(ses);
	buffer_free(&answer.text);
}

static void session_talk(struct session *ses, enum session_action action,
			 const char *value)
{
	struct session_result *result = ses->result;

	if (!session_read_entry(ses))
		return;
	if (ses->value_exists) {
		result->value_size = ses->value.used;
		result->value = str_copy_n(buffer_str(&ses->value),
					   ses->value.used);
	}
	if (action == SESSION_UNREGISTER)
		value = NULL;
	if (action == SESSION_SHOW || session_value_is(ses, value)) {
		result->outcome = SESSION_UNCHANGED;
		return;
	}
	if (!ses->set->dry_run && !session_write_entry(ses, value))
		return;
	result->outcome = value == NULL ? SESSION_REMOVED :
		result->value == NULL ? SESSION_ADDED : SESSION_CHANGED;
}

CURLSH *session_share_init(void)
{
	CURLSH *share = curl_share_init();

	if (share != NULL) {
		(void)curl_share_setopt(share, CURLSHOPT_SHARE,
					CURL_LOCK_DATA_DNS);
		(void)curl_share_setopt(share, CURLSHOPT_SHARE,
					CURL_LOCK_DATA_SSL_SESSION);
	}
	return share;
}

void session_share_deinit(CURLSH **share)
{
	(void)curl_share_cleanup(*share);
	*share = NULL;
}

void session_run(const struct session_settings *set, CURLSH *share,
		 const char *login, enum session_action action,
		 const char *value, struct session_result *result_r)
{
	struct session ses = { .set = set, .result = result_r };
	long long begin = monotonic_msecs();

	memset(result_r, 0, sizeof(*result_r));
	result_r->outcome = SESSION_FAILED;
	ses.deadline = begin + set->timeout_msecs;
	ses.easy = curl_easy_init();
	if (ses.easy == NULL)
		session_fail(&ses, ADVICE_NONE, "libcurl: out of memory");
	else if (session_login(&ses, share, login)) {
		session_talk(&ses, action, value);
		if (result_r->outcome != SESSION_FAILED) {
			ses.done = true;
			session_logout(&ses);
		}
	}
	result_r->msecs = monotonic_msecs() - begin;

	/* closes the connection */
	curl_easy_cleanup(ses.easy);
	imap_reader_free(&ses.reader);
	buffer_free(&ses.refusal);
	buffer_free(&ses.value);
}

void session_result_free(struct session_result *result)
{
	free(result->reason);
	free(result->value);
	free(result->server_name);
	memset(result, 0, sizeof(*result));
}
