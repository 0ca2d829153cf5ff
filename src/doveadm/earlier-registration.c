/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "dict-private.h"
#include "guid.h"
#include "mail-user.h"

#include "attribute-dict-path.h"
#include "dovecot-compat.h"
#include "earlier-registration.h"
#include "metadata.h"

/* Is the key a registration's, by whichever GUID? */
static bool is_registration(const char *key)
{
	guid_128_t guid;
	const char *end;

	if (!str_begins_with(key, DICT_PATH_PRIVATE))
		return FALSE;
	key += strlen(DICT_PATH_PRIVATE);
	end = strchr(key, '/');
	return end != NULL && strcmp(end + 1, HTTP_NOTIFY_METADATA_KEY) == 0 &&
		guid_128_from_string(t_strdup_until(key, end), guid) == 0;
}

/* Get all registrations that the dictionary has. */
static int
registrations_get(struct mail_user *user, const struct dict_op_settings *set,
		  struct earlier_registration *found_r, const char **error_r)
{
	struct dict_iterate_context *iter;
	const char *key, *value;

	i_zero(found_r);
	t_array_init(&found_r->keys, 4);
	iter = dict_iterate_init(user->_attr_dict, set, DICT_PATH_PRIVATE,
				 DICT_ITERATE_FLAG_RECURSE);
	while (dict_iterate(iter, &key, &value)) {
		if (!is_registration(key))
			continue;
		if (found_r->value != NULL &&
		    strcmp(found_r->value, value) != 0)
			found_r->differ = TRUE;
		found_r->value = t_strdup(value);
		key = t_strdup(key);
		array_push_back(&found_r->keys, &key);
	}
	return dict_iterate_deinit(&iter, error_r);
}

/* Is a file of this path the user's own? One for all users has the
   registrations of others, too. */
static bool path_is_of_user(struct mail_user *user, const char *path)
{
	const char *home, *name = t_strcut(user->username, '@');

	return (mail_user_get_home(user, &home) > 0 &&
		strstr(path, home) != NULL) ||
		strstr(path, user->username) != NULL ||
		str_array_find(t_strsplit(path, "/"), name);
}

/* Does the dictionary give this user what is another's? */
static bool dict_is_shared(struct mail_user *user)
{
#ifdef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
	/* a name that nobody has */
	const struct dict_op_settings nobody = {
		.username = "nobody/http-notify", .home_dir = "/nonexistent"
	};
	struct earlier_registration found;
	const char *error;
#endif

	if (strcmp(user->_attr_dict->name, "file") == 0)
		return !path_is_of_user(user, attribute_dict_path(user));
#ifdef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
	return registrations_get(user, &nobody, &found, &error) < 0 ||
		array_not_empty(&found.keys);
#else
	/* can't be told */
	return TRUE;
#endif
}

int earlier_registration_find(struct mail_user *user,
			      struct earlier_registration *found_r,
			      const char **error_r)
{
	if (registrations_get(user, mail_user_get_dict_op_settings(user),
			      found_r, error_r) < 0) {
		array_clear(&found_r->keys);
		return -1;
	}
	if (array_is_empty(&found_r->keys))
		return 0;
	if (dict_is_shared(user)) {
		array_clear(&found_r->keys);
		*error_r = "the dictionary is one for several users, whose "
			"registrations can't be told apart";
		return -1;
	}
	if (found_r->differ) {
		*error_r = t_strdup_printf("there are %u of earlier INBOXes, "
			"which differ", array_count(&found_r->keys));
		return -1;
	}
	return 1;
}

int earlier_registration_remove(struct mail_user *user,
				const struct earlier_registration *found,
				const char **error_r)
{
	struct dict_transaction_context *trans;
	const char *key;

	trans = dict_transaction_begin(user->_attr_dict,
				       mail_user_get_dict_op_settings(user));
	array_foreach_elem(&found->keys, key)
		dict_unset(trans, key);
	return dict_transaction_commit(&trans, error_r) < 0 ? -1 : 0;
}
