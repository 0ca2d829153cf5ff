/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "mail-namespace.h"
#include "mail-storage-settings.h"
#include "mail-user.h"

#include "attribute-dict-path.h"

const char *attribute_dict_path(struct mail_user *user)
{
	/* with the driver before it */
	return mail_namespace_find_inbox(user->namespaces)->
		mail_set->mail_attribute_dict;
}
