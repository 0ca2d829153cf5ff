/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SLOW_MARK_H
#define HTTP_NOTIFY_SLOW_MARK_H

/* What a process knows about a server that hangs, and others can't be told by
   the server: Dovecot may have a new mail process for each connection or
   message. The mark is the modification time of the server's UNIX socket, which
   nobody else uses, and which whoever may connect may set to the present time.
   So everybody who may connect can set it. It must not lead to more than a
   shorter time for the server. */

/* Is the server of this socket marked? */
bool slow_mark_is_set(const char *socket_path);
/* Mark it for 5 seconds. Does nothing if this process may not. */
void slow_mark_set(const char *socket_path);

#endif
