/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "dovecot-compat.h"
#include "monotonic.h"
#include "queue.h"
#include "queue-engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test-common.h"

static const char *program;
/* Where each test has its queue. */
static char *dir;
/* for results of each test */
static pool_t pool;
static struct ioloop *ioloop;
static struct queue *queue;
/* what was said by the commit callback */
static unsigned int commits;
static char *commit_error;
/* what was said of the latest addition */
static int64_t stored_id;
static char *stored_error;

/* what the next item is added with: the endpoint's key */
static guid_128_t session;
static const char *endpoint;

static void committed(const char *error, void *context ATTR_UNUSED)
{
	commits++;
	i_free(commit_error);
	commit_error = i_strdup(error);
	io_loop_stop(ioloop);
}

static const char *path_of(const char *name)
{
	return t_strconcat(dir, "/", name, NULL);
}

static const char *queue_path(void)
{
	return path_of("queue.sqlite");
}

static int try_open_queue(bool sync_full, const char **error_r)
{
	const struct queue_settings set = {
		.directory = dir, .sync_full = sync_full
	};

	if (queue_init(&queue_engine_sqlite, &set, &queue, error_r) < 0)
		return -1;
	queue_set_committed_callback(queue, committed, NULL);
	return 0;
}

static void open_queue(void)
{
	const char *error;

	if (try_open_queue(FALSE, &error) < 0)
		fail_msg("%s", error);
}

/* What a restart of the service does. */
static void reopen_queue(void)
{
	queue_deinit(&queue);
	open_queue();
}

static const char *open_error(void)
{
	const char *error = NULL;

	assert_int_equal(try_open_queue(FALSE, &error), -1);
	assert_non_null(error);
	return error;
}

/* The commit happens at the next turn of the ioloop, or later if the last one
   has failed. */
static void wait_for_commit(void)
{
	commits = 0;
	while (commits == 0)
		io_loop_run(ioloop);
	assert_int_equal(commits, 1);
}

/* Now, if there is anything to commit. */
static void run_to_commit(void)
{
	i_free(commit_error);
	queue_flush(queue);
}

static void commit(void)
{
	run_to_commit();
	if (commit_error != NULL)
		fail_msg("%s", commit_error);
}

struct found_endpoint {
	const char *key;
	struct queue_endpoint *ep;
};

static void find_endpoint(struct queue_endpoint *ep,
			  const char *options ATTR_UNUSED, void *context)
{
	struct found_endpoint *found = context;

	if (strcmp(ep->key, found->key) == 0)
		found->ep = ep;
}

static void ignore_part(struct queue_part *part ATTR_UNUSED,
			void *context ATTR_UNUSED)
{
}

static struct queue_endpoint *endpoint_of(const char *key)
{
	static const struct queue_part_vfuncs vfuncs = {
		.endpoint = find_endpoint, .claimed = ignore_part
	};
	struct found_endpoint found = { .key = key };

	queue_claim(queue, &vfuncs, &found);
	queue_unclaim(queue);
	assert_non_null(found.ep);
	return found.ep;
}

/* The only one; NULL = there is none. */
static struct queue_part *part_of(const char *key)
{
	struct queue_part *part = endpoint_of(key)->parts;

	if (part != NULL)
		assert_null(part->next);
	return part;
}

/* Returns the key. */
static const char *set_endpoint(const char *key, const char *options)
{
	(void)queue_endpoint_set(queue, key, options);
	return key;
}

static void forget_endpoint(const char *key)
{
	struct queue_endpoint *ep = endpoint_of(key);

	queue_endpoint_forget(queue, &ep);
	assert_null(ep);
}

static struct queue_item item_of(const char *username, uint64_t seq)
{
	struct queue_item item = {
		.endpoint = endpoint_of(endpoint), .seq = seq,
		.username = username,
		.folder = "INBOX", .uid = 17, .body = "{}",
		.created = 1700000000, .expires = 1700003600
	};

	guid_128_copy(item.session, session);
	return item;
}

static void
stored(struct queue_item *item, const char *error, void *context ATTR_UNUSED)
{
	stored_id = item == NULL ? 0 : item->id;
	i_free(stored_error);
	stored_error = i_strdup(error);
}

static bool add_item(const struct queue_item *item)
{
	return queue_add(queue, item, stored, NULL);
}

static bool add(const char *username, uint64_t seq)
{
	struct queue_item item = item_of(username, seq);

	return add_item(&item);
}

/* Why it is not stored. */
static const char *add_error(const char *username, uint64_t seq)
{
	assert_true(add(username, seq));
	run_to_commit();
	assert_non_null(stored_error);
	assert_int_equal(stored_id, 0);
	return t_strdup(stored_error);
}

/* Three of alice's and one of bob's between them. */
static void add_some(void)
{
	assert_true(add("alice", 1));
	assert_true(add("bob", 2));
	assert_true(add("alice", 3));
	assert_true(add("alice", 4));
}

static const char *
items_to_str(const struct queue_item *items, unsigned int count)
{
	string_t *str = t_str_new(128);
	unsigned int i;

	for (i = 0; i < count; i++) {
		str_printfa(str, "%s%s:%"PRIu64, i == 0 ? "" : " ",
			    items[i].username, items[i].seq);
	}
	return str_c(str);
}

static int64_t last_id_of(const char *key)
{
	struct queue_part *part = part_of(key);

	return part == NULL ? 0 : queue_part_last_id(part);
}

struct reading {
	struct queue_item *items;
	unsigned int count;
	int64_t read_to;
	bool more, failed, done;
};

static void
reading_done(const struct queue_read_result *result, void *context)
{
	struct reading *reading = context;
	unsigned int i;

	reading->count = result->count;
	for (i = 0; i < result->count; i++) {
		struct queue_item *item = &reading->items[i];

		*item = *result->items[i];
		item->username = p_strdup(pool, item->username);
		item->folder = p_strdup(pool, item->folder);
		item->body = p_strdup(pool, item->body);
	}
	reading->read_to = result->read_to;
	reading->more = result->more;
	reading->failed = result->error != NULL;
	reading->done = TRUE;
	io_loop_stop(ioloop);
}

static struct reading
read_from(const char *key, enum queue_read_what what, int64_t after_id,
	  int64_t last_id, unsigned int limit)
{
	struct reading reading = {
		.items = p_new(pool, struct queue_item, limit)
	};

	if (part_of(key) == NULL)
		return reading;
	(void)queue_read(queue, part_of(key), what, after_id, last_id, limit,
			 reading_done, &reading);
	assert_false(reading.done);
	while (!reading.done)
		io_loop_run(ioloop);
	return reading;
}

/* As whole ones and as users. */
static unsigned int
read_items(int64_t after_id, unsigned int limit, struct queue_item **items_r)
{
	struct reading whole, users;
	unsigned int i;

	whole = read_from(endpoint, QUEUE_READ_WHOLE, after_id, INT64_MAX,
			  limit);
	users = read_from(endpoint, QUEUE_READ_USERS, after_id, INT64_MAX,
			  limit);
	assert_false(whole.failed || users.failed);
	assert_int_equal(whole.count, users.count);
	assert_int_equal(whole.read_to, users.read_to);
	for (i = 0; i < whole.count; i++) {
		assert_int_equal(whole.items[i].id, users.items[i].id);
		assert_string_equal(whole.items[i].username,
				    users.items[i].username);
		assert_int_equal(whole.items[i].body_size,
				 strlen(whole.items[i].body));
		assert_int_equal(users.items[i].body_size,
				 whole.items[i].body_size);
		assert_true(i == 0 ||
			    whole.items[i].id > whole.items[i - 1].id);
	}
	if (whole.count == limit) {
		assert_true(whole.more);
		assert_int_equal(whole.read_to, whole.items[limit - 1].id);
	} else if (!whole.more) {
		assert_int_equal(whole.read_to, I_MAX(after_id,
			last_id_of(endpoint)));
	}
	*items_r = whole.items;
	return whole.count;
}

static unsigned int count_in(const char *from)
{
	return read_from(from, QUEUE_READ_USERS, 0, INT64_MAX, 1024).count;
}

static const char *read_to_str(int64_t after_id, unsigned int limit)
{
	struct queue_item *items;
	unsigned int count = read_items(after_id, limit, &items);

	return items_to_str(items, count);
}

