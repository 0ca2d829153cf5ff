/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_PARTS_H
#define HTTP_NOTIFY_PGSQL_PARTS_H

#include "pgsql-private.h"

/* The parts of the queue, and which of them this host sends: those whose slots
   it has. Other hosts are told when something is stored in theirs. */
struct pgsql_parts *pgsql_parts_init(struct pgsql_queue *queue);
void pgsql_parts_deinit(struct pgsql_parts **parts);

/* Begin to get slots, when the host is known. */
void pgsql_parts_claim(struct pgsql_parts *parts);
/* Give all slots back: this host can't store. Until pgsql_parts_ready(). */
void pgsql_parts_stop(struct pgsql_parts *parts);
/* See queue_engine_vfuncs. */
bool pgsql_parts_may_send(struct pgsql_parts *parts);
/* Why this host stores, but does not get any slots; NULL = it does, or it is not
   known yet. */
const char *pgsql_parts_failing_reason(const struct pgsql_parts *parts);
/* Add to a batch what checks that the database has all parts that are known, as
   PGSQL_PARTS_CHECK, and look at its answer. */
void pgsql_parts_check(struct pgsql_parts *parts);
void pgsql_parts_checked(struct pgsql_parts *parts, const PGresult *rows);
/* Forget it: the database has deleted it, since nothing was in it for long, or it
   is of no use here. */
void pgsql_parts_gone(struct pgsql_parts *parts, struct pgsql_part *part);
/* The connection for storing can be used again: look for what may have been
   stored by the former one. */
void pgsql_parts_ready(struct pgsql_parts *parts);
/* See queue_engine_vfuncs. */
void pgsql_parts_part_released(struct pgsql_parts *parts,
			       struct queue_part *part);

/* NULL = it is not known yet: has the database no number for it? */
struct pgsql_part *
pgsql_parts_find(struct pgsql_parts *parts, int64_t endpoint, int64_t slot);
struct pgsql_part *
pgsql_parts_have(struct pgsql_parts *parts, int64_t endpoint, int64_t slot,
		 int64_t number);
struct pgsql_part *
pgsql_parts_find_number(struct pgsql_parts *parts, int64_t number);
/* Is this host the one, of all, that sends those of the first slot? */
bool pgsql_parts_sends_first(const struct pgsql_parts *parts);
/* The slot of an item. */
int64_t pgsql_parts_slot(const struct queue_item *item);

/* An item has been stored, when everything in its part up to before_id had been
   stored: set its part, or tell whoever sends it. For one that was put back,
   before_id is 0. */
void pgsql_parts_stored(struct pgsql_parts *parts, struct pgsql_part *part,
			struct queue_item *item, int64_t before_id);

#endif
