/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* To change a mailbox's row with each notification would cost a page of its own
   in the database's log, since users are everywhere in the table. So the
   messages of a commit are first appended to announced_log. When that has
   become long, it is merged: its messages are sorted, and each page of the
   table is written once for many of them. A merge that is interrupted begins
   anew: it does no harm to add a UID twice. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "llist.h"

#include "announced-uids.h"
#include "queue-engine.h"
#include "sqlite-announced.h"

/* The log is merged when it has so many messages. */
#define LOG_MAX (256*1024)
/* By the upper bits of their mailboxes, so that few are sorted at a time. */
#define BUCKETS 64
#define BUCKET(mailbox) ((mailbox) >> 57)
/* How much is done in a step: messages collected, mailboxes merged, rows of the
   log deleted, mailboxes looked at. */
#define COLLECT_BATCH (16*1024)
#define MERGE_BATCH 128
#define TRIM_BATCH 512
#define FORGET_BATCH 2048
/* Between steps that nobody waits for. */
#define STEP_MSECS 5
#define RETRY_MSECS (10*1000)
/* How often to look for mailboxes that can be forgotten. */
#define FORGET_SECS (60*60)

enum statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_LOG,
	STATEMENT_READ_LOG,
	STATEMENT_TRIM_LOG,
	STATEMENT_GET,
	STATEMENT_SET,
	STATEMENT_NEXT,
	STATEMENT_FORGET,
	STATEMENT_SINCE,

	STATEMENT_COUNT
};

static const char *const statements[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_LOG] =
		"INSERT INTO announced_log (id, messages) VALUES (?1, ?2)",
	[STATEMENT_READ_LOG] =
		"SELECT id, messages FROM announced_log "
		"WHERE id > ?1 AND id <= ?2 ORDER BY id",
	[STATEMENT_TRIM_LOG] =
		"DELETE FROM announced_log WHERE id IN (SELECT id "
		"FROM announced_log WHERE id <= ?1 ORDER BY id LIMIT ?2)",
	[STATEMENT_GET] =
		"SELECT uids FROM announced WHERE mailbox = ?1",
	[STATEMENT_SET] =
		"REPLACE INTO announced (mailbox, used, uids) "
		"VALUES (?1, ?2, ?3)",
	[STATEMENT_NEXT] =
		"SELECT mailbox FROM announced WHERE mailbox > ?1 "
		"ORDER BY mailbox LIMIT 1 OFFSET ?2",
	[STATEMENT_FORGET] =
		"DELETE FROM announced WHERE mailbox > ?1 AND mailbox <= ?2 "
		"AND used < ?3",
	[STATEMENT_SINCE] =
		"UPDATE announced SET used = ?1 WHERE mailbox = 0",
};

struct message {
	int64_t mailbox;
	uint32_t uid;
};
/* in the log: one member after the other */
#define MESSAGE_SIZE (sizeof(int64_t) + sizeof(uint32_t))

enum phase {
	PHASE_IDLE,
	/* read the log up to merge_to; add it to the table; delete it; forget
	   mailboxes */
	PHASE_COLLECT,
	PHASE_MERGE,
	PHASE_TRIM,
	PHASE_FORGET
};

struct sqlite_announced {
	struct sqlite_db *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	unsigned int max;
	/* since when all is remembered; and what the transaction under way
	   changes that to, 0 = it does not */
	int64_t since, next_since;
	/* mailboxes: those that PHASE_FORGET has left, and those that have been
	   new since */
	int64_t left, made;

	/* of the transaction under way */
	buffer_t *messages;
	/* the last id of the log, and that up to which it is merged */
	int64_t last_id, merged_id;

	enum phase phase;
	struct timeout *to_step;
	int64_t merge_to, collected_id;
	ARRAY(struct message) buckets[BUCKETS];
	/* where PHASE_MERGE is */
	unsigned int bucket, idx;
	/* where PHASE_FORGET is; for how long it keeps a mailbox; and when that
	   was last done */
	int64_t forget_after, keep_secs, forgotten;

	/* those that wait until the log is merged up to their needs */
	struct queue_announced_read *reads_head, *reads_tail;
};

static void sqlite_announced_step(struct sqlite_announced *announced);

static const char *
failed(struct sqlite_announced *announced, enum statement idx)
{
	return sqlite_db_error(announced->db, t_strcut(statements[idx], ' '));
}