/* All there is, as "<user>:<seq> ..." */
static const char *queued(void)
{
	return read_to_str(0, 64);
}

static int64_t id_of(uint64_t seq)
{
	struct queue_item *items;
	unsigned int i, count = read_items(0, 64, &items);

	for (i = 0; i < count; i++) {
		if (items[i].seq == seq)
			return items[i].id;
	}
	fail_msg("seq %"PRIu64" is not queued", seq);
	return -1;
}

/* The one with this id, as "<user>:<seq>", NULL if it is not found. */
static const char *item_to_str(int64_t id)
{
	struct reading reading = read_from(endpoint, QUEUE_READ_WHOLE,
					   id - 1, id, 1);

	if (reading.count == 0)
		return NULL;
	assert_int_equal(reading.items[0].id, id);
	return items_to_str(reading.items, 1);
}

/* Adds to an endpoint, which stays the one that items are added to, and
   commits. */
static int64_t add_to(const char *to, const char *username, uint64_t seq)
{
	endpoint = to;
	assert_true(add(username, seq));
	commit();
	return stored_id;
}

static const char *queued_in(const char *from)
{
	endpoint = from;
	return queued();
}

/* The other connections to the database are an admin's, or make it fail. */
static sqlite3 *other_open(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(queue_path(), &db), SQLITE_OK);
	return db;
}

static void other_exec(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void other_close(sqlite3 *db)
{
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void other_exec_once(const char *sql)
{
	sqlite3 *db = other_open();

	other_exec(db, sql);
	other_close(db);
}

static int64_t other_get_int(const char *sql)
{
	sqlite3 *db = other_open();
	sqlite3_stmt *stmt;
	int64_t num;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	num = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	other_close(db);
	return num;
}

/* A statement that fails, as by an error of the disk. */
static void make_fail(const char *what, const char *how)
{
	other_exec_once(t_strdup_printf("CREATE TRIGGER failure BEFORE %s "
		"BEGIN SELECT RAISE(%s, 'made to fail'); END", what, how));
}

static void stop_failing(void)
{
	other_exec_once("DROP TRIGGER failure");
}

static void quiet(const struct failure_context *ctx ATTR_UNUSED,
		  const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
}

/* A full disk: no file grows any more, nor does one that standard error is. */
static void set_disk_full(bool full)
{
	struct rlimit limit;

	i_set_error_handler(full ? quiet : default_error_handler);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = full ? 1 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* This program again, as a process of its own: child_main(). */
static pid_t start_child(const char *role, int stdin_fd)
{
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		if (dup2(stdin_fd, STDIN_FILENO) >= 0)
			(void)execl(program, program, role, dir, NULL);
		_exit(127);
	}
	return pid;
}

static int wait_for_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int setup(void **state ATTR_UNUSED)
{
	const char *tmp = getenv("TMPDIR");

	dir = i_strconcat(tmp == NULL ? "/tmp" : tmp, "/test-queue.XXXXXX",
			  NULL);
	if (mkdtemp(dir) == NULL)
		return -1;
	pool = pool_alloconly_create("test", 4096);
	ioloop = io_loop_create();
	i_zero(&session);
	stored_id = 0;
	open_queue();
	endpoint = set_endpoint("key", "options");
	commit();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;

	if (queue != NULL)
		queue_deinit(&queue);
	io_loop_destroy(&ioloop);
	if (unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR, &error) < 0)
		i_fatal("%s", error);
	i_free(commit_error);
	i_free(stored_error);
	pool_unref(&pool);
	i_free(dir);
	return 0;
}

static void test_added_is_read_after_commit_only(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	assert_null(part_of(endpoint));
	commit();
	assert_int_equal(last_id_of(endpoint), stored_id);
	assert_string_equal(queued(), "alice:1");
}

static void
assert_items_equal(const struct queue_item *item,
		   const struct queue_item *expected)
{
	assert_int_equal(item->id, expected->id);
	assert_memory_equal(item->session, expected->session,
			    sizeof(item->session));
	assert_true(item->seq == expected->seq);
	assert_string_equal(item->username, expected->username);
	assert_string_equal(item->folder, expected->folder);
	assert_int_equal(item->uid, expected->uid);
	assert_string_equal(item->body, expected->body);
	assert_int_equal(item->created, expected->created);
	assert_int_equal(item->expires, expected->expires);
	assert_int_equal(item->attempts, expected->attempts);
}

static void test_everything_added_is_read(void **state ATTR_UNUSED)
{
	struct queue_item item = {
		.endpoint = endpoint_of(endpoint), .seq = INT64_MAX,
		.username = "us\ter\xff'", .folder = "\xe5\x8f\x97\001\n\"",
		.uid = UINT32_MAX, .body = "{\"a\":\"\\u0001%s\"}",
		.created = 1700000000, .expires = 4102444800
	};
	struct queue_item *items;

	guid_128_generate(session);
	guid_128_copy(item.session, session);
	assert_true(add_item(&item));
	commit();
	item.id = stored_id;
	reopen_queue();

	assert_int_equal(read_items(0, 2, &items), 1);
	assert_items_equal(&items[0], &item);
	assert_ptr_equal(items[0].endpoint, endpoint_of(endpoint));
}

static void test_order_is_that_of_adding(void **state ATTR_UNUSED)
{
	struct queue_item *items;
	unsigned int i;

	add_some();
	commit();
	assert_true(add("bob", 5));
	reopen_queue();
	assert_true(add("alice", 6));
	commit();

	assert_string_equal(queued(),
			    "alice:1 bob:2 alice:3 alice:4 bob:5 alice:6");
	assert_int_equal(read_items(0, 64, &items), 6);
	for (i = 1; i < 6; i++)
		assert_true(items[i].id > items[i - 1].id);
}

static void
test_order_within_endpoints_is_that_of_adding(void **state ATTR_UNUSED)
{
	const char *first = endpoint, *second = set_endpoint("key2", "options");
	int64_t ids[6];
	unsigned int i;

	ids[0] = add_to(second, "alice", 1);
	ids[1] = add_to(first, "alice", 2);
	ids[2] = add_to(second, "bob", 3);
	commit();
	ids[3] = add_to(first, "bob", 4);
	ids[4] = add_to(second, "alice", 5);
	reopen_queue();
	ids[5] = add_to(first, "alice", 6);
	commit();

	assert_string_equal(queued_in(first), "alice:2 bob:4 alice:6");
	assert_string_equal(queued_in(second), "alice:1 bob:3 alice:5");
	for (i = 2; i < N_ELEMENTS(ids); i++)
		assert_true(ids[i] > ids[i - 2]);
}

static void test_many_adds_make_one_commit(void **state ATTR_UNUSED)
{
	unsigned int i;

	commits = 0;
	for (i = 1; i <= 1000; i++)
		assert_true(add("alice", i));
	assert_int_equal(commits, 0);
	wait_for_commit();
	assert_null(commit_error);
	assert_int_equal(count_in(endpoint), 1000);
}

static void test_same_handoff_is_added_once(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	assert_true(add("alice", 2));
	assert_false(add("alice", 2));
	commit();
	assert_false(add("alice", 2));
	assert_false(add("alice", 1));
	commit();
	assert_string_equal(queued(), "alice:1 alice:2");
}

static void test_same_handoff_is_added_once_ever(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	assert_true(add("alice", 2));
	reopen_queue();
	queue_remove(queue, id_of(2), 0);
	assert_false(add("alice", 2));
	assert_false(add("alice", 1));
	assert_true(add("alice", 3));
	commit();
	assert_string_equal(queued(), "alice:1 alice:3");
}

/* By connections that are read in another order. */
static void test_handoffs_may_overtake_others(void **state ATTR_UNUSED)
{
	uint64_t seq;

	assert_true(add("alice", 3));
	assert_true(add("alice", 1));
	assert_false(add("alice", 3));
	assert_false(add("alice", 1));
	commit();
	assert_true(add("alice", 100));
	/* too far behind to know */
	assert_false(add("alice", 36));
	for (seq = 99; seq > 36; seq--)
		assert_true(add("alice", seq));
	for (seq = 100; seq > 36; seq--)
		assert_false(add("alice", seq));
	reopen_queue();
	for (seq = 1; seq <= 100; seq++)
		assert_false(add("alice", seq));
	assert_int_equal(count_in(endpoint), 66);
}

static void test_failed_handoffs_that_overtook_can_be_repeated(
	void **state ATTR_UNUSED)
{
	assert_true(add("alice", 5));
	commit();
	make_fail("INSERT ON notification", "ABORT");
	assert_true(add("alice", 7));
	assert_true(add("alice", 4));
	run_to_commit();
	assert_non_null(commit_error);
	stop_failing();
	assert_false(add("alice", 5));
	assert_true(add("alice", 4));
	assert_true(add("alice", 7));
	assert_true(add("alice", 6));
	commit();
	assert_string_equal(queued(), "alice:5 alice:4 alice:7 alice:6");
}

static void test_sessions_number_on_their_own(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	guid_128_generate(session);
	assert_true(add("bob", 1));
	commit();
	assert_string_equal(queued(), "alice:1 bob:1");
}

static void test_session_not_in_use_is_forgotten(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	queue_deinit(&queue);
	other_exec_once("UPDATE session SET used = used - 24*60*60");
	open_queue();
	assert_true(add("alice", 1));
}

static void test_session_is_forgotten_later(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	queue_deinit(&queue);
	other_exec_once("UPDATE session SET used = used - 24*60*60");
	make_fail("DELETE ON session", "ABORT");
	open_queue();
	run_to_commit();
	assert_non_null(commit_error);
	stop_failing();
	commit();
	assert_int_equal(other_get_int("SELECT count(*) FROM session"), 0);
}

/* A mail process may live for days. What counts is when it was heard of. */
static void test_old_session_in_use_is_remembered(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	commit();
	other_exec_once("UPDATE session SET used = used - 24*60*60");
	assert_true(add("alice", 2));
	reopen_queue();
	assert_false(add("alice", 2));
}

static void test_removed_is_gone(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	queue_remove(queue, id_of(3), 0);
	assert_string_equal(queued(), "alice:1 bob:2 alice:4");
	commit();
	assert_string_equal(queued(), "alice:1 bob:2 alice:4");
	queue_remove(queue, id_of(1), 0);
	reopen_queue();
	assert_string_equal(queued(), "bob:2 alice:4");
}

static void test_ids_are_not_used_again(void **state ATTR_UNUSED)
{
	int64_t id = add_to(endpoint, "alice", 1);

	queue_remove(queue, id, 0);
	commit();
	assert_true(add_to(endpoint, "alice", 2) > id);
}

static void test_numbers_continue_after_reopen(void **state ATTR_UNUSED)
{
	int64_t ids[3];
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(ids); i++) {
		ids[i] = add_to(endpoint, "alice", i + 1);
		reopen_queue();
	}
	/* a gap is not filled */
	queue_remove(queue, ids[0], 0);
	queue_remove(queue, ids[1], 0);
	reopen_queue();
	assert_true(add_to(endpoint, "bob", 4) > ids[2]);
	assert_string_equal(queued(), "alice:3 bob:4");
}

