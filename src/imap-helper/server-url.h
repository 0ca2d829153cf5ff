/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_SERVER_URL_H
#define LISTENER_SERVER_URL_H

/* Check imap://HOST[:PORT] or imaps://HOST[:PORT], which may end in a slash.
   Returns 0 with a URL that has only these parts and with the host, both of
   which the caller has to free; or -1 and error_r, a constant. */
int server_url_parse(const char *str, char **url_r, char **host_r,
		     const char **error_r);

#endif