/* Run a statement that returns no rows, and reset it. */
static bool
run(struct sqlite_announced *announced, enum statement idx,
    const char **error_r)
{
	sqlite3_stmt *stmt = announced->statements[idx];
	int ret = sqlite3_step(stmt);

	if (ret != SQLITE_DONE)
		*error_r = failed(announced, idx);
	(void)sqlite3_reset(stmt);
	return ret == SQLITE_DONE;
}

static void
step_later(struct sqlite_announced *announced, unsigned int msecs)
{
	timeout_remove(&announced->to_step);
	announced->to_step = timeout_add_short(msecs, sqlite_announced_step,
					       announced);
}

/* Committing */

void sqlite_announced_begin(struct sqlite_announced *announced)
{
	buffer_set_used_size(announced->messages, 0);
}

void sqlite_announced_add(struct sqlite_announced *announced, int64_t mailbox,
			  uint32_t uid)
{
	buffer_append(announced->messages, &mailbox, sizeof(mailbox));
	buffer_append(announced->messages, &uid, sizeof(uid));
}

static int64_t messages_count(const struct sqlite_announced *announced)
{
	return announced->messages->used / MESSAGE_SIZE;
}

bool sqlite_announced_write(struct sqlite_announced *announced,
			    const char **error_r)
{
	sqlite3_stmt *stmt = announced->statements[STATEMENT_LOG];

	if (announced->messages->used == 0)
		return TRUE;
	sqlite3_bind_int64(stmt, 1, announced->last_id +
			   messages_count(announced));
	sqlite3_bind_blob(stmt, 2, announced->messages->data,
			  announced->messages->used, SQLITE_STATIC);
	return run(announced, STATEMENT_LOG, error_r);
}

void sqlite_announced_committed(struct sqlite_announced *announced)
{
	announced->last_id += messages_count(announced);
	buffer_set_used_size(announced->messages, 0);
	if (announced->last_id - announced->merged_id > LOG_MAX &&
	    announced->to_step == NULL)
		step_later(announced, STEP_MSECS);
}

/* Reading */

static void
sqlite_announced_answer(struct sqlite_announced *announced,
			struct queue_announced_read *read, const char *error)
{
	sqlite3_stmt *stmt = announced->statements[STATEMENT_GET];
	int ret;

	DLLIST2_REMOVE(&announced->reads_head, &announced->reads_tail, read);
	if (error == NULL) {
		read->since = announced->since;
		sqlite3_bind_int64(stmt, 1, read->mailbox);
		ret = sqlite3_step(stmt);
		if (ret == SQLITE_ROW) {
			announced_uids_parse(sqlite3_column_blob(stmt, 0),
					     sqlite3_column_bytes(stmt, 0),
					     &read->uids);
		} else if (ret != SQLITE_DONE)
			error = failed(announced, STATEMENT_GET);
		(void)sqlite3_reset(stmt);
	}
	queue_engine_announced(read, error);
}

/* error: NULL = answer those that have all they need */
static void
sqlite_announced_answer_all(struct sqlite_announced *announced,
			    const char *error)
{
	struct queue_announced_read *read, *next;

	for (read = announced->reads_head; read != NULL; read = next) {
		next = read->next;
		if (error == NULL && read->needs > announced->merged_id)
			continue;
		T_BEGIN {
			sqlite_announced_answer(announced, read, error);
		} T_END;
	}
}

void sqlite_announced_read(struct sqlite_announced *announced,
			   struct queue_announced_read *read)
{
	read->needs = announced->last_id;
	DLLIST2_APPEND(&announced->reads_head, &announced->reads_tail, read);
	if (read->needs <= announced->merged_id)
		sqlite_announced_answer(announced, read, NULL);
	else
		step_later(announced, 0);
}

/* Merging */

static void collect_row(struct sqlite_announced *announced, sqlite3_stmt *stmt)
{
	const unsigned char *data = sqlite3_column_blob(stmt, 1);
	unsigned int i, count =
		sqlite3_column_bytes(stmt, 1) / MESSAGE_SIZE;
	struct message message;

	for (i = 0; i < count; i++, data += MESSAGE_SIZE) {
		memcpy(&message.mailbox, data, sizeof(message.mailbox));
		memcpy(&message.uid, data + sizeof(message.mailbox),
		       sizeof(message.uid));
		if (message.mailbox > 0) {
			array_push_back(&announced->buckets[
				BUCKET(message.mailbox)], &message);
		}
	}
	announced->collected_id = sqlite3_column_int64(stmt, 0);
}

