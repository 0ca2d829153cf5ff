/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "eacces-error.h"
#include "net.h"

#include "handoff.h"
#include "handoff-connect.h"
#include "monotonic.h"
#include "version-compat.h"

#include <unistd.h>

#define CONNECT_RETRY_USECS (5*1000)
/* How long to wait for a missing socket: a reload of Dovecot removes its
   sockets for a moment. */
#define SOCKET_GONE_MSECS 100

/* lmtp has become the mail user, but only for a while, and its connection is
   for the notifications of others, too. So it connects as what it is: then the
   service knows by the kernel that it is no process of a user's own. Keeps
   errno. */
static int connect_as_root(const char *path)
{
	uid_t euid = geteuid();
	int fd, error;

	if (euid == 0 || getuid() != 0 || seteuid(0) < 0)
		return net_connect_unix(path);
	fd = net_connect_unix(path);
	error = errno;
	if (seteuid(euid) < 0)
		i_fatal("seteuid(%s) failed: %m", dec2str(euid));
	errno = error;
	return fd;
}

/* Returns what to say of errno. */
static const char *connect_error(const char *path)
{
	switch (errno) {
	case EACCES:
		return t_strconcat(eacces_error_get("connect", path),
			" (set mode, user or group of unix_listener "
			HTTP_NOTIFY_HANDOFF_SOCKET" in service "
			HTTP_NOTIFY_HANDOFF_SOCKET" so that this process "
			"may write to it)", NULL);
	case ENOENT:
	case ECONNREFUSED:
		return t_strdup_printf("connect(%s) failed: %m "
			"(is service "HTTP_NOTIFY_HANDOFF_SOCKET" configured "
			"and Dovecot running?)", path);
	}
	return t_strdup_printf("connect(%s) failed: %m", path);
}

int handoff_connect(const char *path, int64_t deadline, bool *gone,
		    const char **error_r)
{
	int64_t now = http_notify_monotonic_msecs();
	int64_t gone_deadline = *gone ? 0 :
		I_MIN(deadline, now + SOCKET_GONE_MSECS);
	int fd;

	/* A UNIX socket connects at once, or says that its backlog is full:
	   then there is nothing to poll for. */
	while ((fd = connect_as_root(path)) == -1) {
		/* EACCES: Dovecot makes the socket before it sets its owner */
		bool is_gone = errno == ENOENT || errno == ECONNREFUSED ||
			errno == EACCES;
		int64_t until = is_gone ? gone_deadline : deadline;

		if ((!is_gone && errno != EAGAIN) ||
		    http_notify_monotonic_msecs() >= until) {
			*gone = is_gone;
			*error_r = connect_error(path);
			return -1;
		}
		usleep(CONNECT_RETRY_USECS);
	}
	*gone = FALSE;
	/* Programs that a Sieve script runs must not inherit it. */
	fd_close_on_exec(fd, TRUE);
	net_set_nonblock(fd, TRUE);
	return fd;
}
