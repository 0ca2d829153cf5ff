/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a shared queue does not store, in a real queue of this host. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "monotonic.h"
#include "queue-engine.h"
#include "spool.h"

#include <stdlib.h>
#include <unistd.h>

#include "test-common.h"

#define AWAY "it is away"
#define MAX_ROWS 10
#define MAX_BYTES 1000

static char *dir;
static struct ioloop *ioloop;
static guid_128_t session;
static uint64_t last_seq;

/* The shared queue: does it store, or all but notifications, and the bodies in
   their order. */
static struct queue_engine engine;
static bool away, refusing;
static string_t *rows;
/* a commit of what is added, for which it takes its time */
static bool slow;
static struct queue_changes *committing;

static struct queue *shared, *local;
static struct spool *spool;
/* what was added: how many callbacks have come, and the last error; and whether
   the last one had an item without an id */
static unsigned int told;
static char *error;
static bool told_spooled;
/* what was read */
static ARRAY(struct queue_item *) items;
static bool have_read;

static int engine_init(struct queue *q,
		       const struct queue_settings *set ATTR_UNUSED,
		       struct queue_engine **engine_r,
		       const char **error_r ATTR_UNUSED)
{
	engine.queue = q;
	*engine_r = &engine;
	return 0;
}

static void engine_commit(struct queue_engine *e,
			  struct queue_changes *changes)
{
	static int64_t last_number = 0;
	struct queue_endpoint *ep;
	struct queue_item *item;

	if (slow && !array_is_empty(&changes->added)) {
		committing = changes;
		return;
	}
	if (away || (refusing && !array_is_empty(&changes->added))) {
		queue_engine_committed(e->queue, AWAY);
		return;
	}
	array_foreach_elem(&changes->endpoints, ep) {
		if (ep->number == 0)
			ep->number = ++last_number;
	}
	array_foreach_elem(&changes->added, item) {
		str_printfa(rows, "%s ", item->body);
		item->id = ++last_number;
	}
	queue_engine_committed(e->queue, NULL);
}

static void commit_now(void)
{
	struct queue_changes *changes = committing;

	slow = FALSE;
	committing = NULL;
	engine_commit(&engine, changes);
}

static void engine_reclaim(struct queue_engine *e, bool scarce ATTR_UNUSED)
{
	queue_engine_reclaimed(e->queue);
}

static int64_t engine_now(struct queue_engine *e ATTR_UNUSED)
{
	return 1000;
}

static void engine_deinit(struct queue_engine *e ATTR_UNUSED)
{
}

static const struct queue_engine_vfuncs engine_vfuncs = {
	.name = "shared",
	.spooled = TRUE,
	.init = engine_init,
	.commit = engine_commit,
	.reclaim = engine_reclaim,
	.now = engine_now,
	.deinit = engine_deinit
};

static void open_spool_of(const struct queue_engine_vfuncs *vfuncs)
{
	const struct queue_settings set = { .directory = dir, .absent = AWAY };
	const char *text;

	assert_int_equal(queue_init(&queue_engine_sqlite, &set, &local, &text),
			 0);
	assert_int_equal(queue_init(vfuncs, &set, &shared, &text), 0);
	spool = spool_init(shared, local, MAX_ROWS, MAX_BYTES);
}

static void open_spool(void)
{
	open_spool_of(&engine_vfuncs);
}

static void forget_items(void)
{
	struct queue_item *item;

	array_foreach_elem(&items, item)
		queue_item_unref(&item);
	array_clear(&items);
}

static void close_spool(void)
{
	spool_finish(spool);
	spool_deinit(&spool);
	queue_deinit(&shared);
	queue_deinit(&local);
}

static int setup(void **state ATTR_UNUSED)
{
	char path[] = "/tmp/test-spool.XXXXXX";

	ioloop = io_loop_create();
	assert_non_null(mkdtemp(path));
	dir = i_strdup(path);
	guid_128_generate(session);
	/* one that waits for ever fails */
	(void)alarm(300);
	engine.v = &engine_vfuncs;
	rows = str_new(default_pool, 256);
	away = refusing = FALSE;
	i_array_init(&items, 4);
	open_spool();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *text;

	close_spool();
	forget_items();
	array_free(&items);
	assert_int_equal(unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR,
					  &text), 1);
	str_free(&rows);
	i_free(error);
	i_free(dir);
	io_loop_destroy(&ioloop);
	return 0;
}

