#include "lib.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "queue.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test-common.h"

static const char *program;
/* Where each test has its queue. */
static char *dir;
static struct ioloop *ioloop;
static struct queue *queue;
/* what was said by the commit callback */
static unsigned int commits;
static char *commit_error;

/* what the next item is added with */
static guid_128_t session;
static int64_t endpoint;

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

static void open_queue(void)
{
	const char *error;

	if (queue_init(dir, FALSE, committed, NULL, &queue, &error) < 0)
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

	assert_int_equal(queue_init(dir, FALSE, committed, NULL, &queue,
				    &error), -1);
	assert_non_null(error);
	return error;
}

/* The commit happens at the next turn of the ioloop. */
static void run_to_commit(void)
{
	commits = 0;
	io_loop_run(ioloop);
	assert_int_equal(commits, 1);
}

static void commit(void)
{
	run_to_commit();
	if (commit_error != NULL)
		fail_msg("%s", commit_error);
}

static int64_t set_endpoint(const char *key, const char *options)
{
	const char *error;
	int64_t id;

	if (queue_endpoint_set(queue, key, options, &id, &error) < 0)
		fail_msg("%s", error);
	return id;
}

static struct queue_item item_of(const char *username, uint64_t seq)
{
	struct queue_item item = {
		.endpoint = endpoint, .seq = seq, .username = username,
		.folder = "INBOX", .uid = 17, .body = "{}",
		.created = 1700000000, .expires = 1700003600
	};

	guid_128_copy(item.session, session);
	return item;
}

static int add_item(struct queue_item *item)
{
	const char *error;
	int ret;

	ret = queue_add(queue, item, &error);
	if (ret < 0)
		fail_msg("%s", error);
	return ret;
}

static int add(const char *username, uint64_t seq)
{
	struct queue_item item = item_of(username, seq);

	return add_item(&item);
}

static const char *add_error(const char *username, uint64_t seq)
{
	struct queue_item item = item_of(username, seq);
	const char *error = NULL;

	assert_int_equal(queue_add(queue, &item, &error), -1);
	assert_non_null(error);
	return error;
}

