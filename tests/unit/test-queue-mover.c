/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From one real queue to another one, whose engines do what they are told. */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "queue-lost.h"
#include "queue-lost-mover.h"
#include "queue-mover.h"
#include "queue-private.h"

#include <stdlib.h>

#include "test-common.h"

/* By how much the other queue's clock is ahead, in seconds. */
#define AHEAD 5000

static struct ioloop *ioloop;
static char *dirs[2];
static struct queue *from, *to;
static struct queue_mover *mover;
static struct queue_lost_mover *lost_mover;
static struct queue_engine_vfuncs from_v, to_v;
static guid_128_t session;
static uint64_t last_seq;
static bool stored;

/* what was read last */
static string_t *found_str;
/* what the mover has said */
static unsigned int moved, early, emptied, failed, lost_moved, lost_done;
static bool held;
/* what the other engine does with the next commit: fail, or wait */
static bool fail_commit, wait_commit;
static struct queue_changes *waiting;
/* parts that were given back */
static unsigned int released;

static int64_t now_ahead(struct queue_engine *engine)
{
	return queue_engine_sqlite.now(engine) + AHEAD;
}

static void commit(struct queue_engine *engine, struct queue_changes *changes)
{
	if (fail_commit) {
		fail_commit = FALSE;
		queue_engine_committed(engine->queue, "it is broken");
	} else if (wait_commit)
		waiting = changes;
	else
		queue_engine_sqlite.commit(engine, changes);
}

static void commit_now(void)
{
	struct queue_changes *changes = waiting;

	assert_non_null(changes);
	waiting = NULL;
	wait_commit = FALSE;
	queue_engine_sqlite.commit(to->engine, changes);
}

static void part_released(struct queue_engine *engine ATTR_UNUSED,
			  struct queue_part *part ATTR_UNUSED)
{
	released++;
}

static bool may_move(void *context ATTR_UNUSED)
{
	return !held;
}

static void have_early(const struct queue_endpoint *ep ATTR_UNUSED,
		       size_t body_size ATTR_UNUSED,
		       void *context ATTR_UNUSED)
{
	early++;
}

static void have_moved(const struct queue_endpoint *ep ATTR_UNUSED,
		       size_t body_size ATTR_UNUSED,
		       void *context ATTR_UNUSED)
{
	moved++;
}

static void have_emptied(void *context ATTR_UNUSED)
{
	emptied++;
	io_loop_stop(ioloop);
}

static void have_failed(const char *error, void *context ATTR_UNUSED)
{
	assert_string_equal(error, "it is broken");
	failed++;
	io_loop_stop(ioloop);
}

static void have_lost_moved(void *context ATTR_UNUSED)
{
	lost_moved++;
}

static void have_lost_done(const char *error, void *context ATTR_UNUSED)
{
	assert_null(error);
	lost_done++;
	io_loop_stop(ioloop);
}

static void open_queue(unsigned int i, struct queue **queue_r)
{
	const struct queue_settings set = {
		.directory = dirs[i], .lost_keep_secs = 3600,
		.lost_max_rows = 1000, .lost_max_bytes = 1000000
	};
	const char *error;

	if (queue_init(&queue_engine_sqlite, &set, queue_r, &error) < 0)
		fail_msg("%s", error);
}

static void open_to(void)
{
	open_queue(1, &to);
	to_v = queue_engine_sqlite;
	to_v.now = now_ahead;
	to_v.commit = commit;
	to->engine->v = &to_v;
}

static int setup(void **state ATTR_UNUSED)
{
	char path[] = "/tmp/test-queue-mover-XXXXXX";
	unsigned int i;

	ioloop = io_loop_create();
	found_str = str_new(default_pool, 256);
	for (i = 0; i < N_ELEMENTS(dirs); i++) {
		memcpy(path + strlen(path) - 6, "XXXXXX", 6);
		assert_non_null(mkdtemp(path));
		dirs[i] = i_strdup(path);
	}
	guid_128_generate(session);
	last_seq = 0;
	moved = early = emptied = failed = lost_moved = lost_done = 0;
	released = 0;
	held = fail_commit = wait_commit = FALSE;
	open_queue(0, &from);
	from_v = queue_engine_sqlite;
	from_v.part_released = part_released;
	from->engine->v = &from_v;
	open_to();
	return 0;
}

