/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_PRIVATE_H
#define HTTP_NOTIFY_PGSQL_PRIVATE_H

#include "pgsql-conn.h"
#include "pgsql-slots.h"
#include "pgsql-statements.h"
#include "queue-engine.h"

/* What the files of the PostgreSQL engine share: queue-pgsql.c (opening,
   reading), pgsql-commit.c, pgsql-parts.c (who sends what), pgsql-lost.c,
   pgsql-tidy.c, pgsql-messages.c. */

/* A part that was of use to this host, whoever sends it. It is kept for a
   while, since its number stays the same. */
struct pgsql_part {
	struct pgsql_part *next_in_slot;
	/* these are the key */
	int64_t endpoint, slot;
	int64_t number;
	/* the highest id that the queue knows of, for as long as this host sends
	   what is in it */
	int64_t last_id;
	/* the highest one that this host has ever known of, but for last_id */
	int64_t former_last_id;
	/* monotonic: when this host had last to do with it, and when it stored
	   in it; 0 = never */
	int64_t used, stored;

	/* for the commit under way: how many are added to it, and then the
	   highest id before them */
	unsigned int adding;
	int64_t before_id;
	/* others are to be told that it has grown or has to be looked at */
	bool tell, again;
};

struct pgsql_queue {
	struct queue_engine engine;
	struct pgsql_conn_settings conn_set;
	guid_128_t guid;
	/* the file that it is in */
	char *guid_path;
	/* this process's number, for its sessions */
	int64_t instance;

	struct pgsql_conn *conn;
	/* the server that it is connected to (PGSQL_SERVER), and its number for
	   this host; 0 = not known yet */
	int64_t server, host;
	/* what the database has for this host was read, and is not being changed
	   by a former connection */
	bool ready;
	/* what was logged of this spell; which ends when something has been
	   stored, if that has failed */
	bool in_trouble, commit_failed;
	/* why it was lost or could not be made, so many times in a row; and
	   what was logged of that */
	char *reason, *logged_reason;
	unsigned int reason_count;
	/* how often in a row it could not be made */
	unsigned int unmade;
	/* likewise, of another process that is connected as this host */
	bool other_logged;
	struct timeout *to_lock, *to_count;
	/* how long to wait until the next try to get the lock, and since when
	   it is tried, monotonic */
	unsigned int lock_msecs;
	int64_t locking_since;
	/* msecs by which the database's clock is ahead of the monotonic one */
	int64_t clock_offset;
	/* those that wait until it is ready, or fewer are under way */
	struct queue_read *reads_head, *reads_tail;
	unsigned int reading;

	/* those that are under way */
	struct pgsql_check *checks;
	/* pgsql-messages.c: they are being read; and there may be more */
	bool taking_messages, more_messages;
	/* likewise, in monotonic msecs: what was given up is counted then */
	int64_t next_lost_count;

	struct pgsql_commit *commit;
	struct pgsql_parts *parts;
	struct pgsql_tidy *tidy;
};

struct pgsql_queue *pgsql_queue_of(struct queue_engine *engine);

/* Can statements be sent? If not, say that, and why. */
bool pgsql_queue_is_ready(const struct pgsql_queue *queue);
const char *pgsql_queue_unusable(const struct pgsql_queue *queue);
/* Rows of PGSQL_ENDPOINTS. */
void pgsql_queue_have_endpoints(struct pgsql_queue *queue,
				const PGresult *rows);
/* May this service use these tables (PGSQL_VERSION)? If not, the connection is
   dropped. */
bool pgsql_queue_check_version(struct pgsql_queue *queue, const PGresult *rows);
/* A commit has succeeded, or the server has refused it, which may be logged. */
void pgsql_queue_stored(struct pgsql_queue *queue, bool success);
/* Numbers that are known are those of something else, or of nothing: end the
   process, the next one begins anew. */
void ATTR_NORETURN pgsql_queue_other_tables(void);

#endif
