/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HANDOFF_TRY_H
#define HTTP_NOTIFY_HANDOFF_TRY_H

struct doveadm_mail_cmd_context;
struct mail_storage_service_user;

/* Which groups a delivering process has. */
enum handoff_try_groups {
	/* only the mail user's gid, as in a child of an MTA */
	HANDOFF_TRY_GROUPS_NONE,
	/* also the groups that the system has for the user, if it is a system
	   user */
	HANDOFF_TRY_GROUPS_SYSTEM,
	/* also the groups in Dovecot's settings, which only root can get */
	HANDOFF_TRY_GROUPS_ALL
};

/* These are no errno, and the child's exit statuses. */
#define HANDOFF_TRY_UNKNOWN 255
#define HANDOFF_TRY_ANYBODY 254

/* Try to connect to a UNIX socket with the mail user's uid, gid and groups. A
   child process takes these on; this one keeps its own. If doveadm is not root,
   it connects as it is. Returns 0, also if the service is busy;
   HANDOFF_TRY_ANYBODY if that works, but only because the socket's mode lets
   anybody in, whom the service trusts less; the errno of what failed; or
   HANDOFF_TRY_UNKNOWN if the child could not take them on. */
int handoff_try(struct doveadm_mail_cmd_context *ctx,
		struct mail_storage_service_user *service_user,
		enum handoff_try_groups groups, const char *path);

#endif
