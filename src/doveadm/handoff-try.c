/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "env-util.h"
#include "net.h"
#include "restrict-access.h"
#include "mail-storage-service.h"

#include "doveadm-http-notify.h"
#include "doveadm-mail-compat.h"
#include "handoff-try.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void ATTR_FORMAT(2, 0) ATTR_NORETURN
try_fatal(const struct failure_context *ctx ATTR_UNUSED,
	  const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	_exit(HANDOFF_TRY_UNKNOWN);
}

static bool has_group(gid_t gid)
{
	const gid_t *groups;
	unsigned int i, count;
	bool found = getegid() == gid;

	groups = restrict_get_groups_list(&count);
	for (i = 0; i < count && !found; i++)
		found = groups[i] == gid;
	return found;
}

/* Is this process of the socket's user or group? What the service asks the
   kernel about its peers, too. */
static bool is_named(const char *path)
{
	struct stat st;

	return geteuid() == 0 || stat(path, &st) < 0 ||
		st.st_uid == geteuid() || has_group(st.st_gid);
}

/* The connect does not block. EAGAIN means that the service is busy, which is
   not an error in the configuration. */
static int try_connect(const char *path)
{
	int fd = net_connect_unix(path);

	if (fd == -1)
		return errno == EAGAIN ? 0 : errno;
	i_close_fd(&fd);
	return is_named(path) ? 0 : HANDOFF_TRY_ANYBODY;
}

static int
try_in_child(struct doveadm_mail_cmd_context *ctx,
	     struct mail_storage_service_user *service_user,
	     enum handoff_try_groups groups, const char *path)
{
	const char *last_gid;

	i_set_fatal_handler(try_fatal);
	/* set if Dovecot started this doveadm: doveadm's own group */
	env_remove("RESTRICT_SETEXTRAGROUPS");
	doveadm_mail_restrict_setenv(ctx, service_user);
	if (groups < HANDOFF_TRY_GROUPS_ALL) {
		env_remove("RESTRICT_SETEXTRAGROUPS");
		env_remove("RESTRICT_SETGID_PRIV");
	}
	if (groups < HANDOFF_TRY_GROUPS_SYSTEM)
		env_remove("RESTRICT_USER");
	/* Dovecot 2.4.5 writes last_valid_gid=unlimited as a number that it
	   can't read back. */
	last_gid = getenv("RESTRICT_GID_LAST");
	if (last_gid != NULL && strcmp(last_gid, dec2str((gid_t)-1)) == 0)
		env_remove("RESTRICT_GID_LAST");
	restrict_access_by_env(0, NULL);
	return try_connect(path);
}

int handoff_try(struct doveadm_mail_cmd_context *ctx,
		struct mail_storage_service_user *service_user,
		enum handoff_try_groups groups, const char *path)
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return try_connect(path);
	if ((pid = fork()) < 0)
		return errno;
	if (pid == 0)
		_exit(try_in_child(ctx, service_user, groups, path));
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : HANDOFF_TRY_UNKNOWN;
}