static void stop_loop(struct ioloop *loop)
{
	io_loop_stop(loop);
}

static void turn(void)
{
	struct timeout *to = timeout_add_short(5, stop_loop, ioloop);

	io_loop_run(ioloop);
	timeout_remove(&to);
}

#define until(condition) \
	while (!(condition)) turn()

static void
stored(struct queue_item *item, const char *text, void *context ATTR_UNUSED)
{
	told++;
	told_spooled = item != NULL && item->id == 0;
	i_free(error);
	error = i_strdup(text);
}

/* Returns what spool_add() says, or what the callback is told; NULL = it is
   stored. */
static const char *add(const char *key, const char *body)
{
	struct queue_item item = {
		.endpoint = queue_endpoint_set(shared, key, "options"),
		.seq = ++last_seq, .username = "alice", .folder = "INBOX",
		.uid = 1, .body = body, .created = 1000, .expires = 2000
	};
	unsigned int before = told;
	const char *text;

	guid_128_copy(item.session, session);
	if (spool_add(spool, &item, stored, NULL, &text) < 0)
		return text;
	until(told > before);
	return error;
}

static void assert_stored(const char *key, const char *body)
{
	assert_null(add(key, body));
}

static bool is_used(void)
{
	int64_t since;

	return spool_get_used(spool, &since);
}

static void assert_spooled(const char *key, unsigned int number, uint64_t bytes)
{
	const struct queue_endpoint *ep = key == NULL ? NULL :
		queue_endpoint_set(shared, key, "options");
	struct spool_amount amount = spool_get_queued(spool, ep);

	assert_int_equal(amount.number, number);
	assert_int_equal(amount.bytes, bytes);
}

static bool is_spooled(unsigned int number)
{
	return spool_get_queued(spool, NULL).number == number;
}

static void
have_items(const struct queue_read_result *result, void *context ATTR_UNUSED)
{
	struct queue_item *item;
	unsigned int i;

	assert_null(result->error);
	for (i = 0; i < result->count; i++) {
		item = result->items[i];
		queue_item_ref(item);
		array_push_back(&items, &item);
	}
	have_read = TRUE;
}

/* Into items; returns their bodies. */
static const char *read_spooled(const char *key)
{
	struct queue_endpoint *ep = queue_endpoint_set(shared, key, "options");
	string_t *bodies = t_str_new(64);
	struct queue_item *item;

	forget_items();
	have_read = FALSE;
	if (spool_read(spool, ep, 0, INT64_MAX, 100, have_items, NULL) == NULL)
		return "";
	until(have_read);
	array_foreach_elem(&items, item)
		str_printfa(bodies, "%s ", item->body);
	return str_c(bodies);
}

/* One of those that were read last. */
static bool remove_spooled(unsigned int idx)
{
	return spool_remove(spool, array_idx_elem(&items, idx));
}

static void test_not_used_while_all_is_well(void **state ATTR_UNUSED)
{
	assert_stored("one", "a");
	assert_false(is_used());
	assert_spooled(NULL, 0, 0);
	assert_string_equal(str_c(rows), "a ");
}

static void test_spooled_is_counted_by_endpoint(void **state ATTR_UNUSED)
{
	away = TRUE;
	assert_stored("one", "a");
	assert_stored("one", "bb");
	assert_stored("two", "ccc");
	assert_true(is_used());
	assert_spooled("one", 2, 3);
	assert_spooled("two", 1, 3);
	assert_spooled("three", 0, 0);
	assert_spooled(NULL, 3, 6);
}

static void test_moved_in_order_and_not_counted(void **state ATTR_UNUSED)
{
	away = TRUE;
	assert_stored("one", "a");
	assert_stored("one", "b");
	away = FALSE;
	/* behind these */
	assert_stored("one", "c");
	until(!is_used());
	assert_string_equal(str_c(rows), "a b c ");
	assert_spooled("one", 0, 0);
	assert_spooled(NULL, 0, 0);
	assert_stored("one", "d");
	assert_string_equal(str_c(rows), "a b c d ");
}

