/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_TEST_QUEUE_ENGINES_H
#define HTTP_NOTIFY_TEST_QUEUE_ENGINES_H

#include "queue.h"

/* Queues for tests, of either engine. For PostgreSQL there has to be a server,
   with the tables of pgsql/schema-*.sql, that
   HTTP_NOTIFY_TEST_PGSQL has the conninfo of; the superuser is postgres. */

/* One host, with the queue that it has or shares. */
struct test_host {
	char *directory;
	struct queue *queue;
	/* the latest commit's */
	unsigned int commits;
	char *error;
	/* what it was told: "claimed", "grown", ... and the part's last id */
	string_t *told;
	/* those that it sends */
	ARRAY(struct queue_part *) parts;
	/* release parts when asked to */
	bool releases;
	/* see queue_settings */
	unsigned int announced_max;
};

/* "sqlite" or "pgsql" */
extern const char *test_engine;

/* NULL = there is no PostgreSQL for this test. */
const char *test_pgsql(void);
/* By an admin: a statement, and the first column of its first row as a number,
   0 = none. */
int64_t test_sql(struct test_host *host, const char *sql);
/* A statement on a table of the queue fails from now on, or not any more. what:
   such as "INSERT ON notification" */
void test_fail(struct test_host *host, const char *what);
void test_stop_failing(struct test_host *host);

/* Make an empty queue. */
void test_queues_init(void);
void test_queues_deinit(void);
/* Its queue can be used when these return. */
void test_host_init(struct test_host *host, const char *name);
void test_host_open(struct test_host *host);
/* Nor need it be usable at all. */
void test_host_open_only(struct test_host *host);
int test_queue_init(const struct queue_settings *set, struct queue **queue_r,
		    const char **error_r);
void test_host_close(struct test_host *host);
void test_host_deinit(struct test_host *host);

/* Run the ioloop for a while, or until commits is above 0. */
void test_turn(unsigned int msecs);
/* Commit what there is, now; fails if that fails. */
void test_commit(struct test_host *host);
/* Returns the error, NULL = none. */
const char *test_try_commit(struct test_host *host);

/* What a queue says was announced of a mailbox, after queue_announced_begin():
   as in IMAP, and for how long it has remembered all. */
struct test_announced {
	char uids[512];
	unsigned int secs;
};
struct test_announced
test_ask_announced(struct test_host *host, int64_t mailbox);

/* Run the ioloop until the condition holds; a test that waits for ever ends by
   an alarm. */
#define test_until(condition) \
	while (!(condition)) test_turn(5)

#endif