static bool
sqlite_announced_collect(struct sqlite_announced *announced,
			 const char **error_r)
{
	sqlite3_stmt *stmt = announced->statements[STATEMENT_READ_LOG];
	int64_t end = announced->collected_id + COLLECT_BATCH;
	int ret;

	sqlite3_bind_int64(stmt, 1, announced->collected_id);
	sqlite3_bind_int64(stmt, 2, announced->merge_to);
	while ((ret = sqlite3_step(stmt)) == SQLITE_ROW &&
	       announced->collected_id < end)
		collect_row(announced, stmt);
	if (ret != SQLITE_ROW && ret != SQLITE_DONE)
		*error_r = failed(announced, STATEMENT_READ_LOG);
	(void)sqlite3_reset(stmt);
	if (ret == SQLITE_DONE) {
		announced->phase = PHASE_MERGE;
		announced->bucket = announced->idx = 0;
	}
	return ret == SQLITE_ROW || ret == SQLITE_DONE;
}

static int message_cmp(const struct message *m1, const struct message *m2)
{
	if (m1->mailbox != m2->mailbox)
		return m1->mailbox < m2->mailbox ? -1 : 1;
	return m1->uid < m2->uid ? -1 : m1->uid > m2->uid;
}

/* Add the messages of a mailbox, which are the next ones of a sorted bucket. */
static bool
merge_mailbox(struct sqlite_announced *announced, const char **error_r)
{
	sqlite3_stmt *get = announced->statements[STATEMENT_GET];
	sqlite3_stmt *set = announced->statements[STATEMENT_SET];
	const struct message *messages;
	unsigned int count;
	ARRAY_TYPE(seq_range) uids;
	buffer_t *stored = t_buffer_create(64);
	int64_t mailbox;
	int ret;

	messages = array_get(&announced->buckets[announced->bucket], &count);
	mailbox = messages[announced->idx].mailbox;
	t_array_init(&uids, 8);
	sqlite3_bind_int64(get, 1, mailbox);
	ret = sqlite3_step(get);
	if (ret == SQLITE_ROW) {
		announced_uids_parse(sqlite3_column_blob(get, 0),
				     sqlite3_column_bytes(get, 0), &uids);
	} else if (ret == SQLITE_DONE)
		announced->made++;
	else {
		*error_r = sqlite_db_error(announced->db,
					   statements[STATEMENT_GET]);
	}
	(void)sqlite3_reset(get);
	if (ret != SQLITE_ROW && ret != SQLITE_DONE)
		return FALSE;
	for (; announced->idx < count &&
	     messages[announced->idx].mailbox == mailbox; announced->idx++)
		seq_range_array_add(&uids, messages[announced->idx].uid);
	announced_uids_append(stored, &uids);
	sqlite3_bind_int64(set, 1, mailbox);
	sqlite3_bind_int64(set, 2, sqlite_db_time(announced->db));
	sqlite3_bind_blob(set, 3, stored->data, stored->used, SQLITE_STATIC);
	return run(announced, STATEMENT_SET, error_r);
}

static bool
sqlite_announced_merge(struct sqlite_announced *announced, const char **error_r)
{
	unsigned int i, count;
	bool ok = TRUE;

	for (i = 0; i < MERGE_BATCH && announced->bucket < BUCKETS && ok;) {
		count = array_count(&announced->buckets[announced->bucket]);
		if (announced->idx == count) {
			announced->bucket++;
			announced->idx = 0;
			continue;
		}
		if (announced->idx == 0) {
			array_sort(&announced->buckets[announced->bucket],
				   message_cmp);
		}
		T_BEGIN {
			ok = merge_mailbox(announced, error_r);
		} T_END_PASS_STR_IF(!ok, error_r);
		i++;
	}
	if (ok && announced->bucket == BUCKETS)
		announced->phase = PHASE_TRIM;
	return ok;
}

