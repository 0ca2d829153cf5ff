/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "buffer.h"
#include "server-url.h"

static bool url_has(CURLU *url, CURLUPart part)
{
	char *str;

	if (curl_url_get(url, part, &str, 0) != CURLUE_OK)
		return false;
	curl_free(str);
	return true;
}

static const char *url_check(CURLU *url)
{
	char *path;
	bool has_path;

	if (url_has(url, CURLUPART_PASSWORD) || url_has(url, CURLUPART_USER) ||
	    url_has(url, CURLUPART_OPTIONS))
		return "no login or password belongs into it: others on this "
			"host can see them";
	if (url_has(url, CURLUPART_QUERY) || url_has(url, CURLUPART_FRAGMENT))
		return "nothing may follow the host and the port";
	if (curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK) {
		has_path = strcmp(path, "/") != 0;
		curl_free(path);
		if (has_path)
			return "nothing may follow the host and the port";
	}
	return NULL;
}

int server_url_parse(const char *str, char **url_r, char **host_r,
		     const char **error_r)
{
	const char *expected = "expected is imap://HOST[:PORT] or "
		"imaps://HOST[:PORT]";
	char *full = NULL, *host = NULL;
	CURLU *url;

	if (strncasecmp(str, "imap://", 7) != 0 &&
	    strncasecmp(str, "imaps://", 8) != 0) {
		*error_r = expected;
		return -1;
	}
	url = curl_url();
	if (url == NULL) {
		*error_r = "out of memory";
		return -1;
	}
	if (curl_url_set(url, CURLUPART_URL, str, 0) != CURLUE_OK)
		*error_r = expected;
	else
		*error_r = url_check(url);
	if (*error_r == NULL &&
	    (curl_url_get(url, CURLUPART_URL, &full, 0) != CURLUE_OK ||
	     curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	     *host == '\0'))
		*error_r = expected;
	if (*error_r == NULL) {
		*url_r = str_copy(full);
		*host_r = str_copy(host);
	}
	curl_free(full);
	curl_free(host);
	curl_url_cleanup(url);
	return *error_r == NULL ? 0 : -1;
}