/* Three of alice's and one of bob's between them. */
static void add_some(void)
{
	assert_int_equal(add("alice", 1), 1);
	assert_int_equal(add("bob", 2), 1);
	assert_int_equal(add("alice", 3), 1);
	assert_int_equal(add("alice", 4), 1);
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

static unsigned int
read_items(int64_t after_id, unsigned int limit, struct queue_item **items_r)
{
	*items_r = t_new(struct queue_item, limit);
	return queue_read(queue, endpoint, after_id, limit,
			  pool_datastack_create(), *items_r);
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

/* All of a user's, one after the other. */
static const char *queued_in_lane_of(const char *username)
{
	struct queue_item *items, items_of_lane[64];
	unsigned int i, count = read_items(0, 64, &items);
	int64_t lane = 0, id = 0;

	for (i = 0; i < count; i++) {
		if (strcmp(items[i].username, username) == 0)
			lane = items[i].lane;
	}
	for (i = 0; i < N_ELEMENTS(items_of_lane) &&
	     queue_read_lane(queue, endpoint, lane, id,
			     pool_datastack_create(), &items_of_lane[i]); i++)
		id = items_of_lane[i].id;
	return items_to_str(items_of_lane, i);
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

/* A full disk: no file grows any more. Nothing may be printed meanwhile. */
static void set_disk_full(bool full)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = full ? 1 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int setup(void **state ATTR_UNUSED)
{
	const char *tmp = getenv("TMPDIR");

	dir = i_strconcat(tmp == NULL ? "/tmp" : tmp, "/test-queue.XXXXXX",
			  NULL);
	if (mkdtemp(dir) == NULL)
		return -1;
	ioloop = io_loop_create();
	i_zero(&session);
	open_queue();
	endpoint = set_endpoint("key", "options");
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
	i_free(dir);
	return 0;
}

static void test_added_is_read_after_commit_only(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	assert_string_equal(queued(), "");
	commit();
	assert_string_equal(queued(), "alice:1");
}

static void test_everything_added_is_read(void **state ATTR_UNUSED)
{
	struct queue_item item = {
		.endpoint = endpoint, .seq = INT64_MAX,
		.username = "us\ter\xff'", .folder = "\xe5\x8f\x97\001\n\"",
		.uid = UINT32_MAX, .body = "{\"a\":\"\\u0001%s\"}",
		.created = 1700000000, .expires = 4102444800
	};
	struct queue_item *items;

	guid_128_copy(item.session, session);
	assert_int_equal(add_item(&item), 1);
	reopen_queue();

	assert_int_equal(read_items(0, 2, &items), 1);
	assert_int_equal(items[0].id, item.id);
	assert_int_equal(items[0].endpoint, endpoint);
	assert_int_equal(items[0].lane, item.lane);
	assert_memory_equal(items[0].session, session, sizeof(session));
	assert_true(items[0].seq == INT64_MAX);
	assert_string_equal(items[0].username, item.username);
	assert_string_equal(items[0].folder, item.folder);
	assert_int_equal(items[0].uid, UINT32_MAX);
	assert_string_equal(items[0].body, item.body);
	assert_int_equal(items[0].created, 1700000000);
	assert_int_equal(items[0].expires, 4102444800);
	assert_int_equal(items[0].attempts, 0);
}

static void test_order_is_that_of_adding(void **state ATTR_UNUSED)
{
	struct queue_item *items;
	unsigned int i;

	add_some();
	commit();
	assert_int_equal(add("bob", 5), 1);
	reopen_queue();
	assert_int_equal(add("alice", 6), 1);
	commit();

	assert_string_equal(queued(),
			    "alice:1 bob:2 alice:3 alice:4 bob:5 alice:6");
	for (i = 1; i < read_items(0, 64, &items); i++)
		assert_true(items[i].id > items[i - 1].id);
}

static void test_many_adds_make_one_commit(void **state ATTR_UNUSED)
{
	unsigned int i;

	commits = 0;
	for (i = 1; i <= 1000; i++)
		assert_int_equal(add("alice", i), 1);
	assert_int_equal(commits, 0);
	commit();
	assert_int_equal(queue_count(queue, endpoint), 1000);
}

static void test_same_handoff_is_added_once(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	assert_int_equal(add("alice", 2), 1);
	assert_int_equal(add("alice", 2), 0);
	commit();
	assert_int_equal(add("alice", 2), 0);
	assert_int_equal(add("alice", 1), 0);
	commit();
	assert_string_equal(queued(), "alice:1 alice:2");
}

static void test_same_handoff_is_added_once_ever(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	assert_int_equal(add("alice", 2), 1);
	reopen_queue();
	queue_remove(queue, id_of(2));
	assert_int_equal(add("alice", 2), 0);
	assert_int_equal(add("alice", 1), 0);
	assert_int_equal(add("alice", 3), 1);
	commit();
	assert_string_equal(queued(), "alice:1 alice:3");
}

static void test_sessions_number_on_their_own(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	guid_128_generate(session);
	assert_int_equal(add("bob", 1), 1);
	commit();
	assert_string_equal(queued(), "alice:1 bob:1");
}

static void test_ended_session_is_forgotten(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	queue_session_end(queue, session);
	assert_int_equal(add("alice", 1), 1);
	commit();
	queue_session_end(queue, session);
	reopen_queue();
	assert_int_equal(add("alice", 1), 1);
}

static void test_other_sessions_stay_when_one_ends(void **state ATTR_UNUSED)
{
	guid_128_t other;

	guid_128_generate(other);
	assert_int_equal(add("alice", 1), 1);
	queue_session_end(queue, other);
	assert_int_equal(add("alice", 1), 0);
}

/* The service was killed, so nobody ended the session. */
static void test_abandoned_session_is_forgotten(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	queue_deinit(&queue);
	ioloop_time += 24*60*60;
	open_queue();
	assert_int_equal(add("alice", 1), 1);
}

/* A mail process may live for days. What counts is when it was heard of. */
static void test_old_session_in_use_is_remembered(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	ioloop_time += 24*60*60;
	assert_int_equal(add("alice", 2), 1);
	reopen_queue();
	assert_int_equal(add("alice", 2), 0);
}

static void test_removed_is_gone(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	queue_remove(queue, id_of(3));
	assert_string_equal(queued(), "alice:1 bob:2 alice:4");
	commit();
	assert_string_equal(queued(), "alice:1 bob:2 alice:4");
	queue_remove(queue, id_of(1));
	reopen_queue();
	assert_string_equal(queued(), "bob:2 alice:4");
}

static void test_ids_are_not_used_again(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("alice", 1);
	int64_t id;

	assert_int_equal(add_item(&item), 1);
	commit();
	id = item.id;
	queue_remove(queue, id);
	commit();
	item = item_of("alice", 2);
	assert_int_equal(add_item(&item), 1);
	assert_true(item.id > id);
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
	queue_remove(queue, id);
	assert_string_equal(read_to_str(id, 64), "alice:3 alice:4");
}

static void test_endpoints_have_their_own_items(void **state ATTR_UNUSED)
{
	int64_t first = endpoint, second = set_endpoint("key2", "options");

	assert_int_equal(add("alice", 1), 1);
	endpoint = second;
	assert_int_equal(add("alice", 2), 1);
	assert_int_equal(add("bob", 3), 1);
	commit();

	assert_string_equal(queued(), "alice:2 bob:3");
	assert_string_equal(queued_in_lane_of("alice"), "alice:2");
	assert_int_equal(queue_count(queue, endpoint), 2);
	endpoint = first;
	assert_string_equal(queued(), "alice:1");
	assert_string_equal(queued_in_lane_of("alice"), "alice:1");
	assert_int_equal(queue_count(queue, endpoint), 1);
}

static void test_lane_is_one_users_items_in_order(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	assert_string_equal(queued_in_lane_of("alice"),
			    "alice:1 alice:3 alice:4");
	assert_string_equal(queued_in_lane_of("bob"), "bob:2");
	reopen_queue();
	assert_int_equal(add("alice", 5), 1);
	commit();
	assert_string_equal(queued_in_lane_of("alice"),
			    "alice:1 alice:3 alice:4 alice:5");
}

static void test_lane_has_what_is_committed_only(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	commit();
	assert_int_equal(add("alice", 2), 1);
	assert_string_equal(queued_in_lane_of("alice"), "alice:1");
}

static void test_lane_skips_removed_items(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	queue_remove(queue, id_of(3));
	assert_string_equal(queued_in_lane_of("alice"), "alice:1 alice:4");
}

static void test_empty_lane_has_nothing(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("alice", 1), next;

	assert_int_equal(add_item(&item), 1);
	commit();
	assert_true(queue_read_lane(queue, endpoint, item.lane, 0,
				    pool_datastack_create(), &next));
	assert_false(queue_read_lane(queue, endpoint, item.lane, item.id,
				     pool_datastack_create(), &next));
	assert_false(queue_read_lane(queue, endpoint, item.lane + 1, 0,
				     pool_datastack_create(), &next));
}

static void test_count(void **state ATTR_UNUSED)
{
	assert_int_equal(queue_count(queue, endpoint), 0);
	add_some();
	commit();
	assert_int_equal(queue_count(queue, endpoint), 4);
	queue_remove(queue, id_of(1));
	commit();
	assert_int_equal(queue_count(queue, endpoint), 3);
}

static void test_endpoint_is_known_by_its_key(void **state ATTR_UNUSED)
{
	int64_t other = set_endpoint("key2", "options");

	assert_int_not_equal(other, endpoint);
	assert_int_equal(set_endpoint("key", "changed"), endpoint);
	assert_int_equal(set_endpoint("key2", "changed"), other);
	reopen_queue();
	assert_int_equal(set_endpoint("key", "options"), endpoint);
	assert_int_equal(set_endpoint("key2", "options"), other);
}

/* Appends "<id>=<options> " */
static void
append_endpoint(int64_t id, const char *options, void *context)
{
	str_printfa((string_t *)context, "%"PRId64"=%s ", id, options);
}

static const char *endpoints_to_str(void)
{
	string_t *str = t_str_new(64);

	queue_endpoints_foreach(queue, append_endpoint, str);
	return str_c(str);
}

static void test_endpoints_keep_their_latest_options(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	(void)set_endpoint("key", "changed\t\xff'\001");
	reopen_queue();
	assert_string_equal(endpoints_to_str(), t_strdup_printf(
		"%"PRId64"=changed\t\xff'\001 ", endpoint));
}

static void
test_endpoints_with_something_queued_are_listed(void **state ATTR_UNUSED)
{
	int64_t first = endpoint;

	endpoint = set_endpoint("key2", "options2");
	assert_int_equal(add("alice", 1), 1);
	assert_int_equal(add("bob", 2), 1);
	endpoint = first;
	assert_int_equal(add("alice", 3), 1);
	reopen_queue();
	assert_string_equal(endpoints_to_str(), t_strdup_printf(
		"%"PRId64"=options %"PRId64"=options2 ", first, first + 1));
}

static void
test_endpoints_with_nothing_queued_are_forgotten(void **state ATTR_UNUSED)
{
	int64_t first = endpoint;

	assert_int_equal(add("alice", 1), 1);
	(void)set_endpoint("unused", "with a password");
	endpoint = set_endpoint("done", "with a password");
	assert_int_equal(add("alice", 2), 1);
	commit();
	queue_remove(queue, id_of(2));
	reopen_queue();

	assert_int_equal(other_get_int("SELECT count(*) FROM endpoint"), 3);
	assert_string_equal(endpoints_to_str(), t_strdup_printf(
		"%"PRId64"=options ", first));
	assert_int_equal(other_get_int("SELECT count(*) FROM endpoint"), 1);
}

static void test_endpoint_set_commits_at_once(void **state ATTR_UNUSED)
{
	add_some();
	commits = 0;
	(void)set_endpoint("key2", "options");
	assert_int_equal(commits, 1);
	assert_null(commit_error);
	assert_string_equal(queued(), "alice:1 bob:2 alice:3 alice:4");
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
	assert_int_equal(queue_init(dir, TRUE, committed, NULL, &queue,
				    &error), 0);
	assert_int_equal(add("alice", 1), 1);
	commit();
	reopen_queue();
	assert_string_equal(queued(), "alice:1");
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

static void test_file_that_is_no_database_is_refused(void **state ATTR_UNUSED)
{
	int fd;

	queue_deinit(&queue);
	fd = open(queue_path(), O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "not a database, not at all", 26), 26);
	i_close_fd(&fd);
	assert_non_null(strstr(open_error(), queue_path()));
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
	assert_int_equal(queue_count(queue, endpoint), 100);

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
	assert_int_equal(add("alice", 1), 0);
	assert_int_equal(add("alice", 2), 1);
}

static void test_nothing_is_added_while_locked(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();
	const char *error;

	other_exec(other, "BEGIN IMMEDIATE");
	error = add_error("alice", 1);
	assert_non_null(strstr(error, queue_path()));
	assert_non_null(strstr(error, "locked"));
	other_exec(other, "ROLLBACK");
	other_close(other);
	run_to_commit();
	assert_non_null(commit_error);

	assert_int_equal(add("alice", 1), 1);
	commit();
	assert_string_equal(queued(), "alice:1");
}

static void test_removed_while_locked_is_removed_later(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();

	add_some();
	commit();
	other_exec(other, "BEGIN IMMEDIATE");
	queue_remove(queue, id_of(1));
	queue_remove(queue, id_of(3));
	run_to_commit();
	assert_non_null(commit_error);
	assert_non_null(strstr(commit_error, "locked"));
	other_exec(other, "ROLLBACK");
	other_close(other);

	/* tried again without being asked */
	commit();
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
	queue_remove(queue, id_of(1));
	run_to_commit();
	assert_non_null(commit_error);
	other_exec(other, "ROLLBACK");
	other_close(other);

	assert_int_equal(add("bob", 5), 1);
	commit();
	assert_string_equal(queued(), "bob:2 alice:3 alice:4 bob:5");
}

static void test_removal_may_fail_again(void **state ATTR_UNUSED)
{
	sqlite3 *other = other_open();

	add_some();
	commit();
	other_exec(other, "BEGIN IMMEDIATE");
	queue_remove(queue, id_of(1));
	other_exec(other, "ROLLBACK");
	other_close(other);

	make_fail("DELETE ON notification", "ABORT");
	(void)add_error("bob", 5);
	run_to_commit();
	stop_failing();

	assert_int_equal(add("bob", 5), 1);
	commit();
	assert_string_equal(queued(), "bob:2 alice:3 alice:4 bob:5");
}

static void test_commit_that_fails_adds_nothing(void **state ATTR_UNUSED)
{
	assert_int_equal(add("alice", 1), 1);
	commit();
	queue_remove(queue, id_of(1));
	assert_int_equal(add("alice", 2), 1);
	assert_int_equal(add("bob", 3), 1);
	set_disk_full(TRUE);
	io_loop_run(ioloop);
	set_disk_full(FALSE);
	assert_non_null(commit_error);
	assert_non_null(strstr(commit_error, queue_path()));

	/* so it can be added again, and the removal is not forgotten */
	assert_int_equal(add("alice", 2), 1);
	commit();
	assert_string_equal(queued(), "alice:2");
	reopen_queue();
	assert_string_equal(queued(), "alice:2");
}

static void test_failed_add_can_be_repeated(void **state ATTR_UNUSED)
{
	make_fail("INSERT ON notification", "ABORT");
	(void)add_error("alice", 1);
	run_to_commit();
	stop_failing();

	assert_int_equal(add("alice", 1), 1);
	commit();
	assert_string_equal(queued(), "alice:1");
}

/* SQLite rolls back by itself if the disk is full or gives errors. */
static void test_rollback_takes_all_that_was_added(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("bob", 3);
	const char *error;

	make_fail("INSERT ON notification WHEN new.seq = 2", "ROLLBACK");
	assert_int_equal(add("alice", 1), 1);
	(void)add_error("alice", 2);
	/* may be refused, too */
	(void)queue_add(queue, &item, &error);
	run_to_commit();
	assert_non_null(commit_error);

	stop_failing();
	reopen_queue();
	assert_string_equal(queued(), "");
}

static void test_failed_removal_is_repeated(void **state ATTR_UNUSED)
{
	add_some();
	commit();
	make_fail("DELETE ON notification", "ABORT");
	queue_remove(queue, id_of(1));
	run_to_commit();
	stop_failing();

	assert_int_equal(add("bob", 5), 1);
	reopen_queue();
	assert_string_equal(queued(), "bob:2 alice:3 alice:4 bob:5");
}

/* Nothing is asserted in a child: it is no test. */
static void child_add(uint64_t seq)
{
	struct queue_item item = item_of("alice", seq);
	const char *error;

	if (queue_add(queue, &item, &error) <= 0)
		i_fatal("child: not added");
}

static void child_commit(void)
{
	io_loop_run(ioloop);
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

static int child_main(const char *role, const char *directory)
{
	const char *error;

	dir = i_strdup(directory);
	ioloop = io_loop_create();
	if (queue_init(dir, FALSE, committed, NULL, &queue, &error) < 0 ||
	    queue_endpoint_set(queue, "key", "options", &endpoint, &error) < 0)
		i_fatal("child: %s", error);
	if (strcmp(role, "die") == 0)
		child_die();
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
		queue_test(test_many_adds_make_one_commit),
		queue_test(test_same_handoff_is_added_once),
		queue_test(test_same_handoff_is_added_once_ever),
		queue_test(test_sessions_number_on_their_own),
		queue_test(test_ended_session_is_forgotten),
		queue_test(test_other_sessions_stay_when_one_ends),
		queue_test(test_abandoned_session_is_forgotten),
		queue_test(test_old_session_in_use_is_remembered),
		queue_test(test_removed_is_gone),
		queue_test(test_ids_are_not_used_again),
		queue_test(test_attempts_are_kept),
		queue_test(test_reading_goes_on_after_an_id),
		queue_test(test_reading_goes_on_after_a_removed_item),
		queue_test(test_endpoints_have_their_own_items),
		queue_test(test_lane_is_one_users_items_in_order),
		queue_test(test_lane_has_what_is_committed_only),
		queue_test(test_lane_skips_removed_items),
		queue_test(test_empty_lane_has_nothing),
		queue_test(test_count),
		queue_test(test_endpoint_is_known_by_its_key),
		queue_test(test_endpoints_keep_their_latest_options),
		queue_test(test_endpoints_with_something_queued_are_listed),
		queue_test(test_endpoints_with_nothing_queued_are_forgotten),
		queue_test(test_endpoint_set_commits_at_once),
		queue_test(test_deinit_commits),
		queue_test(test_sync_full_stores_as_well),
		queue_test(test_newer_schema_is_refused),
		queue_test(test_file_that_is_no_database_is_refused),
		queue_test(test_missing_directory_is_explained),
		queue_test(test_files_are_private),
		queue_test(test_one_process_at_a_time),
		queue_test(test_committed_survives_a_kill),
		queue_test(test_nothing_is_added_while_locked),
		queue_test(test_removed_while_locked_is_removed_later),
		queue_test(
			test_removed_while_locked_is_removed_with_the_next_add),
		queue_test(test_removal_may_fail_again),
		queue_test(test_commit_that_fails_adds_nothing),
		queue_test(test_failed_add_can_be_repeated),
		queue_test(test_rollback_takes_all_that_was_added),
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