static bool
sqlite_announced_trim(struct sqlite_announced *announced, const char **error_r)
{
	sqlite3_stmt *stmt = announced->statements[STATEMENT_TRIM_LOG];

	sqlite3_bind_int64(stmt, 1, announced->merge_to);
	sqlite3_bind_int64(stmt, 2, TRIM_BATCH);
	if (!run(announced, STATEMENT_TRIM_LOG, error_r))
		return FALSE;
	if (sqlite3_changes(announced->db->sqlite) < TRIM_BATCH) {
		announced->phase = PHASE_FORGET;
		announced->forget_after = 0;
		announced->keep_secs = QUEUE_ANNOUNCED_KEEP_SECS;
	}
	return TRUE;
}

/* What was announced before this time is not all remembered any more. */
static bool
set_since(struct sqlite_announced *announced, int64_t since,
	  const char **error_r)
{
	if (since <= announced->since)
		return TRUE;
	announced->next_since = since;
	sqlite3_bind_int64(announced->statements[STATEMENT_SINCE], 1, since);
	return run(announced, STATEMENT_SINCE, error_r);
}

static void sqlite_announced_forgotten(struct sqlite_announced *announced)
{
	if (announced->left > announced->max && announced->keep_secs > 1) {
		/* by someone who may write to the hand-off socket, most
		   likely */
		announced->keep_secs /= 2;
		announced->forget_after = 0;
	} else {
		announced->forgotten = sqlite_db_time(announced->db);
		announced->phase = PHASE_IDLE;
	}
}

static bool
sqlite_announced_forget(struct sqlite_announced *announced,
			const char **error_r)
{
	sqlite3_stmt *next = announced->statements[STATEMENT_NEXT];
	sqlite3_stmt *forget = announced->statements[STATEMENT_FORGET];
	int64_t now = sqlite_db_time(announced->db), last = INT64_MAX;
	int64_t before = now - announced->keep_secs;

	if (announced->forget_after == 0) {
		if (announced->forgotten + FORGET_SECS > now &&
		    announced->left + announced->made <= announced->max) {
			announced->phase = PHASE_IDLE;
			return TRUE;
		}
		announced->left = announced->made = 0;
	}
	if (announced->keep_secs < QUEUE_ANNOUNCED_KEEP_SECS &&
	    !set_since(announced, before, error_r))
		return FALSE;
	sqlite3_bind_int64(next, 1, announced->forget_after);
	sqlite3_bind_int64(next, 2, FORGET_BATCH);
	if (sqlite3_step(next) == SQLITE_ROW) {
		last = sqlite3_column_int64(next, 0);
		announced->left += FORGET_BATCH + 1;
	}
	(void)sqlite3_reset(next);
	sqlite3_bind_int64(forget, 1, announced->forget_after);
	sqlite3_bind_int64(forget, 2, last);
	sqlite3_bind_int64(forget, 3, before);
	if (!run(announced, STATEMENT_FORGET, error_r))
		return FALSE;
	announced->left -= sqlite3_changes(announced->db->sqlite);
	announced->forget_after = last;
	if (last == INT64_MAX)
		sqlite_announced_forgotten(announced);
	return TRUE;
}

static void sqlite_announced_start(struct sqlite_announced *announced)
{
	unsigned int i;

	announced->phase = PHASE_COLLECT;
	announced->merge_to = announced->last_id;
	announced->collected_id = announced->merged_id;
	for (i = 0; i < BUCKETS; i++)
		i_array_init(&announced->buckets[i], 16);
}

static void sqlite_announced_free_buckets(struct sqlite_announced *announced)
{
	unsigned int i;

	for (i = 0; i < BUCKETS; i++) {
		if (array_is_created(&announced->buckets[i]))
			array_free(&announced->buckets[i]);
	}
}

static bool
sqlite_announced_do(struct sqlite_announced *announced, const char **error_r)
{
	switch (announced->phase) {
	case PHASE_IDLE:
		break;
	case PHASE_COLLECT:
		return sqlite_announced_collect(announced, error_r);
	case PHASE_MERGE:
		return sqlite_announced_merge(announced, error_r);
	case PHASE_TRIM:
		return sqlite_announced_trim(announced, error_r);
	case PHASE_FORGET:
		return sqlite_announced_forget(announced, error_r);
	}
	return TRUE;
}

/* What fails, the queue's own commits log. */
static void
sqlite_announced_failed(struct sqlite_announced *announced, const char *error)
{
	sqlite_announced_free_buckets(announced);
	announced->phase = PHASE_IDLE;
	step_later(announced, RETRY_MSECS);
	sqlite_announced_answer_all(announced, error);
}

