/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buffer.h"
#include "clock.h"
#include "imap-answer.h"
#include "login.h"
#include "registration.h"
#include "session.h"

/* libcurl connects, negotiates TLS and logs in. After that, this file sends
   commands and reads their answers over libcurl's connection
   (CURLOPT_CONNECT_ONLY, curl_easy_send() and curl_easy_recv()). libcurl's own
   way to send any command, CURLOPT_CUSTOMREQUEST, is not fit for METADATA: it
   reads an answer line by line, so that a literal with a line in it that looks
   like a tagged response ends the command too early; of a long line it drops
   all but 40 bytes (7.x) or gives up (8.x); and it can't send two commands at
   once. Besides, when it closes a connection that it has used so, it sends
   LOGOUT and waits up to two minutes for the answer, whatever the timeout is.
   With CURLOPT_CONNECT_ONLY it does not. */

/* How long to wait for the server to end the session once all is done. */
#define LOGOUT_MSECS 1000

#define TAG_CAPABILITY "c"
#define TAG_GET "g"
#define TAG_SET "s"
#define TAG_ID "i"
#define TAG_LOGOUT "l"

struct session {
	const struct session_settings *set;
	struct session_result *result;
	/* where failures are stored: in the result, until all is done */
	struct failure *failure;
	struct login login;
	long long deadline;

	struct imap_reader reader;
	struct buffer value;
	bool value_exists, has_metadata;
};

/* How the server answered a command. */
struct command_result {
	enum imap_status status; /* NONE = not answered yet */
	enum advice advice;      /* chosen by the answer's [CODE] */
	struct buffer text;
};

/* Returns the milliseconds until the deadline. If it has passed, sets the
   failure and returns 0. */
static int session_time_left(struct session *ses)
{
	long long left = ses->deadline - monotonic_msecs();

	if (left <= 0) {
		failure_set(ses->failure, ADVICE_TIMEOUT,
			    "%s did not answer within %u s", ses->set->host,
			    ses->set->timeout_msecs / 1000);
		return 0;
	}
	return left < INT_MAX ? left : INT_MAX;
}

/* Wait until the socket is ready, at most until the deadline. Returns whether
   it is. */
static bool session_wait(struct session *ses, short events)
{
	struct pollfd pfd = { .fd = ses->login.fd, .events = events };
	int left, ret;

	do {
		left = session_time_left(ses);
		ret = left == 0 ? 0 : poll(&pfd, 1, left);
	} while ((ret < 0 && errno == EINTR) || (ret == 0 && left > 0));
	if (ret < 0) {
		failure_set(ses->failure, ADVICE_NONE, "poll() failed: %s",
			    strerror(errno));
	}
	return ret > 0;
}

