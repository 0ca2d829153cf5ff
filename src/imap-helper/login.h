/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_LOGIN_H
#define LISTENER_LOGIN_H

#include <stdbool.h>

#include <curl/curl.h>

#include "buffer.h"
#include "failure.h"

struct session_settings;

/* The part of a session that is libcurl's: it connects, does TLS and logs in.
   What comes after that is sent and received over easy. */
struct login {
	/* to be set at first, the rest is {} */
	const struct session_settings *set;
	struct failure *failure;

	CURL *easy;
	curl_socket_t fd;
	char curl_error[CURL_ERROR_SIZE];
	/* the server's last NO, BAD or BYE, and the code in it */
	struct buffer refusal;

	/* what was seen while libcurl logged in */
	bool greeted, not_imap, preauth;
	bool has_plain, login_disabled, has_id;
};

/* Returns whether the user is logged in. */
bool login_run(struct login *login, CURLSH *share, const char *user);
/* Why a call with easy returned this. */
const char *login_curl_reason(const struct login *login, CURLcode code);
/* Closes the connection. */
void login_free(struct login *login);

#endif
