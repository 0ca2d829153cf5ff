/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_COMMIT_H
#define HTTP_NOTIFY_PGSQL_COMMIT_H

#include "pgsql-private.h"

/* The queue's changes as a transaction. Mail processes wait for it, so it is
   answered in time, or counts as failed and the connection is dropped. */
struct pgsql_commit *pgsql_commit_init(struct pgsql_queue *queue);
void pgsql_commit_deinit(struct pgsql_commit **commit);

/* See queue_engine_vfuncs.commit. The queue is ready. */
void pgsql_commit_begin(struct pgsql_commit *commit,
			struct queue_changes *changes);
/* A mail process waits until the one that is under way has ended. */
void pgsql_commit_hurry(struct pgsql_commit *commit);
/* Is one under way? */
bool pgsql_commit_is_busy(const struct pgsql_commit *commit);

#endif
