/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ATTRIBUTE_DICT_PATH_H
#define HTTP_NOTIFY_ATTRIBUTE_DICT_PATH_H

struct mail_user;

/* Returns the path of the user's METADATA dictionary, maybe with more before and
   behind it. The dictionary must be open and of the driver "file". It lives on
   the data stack or as long as the user. */
const char *attribute_dict_path(struct mail_user *user);

#endif
