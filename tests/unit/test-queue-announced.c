/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has been announced, as a real queue remembers it. */
#include "lib.h"
#include "array.h"
#include "imap-util.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "announced-uids.h"
#include "dovecot-compat.h"
#include "queue.h"
#include "queue-announced.h"
#include "queue-lost.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test-common.h"

/* so many messages in the log that it is merged */
#define MANY (256*1024 + 256)

static char *dir;
static struct queue_settings set = { .lost_keep_secs = 3600,
	.lost_max_rows = 100, .lost_max_bytes = 100000 };
static struct ioloop *ioloop;
static struct queue *queue;
static struct queue_endpoint *ep;
/* of this process */
static guid_128_t session;
/* of the latest addition */
static int64_t stored_id;

static void open_queue(void)
{
	struct queue_settings here = set;
	const char *error;

	guid_128_generate(session);
	here.directory = dir;
	if (queue_init(&queue_engine_sqlite, &here, &queue, &error) < 0)
		fail_msg("%s", error);
	ep = queue_endpoint_set(queue, "key", "options");
	queue_flush(queue);
}

static void reopen_queue(void)
{
	queue_deinit(&queue);
	open_queue();
}

static sqlite3 *open_db(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(t_strconcat(dir, "/queue.sqlite", NULL),
				      &db), SQLITE_OK);
	return db;
}

