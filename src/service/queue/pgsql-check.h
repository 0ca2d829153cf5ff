/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_CHECK_H
#define HTTP_NOTIFY_PGSQL_CHECK_H

struct pgsql_check;
struct pgsql_queue;
struct queue_check;

/* Is PostgreSQL set up as the queue needs it? By a connection of its own, with
   the present password. See queue_engine_vfuncs.check(). */
void pgsql_check_start(struct pgsql_queue *queue, struct queue_check *check);
/* Ends those that are under way. */
void pgsql_checks_stop(struct pgsql_queue *queue);

#endif