static void test_full(void **state ATTR_UNUSED)
{
	unsigned int i;

	away = TRUE;
	for (i = 0; i < MAX_ROWS; i++)
		assert_stored("one", "a");
	assert_non_null(strstr(add("one", "a"), "queue of this host is full"));
	assert_spooled(NULL, MAX_ROWS, MAX_ROWS);
}

static void test_full_in_bytes(void **state ATTR_UNUSED)
{
	char body[MAX_BYTES + 1];

	memset(body, 'x', MAX_BYTES);
	body[MAX_BYTES] = '\0';
	away = TRUE;
	assert_stored("one", body);
	assert_non_null(strstr(add("one", "a"), "queue of this host is full"));
	assert_spooled(NULL, 1, MAX_BYTES);
}

static void test_former_ones_count(void **state ATTR_UNUSED)
{
	unsigned int i;

	away = TRUE;
	for (i = 0; i < MAX_ROWS - 1; i++)
		assert_stored(i < 3 ? "one" : "two", "aa");
	close_spool();
	open_spool();
	assert_true(is_used());
	until(is_spooled(MAX_ROWS - 1));
	assert_spooled("one", 3, 6);
	assert_spooled("two", MAX_ROWS - 4, (MAX_ROWS - 4) * 2);
	assert_stored("one", "b");
	assert_non_null(strstr(add("one", "c"), "queue of this host is full"));
	away = FALSE;
	until(!is_used());
	assert_spooled(NULL, 0, 0);
	/* each endpoint's in its order */
	assert_non_null(strstr(str_c(rows), "aa aa aa b "));
}

static void test_state_of_the_shared_queue(void **state ATTR_UNUSED)
{
	struct queue_state queue_state;
	int64_t since;

	queue_get_state(shared, &queue_state);
	assert_null(queue_state.error);
	since = queue_state.since;
	away = TRUE;
	assert_stored("one", "a");
	queue_get_state(shared, &queue_state);
	assert_string_equal(queue_state.error, AWAY);
	assert_true(queue_state.since >= since);
	away = FALSE;
	until(!is_used());
	queue_get_state(shared, &queue_state);
	assert_null(queue_state.error);
}

/* It has that error no more, once something else was committed. */
static void test_why_it_is_not_moved(void **state ATTR_UNUSED)
{
	struct queue_state queue_state;

	assert_null(spool_get_error(spool));
	refusing = TRUE;
	assert_stored("one", "a");
	until(spool_get_error(spool) != NULL);
	(void)queue_endpoint_set(shared, "two", "options");
	queue_flush(shared);
	queue_get_state(shared, &queue_state);
	assert_null(queue_state.error);
	assert_string_equal(spool_get_error(spool), AWAY);
	refusing = FALSE;
	until(!is_used());
	assert_null(spool_get_error(spool));
}

/* Until there is a process that has its engine. */
static void test_shared_queue_is_absent(void **state ATTR_UNUSED)
{
	struct queue_state queue_state;

	assert_false(queue_is_absent(shared));
	close_spool();
	open_spool_of(&queue_engine_absent);
	assert_true(queue_is_absent(shared));
	queue_get_state(shared, &queue_state);
	assert_string_equal(queue_state.error, AWAY);
	assert_stored("one", "a");
	assert_true(told_spooled);
	assert_stored("one", "b");
	until(spool_get_error(spool) != NULL);
	assert_string_equal(spool_get_error(spool), AWAY);
	close_spool();
	open_spool();
	until(!is_used());
	assert_string_equal(str_c(rows), "a b ");
}

/* What the engine says counts more than what the last commit did, but that is
   over when the engine can be used again. */
static void test_state_of_the_engine(void **state ATTR_UNUSED)
{
	struct queue_state queue_state;
	int64_t since;

	away = TRUE;
	assert_stored("one", "a");
	queue_get_state(shared, &queue_state);
	since = queue_state.since;
	queue_engine_state(shared, "no server");
	queue_get_state(shared, &queue_state);
	assert_string_equal(queue_state.error, "no server");
	/* one spell */
	assert_true(queue_state.since == since);
	queue_engine_state(shared, NULL);
	queue_get_state(shared, &queue_state);
	assert_null(queue_state.error);
}