/* An admin's sqlite3. */
static int64_t sql(const char *statement)
{
	int64_t num = 0;
	sqlite3_stmt *stmt;
	sqlite3 *db = open_db();

	if (sqlite3_prepare_v2(db, statement, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", statement, sqlite3_errmsg(db));
	if (sqlite3_step(stmt) == SQLITE_ROW)
		num = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return num;
}

static void
stored(struct queue_item *item, const char *error ATTR_UNUSED,
       void *context ATTR_UNUSED)
{
	stored_id = item == NULL ? 0 : item->id;
}

static struct queue_item add_later(int64_t mailbox, uint32_t uid)
{
	static uint64_t seq = 0;
	struct queue_item item = {
		.endpoint = ep, .seq = ++seq, .username = "alice",
		.folder = "INBOX", .uid = uid, .mailbox = mailbox,
		.body = "{\"a\":1}", .created = queue_now(queue),
		.expires = queue_now(queue) + 3600
	};

	guid_128_copy(item.session, session);
	assert_true(queue_add(queue, &item, stored, NULL));
	return item;
}

static struct queue_item add(int64_t mailbox, uint32_t uid)
{
	struct queue_item item = add_later(mailbox, uid);

	queue_flush(queue);
	assert_true(stored_id != 0);
	item.id = stored_id;
	return item;
}

/* Added and delivered. */
static void announce(int64_t mailbox, uint32_t uid)
{
	struct queue_item item = add(mailbox, uid);

	queue_remove(queue, item.id, strlen(item.body));
	queue_flush(queue);
}

struct answer {
	const char *uids, *error;
	unsigned int secs;
	bool done;
};

static const char *text_of(const ARRAY_TYPE(seq_range) *uids)
{
	string_t *str = t_str_new(64);

	imap_write_seq_range(str, uids);
	return str_c(str);
}

static void answered(const struct queue_announced_result *result, void *context)
{
	struct answer *answer = context;

	answer->error = t_strdup(result->error);
	answer->uids = text_of(result->uids);
	answer->secs = result->secs;
	answer->done = TRUE;
	io_loop_stop(ioloop);
}

static struct answer ask_again(int64_t mailbox)
{
	struct answer answer = { .done = FALSE };

	(void)queue_announced_read(queue, mailbox, answered, &answer);
	assert_false(answer.done);
	/* the callback's data stack frame ends before this one */
	while (!answer.done)
		io_loop_run(ioloop);
	return answer;
}

static struct answer ask_once(int64_t mailbox)
{
	struct answer answer;

	queue_announced_begin(queue, 10);
	answer = ask_again(mailbox);
	queue_announced_end(queue);
	assert_null(answer.error);
	return answer;
}

static const char *ask(int64_t mailbox)
{
	return ask_once(mailbox).uids;
}

static unsigned int ask_secs(int64_t mailbox)
{
	return ask_once(mailbox).secs;
}

static int setup(void **state ATTR_UNUSED)
{
	const char *base = getenv("TMPDIR");

	dir = i_strdup_printf("%s/test-announced-XXXXXX",
			      base == NULL ? "/tmp" : base);
	assert_non_null(mkdtemp(dir));
	ioloop = io_loop_create();
	open_queue();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;

	queue_deinit(&queue);
	io_loop_destroy(&ioloop);
	assert_true(unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR,
				     &error) >= 0);
	i_free(dir);
	return 0;
}

/* Ranges */

static const char *stored_again(const ARRAY_TYPE(seq_range) *uids)
{
	ARRAY_TYPE(seq_range) parsed;
	buffer_t *buf = t_buffer_create(64);

	announced_uids_append(buf, uids);
	t_array_init(&parsed, 8);
	announced_uids_parse(buf->data, buf->used, &parsed);
	return text_of(&parsed);
}

static void test_uids_are_the_same_when_stored(void **state ATTR_UNUSED)
{
	ARRAY_TYPE(seq_range) uids;

	t_array_init(&uids, 8);
	seq_range_array_add(&uids, 1);
	assert_string_equal(stored_again(&uids), "1");
	seq_range_array_add_range(&uids, 3, 4000000000U);
	seq_range_array_add(&uids, UINT32_MAX);
	assert_string_equal(stored_again(&uids), "1,3:4000000000,4294967295");
}

static void test_many_gaps_become_fewer(void **state ATTR_UNUSED)
{
	ARRAY_TYPE(seq_range) uids;
	unsigned int i;

	t_array_init(&uids, 8);
	for (i = 1; i <= ANNOUNCED_RANGES_MAX + 2; i++)
		seq_range_array_add(&uids, 10 * i);
	assert_true(str_begins_with(stored_again(&uids), "10:30,40,50,"));
	assert_true(str_begins_with(text_of(&uids), "10,20,30,40,50,"));
}

static void test_corrupt_uids_are_left_out(void **state ATTR_UNUSED)
{
	static const unsigned char data[] = {
		0x05, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};
	ARRAY_TYPE(seq_range) uids;

	t_array_init(&uids, 8);
	announced_uids_parse(data, sizeof(data), &uids);
	assert_string_equal(text_of(&uids), "5:6");
}

/* The queue */

static void stop_loop(void *context ATTR_UNUSED)
{
	io_loop_stop(ioloop);
}

static void wait_for_empty_log(void)
{
	struct timeout *to;
	unsigned int i;

	for (i = 0; i < 6000 &&
	     sql("SELECT count(*) FROM announced_log") > 0; i++) {
		to = timeout_add_short(10, stop_loop, (void *)NULL);
		io_loop_run(ioloop);
		timeout_remove(&to);
	}
	assert_int_equal(sql("SELECT count(*) FROM announced_log"), 0);
}

static void test_delivered_is_remembered(void **state ATTR_UNUSED)
{
	announce(5, 1);
	announce(5, 2);
	announce(5, 4);
	announce(6, 1);
	/* an event other than a new message */
	announce(0, 3);
	assert_string_equal(ask(5), "1:2,4");
	assert_string_equal(ask(6), "1");
	assert_string_equal(ask(7), "");
	announce(5, 3);
	assert_string_equal(ask(5), "1:4");
	wait_for_empty_log();

	announce(5, 5);
	reopen_queue();
	announce(5, 6);
	assert_string_equal(ask(5), "1:6");
}

static void test_given_up_is_remembered(void **state ATTR_UNUSED)
{
	struct queue_item item = add(5, 1);
	const struct queue_loss loss = {
		.reason = QUEUE_LOSS_DROPPED, .answer = "503",
		.time = queue_now(queue)
	};

	queue_give_up(queue, &item, 3, &loss);
	queue_flush(queue);
	assert_string_equal(ask(5), "1");
}

static void test_queued_counts_as_announced(void **state ATTR_UNUSED)
{
	struct answer answer;
	unsigned int i;

	for (i = 1; i <= 200; i++)
		(void)add(5, i);
	assert_string_equal(ask(5), "1:200");
	/* also what is not committed yet */
	(void)add_later(5, 201);
	queue_announced_begin(queue, 200);
	answer = ask_again(5);
	assert_string_equal(answer.uids, "1:201");
	(void)add_later(5, 202);
	answer = ask_again(5);
	assert_string_equal(answer.uids, "1:202");
	queue_announced_end(queue);
}

/* While it can't be committed. */
static void test_removed_counts_as_announced(void **state ATTR_UNUSED)
{
	struct queue_item item = add(5, 1);
	struct answer answer;
	sqlite3 *db = open_db();

	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
			 SQLITE_OK);
	queue_remove(queue, item.id, strlen(item.body));
	queue_flush(queue);
	queue_announced_begin(queue, 1);
	answer = ask_again(5);
	assert_null(answer.error);
	assert_string_equal(answer.uids, "1");
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	queue_flush(queue);
	answer = ask_again(5);
	assert_string_equal(answer.uids, "1");
	queue_announced_end(queue);
	assert_string_equal(ask(5), "1");
}

