/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "ox-user.h"

int ox_id_parse(const char *str, unsigned int *id_r)
{
	unsigned int id = 0;

	if (*str < '1' || *str > '9')
		return -1;
	for (; *str >= '0' && *str <= '9'; str++) {
		unsigned int digit = *str - '0';

		if (id > (OX_ID_MAX - digit) / 10)
			return -1;
		id = id * 10 + digit;
	}
	if (*str != '\0')
		return -1;
	*id_r = id;
	return 0;
}

int ox_user_parse(const char *str, struct ox_user *user_r,
		  const char **error_r)
{
	const char *at = strchr(str, '@');
	char id[sizeof("2147483647")];

	*error_r = "expected is USER@CONTEXT, the numbers of the user and of "
		"the context in OX (from 1 to 2147483647), such as 3@1";
	if (at == NULL || (size_t)(at - str) >= sizeof(id))
		return -1;
	memcpy(id, str, at - str);
	id[at - str] = '\0';
	if (ox_id_parse(id, &user_r->id) < 0 ||
	    ox_id_parse(at + 1, &user_r->context) < 0)
		return -1;
	return 0;
}

void ox_user_value(const struct ox_user *user, char value_r[OX_VALUE_SIZE])
{
	(void)snprintf(value_r, OX_VALUE_SIZE, "user=%u@%u",
		       user->id, user->context);
}