/* Whichever endpoint has the highest one. */
static void check_ids_after_reopen(const char *one, const char *other)
{
	int64_t one_id, other_id, id;

	(void)add_to(other, "alice", 1);
	(void)add_to(one, "alice", 2);
	other_id = add_to(other, "alice", 3);
	one_id = add_to(one, "alice", 4);

	reopen_queue();
	id = add_to(other, "bob", 5);
	assert_true(id > other_id);
	other_id = id;
	id = add_to(one, "bob", 6);
	assert_true(id > one_id);
	one_id = id;

	/* once more, in the other order */
	reopen_queue();
	assert_true(add_to(one, "bob", 7) > one_id);
	assert_true(add_to(other, "bob", 8) > other_id);
	assert_string_equal(queued_in(one), "alice:2 alice:4 bob:6 bob:7");
	assert_string_equal(queued_in(other), "alice:1 alice:3 bob:5 bob:8");
}

static void
test_highest_id_survives_in_the_first_endpoint(void **state ATTR_UNUSED)
{
	check_ids_after_reopen(endpoint, set_endpoint("key2", "options"));
}

static void
test_highest_id_survives_in_the_last_endpoint(void **state ATTR_UNUSED)
{
	const char *first = endpoint;

	check_ids_after_reopen(set_endpoint("key2", "options"), first);
}

static void test_attempts_are_kept(void **state ATTR_UNUSED)
{
	struct queue_item *items;

	add_some();
	commit();
	queue_set_attempts(queue, id_of(2), 1);
	queue_set_attempts(queue, id_of(2), 7);
	reopen_queue();

	assert_int_equal(read_items(0, 64, &items), 4);
	assert_int_equal(items[0].attempts, 0);
	assert_int_equal(items[1].attempts, 7);
	assert_int_equal(items[2].attempts, 0);
}

static void test_reading_goes_on_after_an_id(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	assert_string_equal(read_to_str(0, 2), "alice:1 bob:2");
	assert_string_equal(read_to_str(id_of(2), 1), "alice:3");
	assert_string_equal(read_to_str(id_of(2), 64), "alice:3 alice:4");
	assert_string_equal(read_to_str(id_of(4), 64), "");
}

static void test_reading_goes_on_after_a_removed_item(void **state ATTR_UNUSED)
{
	int64_t id;

	add_some();
	commit();
	id = id_of(2);
	queue_remove(queue, id, 0);
	assert_string_equal(read_to_str(id, 64), "alice:3 alice:4");
}

static void test_item_is_found_by_its_id(void **state ATTR_UNUSED)
{
	const char *second = set_endpoint("key2", "options");
	const char *first = endpoint;
	int64_t alice = add_to(first, "alice", 1);
	int64_t bob = add_to(first, "bob", 2);
	int64_t other = add_to(second, "alice", 3);

	assert_string_equal(item_to_str(other), "alice:3");
	endpoint = first;
	assert_string_equal(item_to_str(bob), "bob:2");
	assert_string_equal(item_to_str(alice), "alice:1");
	reopen_queue();
	assert_string_equal(item_to_str(alice), "alice:1");
	endpoint = second;
	assert_string_equal(item_to_str(other), "alice:3");
}

static void test_removed_item_is_not_found(void **state ATTR_UNUSED)
{
	int64_t id;

	add_some();
	commit();
	id = id_of(3);
	queue_remove(queue, id, 0);
	/* from now on */
	assert_null(item_to_str(id));
	commit();
	assert_null(item_to_str(id));
	assert_string_equal(item_to_str(id_of(4)), "alice:4");
	reopen_queue();
	assert_null(item_to_str(id));
}

static void test_other_item_is_not_found_instead(void **state ATTR_UNUSED)
{
	const char *first = endpoint, *second = set_endpoint("key2", "options");
	int64_t id = add_to(first, "alice", 1);
	int64_t other = add_to(second, "bob", 2);

	endpoint = first;
	assert_null(item_to_str(id - 1));
	assert_null(item_to_str(id + 1));
	assert_null(item_to_str(other));
	endpoint = second;
	assert_null(item_to_str(id));
	assert_null(item_to_str(other + 1));
}

static void test_endpoints_have_their_own_items(void **state ATTR_UNUSED)
{
	const char *first = endpoint, *second = set_endpoint("key2", "options");

	(void)add_to(first, "alice", 1);
	(void)add_to(second, "alice", 2);
	(void)add_to(second, "bob", 3);

	assert_string_equal(queued_in(first), "alice:1");
	assert_string_equal(queued_in(second), "alice:2 bob:3");
	assert_int_equal(count_in(first), 1);
	assert_int_equal(count_in(second), 2);

	endpoint = second;
	queue_remove(queue, id_of(2), 0);
	commit();
	assert_string_equal(queued_in(first), "alice:1");
	assert_string_equal(queued_in(second), "bob:3");
	assert_int_equal(count_in(first), 1);
	assert_int_equal(count_in(second), 1);
}

/* Its neighbours in the table are of an endpoint below and one above. */
static void test_endpoint_without_items_has_none(void **state ATTR_UNUSED)
{
	const char *first = endpoint, *second = set_endpoint("key2", "options");
	const char *third = set_endpoint("key3", "options");

	(void)add_to(first, "alice", 1);
	(void)add_to(third, "alice", 2);
	commit();
	assert_string_equal(queued_in(second), "");
	assert_int_equal(count_in(second), 0);
}

