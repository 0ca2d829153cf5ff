/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-storage-settings.h"

#include "attribute-dict.h"

static enum attribute_dict_kind kind_of(const char *uri)
{
	/* dict-ldap is asynchronous, too, but read-only, and nobody has tried
	   to leave it */
	if (str_begins(uri, "proxy:"))
		return ATTRIBUTE_DICT_ASYNC;
	if (str_begins(uri, "redis:") || str_begins(uri, "memcached:") ||
	    str_begins(uri, "memcached_ascii:"))
		return ATTRIBUTE_DICT_GIVES_UP;
	return ATTRIBUTE_DICT_BLOCKS;
}

int http_notify_attribute_dict_init(struct mail_user *user,
				    unsigned int timeout_msecs,
				    struct dict **dict_r,
				    enum attribute_dict_kind *kind_r,
				    const char **name_r)
{
	struct mail_namespace *ns = mail_namespace_find_inbox(user->namespaces);
	struct dict_settings set = {
		.base_dir = user->set->base_dir,
		.event_parent = user->event,
#ifndef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
		.username = user->username,
#endif
	};
	const char *uri, *error;

	uri = mail_namespace_get_default_storage(ns)->set->mail_attribute_dict;
	*name_r = t_strdup(uri);
	*kind_r = kind_of(uri);
	if (*kind_r == ATTRIBUTE_DICT_GIVES_UP && timeout_msecs > 0) {
		/* the last one counts */
		uri = t_strdup_printf("%s:timeout_msecs=%u", uri,
				      timeout_msecs);
	}
	return dict_init(uri, &set, dict_r, &error);
}
