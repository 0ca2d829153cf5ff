/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is given up, in a real queue. */
#include "lib.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "queue.h"
#include "queue-lost.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test-common.h"

#define DAY (24*60*60)

static char *dir;
static struct queue_settings set;
static struct ioloop *ioloop;
static struct queue *queue;
static struct queue_endpoint *ep;
static char *commit_error;
/* of the latest addition */
static int64_t stored_id;
static char *stored_error;
static unsigned int warnings;

static void committed(const char *error, void *context ATTR_UNUSED)
{
	i_free(commit_error);
	commit_error = i_strdup(error);
	io_loop_stop(ioloop);
}

static void open_queue(void)
{
	const char *error;

	set.directory = dir;
	if (queue_init(&queue_engine_sqlite, &set, &queue, &error) < 0)
		fail_msg("%s", error);
	queue_set_committed_callback(queue, committed, NULL);
	ep = queue_endpoint_set(queue, "key", "options");
	queue_flush(queue);
}

static void reopen_queue(void)
{
	queue_deinit(&queue);
	open_queue();
}

static void commit(void)
{
	i_free(commit_error);
	queue_flush(queue);
	if (commit_error != NULL)
		fail_msg("%s", commit_error);
}

/* An admin's sqlite3, or a former version. */
static int64_t sql(const char *statement)
{
	int64_t num = 0;
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(t_strconcat(dir, "/queue.sqlite", NULL),
				      &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, statement, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", statement, sqlite3_errmsg(db));
	if (sqlite3_step(stmt) == SQLITE_ROW)
		num = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return num;
}

static void
stored(struct queue_item *item, const char *error, void *context ATTR_UNUSED)
{
	stored_id = item == NULL ? 0 : item->id;
	i_free(stored_error);
	stored_error = i_strdup(error);
}

static struct queue_item item_of(const char *username, uint64_t seq)
{
	struct queue_item item = {
		.endpoint = ep, .seq = seq, .username = username,
		.folder = "INBOX", .uid = 17, .body = "{\"a\":1}",
		.created = queue_now(queue), .expires = queue_now(queue) + 3600
	};

	memset(item.session, 7, sizeof(item.session));
	return item;
}

static struct queue_item add(const char *username, uint64_t seq)
{
	struct queue_item item = item_of(username, seq);

	assert_true(queue_add(queue, &item, stored, NULL));
	commit();
	item.id = stored_id;
	return item;
}

static void give_up(const struct queue_item *item)
{
	const struct queue_loss loss = {
		.reason = QUEUE_LOSS_REFUSED, .answer = "refused: 422",
		.time = queue_now(queue)
	};

	queue_give_up(queue, item, 3, &loss);
}

/* Of <count> for a user, with seqs from <first> on. */
static void lose(const char *username, uint64_t first, unsigned int count)
{
	struct queue_item item;
	unsigned int i;

	for (i = 0; i < count; i++) T_BEGIN {
		item = add(username, first + i);
		give_up(&item);
		commit();
	} T_END;
}

struct reading {
	string_t *str;
	/* the last one, which is the caller's */
	struct queue_item *item;
	bool done;
};

static void reading_done(const struct queue_read_result *result, void *context)
{
	struct reading *reading = context;
	unsigned int i;

	assert_null(result->error);
	for (i = 0; i < result->count; i++) {
		queue_item_unref(&reading->item);
		reading->item = result->items[i];
		queue_item_ref(reading->item);
		str_printfa(reading->str, "%s%s:%"PRIu64,
			    str_len(reading->str) == 0 ? "" : " ",
			    reading->item->username, reading->item->seq);
	}
	reading->done = TRUE;
	io_loop_stop(ioloop);
}

static struct reading read_all(bool lost)
{
	struct reading reading = { .str = t_str_new(128) };

	if (lost)
		(void)queue_lost_read(queue, 0, 1000, reading_done, &reading);
	else {
		(void)queue_read_endpoint(queue, ep, 0, INT64_MAX, 1000,
					  reading_done, &reading);
	}
	while (!reading.done)
		io_loop_run(ioloop);
	return reading;
}

static const char *all_to_str(bool lost)
{
	struct reading reading = read_all(lost);

	queue_item_unref(&reading.item);
	return str_c(reading.str);
}

static const char *queued(void)
{
	return all_to_str(FALSE);
}

static const char *kept(void)
{
	return all_to_str(TRUE);
}

static struct queue_item *last_kept(void)
{
	struct reading reading = read_all(TRUE);

	assert_non_null(reading.item);
	return reading.item;
}

static unsigned int kept_count(void)
{
	struct queue_lost_stats stats;

	queue_lost_get_stats(queue, ep, &stats);
	return stats.rows[QUEUE_LOSS_REFUSED];
}

static uint64_t forgotten(void)
{
	struct queue_lost_stats stats;

	queue_lost_get_stats(queue, NULL, &stats);
	return stats.forgotten;
}

/* Until all of it has been committed. */
static void wait_kept_count(unsigned int count)
{
	while (kept_count() != count)
		io_loop_run(ioloop);
}

static void resend_last(void)
{
	struct queue_item *item = last_kept();

	item->expires = queue_now(queue) + 60;
	queue_lost_resend(queue, item, stored, NULL);
	queue_item_unref(&item);
	i_free(commit_error);
	queue_flush(queue);
}

static void warned(const struct failure_context *ctx ATTR_UNUSED,
		   const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	warnings++;
}

static int setup(void **state ATTR_UNUSED)
{
	dir = i_strdup("/tmp/test-queue-lost.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	ioloop = io_loop_create();
	set.lost_keep_secs = 7*DAY;
	set.lost_max_rows = 100;
	set.lost_max_bytes = 1024*1024;
	warnings = 0;
	open_queue();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;

	queue_deinit(&queue);
	io_loop_destroy(&ioloop);
	if (unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR, &error) < 0)
		i_fatal("%s", error);
	i_free(commit_error);
	i_free(stored_error);
	i_free(dir);
	return 0;
}

static void test_what_is_given_up_is_kept(void **state ATTR_UNUSED)
{
	struct queue_item item = add("alice", 1), *lost;
	unsigned int i;

	give_up(&item);
	assert_true(queue_lost_has(ep));
	commit();
	for (i = 0; i < 2; i++) {
		assert_string_equal(queued(), "");
		lost = last_kept();
		assert_int_equal(lost->lost_id, 1);
		assert_int_equal(lost->id, item.id);
		assert_ptr_equal(lost->endpoint, ep);
		assert_memory_equal(lost->session, item.session,
				    sizeof(item.session));
		assert_true(lost->seq == item.seq);
		assert_string_equal(lost->username, item.username);
		assert_string_equal(lost->folder, item.folder);
		assert_int_equal(lost->uid, item.uid);
		assert_string_equal(lost->body, item.body);
		assert_int_equal(lost->created, item.created);
		assert_int_equal(lost->attempts, 3);
		assert_int_equal(lost->loss.reason, QUEUE_LOSS_REFUSED);
		assert_string_equal(lost->loss.answer, "refused: 422");
		assert_uint_in_range(lost->loss.time, item.created,
				queue_now(queue));
		queue_item_unref(&lost);
		assert_int_equal(kept_count(), 1);
		assert_true(queue_lost_has(ep));
		reopen_queue();
	}
}

static void test_what_was_removed_is_not_kept(void **state ATTR_UNUSED)
{
	struct queue_item item = add("alice", 1);

	queue_remove(queue, item.id, 0);
	commit();
	assert_string_equal(queued(), "");
	assert_string_equal(kept(), "");
	assert_false(queue_lost_has(ep));
}

static void test_nothing_is_kept_if_not_wanted(void **state ATTR_UNUSED)
{
	lose("alice", 1, 1);
	set.lost_keep_secs = 0;
	reopen_queue();
	wait_kept_count(0);
	lose("alice", 2, 1);
	assert_string_equal(kept(), "");
	assert_string_equal(queued(), "");
}

static void test_oldest_go_first(void **state ATTR_UNUSED)
{
	i_set_error_handler(warned);
	set.lost_max_rows = 3;
	reopen_queue();
	lose("alice", 1, 5);
	wait_kept_count(3);
	assert_string_equal(kept(), "alice:3 alice:4 alice:5");
	assert_int_equal(forgotten(), 2);
	/* once per spell */
	assert_int_equal(warnings, 1);
	i_set_error_handler(default_error_handler);
}

static void test_large_ones_go_first_if_old(void **state ATTR_UNUSED)
{
	i_set_error_handler(warned);
	set.lost_max_bytes = 2000;
	reopen_queue();
	lose("alice", 1, 40);
	assert_true(kept_count() < 40);
	assert_true(sql("SELECT sum(size) FROM lost") < 2200);
	assert_int_equal(sql("SELECT max(seq) FROM lost"), 40);
	i_set_error_handler(default_error_handler);
}

static void test_kept_for_its_time(void **state ATTR_UNUSED)
{
	set.lost_max_rows = 1000;
	reopen_queue();
	lose("alice", 1, 300);
	lose("bob", 301, 2);
	(void)sql(t_strdup_printf("UPDATE lost SET lost = lost - %u "
				  "WHERE username = 'alice'", 7*DAY + 1));
	reopen_queue();
	wait_kept_count(2);
	assert_string_equal(kept(), "bob:301 bob:302");
	/* that is no loss */
	assert_int_equal(forgotten(), 0);
}

static void test_dropped_is_gone(void **state ATTR_UNUSED)
{
	struct queue_item *item;

	lose("alice", 1, 3);
	item = last_kept();
	queue_lost_drop(queue, item->lost_id);
	queue_item_unref(&item);
	/* even before that is committed */
	assert_string_equal(kept(), "alice:1 alice:2");
	wait_kept_count(2);
	reopen_queue();
	assert_string_equal(kept(), "alice:1 alice:2");
	assert_int_equal(kept_count(), 2);
}

static void test_resent_comes_before_newer_ones(void **state ATTR_UNUSED)
{
	struct reading reading;
	int64_t id;

	lose("alice", 1, 2);
	(void)add("alice", 3);
	resend_last();
	assert_null(stored_error);
	id = stored_id;
	assert_string_equal(queued(), "alice:2 alice:3");
	assert_string_equal(kept(), "alice:1");
	assert_int_equal(kept_count(), 1);
	resend_last();
	assert_true(stored_id != 0 && stored_id < id);
	reopen_queue();
	assert_string_equal(queued(), "alice:1 alice:2 alice:3");
	assert_string_equal(kept(), "");
	assert_false(queue_lost_has(ep));

	reading = read_all(FALSE);
	assert_int_equal(reading.item->attempts, 0);
	queue_item_unref(&reading.item);
}

static void test_last_one_resent_is_read(void **state ATTR_UNUSED)
{
	lose("alice", 1, 1);
	reopen_queue();
	resend_last();
	assert_string_equal(queued(), "alice:1");
}

static void test_resent_twice_is_one(void **state ATTR_UNUSED)
{
	struct queue_item *item;

	lose("alice", 1, 1);
	item = last_kept();
	resend_last();
	assert_int_not_equal(stored_id, 0);
	queue_lost_resend(queue, item, stored, NULL);
	commit();
	assert_null(stored_error);
	assert_int_equal(stored_id, 0);
	queue_item_unref(&item);
	assert_string_equal(queued(), "alice:1");
}

/* A resend of what was given up again. */
static void test_given_up_again_is_kept_again(void **state ATTR_UNUSED)
{
	struct reading reading;

	lose("alice", 1, 1);
	resend_last();
	reading = read_all(FALSE);
	give_up(reading.item);
	commit();
	queue_item_unref(&reading.item);
	assert_string_equal(queued(), "");
	assert_string_equal(kept(), "alice:1");
}

static void test_numbers_of_kept_ones_are_not_given_again(
	void **state ATTR_UNUSED)
{
	int64_t id;

	lose("alice", 1, 1);
	id = sql("SELECT notification FROM lost");
	reopen_queue();
	(void)add("alice", 2);
	assert_true(stored_id > id);
	resend_last();
	assert_string_equal(queued(), "alice:1 alice:2");
}

static void make_fail(const char *what)
{
	(void)sql(t_strdup_printf("CREATE TRIGGER failure BEFORE %s BEGIN "
				  "SELECT RAISE(ABORT, 'made to fail'); END",
				  what));
}

/* Both are done, or nothing. */
static void test_failed_transaction_changes_nothing(void **state ATTR_UNUSED)
{
	struct queue_item item = add("alice", 1);
	static const char *const failures[] = {
		"INSERT ON lost", "DELETE ON notification"
	};
	unsigned int i;

	i_set_error_handler(warned);
	for (i = 0; i < N_ELEMENTS(failures); i++) {
		make_fail(failures[i]);
		give_up(&item);
		queue_flush(queue);
		assert_non_null(commit_error);
		assert_int_equal(kept_count(), 0);
		assert_int_equal(sql("SELECT count(*) FROM lost"), 0);
		assert_int_equal(sql("SELECT count(*) FROM notification"), 1);
		(void)sql("DROP TRIGGER failure");
		while (kept_count() == 0)
			io_loop_run(ioloop);
		assert_string_equal(kept(), "alice:1");
		resend_last();
		assert_string_equal(queued(), "alice:1");
	}
	make_fail("INSERT ON notification");
	give_up(&item);
	commit();
	resend_last();
	assert_non_null(stored_error);
	assert_string_equal(kept(), "alice:1");
	(void)sql("DROP TRIGGER failure");
	resend_last();
	assert_null(stored_error);
	assert_string_equal(kept(), "");
	i_set_error_handler(default_error_handler);
}

static void test_endpoint_of_kept_ones_is_not_forgotten(
	void **state ATTR_UNUSED)
{
	struct queue_endpoint *old_ep = ep;

	lose("alice", 1, 1);
	queue_endpoint_forget(queue, &ep);
	commit();
	/* nor by a former version */
	assert_int_equal(sql("DELETE FROM endpoint"), 0);
	assert_int_equal(sql("SELECT count(*) FROM endpoint"), 1);

	ep = queue_endpoint_set(queue, "key", "options");
	assert_ptr_equal(ep, old_ep);
	assert_int_equal(kept_count(), 1);
	resend_last();
	assert_string_equal(queued(), "alice:1");
	assert_int_equal(kept_count(), 0);
}

/* A former version has used its id, and may have given up another one. */
static void test_ids_that_a_former_version_has_used(void **state ATTR_UNUSED)
{
	lose("alice", 1, 1);
	(void)sql("INSERT INTO notification SELECT notification, session, 9, "
		  "created, created + 3600, 0, 'bob', folder, uid, body, 0 "
		  "FROM lost");
	reopen_queue();
	resend_last();
	assert_string_equal(queued(), "bob:9 alice:1");
	assert_string_equal(kept(), "");
}

static void test_queue_of_a_former_version(void **state ATTR_UNUSED)
{
	static const char *const statements[] = {
		"DROP TRIGGER lost_endpoint", "DROP TABLE lost",
		"DROP TABLE lost_count"
	};
	struct queue_item item = add("alice", 1);
	unsigned int i;

	queue_deinit(&queue);
	for (i = 0; i < N_ELEMENTS(statements); i++)
		(void)sql(statements[i]);
	open_queue();
	assert_string_equal(queued(), "alice:1");
	item.endpoint = ep;
	give_up(&item);
	commit();
	assert_string_equal(kept(), "alice:1");
	/* a former version opens it, too */
	assert_int_equal(sql("PRAGMA user_version"), 1);
}

/* Many: each commit is small, and there are others in between. */
static void test_many_are_kept(void **state ATTR_UNUSED)
{
	struct queue_item items[1000];
	unsigned int i;

	set.lost_max_rows = 1000;
	reopen_queue();
	for (i = 0; i < N_ELEMENTS(items); i++) {
		items[i] = item_of("alice", i + 1);
		assert_true(queue_add(queue, &items[i], stored, NULL));
	}
	commit();
	for (i = 0; i < N_ELEMENTS(items); i++) {
		items[i].id = stored_id - N_ELEMENTS(items) + 1 + i;
		give_up(&items[i]);
	}
	i = 0;
	while (kept_count() < N_ELEMENTS(items)) {
		io_loop_run(ioloop);
		assert_uint_in_range(kept_count() - i, 0, 256);
		i = kept_count();
	}
	assert_string_equal(queued(), "");
	assert_int_equal(sql("SELECT count(*) FROM lost"), N_ELEMENTS(items));
}

/* Is killed while it gives up and sends again, over and over. */
static void ATTR_NORETURN child_main(void)
{
	struct reading reading;

	for (;;) T_BEGIN {
		reading = read_all(FALSE);
		if (reading.item != NULL) {
			give_up(reading.item);
			queue_item_unref(&reading.item);
			queue_flush(queue);
		}
		resend_last();
	} T_END;
}

static void test_killed_at_any_moment(void **state ATTR_UNUSED)
{
	unsigned int i;
	int status;
	pid_t pid;

	lose("alice", 1, 3);
	lose("bob", 4, 3);
	for (i = 0; i < 20; i++) {
		queue_deinit(&queue);
		if ((pid = fork()) == 0) {
			open_queue();
			child_main();
		}
		(void)usleep(5000 + i * 1000);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) &&
			    WTERMSIG(status) == SIGKILL);
		open_queue();
		/* each is in one place, under the identity that it had */
		assert_int_equal(sql("SELECT count(*) FROM ("
			"SELECT session, seq FROM lost UNION ALL "
			"SELECT session, seq FROM notification)"), 6);
		assert_int_equal(sql("SELECT count(DISTINCT seq) FROM ("
			"SELECT seq FROM lost UNION ALL "
			"SELECT seq FROM notification)"), 6);
		assert_int_equal(kept_count(),
				 sql("SELECT count(*) FROM lost"));
	}
}

#define lost_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lost_test(test_what_is_given_up_is_kept),
		lost_test(test_what_was_removed_is_not_kept),
		lost_test(test_nothing_is_kept_if_not_wanted),
		lost_test(test_oldest_go_first),
		lost_test(test_large_ones_go_first_if_old),
		lost_test(test_kept_for_its_time),
		lost_test(test_dropped_is_gone),
		lost_test(test_resent_comes_before_newer_ones),
		lost_test(test_last_one_resent_is_read),
		lost_test(test_resent_twice_is_one),
		lost_test(test_given_up_again_is_kept_again),
		lost_test(test_numbers_of_kept_ones_are_not_given_again),
		lost_test(test_failed_transaction_changes_nothing),
		lost_test(test_endpoint_of_kept_ones_is_not_forgotten),
		lost_test(test_ids_that_a_former_version_has_used),
		lost_test(test_queue_of_a_former_version),
		lost_test(test_many_are_kept),
		lost_test(test_killed_at_any_moment),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("queue-lost", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