static void
test_one_endpoints_reading_ends_at_the_other(void **state ATTR_UNUSED)
{
	const char *first = endpoint, *second = set_endpoint("key2", "options");
	int64_t last = add_to(first, "alice", 1);

	(void)add_to(second, "bob", 2);
	endpoint = first;
	assert_string_equal(read_to_str(last, 64), "");
	assert_string_equal(read_to_str(last - 1, 64), "alice:1");
}

#define MANY 1000

/* Where test_many_interleaved_stay_apart() adds an item: in turn, and in runs
   of up to 16. */
static unsigned int idx_of_seq(uint64_t seq)
{
	return seq < MANY / 2 ? seq % 2 : seq / 16 % 2;
}

static void test_many_interleaved_stay_apart(void **state ATTR_UNUSED)
{
	static const unsigned int limits[] = { 1, 7, 64, MANY + 1 };
	const char *endpoints[2] = {
		endpoint, set_endpoint("key2", "options")
	};
	unsigned int counts[2] = { 0, 0 }, idx, i, j, count, total;
	struct queue_item *items;
	uint64_t seq;
	int64_t id;

	for (seq = 0; seq < MANY; seq++) {
		idx = idx_of_seq(seq);
		endpoint = endpoints[idx];
		assert_true(add("alice", seq + 1));
		counts[idx]++;
	}
	commit();

	for (i = 0; i < N_ELEMENTS(limits) * 2; i++) {
		idx = i % 2;
		endpoint = endpoints[idx];
		assert_int_equal(count_in(endpoint), counts[idx]);

		/* its own ones, each once and in order */
		id = 0;
		seq = 0;
		total = 0;
		while ((count = read_items(id, limits[i / 2], &items)) > 0) {
			assert_true(count <= limits[i / 2]);
			for (j = 0; j < count; j++) {
				assert_ptr_equal(items[j].endpoint,
						 endpoint_of(endpoint));
				assert_int_equal(idx_of_seq(items[j].seq - 1),
						 idx);
				assert_true(items[j].id > id);
				assert_true(items[j].seq > seq);
				id = items[j].id;
				seq = items[j].seq;
			}
			total += count;
		}
		assert_int_equal(total, counts[idx]);
	}
}

static void test_reading_ends_at_the_last_id(void **state ATTR_UNUSED)
{
	struct reading reading;
	int64_t id;

	add_some();
	commit();
	id = id_of(3);
	reading = read_from(endpoint, QUEUE_READ_USERS, 0, id, 64);
	assert_false(reading.more);
	assert_int_equal(reading.read_to, id);
	assert_int_equal(reading.count, 3);
	assert_int_equal(reading.items[2].id, id);
}

/* Nor does it call back. */
static void test_read_can_be_cancelled(void **state ATTR_UNUSED)
{
	struct reading reading = { .done = FALSE };
	struct queue_read *read;

	add_some();
	commit();
	read = queue_read(queue, part_of(endpoint), QUEUE_READ_WHOLE, 0,
			  INT64_MAX, 64, reading_done, &reading);
	queue_read_cancel(&read);
	assert_null(read);
	assert_string_equal(queued(), "alice:1 bob:2 alice:3 alice:4");
	assert_false(reading.done);
}

/* Appends "<key>=<options> " */
static void
append_endpoint(struct queue_endpoint *ep, const char *options, void *context)
{
	str_printfa((string_t *)context, "%s=%s ", ep->key, options);
}

static const char *endpoints_to_str(void)
{
	static const struct queue_part_vfuncs vfuncs = {
		.endpoint = append_endpoint, .claimed = ignore_part
	};
	string_t *str = t_str_new(64);

	queue_claim(queue, &vfuncs, str);
	queue_unclaim(queue);
	return str_c(str);
}

static void test_endpoint_is_known_by_its_key(void **state ATTR_UNUSED)
{
	struct queue_endpoint *ep = endpoint_of("key");
	struct queue_endpoint *other;
	int64_t number;

	other = queue_endpoint_set(queue, "key2", "options");
	assert_ptr_not_equal(other, ep);
	assert_ptr_equal(queue_endpoint_set(queue, "key", "changed"), ep);
	assert_ptr_equal(queue_endpoint_set(queue, "key2", "changed"), other);
	commit();
	number = other->number;
	assert_int_not_equal(number, ep->number);
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=changed key2=changed ");
	(void)queue_endpoint_set(queue, "key2", "options");
	commit();
	assert_int_equal(endpoint_of("key2")->number, number);
}

static void test_endpoints_keep_their_latest_options(void **state ATTR_UNUSED)
{
	assert_true(add("alice", 1));
	(void)set_endpoint("key", "changed\t\xff'\001");
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=changed\t\xff'\001 ");
}

static void
test_endpoints_with_something_queued_are_listed(void **state ATTR_UNUSED)
{
	const char *first = endpoint;

	endpoint = set_endpoint("key2", "options2");
	assert_true(add("alice", 1));
	assert_true(add("bob", 2));
	endpoint = first;
	assert_true(add("alice", 3));
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=options key2=options2 ");
}

static void test_endpoint_is_forgotten(void **state ATTR_UNUSED)
{
	(void)set_endpoint("key2", "with a password");
	commit();
	forget_endpoint("key2");
	commit();
	assert_string_equal(endpoints_to_str(), "key=options ");
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=options ");
}

static void test_endpoint_may_never_be_stored(void **state ATTR_UNUSED)
{
	(void)set_endpoint("key2", "options");
	forget_endpoint("key2");
	commit();
	assert_string_equal(endpoints_to_str(), "key=options ");
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=options ");
}

static void test_forgotten_endpoint_may_come_back(void **state ATTR_UNUSED)
{
	struct queue_endpoint *ep = endpoint_of("key");

	forget_endpoint("key");
	assert_ptr_equal(queue_endpoint_set(queue, "key", "options2"), ep);
	(void)add_to("key", "alice", 1);
	assert_string_equal(queued(), "alice:1");
	queue_remove(queue, stored_id, 0);
	commit();
	forget_endpoint("key");
	forget_endpoint("key");
	assert_ptr_equal(queue_endpoint_set(queue, "key", "options2"), ep);
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=options2 ");
}

static void
test_endpoint_with_something_queued_is_not_forgotten(void **state ATTR_UNUSED)
{
	const char *second = set_endpoint("key2", "options2");

	(void)add_to(second, "alice", 1);
	forget_endpoint("key2");
	/* not even if that is not stored yet */
	endpoint = "key";
	forget_endpoint("key");
	assert_true(add("bob", 2));
	commit();
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=options key2=options2 ");
	assert_string_equal(queued_in("key"), "bob:2");
	assert_string_equal(queued_in("key2"), "alice:1");
}

/* What is stored for it later would have no endpoint after a restart. */
static void test_endpoint_is_kept_if_it_cant_be_stored(void **state ATTR_UNUSED)
{
	make_fail("INSERT ON notification", "ABORT");
	endpoint = set_endpoint("key2", "options2");
	(void)add_error("bob", 1);
	stop_failing();
	(void)add_to("key2", "bob", 1);
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=options key2=options2 ");
	assert_string_equal(queued_in("key2"), "bob:1");
}

/* The number that it would have had is another's then. */
static void test_endpoints_keep_apart_if_one_fails(void **state ATTR_UNUSED)
{
	make_fail("INSERT ON endpoint WHEN new.key = 'key3'", "ABORT");
	endpoint = set_endpoint("key2", "options2");
	(void)set_endpoint("key3", "options3");
	(void)add_error("bob", 1);
	forget_endpoint("key2");
	(void)set_endpoint("key3", "options4");
	stop_failing();
	(void)add_to("key3", "alice", 1);
	(void)add_to(set_endpoint("key2", "options2"), "bob", 2);
	reopen_queue();
	assert_string_equal(queued_in("key3"), "alice:1");
	assert_string_equal(queued_in("key2"), "bob:2");
}