static void test_failure_is_said(void **state ATTR_UNUSED)
{
	struct answer answer;
	sqlite3 *db = open_db();

	announce(5, 1);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
			 SQLITE_OK);
	queue_announced_begin(queue, 1);
	answer = ask_again(5);
	assert_non_null(answer.error);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	answer = ask_again(5);
	assert_null(answer.error);
	assert_string_equal(answer.uids, "1");
	queue_announced_end(queue);
}

static void test_since_is_remembered(void **state ATTR_UNUSED)
{
	struct answer answer;

	(void)sql("UPDATE announced SET used = used - 100 WHERE mailbox = 0");
	reopen_queue();
	queue_announced_begin(queue, 1);
	answer = ask_again(5);
	assert_true(answer.secs >= 100 && answer.secs < 160);
	queue_announced_end(queue);

	(void)sql("UPDATE announced SET used = used - 30*24*60*60");
	reopen_queue();
	queue_announced_begin(queue, 1);
	answer = ask_again(5);
	assert_int_equal(answer.secs, QUEUE_ANNOUNCED_KEEP_SECS);
	queue_announced_end(queue);
}

static void test_reads_can_be_cancelled(void **state ATTR_UNUSED)
{
	struct queue_announced_read *read;
	struct answer answer = { .done = FALSE }, other;

	announce(5, 1);
	queue_announced_begin(queue, 1);
	read = queue_announced_read(queue, 5, answered, &answer);
	queue_announced_cancel(&read);
	assert_null(read);
	other = ask_again(5);
	assert_string_equal(other.uids, "1");
	queue_announced_end(queue);
	assert_false(answer.done);
}

static void test_forgotten_endpoint_does_not_matter(void **state ATTR_UNUSED)
{
	struct queue_endpoint *gone = queue_endpoint_set(queue, "gone", "");
	struct answer answer;

	queue_flush(queue);
	(void)add(5, 1);
	queue_announced_begin(queue, 1);
	queue_endpoint_forget(queue, &gone);
	queue_flush(queue);
	answer = ask_again(5);
	assert_string_equal(answer.uids, "1");
	queue_announced_end(queue);
}

/* Merging */

