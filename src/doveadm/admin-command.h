/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_COMMAND_H
#define HTTP_NOTIFY_ADMIN_COMMAND_H

#include "doveadm.h"
#include "doveadm-print.h"

struct http_notify_admin_command;

/* What commands that ask the service, and print its answer, share. If something
   fails, they log why and set the exit code. */

struct admin_column {
	const char *key, *title;
	enum doveadm_print_header_flags flags;
};

#define ADMIN_NUMBER (DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY | \
		      DOVEADM_PRINT_HEADER_FLAG_NUMBER)

void admin_print_headers(const char *type, const struct admin_column *columns,
			 unsigned int count);

void admin_print_row(const char *const *row, unsigned int columns_count);
/* For the number that an answer ends with. */
void admin_print_count_header(void);

/* Get the masks of the options user and endpoint. An endpoint without wildcards
   matches any part of a URL. Returns TRUE if there is one of these options. */
bool admin_get_filter(struct doveadm_cmd_context *cctx,
		      struct http_notify_admin_command *command);

typedef void admin_row_callback_t(const char *const *row,
				  unsigned int columns_count, void *context);

/* Send a command and call back for the rows of the answer. Returns FALSE if it
   failed. */
bool admin_run_rows(const struct http_notify_admin_command *command,
		    unsigned int columns_count,
		    admin_row_callback_t *row_callback, void *context);

/* Get the option since, as how many seconds ago it is; 0 = there is none.
   Returns 0, or -1 after logging why it is invalid. */
int admin_get_since(struct doveadm_cmd_context *cctx, unsigned int *secs_r);

/* SIGINT and SIGTERM end the process at once, and so a command that the service
   ends when the connection is closed. Not for doveadm's server. */
void admin_end_by_signals(void);
/* Print the number that the answer ends with. Rows, of so many columns, say how
   far the service is, for a terminal. Returns FALSE if it failed. */
bool admin_run_count(const struct http_notify_admin_command *command,
		     unsigned int progress_columns, uint64_t *count_r);
/* If there is the option body, print the notification with this id: one that was
   given up, or one that is queued, and those that are spooled; with the option
   host, only these. Returns FALSE if there is no such option. */
bool admin_run_body(struct doveadm_cmd_context *cctx, bool lost);

#endif
