/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_DOVEADM_MAIL_COMPAT_H
#define HTTP_NOTIFY_DOVEADM_MAIL_COMPAT_H

#include "doveadm-mail.h"
#include "doveadm-print.h"
#include "mail-storage-service.h"

/* DOVEADM_MAIL_CMD_INIT() declares struct doveadm_mail_cmd_vfuncs.init() with
   the parameter _ctx. It gets arguments by doveadm_cmd_param_*() from
   _ctx->cctx.

   Dovecot prints a column with the user only if there may be several users. Our
   commands always print it, so that scripts can rely on it: init() has to call
   doveadm_mail_cmd_print_username() before it prints other headers.

   doveadm_mail_restrict_setenv() is mail_storage_service_restrict_setenv(). */
#ifndef HTTP_NOTIFY_HAVE_DOVEADM_PARSE_ARG

#define DOVEADM_MAIL_CMD_INIT(name) \
	name(struct doveadm_mail_cmd_context *_ctx)
typedef void DOVEADM_MAIL_CMD_INIT(doveadm_mail_cmd_init_t);
#define doveadm_mail_cmd_set_init(ctx, func) ((ctx)->v.init = (func))

static inline void
doveadm_mail_restrict_setenv(struct doveadm_mail_cmd_context *ctx ATTR_UNUSED,
			     struct mail_storage_service_user *service_user)
{
	mail_storage_service_restrict_setenv(service_user);
}

static inline void
doveadm_mail_cmd_print_username(struct doveadm_mail_cmd_context *ctx)
{
	/* The local doveadm prints it for a remote one. */
	if (!ctx->iterate_single_user ||
	    ctx->cctx->conn_type == DOVEADM_CONNECTION_TYPE_TCP)
		return;
	doveadm_print_header("username", "Username",
			     DOVEADM_PRINT_HEADER_FLAG_STICKY |
			     DOVEADM_PRINT_HEADER_FLAG_HIDE_TITLE);
	doveadm_print_sticky("username", ctx->cctx->username);
}

#else

#define DOVEADM_MAIL_CMD_INIT(name) \
	name(struct doveadm_mail_cmd_context *_ctx, \
	     const char *const args[] ATTR_UNUSED)
typedef void DOVEADM_MAIL_CMD_INIT(doveadm_mail_cmd_init_t);

static inline void
doveadm_mail_restrict_setenv(struct doveadm_mail_cmd_context *ctx,
			     struct mail_storage_service_user *service_user)
{
	mail_storage_service_restrict_setenv(ctx->storage_service,
					     service_user);
}

static inline bool
doveadm_mail_cmd_arg_is_for_init(struct doveadm_mail_cmd_context *ctx ATTR_UNUSED,
				 int c ATTR_UNUSED)
{
	return TRUE;
}
/* without a parse_arg() the command would accept no options */
#define doveadm_mail_cmd_set_init(ctx, func) \
	((ctx)->v.init = (func), \
	 (ctx)->v.parse_arg = doveadm_mail_cmd_arg_is_for_init, \
	 (ctx)->add_username_header = TRUE)

static inline void
doveadm_mail_cmd_print_username(struct doveadm_mail_cmd_context *ctx ATTR_UNUSED)
{
}

#endif

#endif
