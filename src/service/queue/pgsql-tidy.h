/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_TIDY_H
#define HTTP_NOTIFY_PGSQL_TIDY_H

struct pgsql_queue;

/* What the database need not keep as it is: messages in announced_log, which are
   gathered in announced, and what has not been used for long. One of the hosts
   does that each hour, in steps of a few milliseconds. */
struct pgsql_tidy;

struct pgsql_tidy *
pgsql_tidy_init(struct pgsql_queue *queue, unsigned int announced_max);
void pgsql_tidy_deinit(struct pgsql_tidy **tidy);

/* The connection can be used again. */
void pgsql_tidy_ready(struct pgsql_tidy *tidy);
/* So many messages were appended to announced_log by this host. */
void pgsql_tidy_announced(struct pgsql_tidy *tidy, unsigned int messages);

#endif