/* It is not, if what fails comes after that in its transaction. */
static void fail_to_forget_endpoint(const char *key)
{
	(void)set_endpoint(key, "options");
	commit();
	make_fail("INSERT ON notification", "ABORT");
	forget_endpoint(key);
	(void)add_error("bob", 1);
	stop_failing();
}

static void test_endpoint_is_forgotten_later(void **state ATTR_UNUSED)
{
	fail_to_forget_endpoint("key2");
	assert_string_equal(endpoints_to_str(), "key=options key2=options ");
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "key=options ");
}

static void
test_endpoint_that_was_not_forgotten_may_come_back(void **state ATTR_UNUSED)
{
	fail_to_forget_endpoint("key2");
	(void)add_to(set_endpoint("key2", "options"), "alice", 1);
	reopen_queue();
	assert_string_equal(queued_in("key2"), "alice:1");
}

static void test_deinit_commits(void **state ATTR_UNUSED)
{
	add_some();
	commits = 0;
	queue_deinit(&queue);
	assert_int_equal(commits, 1);
	assert_null(commit_error);
	open_queue();
	assert_string_equal(queued(), "alice:1 bob:2 alice:3 alice:4");
}

static void test_sync_full_stores_as_well(void **state ATTR_UNUSED)
{
	const char *error;

	queue_deinit(&queue);
	assert_int_equal(try_open_queue(TRUE, &error), 0);
	assert_true(add("alice", 1));
	commit();
	reopen_queue();
	assert_string_equal(queued(), "alice:1");
}

/* On a full disk, or while another process has locked it: after a boot, too. */
static void test_opened_while_nothing_can_be_written(void **state ATTR_UNUSED)
{
	sqlite3 *other;
	unsigned int i;

	assert_true(add("alice", 1));
	commit();
	for (i = 0; i < 2; i++) {
		queue_deinit(&queue);
		if (i > 0)
			other_exec_once("UPDATE clock SET boot = 'former'");
		other = other_open();
		other_exec(other, "BEGIN IMMEDIATE");
		open_queue();
		other_exec(other, "ROLLBACK");
		other_close(other);
		assert_string_equal(queued(), "alice:1");
	}
}

static void test_newer_schema_is_refused(void **state ATTR_UNUSED)
{
	const char *error;

	add_some();
	queue_deinit(&queue);
	other_exec_once("PRAGMA user_version = 1000");
	error = open_error();
	assert_non_null(strstr(error, queue_path()));
	assert_non_null(strstr(error, "newer version"));
	assert_non_null(strstr(error, "1000"));

	/* and left as it is */
	other_exec_once("PRAGMA user_version = 1");
	open_queue();
	assert_string_equal(queued(), "alice:1 bob:2 alice:3 alice:4");
}

/* The newest one's. */
static const char *aside_path(void)
{
	struct dirent *entry;
	const char *name = NULL;
	DIR *d = opendir(dir);

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL) {
		if (str_begins_with(entry->d_name, "queue.sqlite.corrupt-") &&
		    strchr(entry->d_name + 21, '-') == NULL &&
		    (name == NULL || strlen(entry->d_name) > strlen(name)))
			name = t_strdup(entry->d_name);
	}
	(void)closedir(d);
	return name == NULL ? NULL : path_of(name);
}

/* Overwrites or, without data, cuts off. */
static void damage_file(off_t offset, const char *data)
{
	int fd = open(queue_path(), O_WRONLY);

	assert_return_code(fd, errno);
	if (data == NULL)
		assert_int_equal(ftruncate(fd, offset), 0);
	else {
		assert_int_equal(pwrite(fd, data, strlen(data), offset),
				 strlen(data));
	}
	i_close_fd(&fd);
}

static void ATTR_NORETURN
quiet_exit(const struct failure_context *ctx, const char *format ATTR_UNUSED,
	   va_list args ATTR_UNUSED)
{
	_exit(ctx->exit_status);
}

static void open_damaged_queue(void)
{
	struct stat damaged, aside;

	assert_int_equal(stat(queue_path(), &damaged), 0);
	i_set_error_handler(quiet);
	open_queue();
	i_set_error_handler(default_error_handler);

	/* it is a new one that works, and the other is still there */
	endpoint = set_endpoint("key", "options");
	commit();
	assert_string_equal(queued(), "");
	assert_true(add("alice", 1));
	commit();
	assert_string_equal(queued(), "alice:1");
	assert_non_null(aside_path());
	assert_int_equal(stat(aside_path(), &aside), 0);
	assert_int_equal(aside.st_ino, damaged.st_ino);
	assert_int_equal(aside.st_size, damaged.st_size);
}

static void
test_file_that_is_no_database_is_moved_aside(void **state ATTR_UNUSED)
{
	queue_deinit(&queue);
	damage_file(0, NULL);
	damage_file(0, "not a database, not at all");
	open_damaged_queue();
}

static void test_truncated_file_is_moved_aside(void **state ATTR_UNUSED)
{
	add_some();
	queue_deinit(&queue);
	damage_file(5000, NULL);
	open_damaged_queue();
}

static void test_damaged_schema_is_moved_aside(void **state ATTR_UNUSED)
{
	queue_deinit(&queue);
	damage_file(100, "garbage where the root page begins");
	open_damaged_queue();
}

static void make_aside(const char *name)
{
	int fd = creat(path_of(name), 0600);

	assert_return_code(fd, errno);
	i_close_fd(&fd);
}

static bool is_there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static void test_newest_corrupt_files_are_kept(void **state ATTR_UNUSED)
{
	make_aside("queue.sqlite.corrupt-999");
	make_aside("queue.sqlite.corrupt-1000");
	make_aside("queue.sqlite.corrupt-1000-wal");
	make_aside("queue.sqlite.corrupt-1001");
	make_aside("queue.sqlite.corrupt-1001-wal");
	make_aside("queue.sqlite.corrupt-1002");
	make_aside("queue.sqlite.corrupt-of-mine");
	add_some();
	queue_deinit(&queue);
	damage_file(5000, NULL);
	open_damaged_queue();
	assert_false(is_there("queue.sqlite.corrupt-999"));
	assert_false(is_there("queue.sqlite.corrupt-1000"));
	assert_false(is_there("queue.sqlite.corrupt-1000-wal"));
	assert_true(is_there("queue.sqlite.corrupt-1001"));
	assert_true(is_there("queue.sqlite.corrupt-1001-wal"));
	assert_true(is_there("queue.sqlite.corrupt-1002"));
	assert_true(is_there("queue.sqlite.corrupt-of-mine"));
}

/* Damage that is found later ends the process; the next one begins anew. */
static void
test_damage_found_later_is_moved_aside(void **state ATTR_UNUSED)
{
	int status;

	queue_deinit(&queue);
	status = wait_for_child(start_child("damage", STDIN_FILENO));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == FATAL_DEFAULT);
	assert_non_null(aside_path());
	open_queue();
	assert_string_equal(endpoints_to_str(), "");
	(void)set_endpoint("key", "options");
	assert_string_equal(queued(), "");
}

/* Notifications age by it. */
static void test_time_goes_on_after_reopen(void **state ATTR_UNUSED)
{
	int64_t now = queue_now(queue);

	assert_uint_in_range(now, time(NULL) - 10, time(NULL) + 10);
	/* whatever the wall clock says now */
	queue_deinit(&queue);
	other_exec_once("UPDATE clock SET offset = offset - 7200");
	open_queue();
	assert_uint_in_range(queue_now(queue), now - 7200, now - 7200 + 10);
}

/* The wall clock may say anything then. */
static void test_time_goes_on_after_a_boot(void **state ATTR_UNUSED)
{
	queue_deinit(&queue);
	other_exec_once("UPDATE clock SET boot = 'x' WHERE boot <> 'stopped'; "
			"UPDATE clock SET offset = 1000000");
	open_queue();
	assert_uint_in_range(queue_now(queue), 1000000, 1000000 + 10);
	assert_int_equal(other_get_int("SELECT count(*) FROM clock"), 1);
}

/* If nothing else is known. */
static void
test_time_is_never_before_what_is_queued(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("alice", 1);

	item.created = time(NULL) + 24*60*60;
	assert_true(add_item(&item));
	queue_deinit(&queue);
	other_exec_once("DELETE FROM clock");
	open_queue();
	assert_uint_in_range(queue_now(queue), item.created, item.created + 10);
}