/* It is not ready at once, and nothing is spooled because of that. */
static void test_held_at_the_start(void **state ATTR_UNUSED)
{
	struct queue_item item = {
		.seq = ++last_seq, .username = "alice", .folder = "INBOX",
		.uid = 1, .body = "a", .created = 1000, .expires = 2000
	};
	unsigned int before = told;
	const char *text;

	away = TRUE;
	queue_engine_state(shared, "not connected yet");
	item.endpoint = queue_endpoint_set(shared, "one", "options");
	guid_128_copy(item.session, session);
	assert_int_equal(spool_add(spool, &item, stored, NULL, &text), 0);
	turn();
	if (told > before) {
		/* this machine was busy for as long as it is held */
		skip();
	}
	away = FALSE;
	queue_engine_state(shared, NULL);
	until(told > before);
	assert_string_equal(str_c(rows), "a ");
	assert_false(is_used());
}

static void test_whoever_adds_is_told_where(void **state ATTR_UNUSED)
{
	assert_stored("one", "a");
	assert_false(told_spooled);
	away = TRUE;
	assert_stored("one", "b");
	assert_true(told_spooled);
}

static void test_read_and_removed(void **state ATTR_UNUSED)
{
	assert_string_equal(read_spooled("one"), "");
	away = TRUE;
	assert_stored("one", "a");
	assert_stored("two", "b");
	assert_stored("one", "cc");
	assert_string_equal(read_spooled("one"), "a cc ");
	assert_true(remove_spooled(0));
	assert_string_equal(read_spooled("one"), "cc ");
	assert_string_equal(read_spooled("three"), "");
	assert_spooled("one", 1, 2);
	assert_spooled(NULL, 2, 3);
	away = FALSE;
	until(!is_used());
	assert_null(strchr(str_c(rows), 'a'));
	assert_int_equal(str_len(rows), strlen("b cc "));
}

/* Either one or the other, but not both. */
static void test_not_removed_while_it_is_moved(void **state ATTR_UNUSED)
{
	away = TRUE;
	assert_stored("one", "a");
	assert_stored("one", "b");
	slow = TRUE;
	away = FALSE;
	until(committing != NULL);
	assert_string_equal(read_spooled("one"), "a b ");
	assert_false(remove_spooled(0));
	assert_false(remove_spooled(1));
	commit_now();
	assert_string_equal(read_spooled("one"), "");
	until(!is_used());
	assert_string_equal(str_c(rows), "a b ");
}

static void test_removed_if_it_could_not_be_moved(void **state ATTR_UNUSED)
{
	away = TRUE;
	assert_stored("one", "a");
	slow = TRUE;
	until(committing != NULL);
	assert_string_equal(read_spooled("one"), "a ");
	assert_false(remove_spooled(0));
	commit_now();
	assert_true(remove_spooled(0));
	assert_spooled(NULL, 0, 0);
}

/* The shared queue can't be used because of that. */
static void test_used_although_all_was_removed(void **state ATTR_UNUSED)
{
	int64_t end = http_notify_monotonic_msecs() + 1500;

	away = TRUE;
	assert_stored("one", "a");
	assert_string_equal(read_spooled("one"), "a ");
	assert_true(remove_spooled(0));
	/* until it has looked for more */
	until(http_notify_monotonic_msecs() > end);
	assert_true(is_used());
	away = FALSE;
	queue_engine_state(shared, NULL);
	until(!is_used());
	assert_string_equal(str_c(rows), "");
}

#define spool_test(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spool_test(test_not_used_while_all_is_well),
		spool_test(test_spooled_is_counted_by_endpoint),
		spool_test(test_moved_in_order_and_not_counted),
		spool_test(test_full),
		spool_test(test_full_in_bytes),
		spool_test(test_former_ones_count),
		spool_test(test_state_of_the_shared_queue),
		spool_test(test_why_it_is_not_moved),
		spool_test(test_shared_queue_is_absent),
		spool_test(test_state_of_the_engine),
		spool_test(test_held_at_the_start),
		spool_test(test_whoever_adds_is_told_where),
		spool_test(test_read_and_removed),
		spool_test(test_not_removed_while_it_is_moved),
		spool_test(test_removed_if_it_could_not_be_moved),
		spool_test(test_used_although_all_was_removed),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	lib_deinit();
	return ret;
}
