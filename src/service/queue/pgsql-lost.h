/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_LOST_H
#define HTTP_NOTIFY_PGSQL_LOST_H

#include "pgsql-private.h"

/* What was given up (queue-lost.h), of all hosts. */

/* Add the statements that count it to a batch, and report what they say in the
   results from *idx on. */
void pgsql_lost_count(struct pgsql_queue *queue);
void pgsql_lost_counted(struct pgsql_queue *queue,
			const struct pgsql_answer *answer, unsigned int *idx);

/* Parts of a commit: likewise what it changes. */
void pgsql_lost_change(struct pgsql_queue *queue,
		       const struct queue_changes *changes);
void pgsql_lost_changed(struct queue_changes *changes,
			const struct pgsql_answer *answer, unsigned int *idx);
void pgsql_lost_resend(struct pgsql_queue *queue,
		       const struct queue_item *item);
/* For another endpoint. Its id is the last one of the part plus from_end, which
   is not positive. */
void pgsql_lost_resend_to(struct pgsql_queue *queue,
			  const struct queue_item *item, int64_t part_number,
			  int64_t from_end);
/* Of either, returns FALSE if it was not kept any more. */
bool pgsql_lost_resent(struct queue_changes *changes,
		       const struct pgsql_answer *answer, unsigned int *idx);
/* Keep one that was given up. Its id is reckoned likewise. */
void pgsql_lost_add(struct pgsql_queue *queue, const struct queue_item *item,
		    int64_t part_number, int64_t from_end);
/* The last part of it. */
void pgsql_lost_end(struct pgsql_queue *queue,
		    const struct queue_changes *changes);
void pgsql_lost_ended(struct pgsql_queue *queue,
		      const struct queue_changes *changes,
		      const struct pgsql_answer *answer, unsigned int *idx);

/* Of a row of PGSQL_LOST_READ. */
void pgsql_lost_fill(struct pgsql_queue *queue, const PGresult *rows, int row,
		     struct queue_item *item);

#endif
