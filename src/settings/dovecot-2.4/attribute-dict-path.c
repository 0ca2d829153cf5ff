/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "dict-private.h"
#include "mail-user.h"
#include "settings.h"

#include "attribute-dict-path.h"

/* Dovecot's own, of libdovecot. What follows the pool is no part of its API. */
extern const struct setting_parser_info dict_file_setting_parser_info;
struct dict_file_settings {
	pool_t pool;
};

const char *attribute_dict_path(struct mail_user *user)
{
	const struct setting_define *def =
		dict_file_setting_parser_info.defines;
	const struct dict_file_settings *set;
	const char *path = "", *error;

	if (settings_get(user->_attr_dict->event,
			 &dict_file_setting_parser_info, 0, &set, &error) < 0)
		return "";
	for (; def->key != NULL; def++) {
		if (strcmp(def->key, "dict_file_path") == 0) {
			path = t_strdup(*(const char *const *)
					CONST_PTR_OFFSET(set, def->offset));
		}
	}
	settings_free(set);
	return path;
}
