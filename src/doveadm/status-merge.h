/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_STATUS_MERGE_H
#define HTTP_NOTIFY_STATUS_MERGE_H

/* The rows of AT STATUS (admin-protocol.h) of several hosts, put together to a
   row for each endpoint, and one for all: the state is the worst one, times are
   the longest ones, numbers are added up. What all hosts have in common, namely
   what is kept of what was given up, is as the first host says. */
struct status_merge;

/* several: last_error says which host's it is. */
struct status_merge *status_merge_init(bool several);
void status_merge_deinit(struct status_merge **merge);

/* Rows are of HTTP_NOTIFY_ADMIN_STATUS_COUNT fields. */
void status_merge_add(struct status_merge *merge, const char *host,
		      const char *const *row);
/* Returns the next row, which lives until the next call, the one for all last;
   NULL = there are no more. Endpoints are in the order in which they came; an
   endpoint whose URL no other one has is named without its number. */
const char *const *status_merge_next(struct status_merge *merge);

#endif
