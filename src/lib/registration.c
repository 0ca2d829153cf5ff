#include "lib.h"
#include "strescape.h"
#include "unichar.h"

#include "compat.h"
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

bool http_notify_registration_parse_ox(const char *user, uint32_t *user_id_r,
				       uint32_t *context_id_r)
{
	/* OX's are ints of Java */
	return str_parse_uint32(user, user_id_r, &user) == 0 &&
		*user_id_r <= INT32_MAX && *user++ == '@' &&
		str_to_uint32(user, context_id_r) == 0 &&
		*context_id_r <= INT32_MAX;
}
