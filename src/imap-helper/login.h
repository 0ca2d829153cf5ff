/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_LOGIN_H
#define LISTENER_LOGIN_H

#include <stdbool.h>

#include <curl/curl.h>

#include "buffer.h"
#include "failure.h"

struct session_settings;

/* The part of a session that libcurl does: it connects, negotiates TLS and logs
   in. After that, curl_easy_send() and curl_easy_recv() use easy. */
struct login {
	/* set by the caller; the rest must be {} at first */
	const struct session_settings *set;
	struct failure *failure;

	CURL *easy;
	curl_socket_t fd;
	char curl_error[CURL_ERROR_SIZE];
	/* the text of the server's last NO, BAD or BYE, with its [CODE]; if
	   not_imap, what the server sent instead */
	struct buffer refusal;

	/* what was seen while libcurl logged in */
	bool greeted, not_imap, preauth;
	bool has_plain, login_disabled, has_id;
};

/* Returns whether the user is logged in; if not, login->failure says why. */
bool login_run(struct login *login, CURLSH *share, const char *user);
/* Returns why a call with easy returned this code. Valid until the next one. */
const char *login_curl_reason(const struct login *login, CURLcode code);
/* Close the connection and free what is in login. */
void login_free(struct login *login);

#endif