/* What so many deliveries have left, to four mailboxes in turn. */
static void fill_log(unsigned int count)
{
	sqlite3 *db = open_db();
	buffer_t *buf = buffer_create_dynamic(default_pool, 12 * count);
	sqlite3_stmt *stmt;
	unsigned int i;

	for (i = 0; i < count; i++) {
		int64_t mailbox = ((int64_t)(i % 4) << 60) + 1;
		uint32_t uid = i / 4 + 1;

		buffer_append(buf, &mailbox, sizeof(mailbox));
		buffer_append(buf, &uid, sizeof(uid));
	}
	assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO announced_log "
		"VALUES (?1, ?2)", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL),
			 SQLITE_OK);
	for (i = 0; i < count; i += 16) {
		unsigned int n = I_MIN(16, count - i);

		sqlite3_bind_int64(stmt, 1, i + n);
		sqlite3_bind_blob(stmt, 2, CONST_PTR_OFFSET(buf->data, 12 * i),
				  12 * n, SQLITE_STATIC);
		assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
		(void)sqlite3_reset(stmt);
	}
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	buffer_free(&buf);
}

static void test_long_log_is_merged(void **state ATTR_UNUSED)
{
	queue_deinit(&queue);
	fill_log(MANY);
	open_queue();
	announce(5, 1);
	wait_for_empty_log();
	assert_int_equal(sql("SELECT count(*) FROM announced"), 1 + 5);
	assert_string_equal(ask(1), t_strdup_printf("1:%u", MANY / 4));
	assert_string_equal(ask((INT64_C(3) << 60) + 1),
			    t_strdup_printf("1:%u", MANY / 4));
	assert_string_equal(ask(5), "1");
}

static void test_old_mailboxes_are_forgotten(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 10; i < 16; i++)
		announce(i, 1);
	(void)ask(10);
	wait_for_empty_log();
	(void)sql("UPDATE announced SET used = used - 8*24*60*60 "
		  "WHERE mailbox IN (0, 10, 12)");
	reopen_queue();
	announce(12, 2);
	assert_string_equal(ask(12), "1:2");
	wait_for_empty_log();
	/* a step goes on after the answer */
	while (sql("SELECT count(*) FROM announced WHERE mailbox = 10") > 0) {
		struct timeout *to = timeout_add_short(10, stop_loop,
						       (void *)NULL);
		io_loop_run(ioloop);
		timeout_remove(&to);
	}
	assert_int_equal(sql("SELECT count(*) FROM announced"), 1 + 5);
	assert_string_equal(ask(11), "1");
}

/* What was announced meanwhile, another one knows. */
static void test_queue_beside_another_one_does_not_know(void **state ATTR_UNUSED)
{
	const char *longer = "UPDATE announced SET used = used - 30*24*60*60 "
		"WHERE mailbox = 0";

	announce(5, 1);
	(void)ask(5);
	(void)sql(longer);
	reopen_queue();
	assert_int_equal(ask_secs(5), QUEUE_ANNOUNCED_KEEP_SECS);
	set.beside = TRUE;
	reopen_queue();
	assert_string_equal(ask(5), "1");
	assert_int_equal(ask_secs(5), 0);
	set.beside = FALSE;
	reopen_queue();
	assert_string_equal(ask(5), "1");
	assert_true(ask_secs(5) < 600);
	/* and from then on it counts */
	(void)sql(longer);
	reopen_queue();
	assert_int_equal(ask_secs(5), QUEUE_ANNOUNCED_KEEP_SECS);
}

/* As by someone who may write to the hand-off socket. */
static void open_too_many_mailboxes(void)
{
	announce(5, 1);
	(void)ask(5);
	wait_for_empty_log();
	(void)sql("UPDATE announced SET used = used - 30*24*60*60 "
		  "WHERE mailbox = 0");
	(void)sql("INSERT INTO announced WITH RECURSIVE n (i) AS (SELECT 100 "
		  "UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
		  "SELECT i, strftime('%s', 'now') - 4*24*60*60, x'0100' "
		  "FROM n");
	set.announced_max = 4000;
	reopen_queue();
	set.announced_max = 0;
}

static void test_too_many_mailboxes_are_forgotten_earlier(void **state ATTR_UNUSED)
{
	struct answer answer;

	open_too_many_mailboxes();
	announce(6, 1);
	queue_announced_begin(queue, 1);
	answer = ask_again(6);
	assert_int_equal(answer.secs, QUEUE_ANNOUNCED_KEEP_SECS);
	while (sql("SELECT count(*) FROM announced") > 3)
		answer = ask_again(6);
	assert_string_equal(ask_again(5).uids, "1");
	/* and is not said to be known */
	answer = ask_again(6);
	assert_true(answer.secs <= QUEUE_ANNOUNCED_KEEP_SECS / 2 &&
		    answer.secs > QUEUE_ANNOUNCED_KEEP_SECS / 2 - 60);
	queue_announced_end(queue);
}

