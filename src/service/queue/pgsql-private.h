/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_PRIVATE_H
#define HTTP_NOTIFY_PGSQL_PRIVATE_H

#include "pgsql-conn.h"
#include "pgsql-slots.h"
#include "pgsql-statements.h"
#include "queue-engine.h"

/* What the files of the PostgreSQL engine share: queue-pgsql.c (opening,
   reading), pgsql-commit.c, pgsql-parts.c (who sends what), pgsql-lost.c. */

/* A part that was of use to this host, whoever sends it. It is kept, since its
   number stays the same. */
struct pgsql_part {
	struct pgsql_part *next_in_slot;
	/* these are the key */
	int64_t endpoint, slot;
	int64_t number;
	/* the highest id that the queue knows of, for as long as this host sends
	   what is in it */
	int64_t last_id;
	/* the highest one that it has ever known of, but for last_id */
	int64_t former_last_id;

	/* for the commit under way: how many are added, and the highest id
	   before them */
	unsigned int adding;
	int64_t before_id;
	/* others are to be told that it has grown or has to be looked at */
	bool tell, again;
};

struct pgsql_queue {
	struct queue_engine engine;
	struct pgsql_conn_settings conn_set;
	guid_128_t guid;

	struct pgsql_conn *conn;
	/* the database's number for this host; 0 = not known yet */
	int64_t host;
	/* what the database has for this host was read, and is not being changed
	   by a former connection */
	bool ready;
	/* what was logged of this spell */
	bool in_trouble;
	struct timeout *to_lock, *to_count;
	/* msecs by which the database's clock is ahead of the monotonic one */
	int64_t clock_offset;
	/* those that wait until it is ready, or fewer are under way */
	struct queue_read *reads_head, *reads_tail;
	unsigned int reading;

	struct pgsql_commit *commit;
	struct pgsql_parts *parts;
};

/* Can statements be sent? */
bool pgsql_queue_is_ready(const struct pgsql_queue *queue);
/* Numbers that are known are those of something else, or of nothing: end the
   process, the next one begins anew. */
void ATTR_NORETURN pgsql_queue_other_tables(void);

#endif
