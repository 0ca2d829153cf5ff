/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ATTRIBUTE_DICT_H
#define HTTP_NOTIFY_ATTRIBUTE_DICT_H

#include "mail-user.h"
#include "dict-private.h"

/* How a METADATA dictionary can be asked. */
enum attribute_dict_kind {
	/* it can't be told when to give up */
	ATTRIBUTE_DICT_BLOCKS,
	/* by dict_lookup(), which gives up after the time asked for */
	ATTRIBUTE_DICT_GIVES_UP,
	/* by dict_lookup_async(); it can be left before it has answered */
	ATTRIBUTE_DICT_ASYNC,
};

/* Open another handle of the dictionary that lib-storage keeps the user's
   METADATA in. It does not connect yet. timeout_msecs is for
   ATTRIBUTE_DICT_GIVES_UP; 0 = as it is set. name_r, which lives on the data
   stack and may have secrets in it, is the same for dictionaries that are the
   same. Returns 0, or -1 if lib-storage can't open it either. */
int http_notify_attribute_dict_init(struct mail_user *user,
				    unsigned int timeout_msecs,
				    struct dict **dict_r,
				    enum attribute_dict_kind *kind_r,
				    const char **name_r);

/* Before there were dict_op_settings, a dictionary knew its user. */
#ifdef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
#define http_notify_attribute_dict_lookup(dict, user, pool, key, value_r, \
					  error_r) \
	dict_lookup(dict, mail_user_get_dict_op_settings(user), pool, key, \
		    value_r, error_r)
#define http_notify_attribute_dict_lookup_async(dict, user, key, callback, \
						context) \
	dict_lookup_async(dict, mail_user_get_dict_op_settings(user), key, \
			  callback, context)
#else
#define http_notify_attribute_dict_lookup(dict, user, pool, key, value_r, \
					  error_r) \
	dict_lookup(dict, pool, key, value_r, error_r)
#define http_notify_attribute_dict_lookup_async(dict, user, key, callback, \
						context) \
	dict_lookup_async(dict, key, callback, context)
#endif

#endif
