/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The value of a METADATA entry, which a user may set to anything. */
#include "lib.h"
#include "str.h"
#include "strescape.h"
#include "unichar.h"

#include "notification.h"
#include "registration.h"

#include "fuzz-common.h"

#include <jansson.h>

static void check_user(const char *user)
{
	const char *again, *error;

	i_assert(user[0] != '\0');
	i_assert(strlen(user) <= HTTP_NOTIFY_USER_MAX);
	i_assert(uni_utf8_str_is_valid(user));

	i_assert(http_notify_registration_parse(
		t_strconcat("user=", str_tabescape(user), NULL),
		&again, &error) == 0);
	i_assert(strcmp(again, user) == 0);
}

/* The endpoint gets the user as it is, whatever characters it has. */
static void check_user_in_json(const char *user)
{
	const struct http_notify_notification notification = { .user = user };
	string_t *text = t_str_new(256);
	const char *sent;
	json_t *json;

	if (http_notify_notification_append_json(
		&notification, HTTP_NOTIFY_FORMAT_OX, text) < 0)
		i_unreached();
	i_assert(!fuzz_has_controls(str_c(text)));
	json = json_loads(str_c(text), JSON_REJECT_DUPLICATES, NULL);
	sent = json_string_value(json_object_get(json, "user"));
	i_assert(sent != NULL && strcmp(sent, user) == 0);
	json_decref(json);
}

/* All there are: they repeat nothing of the value. */
static void check_error(const char *error)
{
	static const char *const errors[] = {
		"it has no user=",
		"its user= is empty",
		"its user= is longer than 1024 bytes",
		"its user= is not valid UTF-8",
		NULL
	};

	i_assert(str_array_find(errors, error));
}

void fuzz_one(const unsigned char *data, size_t size, pool_t pool)
{
	const char *value = p_strndup(pool, data, size);
	const char *user, *error;

	if (http_notify_registration_parse(value, &user, &error) < 0)
		check_error(error);
	else {
		check_user(user);
		check_user_in_json(user);
	}
}