static void stop_moving(void)
{
	if (mover != NULL)
		queue_mover_deinit(&mover);
	if (lost_mover != NULL)
		queue_lost_mover_deinit(&lost_mover);
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;
	unsigned int i;

	stop_moving();
	queue_deinit(&from);
	queue_deinit(&to);
	for (i = 0; i < N_ELEMENTS(dirs); i++) {
		assert_true(unlink_directory(dirs[i],
			UNLINK_DIRECTORY_FLAG_RMDIR, &error) >= 0);
		i_free(dirs[i]);
	}
	str_free(&found_str);
	io_loop_destroy(&ioloop);
	return 0;
}

static void begin(void)
{
	static const struct queue_mover_vfuncs v = {
		.found = have_early,
		.may_move = may_move,
		.moved = have_moved,
		.emptied = have_emptied,
		.failed = have_failed
	};

	mover = queue_mover_init(from, to, &v, NULL);
	queue_mover_go_on(mover, 0);
}

static void begin_lost(void)
{
	static const struct queue_lost_mover_vfuncs v = {
		.moved = have_lost_moved, .done = have_lost_done
	};

	lost_mover = queue_lost_mover_init(from, to, &v, NULL);
	queue_lost_mover_start(lost_mover);
}

/* Until the condition holds. */
#define run_until(condition) \
	while (!(condition)) turn()

static void turn(void)
{
	struct timeout *to_end = timeout_add_short(2, io_loop_stop, ioloop);

	io_loop_run(ioloop);
	timeout_remove(&to_end);
}

static void
have_stored(struct queue_item *item ATTR_UNUSED, const char *error,
	    void *context)
{
	int64_t *id_r = context;

	assert_null(error);
	stored = TRUE;
	*id_r = item == NULL ? 0 : item->id;
}

static int64_t
add_seq(struct queue *queue, const char *key, const char *username,
	uint64_t seq)
{
	struct queue_item item = {
		.endpoint = queue_endpoint_set(queue, key, "options"),
		.seq = seq, .username = username, .folder = "INBOX",
		.uid = seq, .body = "{}",
		.created = queue_now(queue) - 10,
		.expires = queue_now(queue) + 3600
	};
	int64_t id = 0;

	guid_128_copy(item.session, session);
	stored = FALSE;
	(void)queue_add(queue, &item, have_stored, &id);
	run_until(stored);
	return id;
}

static int64_t add(const char *key, const char *username)
{
	return add_seq(from, key, username, ++last_seq);
}

/* NULL = it is not known */
static struct queue_endpoint *endpoint(struct queue *queue, const char *key)
{
	return hash_table_lookup(queue->endpoints, key);
}

struct found {
	int64_t created, expires;
	unsigned int attempts;
	bool done;
};

static void
have_read(const struct queue_read_result *result, void *context)
{
	struct found *found = context;
	unsigned int i;

	assert_null(result->error);
	for (i = 0; i < result->count; i++) {
		const struct queue_item *item = result->items[i];

		str_printfa(found_str, "%s%"PRIu64":%s",
			    str_len(found_str) == 0 ? "" : " ", item->seq,
			    item->username);
		if (item->loss.answer != NULL) {
			str_printfa(found_str, ":%d:%s:%u:%"PRId64,
				    item->loss.reason, item->loss.answer,
				    item->attempts,
				    (queue_now(to) - item->loss.time) / 60);
		}
		found->created = item->created;
		found->expires = item->expires;
		found->attempts = item->attempts;
	}
	found->done = TRUE;
}

/* "<seq>:<user> ..." */
static const char *
queued_in(struct queue *queue, const char *key, struct found *found)
{
	struct queue_endpoint *ep = endpoint(queue, key);

	i_zero(found);
	str_truncate(found_str, 0);
	if (ep == NULL)
		return "";
	(void)queue_read_endpoint(queue, ep, 0, INT64_MAX, 1000, have_read,
				  found);
	run_until(found->done);
	return str_c(found_str);
}

static const char *lost_in(struct queue *queue)
{
	struct found found = { .done = FALSE };

	str_truncate(found_str, 0);
	(void)queue_lost_read(queue, 0, 1000, have_read, &found);
	run_until(found.done);
	return str_c(found_str);
}

static const char *expected(unsigned int count, const char *username)
{
	string_t *str = t_str_new(256);
	unsigned int i;

	for (i = 1; i <= count; i++) {
		str_printfa(str, "%s%u:%s", i == 1 ? "" : " ", i, username);
	}
	return str_c(str);
}

