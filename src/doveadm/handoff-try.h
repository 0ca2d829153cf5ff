/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HANDOFF_TRY_H
#define HTTP_NOTIFY_HANDOFF_TRY_H

struct doveadm_mail_cmd_context;
struct mail_storage_service_user;

/* Connect to a UNIX socket as dovecot-lda does: with the mail user's uid, gid
   and groups and no others. A child process takes these on; this one keeps its
   own. Returns 0, or the errno of what failed. */
int handoff_try_as_lda(struct doveadm_mail_cmd_context *ctx,
		       struct mail_storage_service_user *service_user,
		       const char *path);

#endif