static const char *str_of(char c, size_t len)
{
	char *str = t_malloc0(len + 1);

	memset(str, c, len);
	return str;
}

static void add_many(unsigned int count, size_t size)
{
	struct queue_item item = item_of("alice", 0);

	item.body = str_of('x', size);
	while (item.seq < count) {
		item.seq++;
		assert_true(add_item(&item));
	}
	commit();
}

/* However many rows a caller asks for, it gets what fits into a megabyte, or
   one. */
static void test_reading_is_limited_in_bytes(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 3 * 1024*1024, 300*1024, 1024 };
	static const unsigned int counts[] = { 1, 4, 20 };
	struct reading reading;
	unsigned int i, total;
	int64_t after;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		endpoint = set_endpoint(t_strdup_printf("large %u", i), "");
		guid_128_generate(session);
		add_many(20, sizes[i]);
		after = 0;
		for (total = 0; total < 20; total += reading.count) T_BEGIN {
			reading = read_from(endpoint, QUEUE_READ_WHOLE, after,
					    INT64_MAX, 64);
			assert_int_equal(reading.count, counts[i]);
			assert_int_equal(reading.more, counts[i] < 20);
			after = reading.read_to;
		} T_END;
		assert_int_equal(count_in(endpoint), 20);
	}
}

static void remove_first(unsigned int count)
{
	struct reading reading = read_from(endpoint, QUEUE_READ_USERS, 0,
					   INT64_MAX, count);
	unsigned int i;

	assert_int_equal(reading.count, count);
	for (i = 0; i < count; i++)
		queue_remove(queue, reading.items[i].id,
			     reading.items[i].body_size);
}

static int64_t stored_count(void)
{
	return other_get_int("SELECT count(*) FROM notification");
}

static void run_ioloop(void)
{
	struct timeout *to = timeout_add_short(10, io_loop_stop, ioloop);

	io_loop_run(ioloop);
	timeout_remove(&to);
}

static off_t file_size(const char *name)
{
	struct stat st;

	assert_int_equal(stat(path_of(name), &st), 0);
	return st.st_size;
}

static void wait_for_small_file(void)
{
	while (file_size("queue.sqlite") > 8*1024*1024)
		run_ioloop();
}

static void test_disk_space_is_given_back(void **state ATTR_UNUSED)
{
	add_many(301, 100*1024);
	assert_true(other_get_int("PRAGMA page_count") > 5000);
	/* something stays */
	remove_first(300);
	reopen_queue();
	wait_for_small_file();
	assert_string_equal(queued(), "alice:301");
}

/* As an earlier version makes it. */
static void make_file_of_version_1(void)
{
	other_exec_once("PRAGMA journal_mode = DELETE");
	other_exec_once("PRAGMA auto_vacuum = NONE; VACUUM");
	assert_int_equal(other_get_int("PRAGMA auto_vacuum"), 0);
}

static void
test_disk_space_of_an_old_file_is_given_back(void **state ATTR_UNUSED)
{
	add_many(301, 100*1024);
	queue_deinit(&queue);
	make_file_of_version_1();
	open_queue();
	remove_first(300);
	queue_flush(queue);
	wait_for_small_file();
	assert_string_equal(queued(), "alice:301");
	assert_int_equal(other_get_int("PRAGMA auto_vacuum"), 2);
}

/* A new file is not copied first. */
static void test_new_file_can_be_shrunk(void **state ATTR_UNUSED)
{
	assert_int_equal(other_get_int("PRAGMA auto_vacuum"), 2);
}

static off_t log_size(void)
{
	return file_size("queue.sqlite-wal");
}

static void
test_log_that_a_reader_makes_grow_is_cut_later(void **state ATTR_UNUSED)
{
	const off_t limit = 30*1024*1024;
	sqlite3 *reader = other_open();
	unsigned int i;

	i_set_error_handler(quiet);
	other_exec(reader, "BEGIN; SELECT count(*) FROM notification");
	for (i = 0; i < 5; i++) {
		session[0]++;
		add_many(300, 100*1024);
		remove_first(300);
		while (stored_count() > 0)
			run_ioloop();
	}
	assert_true(log_size() > limit);
	other_exec(reader, "COMMIT");
	other_close(reader);
	while (log_size() > limit)
		run_ioloop();
	i_set_error_handler(default_error_handler);
	assert_true(add("bob", 1000));
	commit();
	reopen_queue();
	assert_string_equal(queued(), "bob:1000");
}

/* Each commit needs little space, and leaves the others their turn. */
static void test_removals_come_in_small_commits(void **state ATTR_UNUSED)
{
	int64_t left;

	add_many(1000, 1);
	remove_first(1000);
	for (left = 1000; left > 0; left = stored_count()) {
		commits = 0;
		while (commits == 0)
			io_loop_run(ioloop);
		assert_int_equal(left - stored_count(),
				 I_MIN(256 * commits, left));
		/* more may be committed meanwhile */
		assert_int_equal(read_from(endpoint, QUEUE_READ_WHOLE, 0,
					   INT64_MAX, 10).count, 0);
	}
}

/* The ioloop has other things to do in between. */
static void test_large_removals_come_in_small_commits(
						void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 3 * 1024*1024, 300*1024, 16*1024 };
	static const unsigned int each[] = { 1, 3, 64 };
	unsigned int i, left, count;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		guid_128_generate(session);
		count = each[i] * 3;
		add_many(count, sizes[i]);
		remove_first(count);
		for (left = count; left > 0; left = stored_count()) {
			commits = 0;
			while (commits == 0)
				io_loop_run(ioloop);
			assert_int_equal(left - stored_count(),
					 I_MIN(each[i] * commits, left));
		}
	}
}

/* What is removed is not written again as zeros. */
static void test_large_removal_writes_little(void **state ATTR_UNUSED)
{
	off_t before = log_size(), added;

	add_many(1, 1024*1024);
	added = log_size();
	assert_true(added - before > 1024*1024);
	remove_first(1);
	commit();
	assert_true(log_size() - added < 64*1024);
}

/* Until all that could not be removed is. Each is a page, so that the log would
   have a multiple of this if it went on. */
static void test_log_does_not_grow_in_trouble(void **state ATTR_UNUSED)
{
	const unsigned int count = 3000;

	add_many(count, 3000);
	/* which has no log at first */
	reopen_queue();
	make_fail("DELETE ON notification", "ABORT");
	remove_first(count);
	run_to_commit();
	assert_non_null(commit_error);
	stop_failing();
	while (stored_count() > 0)
		run_ioloop();
	assert_uint_in_range(log_size(), 1, 3*1024*1024);
}

static void test_deinit_commits_all_removals(void **state ATTR_UNUSED)
{
	add_many(1000, 1);
	remove_first(1000);
	reopen_queue();
	assert_int_equal(stored_count(), 0);
}

/* What somebody waits for is not refused because of what can wait. */
static void
test_addition_succeeds_while_removals_fail(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	make_fail("DELETE ON notification", "ABORT");
	queue_remove(queue, id_of(2), 0);
	run_to_commit();
	assert_non_null(commit_error);
	assert_true(add("bob", 5));
	commit();
	assert_string_equal(queued(), "alice:1 alice:3 alice:4 bob:5");
	stop_failing();
	assert_int_equal(stored_count(), 5);
	wait_for_commit();
	assert_int_equal(stored_count(), 4);
}

/* An endpoint is not kept for what is only not removed yet. */
static void
test_endpoint_is_forgotten_behind_its_removals(void **state ATTR_UNUSED)
{
	add_many(1000, 1);
	remove_first(1000);
	forget_endpoint(endpoint);
	reopen_queue();
	assert_string_equal(endpoints_to_str(), "");
}

/* Though it is still in the database. */
static void
test_removed_is_gone_while_removals_fail(void **state ATTR_UNUSED)
{
	int64_t id;

	add_some();
	commit();
	id = id_of(3);
	make_fail("DELETE ON notification", "ABORT");
	queue_remove(queue, id_of(4), 0);
	queue_remove(queue, id, 0);
	assert_string_equal(queued(), "alice:1 bob:2");
	run_to_commit();
	assert_string_equal(queued(), "alice:1 bob:2");
	assert_null(item_to_str(id));
	stop_failing();
	wait_for_commit();
	assert_null(commit_error);
	assert_string_equal(queued(), "alice:1 bob:2");
}

