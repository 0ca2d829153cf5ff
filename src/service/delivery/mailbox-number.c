/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "http-url.h"
#include "sha2.h"
#include "str.h"

#include "mailbox-number.h"
#include "options.h"

const char *
mailbox_number_endpoint(const struct http_notify_options *options)
{
	const struct http_url *url =
		http_notify_url_parse(options->url, pool_datastack_create());
	const struct {
		const char *name, *path;
	} files[] = {
		{ "netrc_file", options->netrc_file },
		{ "token_file", options->token_file },
		{ "sign_file", options->sign_file },
		{ "cert_file", options->cert_file },
	};
	string_t *endpoint = t_str_new(256);
	unsigned int i;

	/* none of them has a line feed in it */
	str_printfa(endpoint, "%s\n%s\n%s",
		    options->owner == NULL ? "" : options->owner,
		    url->user == NULL ? "" : url->user, http_url_create(url));
	/* a receiver may have several accounts at one URL */
	for (i = 0; i < N_ELEMENTS(files); i++) {
		if (files[i].path != NULL) {
			str_printfa(endpoint, "\n%s=%s", files[i].name,
				    files[i].path);
		}
	}
	return str_c(endpoint);
}

/* The numbers are stored: they must not change. */
int64_t mailbox_number(const char *endpoint, const char *username,
		       const char *folder, uint32_t uidvalidity)
{
	const char *end = t_strdup_printf("%u", uidvalidity);
	unsigned char digest[SHA256_RESULTLEN];
	struct sha256_ctx ctx;
	uint64_t number = 0;
	unsigned int i;

	sha256_init(&ctx);
	/* each with the NUL at its end */
	sha256_loop(&ctx, endpoint, strlen(endpoint) + 1);
	sha256_loop(&ctx, username, strlen(username) + 1);
	sha256_loop(&ctx, folder, strlen(folder) + 1);
	sha256_loop(&ctx, end, strlen(end));
	sha256_result(&ctx, digest);
	for (i = 0; i < sizeof(number); i++)
		number = number << 8 | digest[i];
	number >>= 1;
	return number == 0 ? 1 : number;
}