static void test_parts_move_in_their_order(void **state ATTR_UNUSED)
{
	struct found found;
	unsigned int i;

	/* more than one batch */
	for (i = 0; i < 149; i++)
		(void)add("one", "bob");
	queue_set_attempts(from, add("one", "bob"), 3);
	(void)add("two", "bob");
	begin();
	assert_int_equal(queue_mover_early_parts(mover), 2);
	run_until(emptied > 0);
	assert_int_equal(moved, 151);
	assert_int_equal(early, 151);
	assert_int_equal(queue_mover_early_parts(mover), 0);
	assert_string_equal(queued_in(from, "one", &found), "");
	assert_string_equal(queued_in(from, "two", &found), "");
	assert_string_equal(queued_in(to, "two", &found), "151:bob");
	assert_string_equal(queued_in(to, "one", &found),
			    expected(150, "bob"));
	/* by the other one's clock, and its age is what it was */
	assert_true(found.created <= queue_now(to) - 10);
	assert_true(found.created > queue_now(to) - 60);
	assert_uint_in_range(found.expires - found.created, 3600, 3660);
	assert_int_equal(found.attempts, 3);
}

static void test_what_comes_later_follows(void **state ATTR_UNUSED)
{
	struct found found;

	(void)add("one", "bob");
	begin();
	run_until(emptied > 0);
	(void)add("one", "bob");
	(void)add("two", "bob");
	queue_mover_go_on(mover, 0);
	run_until(moved == 3);
	assert_int_equal(early, 1);
	assert_string_equal(queued_in(to, "one", &found), "1:bob 2:bob");
	assert_string_equal(queued_in(to, "two", &found), "3:bob");
}

static void test_what_is_not_stored_stays(void **state ATTR_UNUSED)
{
	struct found found;

	(void)add("one", "bob");
	(void)add("one", "bob");
	fail_commit = TRUE;
	begin();
	run_until(failed > 0);
	assert_int_equal(moved, 0);
	assert_string_equal(queued_in(from, "one", &found), "1:bob 2:bob");
	queue_mover_go_on(mover, 0);
	run_until(emptied > 0);
	assert_string_equal(queued_in(from, "one", &found), "");
	assert_string_equal(queued_in(to, "one", &found), "1:bob 2:bob");
}

static void test_waits_until_it_may(void **state ATTR_UNUSED)
{
	(void)add("one", "bob");
	held = TRUE;
	begin();
	turn();
	turn();
	assert_int_equal(moved + emptied, 0);
	held = FALSE;
	queue_mover_go_on(mover, 0);
	run_until(emptied > 0);
	assert_int_equal(moved, 1);
}

static struct queue_part *part_of(int64_t id)
{
	return queue_engine_find_part(from, id >> from->part_shift);
}

static void
test_part_is_released_when_nothing_is_under_way(void **state ATTR_UNUSED)
{
	struct queue_part *part;
	struct found found;
	int64_t id = add("one", "bob");

	part = part_of(id);
	wait_commit = TRUE;
	begin();
	run_until(waiting != NULL);
	queue_engine_part_release(from, part);
	turn();
	assert_int_equal(released, 0);
	commit_now();
	run_until(released > 0);
	assert_int_equal(moved, 1);
	assert_true(queue_is_settled(from));
	assert_string_equal(queued_in(to, "one", &found), "1:bob");
}

static void test_idle_part_is_released_at_once(void **state ATTR_UNUSED)
{
	int64_t id = add("one", "bob");

	begin();
	run_until(emptied > 0 && queue_is_settled(from));
	queue_engine_part_release(from, part_of(id));
	assert_int_equal(released, 1);
}

static void test_revoked_part_is_left_to_others(void **state ATTR_UNUSED)
{
	struct found found;
	int64_t id = add("one", "bob");

	(void)add("two", "bob");
	wait_commit = TRUE;
	begin();
	run_until(waiting != NULL);
	queue_engine_part_revoked(from, part_of(id));
	commit_now();
	run_until(emptied > 0);
	/* what was stored nevertheless is removed there */
	assert_int_equal(moved, 2);
	assert_string_equal(queued_in(from, "one", &found), "");
	assert_string_equal(queued_in(to, "one", &found), "1:bob");
}