static void sqlite_announced_step(struct sqlite_announced *announced)
{
	const char *error, *rollback_error;

	timeout_remove(&announced->to_step);
	announced->next_since = 0;
	if (announced->phase == PHASE_IDLE)
		sqlite_announced_start(announced);
	if (!run(announced, STATEMENT_BEGIN, &error) ||
	    !sqlite_announced_do(announced, &error) ||
	    !run(announced, STATEMENT_COMMIT, &error)) {
		if (sqlite3_get_autocommit(announced->db->sqlite) == 0) {
			(void)run(announced, STATEMENT_ROLLBACK,
				  &rollback_error);
		}
		sqlite_announced_failed(announced, error);
		return;
	}
	if (announced->next_since != 0)
		announced->since = announced->next_since;
	if (announced->phase == PHASE_TRIM &&
	    array_is_created(&announced->buckets[0])) {
		announced->merged_id = announced->merge_to;
		sqlite_announced_free_buckets(announced);
		sqlite_announced_answer_all(announced, NULL);
	}
	if (announced->reads_head != NULL)
		step_later(announced, 0);
	else if (announced->phase != PHASE_IDLE)
		step_later(announced, STEP_MSECS);
}

/* Opening */

static int prepare(struct sqlite_announced *announced, const char **error_r)
{
	enum statement i;
	int ret;

	for (i = 0; i < STATEMENT_COUNT; i++) {
		ret = sqlite3_prepare_v3(announced->db->sqlite, statements[i],
					 -1, SQLITE_PREPARE_PERSISTENT,
					 &announced->statements[i], NULL);
		if (ret != SQLITE_OK) {
			*error_r = failed(announced, i);
			return -1;
		}
	}
	return 0;
}

/* While the queue is beside another one, the beginning is never, so that it is
   when the queue is opened again without that, whatever happens. Nothing is
   written if nothing changes. */
static int
sqlite_announced_open_since(struct sqlite_announced *announced, bool beside,
			    const char **error_r)
{
	int64_t since = beside ? INT64_MAX : sqlite_db_time(announced->db);
	int64_t have;

	if (sqlite_db_get_int(announced->db, t_strdup_printf("SELECT count(*) "
			"FROM announced WHERE mailbox = 0 AND used %s "
			"%"PRId64, beside ? ">=" : "<=", since), &have,
			error_r) < 0)
		return -1;
	if (have == 0 && sqlite_db_exec(announced->db, t_strdup_printf(
			"INSERT OR REPLACE INTO announced "
			"VALUES (0, %"PRId64", x'')", since), error_r) < 0)
		return -1;
	return sqlite_db_get_int(announced->db, "SELECT used FROM announced "
				 "WHERE mailbox = 0", &announced->since,
				 error_r);
}

int sqlite_announced_init(struct sqlite_db *db,
			  const struct queue_settings *set,
			  struct sqlite_announced **announced_r,
			  const char **error_r)
{
	struct sqlite_announced *announced;

	*announced_r = announced = i_new(struct sqlite_announced, 1);
	announced->db = db;
	announced->max = set->announced_max > 0 ? set->announced_max :
		QUEUE_ANNOUNCED_MAX;
	announced->messages = buffer_create_dynamic(default_pool, 256);
	if (prepare(announced, error_r) < 0 ||
	    sqlite_announced_open_since(announced, set->beside, error_r) < 0 ||
	    sqlite_db_get_int(db, "SELECT coalesce(max(id), 0) "
			"FROM announced_log", &announced->last_id,
			error_r) < 0 ||
	    sqlite_db_get_int(db, "SELECT coalesce(min(id) - 1, 0) "
			"FROM announced_log", &announced->merged_id,
			error_r) < 0)
		return -1;
	return 0;
}

void sqlite_announced_deinit(struct sqlite_announced **_announced)
{
	struct sqlite_announced *announced = *_announced;
	enum statement i;

	*_announced = NULL;
	if (announced == NULL)
		return;
	sqlite_announced_answer_all(announced, "the queue is being closed");
	timeout_remove(&announced->to_step);
	sqlite_announced_free_buckets(announced);
	for (i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(announced->statements[i]);
	buffer_free(&announced->messages);
	i_free(announced);
}
