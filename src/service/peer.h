/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PEER_H
#define HTTP_NOTIFY_PEER_H

/* Who has connected to a UNIX socket of ours, by the path to it.

   Returns TRUE if it is a process that the admin has named: of root or of this
   service's user, or of the user or the group that the socket belongs to. Else
   it has access only because the socket's mode lets anybody in. uid_r is its
   user ID at the time when it connected, (uid_t)-1 if the system does not tell.
   Nothing here waits for anything. */
bool peer_is_trusted(int fd, const char *path, uid_t *uid_r);

#endif