static void test_part_is_looked_through_again(void **state ATTR_UNUSED)
{
	struct queue_loss loss = { .answer = "no" };
	struct queue_item item = { .username = "bob", .folder = "INBOX",
				   .body = "{}" };
	struct found found;

	item.id = add("one", "bob");
	(void)add("one", "bob");
	item.endpoint = endpoint(from, "one");
	queue_give_up(from, &item, 1, &loss);
	run_until(queue_is_settled(from));
	begin();
	run_until(emptied > 0);
	assert_string_equal(queued_in(to, "one", &found), "2:bob");
	/* another process puts it back */
	emptied = 0;
	item.lost_id = 1;
	item.seq = 1;
	item.expires = queue_now(from) + 3600;
	stored = FALSE;
	queue_lost_resend(from, &item, have_stored, &item.id);
	run_until(stored);
	queue_engine_part_look_again(from, part_of(item.id));
	run_until(emptied > 0);
	assert_int_equal(moved, 2);
	assert_string_equal(queued_in(from, "one", &found), "");
}

/* They come by part, not in the order in which a session handed them off; and a
   queue in SQLite knows only the highest number of one that is stored. */
static void
test_numbers_of_what_is_moved_are_not_remembered(void **state ATTR_UNUSED)
{
	struct found found;

	(void)add_seq(from, "one", "bob", 9);
	begin();
	run_until(emptied > 0);
	assert_false(queue_has_added(to, session, 9));
	stop_moving();
	(void)add_seq(to, "one", "bob", 20);
	queue_deinit(&to);
	open_to();
	(void)add_seq(from, "two", "bob", 3);
	emptied = 0;
	begin();
	run_until(emptied > 0);
	assert_string_equal(queued_in(to, "two", &found), "3:bob");
}

static void lose(const char *username, enum queue_loss_reason reason,
		 const char *answer)
{
	const struct queue_loss loss = {
		.reason = reason, .answer = answer,
		.time = queue_now(from) - 90
	};
	struct queue_item item = { .username = username, .folder = "INBOX",
				   .body = "{}" };

	item.id = add("one", username);
	item.endpoint = endpoint(from, "one");
	queue_give_up(from, &item, last_seq + 5, &loss);
	run_until(queue_is_settled(from));
}

static void test_given_up_moves_with_its_reason(void **state ATTR_UNUSED)
{
	struct queue_lost_stats stats;
	struct queue_endpoint *ep;
	struct found found;

	lose("bob", QUEUE_LOSS_REFUSED, "422 no");
	lose("eve", QUEUE_LOSS_EXPIRED, "too old");
	begin_lost();
	run_until(lost_done > 0);
	assert_int_equal(lost_moved, 2);
	run_until(queue_is_settled(from));
	assert_string_equal(lost_in(from), "");
	queue_lost_get_stats(from, NULL, &stats);
	assert_int_equal(stats.oldest, 0);
	assert_string_equal(lost_in(to), "1:bob:0:422 no:6:1 "
			    "2:eve:2:too old:7:1");
	assert_string_equal(queued_in(to, "one", &found), "");
	ep = endpoint(to, "one");
	queue_lost_get_stats(to, ep, &stats);
	assert_int_equal(stats.rows[QUEUE_LOSS_REFUSED], 1);
	assert_int_equal(stats.rows[QUEUE_LOSS_EXPIRED], 1);
	queue_lost_get_stats(to, NULL, &stats);
	assert_true(stats.oldest <= queue_now(to) - 90);
	assert_true(stats.oldest > queue_now(to) - 120);
}

static void test_given_up_is_counted_after_a_restart(void **state ATTR_UNUSED)
{
	struct queue_lost_stats stats;
	struct found found;

	lose("bob", QUEUE_LOSS_REFUSED, "422 no");
	begin_lost();
	run_until(lost_done > 0);
	stop_moving();
	queue_deinit(&to);
	open_to();
	queue_lost_get_stats(to, NULL, &stats);
	assert_int_equal(stats.rows[QUEUE_LOSS_REFUSED], 1);
	/* its number is not another one's */
	(void)add_seq(to, "one", "eve", 7);
	assert_string_equal(queued_in(to, "one", &found), "7:eve");
	assert_string_equal(lost_in(to), "1:bob:0:422 no:6:1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_parts_move_in_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_comes_later_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_is_not_stored_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_waits_until_it_may, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_part_is_released_when_nothing_is_under_way, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_idle_part_is_released_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_revoked_part_is_left_to_others, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_part_is_looked_through_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_numbers_of_what_is_moved_are_not_remembered,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_given_up_moves_with_its_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_given_up_is_counted_after_a_restart, setup,
			teardown),
	};

	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("queue-mover", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
