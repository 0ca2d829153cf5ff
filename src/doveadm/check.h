/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CHECK_H
#define HTTP_NOTIFY_CHECK_H

/* doveadm http-notify check, which is in doveadm-http-notify-check.c and
   check-endpoints.c, check-lost.c and check-queue.c. */

#include "hash.h"
#include "net.h"
#include "doveadm-mail-compat.h"
#include "options.h"
#include "protocol-settings.h"
#include "service-cmd.h"

struct check_lost;
struct check_queue_row;
struct mail_user;

/* How long to wait for the service to answer, beyond the endpoint's own
   timeout. */
#define TIMEOUT_MSECS (10*1000)
struct check_cmd_context {
	struct service_cmd cmd;
	/* -r: where OX connects from; family = 0 if not given */
	struct ip_addr remote_ip;

	bool settings_read;
	/* NULL = they could be read; else why not */
	const char *settings_error;
	/* NULL = Dovecot runs with the present configuration; else what to
	   do */
	const char *config_error;
	/* what is queued; "" = nothing is */
	const char *queue_note;
	struct protocol_settings lmtp, lda, imap;

	/* by user; and why it is not known, NULL = it is */
	HASH_TABLE(const char *, struct check_lost *) lost;
	const char *lost_error;
	/* see check_queue() */
	ARRAY(struct check_queue_row) queue;

	/* for the current user: handoff_try()'s result when it connects as
	   dovecot-lda does, and whether that needs the user's groups */
	int lda_result;
	bool lda_needs_groups;
	/* likewise: does any line of LMTP's need a registration, and does any
	   fail without one? */
	bool registration_needed, registration_required;
	/* the same as imap does */
	int imap_result;
	/* is OX among these lines' endpoints, or can't that be told? */
	bool registration_of_ox;
};

/* Print a row. The link is fine; note is "" or a remark. */
void check_row_ok(const char *link, const char *note);
/* The link is fine if error is NULL. */
void check_row(struct check_cmd_context *ctx, const char *link,
	       const char *error);

/* Find out what the user's lines need of a registration. */
void check_find_needs(struct check_cmd_context *ctx, struct mail_user *user);
/* Check the drivers' lines: LMTP's, and if lda those of dovecot-lda that are not
   among these. value: the user's METADATA value, NULL if there is none. */
void check_endpoints(struct check_cmd_context *ctx, struct mail_user *user,
		     bool lda, const char *value);

/* Ask the service what was given up: of this user, or of all if username is
   NULL. To be called by prerun() of the first user. */
void check_lost_read(struct check_cmd_context *ctx, const char *username);
/* If something of the user's was given up and is kept, print a row. */
void check_lost(struct check_cmd_context *ctx, const char *username);
/* Ask the service what its queue's engine lacks; total: the row of totals of
   STATUS. To be called by prerun() of the first user. */
void check_queue_read(struct check_cmd_context *ctx, const char *const *total);
/* Print rows for that. */
void check_queue(struct check_cmd_context *ctx);
/* Does any of imap's drivers hear of what happens in IMAP? */
bool check_endpoints_hear_of_imap(struct check_cmd_context *ctx,
				  struct mail_user *user);

#endif