static void test_what_could_not_be_forgotten_is_known(void **state ATTR_UNUSED)
{
	unsigned int i;

	open_too_many_mailboxes();
	(void)sql("CREATE TRIGGER refuse BEFORE DELETE ON announced "
		  "BEGIN SELECT RAISE(ABORT, 'refused'); END");
	announce(6, 1);
	queue_announced_begin(queue, 1);
	for (i = 0; i < 30; i++) {
		struct timeout *to = timeout_add_short(10, stop_loop,
						       (void *)NULL);

		assert_int_equal(ask_again(6).secs, QUEUE_ANNOUNCED_KEEP_SECS);
		io_loop_run(ioloop);
		timeout_remove(&to);
	}
	queue_announced_end(queue);
	assert_int_equal(sql("SELECT count(*) FROM announced"),
			 1 + 2 + 9901);
}

/* It adds, delivers and merges until it is killed. Says what it has
   delivered. */
static void ATTR_NORETURN run_child(int fd)
{
	uint32_t uid;

	open_queue();
	for (uid = 1;; uid++) T_BEGIN {
		announce(5, uid);
		if (write(fd, &uid, sizeof(uid)) != sizeof(uid))
			_exit(1);
		if (uid % 3 == 0)
			(void)ask(5);
	} T_END;
}

static void test_killed_at_any_moment(void **state ATTR_UNUSED)
{
	unsigned int round;
	uint32_t uid, last;
	int fds[2], status;
	pid_t pid;

	queue_deinit(&queue);
	io_loop_destroy(&ioloop);
	for (round = 0; round < 10; round++) {
		assert_int_equal(pipe(fds), 0);
		if ((pid = fork()) == 0) {
			ioloop = io_loop_create();
			i_close_fd(&fds[0]);
			run_child(fds[1]);
		}
		i_close_fd(&fds[1]);
		for (last = 0; last < 3 + round * 7;) {
			assert_int_equal(read(fds[0], &uid, sizeof(uid)),
					 sizeof(uid));
			last = uid;
		}
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		while (read(fds[0], &uid, sizeof(uid)) == sizeof(uid))
			last = uid;
		i_close_fd(&fds[0]);

		ioloop = io_loop_create();
		open_queue();
		T_BEGIN {
			unsigned int to;
			const char *uids = ask(5);

			/* each begins with UID 1 again */
			assert_true(str_begins_with(uids, "1:"));
			assert_int_equal(str_to_uint(uids + 2, &to), 0);
			assert_true(to >= last);
		} T_END;
		queue_deinit(&queue);
		io_loop_destroy(&ioloop);
	}
	ioloop = io_loop_create();
	open_queue();
}

#define announced_test(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uids_are_the_same_when_stored),
		cmocka_unit_test(test_many_gaps_become_fewer),
		cmocka_unit_test(test_corrupt_uids_are_left_out),
		announced_test(test_delivered_is_remembered),
		announced_test(test_given_up_is_remembered),
		announced_test(test_queued_counts_as_announced),
		announced_test(test_removed_counts_as_announced),
		announced_test(test_failure_is_said),
		announced_test(test_since_is_remembered),
		announced_test(test_reads_can_be_cancelled),
		announced_test(test_forgotten_endpoint_does_not_matter),
		announced_test(test_long_log_is_merged),
		announced_test(test_old_mailboxes_are_forgotten),
		announced_test(test_queue_beside_another_one_does_not_know),
		announced_test(test_too_many_mailboxes_are_forgotten_earlier),
		announced_test(test_what_could_not_be_forgotten_is_known),
		announced_test(test_killed_at_any_moment),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("queue-announced", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
