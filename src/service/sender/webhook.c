/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "base64.h"
#include "hmac.h"
#include "sha2.h"
#include "str.h"

#include "dovecot-compat.h"
#include "webhook.h"

#define KEY_PREFIX "whsec_"
#define KEY_MIN 24
#define KEY_MAX 64

static int key_parse(const char *text, buffer_t *key, const char **error_r)
{
	struct base64_decoder decoder;

	if (!str_begins_with(text, KEY_PREFIX)) {
		*error_r = "must begin with "KEY_PREFIX;
		return -1;
	}
	text += strlen(KEY_PREFIX);
	base64_decode_init(&decoder, &base64_scheme,
			   BASE64_DECODE_FLAG_NO_WHITESPACE);
	if (base64_decode_more(&decoder, text, strlen(text), NULL, key) < 0 ||
	    base64_decode_finish(&decoder) < 0) {
		*error_r = "is not base64 after "KEY_PREFIX;
		return -1;
	}
	if (key->used < KEY_MIN || key->used > KEY_MAX) {
		*error_r = t_strdup_printf("must have %u to %u bytes",
					   KEY_MIN, KEY_MAX);
		return -1;
	}
	return 0;
}

static void
sign(string_t *dest, const buffer_t *key, const char *id, const char *timestamp,
     const char *body)
{
	unsigned char digest[SHA256_RESULTLEN];
	struct hmac_context ctx;

	hmac_init(&ctx, key->data, key->used, &hash_method_sha256);
	hmac_update(&ctx, id, strlen(id));
	hmac_update(&ctx, ".", 1);
	hmac_update(&ctx, timestamp, strlen(timestamp));
	hmac_update(&ctx, ".", 1);
	hmac_update(&ctx, body, strlen(body));
	hmac_final(&ctx, digest);
	if (str_len(dest) > 0)
		str_append_c(dest, ' ');
	str_append(dest, "v1,");
	base64_encode(digest, sizeof(digest), dest);
}

int webhook_sign(string_t *dest, const char *keys, const char *id,
		 time_t timestamp, const char *body, const char **error_r)
{
	const char *const *lines = t_strsplit(keys, "\n");
	const char *line, *error;
	unsigned int number;
	buffer_t *key;

	for (number = 1; *lines != NULL; lines++, number++) {
		line = t_str_trim(*lines, " \t\r");
		if (*line == '\0')
			continue;
		key = t_buffer_create(KEY_MAX);
		if (key_parse(line, key, &error) < 0) {
			*error_r = t_strdup_printf("the key in line %u %s",
						   number, error);
			return -1;
		}
		sign(dest, key, id, dec2str(timestamp), body);
	}
	if (str_len(dest) == 0) {
		*error_r = "has no key";
		return -1;
	}
	return 0;
}
