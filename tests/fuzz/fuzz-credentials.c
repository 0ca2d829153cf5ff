/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files with a proxy's credentials, and with keys to sign with. */
#include "lib.h"
#include "str.h"

#include "netrc.h"
#include "webhook.h"

#include "fuzz-common.h"

void fuzz_one(const unsigned char *data, size_t size, pool_t pool)
{
	const char *text = p_strndup(pool, data, size), *login, *password;
	string_t *signature = t_str_new(128);
	const char *error = NULL;

	if (netrc_find(text, "host", &login, &password) > 0)
		i_assert(login != NULL && password != NULL);
	if (webhook_sign(signature, text, "id", 1, "{}", &error) < 0)
		i_assert(!fuzz_has_controls(error));
	else
		i_assert(strncmp(str_c(signature), "v1,", 3) == 0);
}
