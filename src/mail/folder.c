/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-storage-settings.h"

#include "folder.h"
#include "folders.h"

static const char *special_uses_get(const struct mailbox_settings *set)
{
	if (set == NULL)
		return "";
#ifdef HTTP_NOTIFY_HAVE_SPECIAL_USE_ARRAY
	return !array_is_created(&set->special_use) ? "" :
		t_array_const_string_join(&set->special_use, " ");
#else
	return set->special_use;
#endif
}

void http_notify_folder_get(const struct mailbox *box,
			    struct http_notify_folder *folder_r)
{
	struct mail_namespace *ns = mailbox_get_namespace(box);

	i_zero(folder_r);
	folder_r->name = box->vname;
	folder_r->separator = mail_namespace_get_sep(ns);
	folder_r->inbox = box->inbox_user;
	folder_r->foreign_prefix =
		ns->type == MAIL_NAMESPACE_TYPE_PRIVATE ? NULL : ns->prefix;
	folder_r->special_uses = special_uses_get(box->set);
}
