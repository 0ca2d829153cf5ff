/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DOVECOT_COMPAT_H
#define HTTP_NOTIFY_DOVECOT_COMPAT_H

/* The code is written for Dovecot 2.4. Here are the functions that, according
   to configure, this Dovecot has under another name. */

#ifndef HTTP_NOTIFY_HAVE_STR_BEGINS_WITH
#define str_begins_with(haystack, needle) str_begins(haystack, needle)
#endif

#ifndef HTTP_NOTIFY_HAVE_STR_PARSE
/* declared in settings-parser.h */
#define str_parse_get_interval(str, secs_r, error_r) \
	settings_get_time(str, secs_r, error_r)
#define str_parse_get_interval_msecs(str, msecs_r, error_r) \
	settings_get_time_msecs(str, msecs_r, error_r)
#define str_parse_get_size(str, bytes_r, error_r) \
	settings_get_size(str, bytes_r, error_r)
#endif

#ifndef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
struct dict_op_settings;
#define mail_user_get_dict_op_settings(user) NULL
#define dict_iterate_init(dict, set, path, flags) \
	((void)(set), dict_iterate_init(dict, path, flags))
#define dict_transaction_begin(dict, set) \
	((void)(set), dict_transaction_begin(dict))
#endif

#ifndef HTTP_NOTIFY_HAVE_SETTINGS_ROOT
#define module_dir_load_missing(modules, dir, names, set) \
	module_dir_load_missing(modules, dir, t_strarray_join(names, " "), set)
#define module_dir_try_load_missing(modules, dir, names, set, error_r) \
	module_dir_try_load_missing(modules, dir, \
		t_strarray_join(names, " "), set, error_r)
#endif

#endif
