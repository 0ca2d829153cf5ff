/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_NETRC_H
#define HTTP_NOTIFY_NETRC_H

/* Find login and password of a host in the text of a netrc(5) file: in the
   first entry of the host, or in a "default" before that. Words may be in double
   quotes, in which a backslash stands before a quote or a backslash. A word that
   begins with # begins a comment. Macros are skipped.

   Returns 1 and both, which live on the data stack; 0 if there are none; or -1
   if this is no such file. libcurl does this for endpoints, but not for
   proxies, and does not say whether it has found any. */
int netrc_find(const char *text, const char *host, const char **login_r,
	       const char **password_r);

#endif