static bool session_send(struct session *ses, const char *commands)
{
	size_t left = strlen(commands), sent;
	CURLcode code;

	while (left > 0) {
		code = curl_easy_send(ses->login.easy, commands, left, &sent);
		if (code == CURLE_AGAIN) {
			if (!session_wait(ses, POLLOUT))
				return false;
			continue;
		}
		if (code != CURLE_OK) {
			failure_set(ses->failure, ADVICE_SERVER_LOG,
				    "the connection to %s broke: %s",
				    ses->set->host,
				    login_curl_reason(&ses->login, code));
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

	/* if the server never stops sending, session_wait() is never called */
	if (session_time_left(ses) == 0)
		return false;
	for (;;) {
		/* Receive before waiting: TLS may have buffered data for which
		   poll() would not return. */
		code = curl_easy_recv(ses->login.easy, data, sizeof(data),
				      &size);
		if (code != CURLE_AGAIN)
			break;
		if (!session_wait(ses, POLLIN))
			return false;
	}
	if (code == CURLE_OK && size > 0) {
		imap_reader_feed(&ses->reader, data, size);
		return true;
	}
	if (ses->login.refusal.used > 0) {
		failure_set(ses->failure, ADVICE_SERVER_LOG,
			    "%s ended the session: %s", ses->set->host,
			    ses->login.refusal.data);
	} else {
		failure_set(ses->failure, ADVICE_SERVER_LOG,
			    "%s closed the connection%s%s", ses->set->host,
			    code == CURLE_OK ? "" : ": ",
			    code == CURLE_OK ? "" :
			    login_curl_reason(&ses->login, code));
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
		failure_set(ses->failure, ADVICE_NONE,
			    "%s's METADATA answer can't be understood",
			    ses->set->host);
		return false;
	}
	if (imap_id_name(response, &name) > 0) {
		free(ses->result->server_name);
		ses->result->server_name = buffer_steal(&name);
	}
	buffer_free(&name);
	return true;
}

/* Read until the command with this tag is answered. Untagged responses before
   that are noted. */
static bool session_answer(struct session *ses, const char *tag,
			   struct command_result *result)
{
	struct imap_response response;
	const char *error;
	int ret;

	result->status = IMAP_STATUS_NONE;
	for (;;) {
		ret = imap_reader_next(&ses->reader, &response, &error);
		if (ret < 0) {
			failure_set(ses->failure, ADVICE_NONE, "%s: %s",
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
			result->status = response.status;
			result->advice = advice_by_code(&response);
			imap_response_describe(&response, &result->text);
			return true;
		}
		if (response.kind != IMAP_UNTAGGED)
			continue;
		if (response.status == IMAP_STATUS_BYE) {
			/* the connection is about to close */
			imap_response_describe(&response,
					       &ses->login.refusal);
		} else if (response.status == IMAP_STATUS_NONE &&
			   !session_handle_data(ses, &response))
			return false;
	}
}

static bool session_is_dovecot(const struct session *ses)
{
	const char *name = ses->result->server_name;

	/* a Dovecot may be configured not to send its name */
	return name == NULL || strncasecmp(name, "dovecot", 7) == 0;
}

static bool session_answer_is_ok(struct session *ses, const char *tag,
				 const char *what)
{
	struct command_result result = {};
	bool ok;

	ok = session_answer(ses, tag, &result);
	if (ok && result.status != IMAP_STATUS_OK) {
		if (result.advice == ADVICE_SERVER_LOG &&
		    !session_is_dovecot(ses))
			result.advice = ADVICE_NOT_DOVECOT;
		failure_set(ses->failure, result.advice,
			    "the METADATA entry can't be %s: %s", what,
			    buffer_str(&result.text));
		ok = false;
	}
	buffer_free(&result.text);
	return ok;
}

/* Ask for the capabilities and the entry in one round trip. A server without
   METADATA answers the second command with BAD, which does no harm. */
static bool session_read_entry(struct session *ses)
{
	static const char commands[] =
		TAG_CAPABILITY" CAPABILITY\r\n"
		TAG_GET" GETMETADATA \"\" ("HTTP_NOTIFY_METADATA_ENTRY")\r\n";
	struct command_result result = {};
	bool ok;

	ok = (!ses->login.has_id || session_send(ses, TAG_ID" ID NIL\r\n")) &&
		session_send(ses, commands) &&
		session_answer(ses, TAG_CAPABILITY, &result);
	buffer_free(&result.text);
	if (!ok)
		return false;
	if (!ses->has_metadata) {
		failure_set(ses->failure,
			    session_is_dovecot(ses) ?
			    ADVICE_METADATA : ADVICE_NOT_DOVECOT,
			    "%s has no METADATA capability for this login%s",
			    ses->set->host,
			    session_is_dovecot(ses) ?
			    "" : ", and is not Dovecot");
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

/* What was done is done, whatever the server answers now. But the next login
   has to wait for the answer. So the server never has more sessions than there
   are jobs. Besides, the server then closes the connection first, so that the
   ports that TIME_WAIT occupies are not on this host. */
static void session_logout(struct session *ses)
{
	struct command_result result = {};
	struct failure ignored = {};
	long long soon = monotonic_msecs() + LOGOUT_MSECS;

	ses->failure = &ignored;
	if (ses->deadline > soon)
		ses->deadline = soon;
	if (session_send(ses, TAG_LOGOUT" LOGOUT\r\n") &&
	    session_answer(ses, TAG_LOGOUT, &result))
		(void)session_receive(ses);
	buffer_free(&result.text);
	failure_free(&ignored);
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
	struct session ses = {
		.set = set,
		.result = result_r,
		.failure = &result_r->failure,
		.login = { .set = set, .failure = &result_r->failure },
	};
	long long begin = monotonic_msecs();

	memset(result_r, 0, sizeof(*result_r));
	result_r->outcome = SESSION_FAILED;
	ses.deadline = begin + set->timeout_msecs;
	if (login_run(&ses.login, share, login)) {
		session_talk(&ses, action, value);
		if (result_r->outcome != SESSION_FAILED)
			session_logout(&ses);
	}
	result_r->msecs = monotonic_msecs() - begin;

	login_free(&ses.login);
	imap_reader_free(&ses.reader);
	buffer_free(&ses.value);
}

void session_result_free(struct session_result *result)
{
	failure_free(&result->failure);
	free(result->value);
	free(result->server_name);
	memset(result, 0, sizeof(*result));
}
