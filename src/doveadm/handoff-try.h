/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HANDOFF_TRY_H
#define HTTP_NOTIFY_HANDOFF_TRY_H

struct doveadm_mail_cmd_context;
struct mail_storage_service_user;

/* With which groups a process delivers. */
enum handoff_try_groups {
	/* the mail user's gid only, as an MTA's child has it */
	HANDOFF_TRY_GROUPS_NONE,
	/* those that the system has for the user, too, if it is a system user */
	HANDOFF_TRY_GROUPS_SYSTEM,
	/* those of Dovecot's settings, too, which take root to get */
	HANDOFF_TRY_GROUPS_ALL
};

#define HANDOFF_TRY_UNKNOWN -1

/* Connect to a UNIX socket with the mail user's uid, gid and groups. A child
   process takes these on; this one keeps its own. Returns 0, the errno of what
   failed, or HANDOFF_TRY_UNKNOWN if the child could not take them on. */
int handoff_try(struct doveadm_mail_cmd_context *ctx,
		struct mail_storage_service_user *service_user,
		enum handoff_try_groups groups, const char *path);

#endif
