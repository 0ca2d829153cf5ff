/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_HOSTS_H
#define HTTP_NOTIFY_ADMIN_HOSTS_H

struct doveadm_cmd_context;
struct http_notify_admin_command;

/* The hosts that a command is about: all that share the queue, or those that the
   option host names. If something fails, these functions log why and set the
   exit code. */
struct admin_hosts;

/* Returns NULL if it can't be found out, or there is no such host. */
struct admin_hosts *admin_hosts_init(struct doveadm_cmd_context *cctx);
/* Whatever the option says. */
struct admin_hosts *admin_hosts_init_all(void);
void admin_hosts_deinit(struct admin_hosts **hosts);
/* For all hosts: there may be others by now. Returns FALSE if that can't be
   found out. */
bool admin_hosts_look_again(struct admin_hosts *hosts);

/* Do several hosts share the queue? Also if only one of them has been asked
   for. */
bool admin_hosts_are_shared(const struct admin_hosts *hosts);
/* Is the command about all of them? */
bool admin_hosts_are_all(const struct admin_hosts *hosts);
/* When they were asked for first, as HOSTS tells the time (admin-protocol.h). */
int64_t admin_hosts_time(const struct admin_hosts *hosts);
unsigned int admin_hosts_count(const struct admin_hosts *hosts);

typedef void
admin_hosts_row_callback_t(const char *host, const char *const *row,
			   void *context);

/* Send the command to each host, and call back for the rows of the answers, of
   one host after the other, this one first; there are none if columns_count is
   0. Adds the numbers that the answers end with to *sum. Hosts that have failed
   are not asked again. Returns FALSE if no host has answered. */
bool admin_hosts_run(struct admin_hosts *hosts,
		     const struct http_notify_admin_command *command,
		     unsigned int columns_count,
		     admin_hosts_row_callback_t *callback, void *context,
		     uint64_t *sum);
/* The same for answers whose rows come when they come; returns when none is left
   that answers. */
void admin_hosts_run_endless(struct admin_hosts *hosts,
			     const struct http_notify_admin_command *command,
			     unsigned int columns_count,
			     admin_hosts_row_callback_t *callback,
			     void *context);

#endif
