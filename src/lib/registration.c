/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "strescape.h"
#include "unichar.h"

#include "dovecot-compat.h"
#include "registration.h"

int http_notify_registration_parse(const char *value, const char **user_r,
				   const char **error_r)
{
	const char *const *words, *user = NULL;

	for (words = t_strsplit_tabescaped(value); *words != NULL; words++) {
		if (str_begins_with(*words, "user="))
			user = *words + strlen("user=");
	}

	if (user == NULL)
		*error_r = "it has no user=";
	else if (*user == '\0')
		*error_r = "its user= is empty";
	else if (strlen(user) > HTTP_NOTIFY_USER_MAX) {
		*error_r = t_strdup_printf("its user= is longer than %u bytes",
					   HTTP_NOTIFY_USER_MAX);
	} else if (!uni_utf8_str_is_valid(user))
		*error_r = "its user= is not valid UTF-8";
	else {
		*user_r = user;
		return 0;
	}
	return -1;
}

/* A decimal number from 1 to the largest int of Java, as OX writes it. */
static bool parse_ox_id(const char **str, uint32_t *id_r)
{
	return **str >= '1' && **str <= '9' &&
		str_parse_uint32(*str, id_r, str) == 0 && *id_r <= INT32_MAX;
}

bool http_notify_registration_parse_ox(const char *user, uint32_t *user_id_r,
				       uint32_t *context_id_r)
{
	return parse_ox_id(&user, user_id_r) && *user++ == '@' &&
		parse_ox_id(&user, context_id_r) && *user == '\0';
}

bool http_notify_registration_is_of_ox(const char *value, uint32_t *user_id_r,
				       uint32_t *context_id_r)
{
	return str_begins_with(value, "user=") &&
		http_notify_registration_parse_ox(value + strlen("user="),
						  user_id_r, context_id_r);
}
