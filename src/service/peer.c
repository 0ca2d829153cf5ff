/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "net.h"

#include "peer.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does the peer belong to the group by a supplementary one? Those are all that
   lmtp has left of Dovecot's groups once it has become the mail user. */
static bool peer_has_group(int fd, gid_t gid)
{
#ifdef SO_PEERGROUPS
	socklen_t size = 0;
	gid_t *groups;
	unsigned int i;

	/* sets size if it is too small */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 ||
	    errno != ERANGE)
		return FALSE;
	groups = t_malloc0(size);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return FALSE;
	for (i = 0; i < size / sizeof(*groups); i++) {
		if (groups[i] == gid)
			return TRUE;
	}
#endif
	return FALSE;
}

bool peer_is_trusted(int fd, const char *path, uid_t *uid_r)
{
	struct net_unix_cred cred;
	struct stat st;

	*uid_r = (uid_t)-1;
	if (net_getunixcred(fd, &cred) < 0)
		return FALSE;
	*uid_r = cred.uid;
	if (cred.uid == 0 || cred.uid == geteuid())
		return TRUE;
	return stat(path, &st) == 0 &&
		(cred.uid == st.st_uid || cred.gid == st.st_gid ||
		 peer_has_group(fd, st.st_gid));
}
