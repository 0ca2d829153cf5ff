/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_FOLDER_H
#define HTTP_NOTIFY_FOLDER_H

struct http_notify_folder;
struct mailbox;

/* Say what a mailbox is to the user, in the words of folders.h. The strings
   live on the data stack or as long as the mailbox. For processes that have
   Dovecot's lib-storage. */
void http_notify_folder_get(const struct mailbox *box,
			    struct http_notify_folder *folder_r);

#endif