/* Reading goes on behind them. */
static void
test_reading_passes_what_cant_be_removed(void **state ATTR_UNUSED)
{
	struct reading reading;
	int64_t id;

	add_some();
	commit();
	id = id_of(2);
	make_fail("DELETE ON notification", "ABORT");
	queue_remove(queue, id_of(1), 0);
	queue_remove(queue, id, 0);
	run_to_commit();
	reading = read_from(endpoint, QUEUE_READ_WHOLE, 0, INT64_MAX, 2);
	assert_true(reading.more);
	assert_int_equal(reading.count, 0);
	assert_int_equal(reading.read_to, id);
	stop_failing();
}

static void test_missing_directory_is_explained(void **state ATTR_UNUSED)
{
	char *parent = dir;
	const char *error;

	queue_deinit(&queue);
	dir = i_strconcat(parent, "/missing", NULL);
	error = open_error();
	assert_non_null(strstr(error, dir));
	assert_non_null(strstr(error, "No such file or directory"));
	assert_non_null(strstr(error, "must exist"));
	i_free(dir);
	dir = parent;
}

static void test_files_are_private(void **state ATTR_UNUSED)
{
	static const char *const names[] = {
		"queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm",
		"queue.lock"
	};
	const char *error;
	struct stat st;
	mode_t old_umask;
	unsigned int i;

	queue_deinit(&queue);
	if (unlink_directory(dir, 0, &error) < 0)
		fail_msg("%s", error);
	old_umask = umask(0);
	open_queue();
	(void)set_endpoint("key", "options");
	add_some();
	commit();
	(void)umask(old_umask);

	for (i = 0; i < N_ELEMENTS(names); i++) {
		assert_int_equal(stat(path_of(names[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

static void test_one_process_at_a_time(void **state ATTR_UNUSED)
{
	char byte = 0;
	pid_t pid;
	int fds[2];

	queue_deinit(&queue);
	assert_int_equal(socketpair(AF_UNIX,
				    SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pid = start_child("hold", fds[1]);
	i_close_fd(&fds[1]);
	/* it has the queue open */
	assert_int_equal(read(fds[0], &byte, 1), 1);
	/* and may go now, which it takes its time for */
	assert_int_equal(write(fds[0], &byte, 1), 1);
	open_queue();
	assert_int_equal(access(path_of("marker"), F_OK), 0);
	assert_int_equal(count_in(endpoint), 100);

	i_close_fd(&fds[0]);
	assert_int_equal(wait_for_child(pid), 0);
}

static void test_committed_survives_a_kill(void **state ATTR_UNUSED)
{
	int status;

	queue_deinit(&queue);
	status = wait_for_child(start_child("die", STDIN_FILENO));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	open_queue();
	assert_string_equal(queued(), "alice:1");
	/* the mail process sends what had no answer again */
	assert_false(add("alice", 1));
	assert_true(add("alice", 2));
}

static void test_nothing_is_added_while_locked(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();
	const char *error;

	other_exec(other, "BEGIN IMMEDIATE");
	error = add_error("alice", 1);
	assert_non_null(strstr(error, queue_path()));
	assert_non_null(strstr(error, "locked"));
	assert_non_null(commit_error);
	other_exec(other, "ROLLBACK");
	other_close(other);

	assert_true(add("alice", 1));
	commit();
	assert_string_equal(queued(), "alice:1");
}

static void test_removed_while_locked_is_removed_later(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();

	add_some();
	commit();
	other_exec(other, "BEGIN IMMEDIATE");
	queue_remove(queue, id_of(1), 0);
	queue_remove(queue, id_of(3), 0);
	run_to_commit();
	assert_non_null(commit_error);
	assert_non_null(strstr(commit_error, "locked"));
	other_exec(other, "ROLLBACK");
	other_close(other);

	/* tried again without being asked */
	wait_for_commit();
	assert_null(commit_error);
	assert_string_equal(queued(), "bob:2 alice:4");
	reopen_queue();
	assert_string_equal(queued(), "bob:2 alice:4");
}

static void
test_removed_while_locked_is_removed_with_the_next_add(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();

	add_some();
	commit();
	other_exec(other, "BEGIN IMMEDIATE");
	queue_remove(queue, id_of(1), 0);
	run_to_commit();
	assert_non_null(commit_error);
	other_exec(other, "ROLLBACK");
	other_close(other);

	assert_true(add("bob", 5));
	commit();
	assert_string_equal(queued(), "bob:2 alice:3 alice:4 bob:5");
}

static void test_removal_may_fail_again(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();

	add_some();
	commit();
	other_exec(other, "BEGIN IMMEDIATE");
	queue_remove(queue, id_of(1), 0);
	other_exec(other, "ROLLBACK");
	other_close(other);

	make_fail("DELETE ON notification", "ABORT");
	(void)add_error("bob", 5);
	stop_failing();

	assert_true(add("bob", 5));
	commit();
	assert_string_equal(queued(), "bob:2 alice:3 alice:4 bob:5");
}

/* What can wait waits, rather than to fail each time after a while. */
static void test_removals_do_not_insist(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();
	int64_t id;

	add_some();
	commit();
	id = id_of(3);
	other_exec(other, "BEGIN IMMEDIATE");
	queue_remove(queue, id_of(1), 0);
	run_to_commit();
	assert_non_null(commit_error);

	commits = 0;
	queue_remove(queue, id, 0);
	queue_set_attempts(queue, id_of(4), 1);
	assert_string_equal(queued(), "bob:2 alice:4");
	assert_null(item_to_str(id));
	assert_int_equal(commits, 0);
	other_exec(other, "ROLLBACK");
	other_close(other);

	/* all at once */
	wait_for_commit();
	assert_null(commit_error);
	assert_string_equal(queued(), "bob:2 alice:4");
	reopen_queue();
	assert_string_equal(queued(), "bob:2 alice:4");
}

static void test_commit_that_fails_adds_nothing(void **state ATTR_UNUSED)
{
	int64_t id = add_to(endpoint, "alice", 1);

	queue_remove(queue, id, 0);
	assert_true(add("alice", 2));
	assert_true(add("bob", 3));
	set_disk_full(TRUE);
	run_to_commit();
	set_disk_full(FALSE);
	assert_non_null(commit_error);
	assert_non_null(strstr(commit_error, queue_path()));
	assert_string_equal(stored_error, commit_error);
	assert_int_equal(last_id_of(endpoint), id);

	/* so it can be added again, and the removal is not forgotten */
	assert_true(add_to(endpoint, "alice", 2) > id);
	assert_null(item_to_str(id));
	assert_string_equal(queued(), "alice:2");
	reopen_queue();
	assert_string_equal(queued(), "alice:2");
}

static void test_failed_add_can_be_repeated(void **state ATTR_UNUSED)
{
	make_fail("INSERT ON notification", "ABORT");
	(void)add_error("alice", 1);
	stop_failing();

	assert_true(add("alice", 1));
	commit();
	assert_string_equal(queued(), "alice:1");
}

/* SQLite rolls back by itself if the disk is full or gives errors. */
static void test_rollback_takes_all_that_was_added(void **state ATTR_UNUSED)
{
	make_fail("INSERT ON notification WHEN new.seq = 2", "ROLLBACK");
	assert_true(add("alice", 1));
	assert_true(add("alice", 2));
	assert_true(add("bob", 3));
	run_to_commit();
	assert_non_null(commit_error);

	stop_failing();
	reopen_queue();
	assert_string_equal(queued(), "");
}

/* SQLite's, in bytes; 0 = no limit. */
static void limit_memory(unsigned int max)
{
#if SQLITE_VERSION_NUMBER >= 3031000
	(void)sqlite3_hard_heap_limit64(max);
#else
	skip();
#endif
}

/* By a lack of memory. */
static void test_failed_read_is_said(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("alice", 1);
	struct reading reading;

	item.body = str_of('x', 100*1024);
	assert_true(add_item(&item));
	commit();
	assert_true(add("alice", 2));

	i_set_error_handler(quiet);
	limit_memory(1);
	reading = read_from(endpoint, QUEUE_READ_WHOLE, 0, INT64_MAX, 64);
	limit_memory(0);
	i_set_error_handler(default_error_handler);
	assert_true(reading.failed);
	assert_int_equal(reading.count, 0);
	assert_int_equal(reading.read_to, 0);

	/* the commit before it may have failed as well */
	(void)add("alice", 2);
	assert_true(add("bob", 3));
	commit();
	assert_string_equal(queued(), "alice:1 alice:2 bob:3");
}

static void test_failed_removal_is_repeated(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	make_fail("DELETE ON notification", "ABORT");
	queue_remove(queue, id_of(1), 0);
	run_to_commit();
	stop_failing();

	assert_true(add("bob", 5));
	reopen_queue();
	assert_string_equal(queued(), "bob:2 alice:3 alice:4 bob:5");
}

/* Nothing is asserted in a child: it is no test. */
static void child_add(uint64_t seq)
{
	if (!add("alice", seq))
		i_fatal("child: not added");
}

static void child_commit(void)
{
	queue_flush(queue);
	if (commit_error != NULL)
		i_fatal("child: %s", commit_error);
}

/* Has the queue open until it is told to go and, for some time, beyond. */
static void child_hold_queue(void)
{
	char byte = 0;
	unsigned int seq;
	int fd;

	if (write(STDIN_FILENO, &byte, 1) != 1 ||
	    read(STDIN_FILENO, &byte, 1) != 1)
		i_fatal("child: parent is gone");
	for (seq = 1; seq <= 100; seq++) {
		child_add(seq);
		child_commit();
	}
	fd = creat(path_of("marker"), 0600);
	if (fd == -1)
		i_fatal("child: creat() failed: %m");
	i_close_fd(&fd);
}

static void child_die(void)
{
	child_add(1);
	child_commit();
	child_add(2);
	(void)kill(getpid(), SIGKILL);
}

/* Damages the pages that notifications are in, as a disk may. */
static void child_damage_queue(void)
{
	char garbage[4096];
	unsigned int seq, page;
	int fd;

	for (seq = 1; seq <= 100; seq++)
		child_add(seq);
	child_commit();
	queue_deinit(&queue);

	memset(garbage, 'x', sizeof(garbage));
	fd = open(queue_path(), O_WRONLY);
	/* those behind the schema's */
	for (page = 9; page < 11; page++) {
		if (pwrite(fd, garbage, sizeof(garbage),
			   page * sizeof(garbage)) != sizeof(garbage))
			i_fatal("child: pwrite() failed: %m");
	}
	i_close_fd(&fd);
	i_set_error_handler(quiet);
	i_set_fatal_handler(quiet_exit);
	open_queue();
	(void)count_in(endpoint);
}

static int child_main(const char *role, const char *directory)
{
	const char *error;

	dir = i_strdup(directory);
	ioloop = io_loop_create();
	pool = pool_alloconly_create("test", 4096);
	if (try_open_queue(FALSE, &error) < 0)
		i_fatal("child: %s", error);
	endpoint = set_endpoint("key", "options");
	if (strcmp(role, "die") == 0)
		child_die();
	else if (strcmp(role, "damage") == 0)
		child_damage_queue();
	else
		child_hold_queue();
	queue_deinit(&queue);
	io_loop_destroy(&ioloop);
	i_free(dir);
	return 0;
}

#define queue_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		queue_test(test_added_is_read_after_commit_only),
		queue_test(test_everything_added_is_read),
		queue_test(test_order_is_that_of_adding),
		queue_test(test_order_within_endpoints_is_that_of_adding),
		queue_test(test_many_adds_make_one_commit),
		queue_test(test_same_handoff_is_added_once),
		queue_test(test_same_handoff_is_added_once_ever),
		queue_test(test_handoffs_may_overtake_others),
		queue_test(
			test_failed_handoffs_that_overtook_can_be_repeated),
		queue_test(test_sessions_number_on_their_own),
		queue_test(test_session_not_in_use_is_forgotten),
		queue_test(test_session_is_forgotten_later),
		queue_test(test_old_session_in_use_is_remembered),
		queue_test(test_removed_is_gone),
		queue_test(test_ids_are_not_used_again),
		queue_test(test_numbers_continue_after_reopen),
		queue_test(
			test_highest_id_survives_in_the_first_endpoint),
		queue_test(
			test_highest_id_survives_in_the_last_endpoint),
		queue_test(test_attempts_are_kept),
		queue_test(test_reading_goes_on_after_an_id),
		queue_test(test_reading_goes_on_after_a_removed_item),
		queue_test(test_item_is_found_by_its_id),
		queue_test(test_removed_item_is_not_found),
		queue_test(test_other_item_is_not_found_instead),
		queue_test(test_endpoints_have_their_own_items),
		queue_test(test_endpoint_without_items_has_none),
		queue_test(test_one_endpoints_reading_ends_at_the_other),
		queue_test(test_many_interleaved_stay_apart),
		queue_test(test_reading_ends_at_the_last_id),
		queue_test(test_reading_is_limited_in_bytes),
		queue_test(test_read_can_be_cancelled),
		queue_test(test_endpoint_is_known_by_its_key),
		queue_test(test_endpoints_keep_their_latest_options),
		queue_test(test_endpoints_with_something_queued_are_listed),
		queue_test(test_endpoint_is_forgotten),
		queue_test(test_endpoint_may_never_be_stored),
		queue_test(test_forgotten_endpoint_may_come_back),
		queue_test(
			test_endpoint_with_something_queued_is_not_forgotten),
		queue_test(test_endpoint_is_kept_if_it_cant_be_stored),
		queue_test(test_endpoints_keep_apart_if_one_fails),
		queue_test(test_endpoint_is_forgotten_later),
		queue_test(
			test_endpoint_that_was_not_forgotten_may_come_back),
		queue_test(test_deinit_commits),
		queue_test(test_sync_full_stores_as_well),
		queue_test(test_opened_while_nothing_can_be_written),
		queue_test(test_newer_schema_is_refused),
		queue_test(test_file_that_is_no_database_is_moved_aside),
		queue_test(test_truncated_file_is_moved_aside),
		queue_test(test_damaged_schema_is_moved_aside),
		queue_test(test_newest_corrupt_files_are_kept),
		queue_test(test_damage_found_later_is_moved_aside),
		queue_test(test_time_goes_on_after_reopen),
		queue_test(test_time_goes_on_after_a_boot),
		queue_test(test_time_is_never_before_what_is_queued),
		queue_test(test_disk_space_is_given_back),
		queue_test(test_disk_space_of_an_old_file_is_given_back),
		queue_test(test_new_file_can_be_shrunk),
		queue_test(test_log_that_a_reader_makes_grow_is_cut_later),
		queue_test(test_removals_come_in_small_commits),
		queue_test(test_large_removals_come_in_small_commits),
		queue_test(test_large_removal_writes_little),
		queue_test(test_log_does_not_grow_in_trouble),
		queue_test(test_deinit_commits_all_removals),
		queue_test(test_addition_succeeds_while_removals_fail),
		queue_test(test_endpoint_is_forgotten_behind_its_removals),
		queue_test(test_removed_is_gone_while_removals_fail),
		queue_test(test_reading_passes_what_cant_be_removed),
		queue_test(test_missing_directory_is_explained),
		queue_test(test_files_are_private),
		queue_test(test_one_process_at_a_time),
		queue_test(test_committed_survives_a_kill),
		queue_test(test_nothing_is_added_while_locked),
		queue_test(test_removed_while_locked_is_removed_later),
		queue_test(
			test_removed_while_locked_is_removed_with_the_next_add),
		queue_test(test_removal_may_fail_again),
		queue_test(test_removals_do_not_insist),
		queue_test(test_commit_that_fails_adds_nothing),
		queue_test(test_failed_add_can_be_repeated),
		queue_test(test_rollback_takes_all_that_was_added),
		queue_test(test_failed_read_is_said),
		queue_test(test_failed_removal_is_repeated),
	};
	int ret;

	lib_init();
	program = argv[0];
	/* a write beyond RLIMIT_FSIZE shall fail rather than kill */
	(void)signal(SIGXFSZ, SIG_IGN);
	ret = argc == 3 ? child_main(argv[1], argv[2]) :
		cmocka_run_group_tests_name("queue", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
