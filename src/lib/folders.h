/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_FOLDERS_H
#define HTTP_NOTIFY_FOLDERS_H

/* Which folders something is announced in: comma-separated patterns as those of
   IMAP's LIST (RFC 9051 section 6.3.9: * and %), in UTF-8, and special uses,
   such as \Sent (RFC 6154). A folder is included if one of them matches it, and
   none that follows a '!'. Folders of shared and public namespaces are included
   only by a pattern whose text before the first * or % has the first level of
   the namespace's prefix. */

struct http_notify_folder {
	/* with the namespace's prefix, in UTF-8 */
	const char *name;
	char separator;
	/* the user's own INBOX, also if its name is another one */
	bool inbox;
	/* the prefix of the shared or public namespace that it is in; NULL = it
	   is the user's own */
	const char *foreign_prefix;
	/* separated by spaces; "" = none */
	const char *special_uses;
};

/* Returns 0, or -1 and error_r if the patterns are invalid. */
int http_notify_folders_check(const char *folders, const char **error_r);
/* Are the patterns, which are valid, for this folder? */
bool http_notify_folders_include(const char *folders,
				 const struct http_notify_folder *folder);

#endif
