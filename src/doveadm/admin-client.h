/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_CLIENT_H
#define HTTP_NOTIFY_ADMIN_CLIENT_H

struct http_notify_admin_command;

/* doveadm's side of the admin socket (admin-protocol.h). It blocks. */
struct admin_client;

/* Returns NULL and error_r if the service can't be reached. */
struct admin_client *
admin_client_init(const char *base_dir, const char **error_r);
void admin_client_deinit(struct admin_client **client);

/* Send a command. Errors are reported by admin_client_read(). */
void admin_client_send(struct admin_client *client,
		       const struct http_notify_admin_command *command);
/* Wait for the next line of the answer, for at most this time. Returns 1 and
   row_r, which has exactly this many fields, without control characters, and
   lives on the data stack; 0 and count_r if the line ends the answer; -1 and
   error_r if the command failed, or no valid answer came. After the latter,
   reading the answer of any later command fails, too. */
int admin_client_read(struct admin_client *client, unsigned int timeout_msecs,
		      unsigned int fields_count, const char *const **row_r,
		      uint64_t *count_r, const char **error_r);

/* To wait for an answer by poll(). */
int admin_client_fd(const struct admin_client *client);
/* Read what has come. Will admin_client_read() return at once? */
bool admin_client_has_answer(struct admin_client *client);

#endif
