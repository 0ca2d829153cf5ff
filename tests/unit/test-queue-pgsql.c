/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several hosts that share a queue in a real PostgreSQL. Each has connections of
   its own. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "sleep.h"
#include "str.h"

#include "pgsql-statements.h"
#include "queue-announced.h"
#include "queue-hosts.h"
#include "queue-lost.h"
#include "queue-private.h"

#include <stdlib.h>

#include "test-common.h"
#include "test-queue-engines.h"

/* How many users there are, which is more than enough to have some in the slots
   of each host. */
#define USERS 64

/* as in pgsql-slots.c */
#define LEASE_MSECS 6000

#define SLOT_LOCKS "locktype = 'advisory' AND classid = 1752460034"

static struct test_host one, two;
static guid_128_t session;
static uint64_t last_seq;
/* the latest addition */
static int64_t stored_id;
static struct queue_part *stored_part;
static char *stored_error;

/* Looks at parts wait at the 300th, until open_gate(). */
static void close_gate(void)
{
	int64_t part = test_sql(NULL, "SELECT id FROM part ORDER BY id "
				"OFFSET 299 LIMIT 1");

	(void)test_sql(NULL, t_strdup_printf(
		"CREATE TABLE gate AS SELECT; "
		"CREATE FUNCTION gate() RETURNS bool AS $$ BEGIN "
		"WHILE current_query() LIKE '%%e.options FROM queued%%' AND "
		"EXISTS (SELECT FROM http_notify.gate) "
		"LOOP PERFORM pg_sleep(0.01); END LOOP; "
		"RETURN true; END $$ LANGUAGE plpgsql SECURITY DEFINER; "
		"CREATE POLICY gate ON notification "
		"USING (id >> 36 <> %"PRId64" OR gate()); "
		"ALTER TABLE notification ENABLE ROW LEVEL SECURITY", part));
}

static void open_gate(void)
{
	(void)test_sql(NULL, "DELETE FROM gate");
}

static void remove_gate(void)
{
	(void)test_sql(NULL, "ALTER TABLE notification DISABLE ROW LEVEL SECURITY; "
		"DROP FUNCTION IF EXISTS gate CASCADE; "
		"DROP TABLE IF EXISTS gate");
}

static int setup(void **state ATTR_UNUSED)
{
	guid_128_generate(session);
	last_seq = 0;
	test_queues_init();
	remove_gate();
	test_host_init(&one, "one");
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	test_host_deinit(&one);
	if (two.directory != NULL)
		test_host_deinit(&two);
	i_zero(&two);
	i_free(stored_error);
	test_queues_deinit();
	return 0;
}

static int64_t slots_taken(void)
{
	return test_sql(NULL, "SELECT count(*) FROM pg_locks "
			"WHERE "SLOT_LOCKS);
}

/* How many the host with the fewest has, if there are so many hosts. */
static int64_t slots_of_each(unsigned int hosts)
{
	return test_sql(NULL, t_strdup_printf("SELECT CASE "
		"WHEN count(*) = %u THEN min(c) ELSE 0 END FROM (SELECT "
		"count(*) AS c FROM pg_locks WHERE "SLOT_LOCKS" GROUP BY pid) "
		"AS x", hosts));
}

static void
stored(struct queue_item *item, const char *error, void *context ATTR_UNUSED)
{
	stored_id = item == NULL ? 0 : item->id;
	stored_part = item == NULL ? NULL : item->part;
	i_free(stored_error);
	stored_error = i_strdup(error);
}

static const char *user(unsigned int number)
{
	return t_strdup_printf("user%u", number);
}

static struct queue_item
item_of(struct test_host *host, const char *username, uint64_t seq)
{
	struct queue_item item = {
		.endpoint = queue_endpoint_set(host->queue, "key", "options"),
		.username = username, .seq = seq,
		.folder = "INBOX", .uid = 17, .body = "{}",
		.created = queue_now(host->queue),
		.expires = queue_now(host->queue) + 3600
	};

	guid_128_copy(item.session, session);
	return item;
}

static bool
add_seq(struct test_host *host, const char *username, uint64_t seq)
{
	struct queue_item item = item_of(host, username, seq);

	return queue_add(host->queue, &item, stored, NULL);
}

/* It may take its time, as a mail process would not wait. */
static int64_t store_item(struct test_host *host, const struct queue_item *item)
{
	assert_true(queue_add_moved(host->queue, item, stored, NULL));
	test_commit(host);
	assert_null(stored_error);
	return stored_id;
}

static int64_t store(struct test_host *host, const char *username)
{
	struct queue_item item = item_of(host, username, ++last_seq);

	return store_item(host, &item);
}

static struct queue_part *
find_part(struct test_host *host, int64_t id)
{
	struct queue_part *part;

	array_foreach_elem(&host->parts, part) {
		if (part->number == PGSQL_PART_NUMBER(id))
			return part;
	}
	return NULL;
}

/* Which one sends it? Until one knows that it does. */
static struct test_host *sender_of(int64_t id)
{
	struct test_host *host = NULL;
	struct queue_part *part;

	while (host == NULL) {
		part = find_part(&one, id);
		if (part != NULL && queue_part_last_id(part) >= id)
			host = &one;
		part = two.queue == NULL ? NULL : find_part(&two, id);
		if (part != NULL && queue_part_last_id(part) >= id) {
			/* never both */
			assert_null(host);
			host = &two;
		}
		test_turn(1);
	}
	return host;
}

static void share(void)
{
	test_until(slots_taken() == 256);
	test_host_init(&two, "two");
	test_until(slots_of_each(2) == 128);
}

static void test_hosts_share_the_slots(void **state ATTR_UNUSED)
{
	struct test_host three;

	share();
	test_host_init(&three, "three");
	test_until(slots_of_each(3) == 85);
	assert_int_equal(slots_taken(), 256);
	test_host_deinit(&three);
	test_until(slots_of_each(2) == 128);
	test_host_close(&two);
	test_until(slots_of_each(1) == 256);
}

static void test_each_is_sent_by_one(void **state ATTR_UNUSED)
{
	unsigned int i, by_two = 0;
	int64_t ids[USERS];

	share();
	for (i = 0; i < USERS; i++)
		ids[i] = store(&one, user(i));
	for (i = 0; i < USERS; i++) {
		if (sender_of(ids[i]) == &two)
			by_two++;
	}
	assert_uint_in_range(by_two, 1, USERS - 1);
}

/* An owner that is told by NOTIFY, and not by its own looking. */
static void test_owner_is_told_of_what_others_store(void **state ATTR_UNUSED)
{
	unsigned int i;
	int64_t id = 0;

	share();
	/* a user of the other one's, in a part that it knows */
	for (i = 0; i < USERS; i++) {
		id = store(&one, user(i));
		if (sender_of(id) == &two)
			break;
	}
	assert_null(stored_part);
	str_truncate(two.told, 0);
	id = store(&one, user(i));
	assert_null(stored_part);
	assert_ptr_equal(sender_of(id), &two);
	assert_string_equal(str_c(two.told), "grown:2 ");
	/* it is the owner itself that stores: there is no hole */
	id = store(&two, user(i));
	assert_ptr_equal(stored_part, find_part(&two, id));
	assert_string_equal(str_c(two.told), "grown:2 ");
}

static void test_slots_of_a_host_that_ends_go_to_others(void **state ATTR_UNUSED)
{
	unsigned int i;
	int64_t ids[USERS];

	share();
	for (i = 0; i < USERS; i++)
		ids[i] = store(&one, user(i));
	test_host_close(&two);
	for (i = 0; i < USERS; i++)
		assert_ptr_equal(sender_of(ids[i]), &one);
}

/* It is told to release them, and keeps the others. */
static void test_parts_are_released_first(void **state ATTR_UNUSED)
{
	struct queue_part *part;
	unsigned int i;
	int64_t ids[USERS];

	test_until(slots_taken() == 256);
	for (i = 0; i < USERS; i++)
		ids[i] = store(&one, user(i));
	for (i = 0; i < USERS; i++)
		assert_ptr_equal(sender_of(ids[i]), &one);
	one.releases = FALSE;
	str_truncate(one.told, 0);
	test_host_init(&two, "two");
	test_until(strstr(str_c(one.told), "release") != NULL);
	/* slots without parts, only */
	test_until(slots_of_each(2) > 0);
	for (i = 0; i < 1000; i++)
		test_turn(1);
	assert_int_equal(array_count(&two.parts), 0);
	assert_null(strstr(str_c(one.told), "revoked"));
	one.releases = TRUE;
	for (i = 0; i < USERS; i++) {
		part = find_part(&one, ids[i]);
		if (i % 2 == 0)
			continue;
		/* the others stay this host's, or are released by the test's
		   end */
		array_clear(&one.parts);
		queue_part_released(one.queue, &part);
		break;
	}
}

/* More than are looked at in one go. */
static void store_many_parts(void)
{
	(void)test_sql(NULL, "INSERT INTO endpoint (key, options) "
		"SELECT ('many' || n)::bytea, 'options' "
		"FROM generate_series(1, 3) AS n");
	(void)test_sql(NULL, "INSERT INTO part (endpoint, slot, last) "
		"SELECT id, slot, 3 FROM endpoint, "
		"generate_series(0, 255) AS slot WHERE key LIKE 'many%' "
		"ORDER BY slot DESC");
	(void)test_sql(NULL, "INSERT INTO notification SELECT (id << 36) + 3, "
		"'', 1, 0, 0, 0, 'alice', 'INBOX', 1, 0, '{}' FROM part "
		"WHERE last = 3");
}

static void test_many_parts_are_claimed(void **state ATTR_UNUSED)
{
	test_host_close(&one);
	store_many_parts();
	test_host_open(&one);
	test_until(array_count(&one.parts) == 3 * 256);
	test_host_init(&two, "two");
	test_until(array_count(&two.parts) == 3 * 128);
	assert_int_equal(array_count(&one.parts), 3 * 128);
}

/* Both connections, as by a server that restarts. */
static void
end_connections(const char *name)
{
	(void)test_sql(NULL, t_strdup_printf("SELECT count(pg_terminate_backend("
		"pid)) FROM pg_stat_activity WHERE application_name = "
		"'http-notify' AND query LIKE '%s'", name));
}

static void have_empty_part(const char *username)
{
	queue_remove(one.queue, store(&one, username), 2);
	test_commit(&one);
}

/* It has looked at the first ones, of which alice's is empty. */
static void look_until_gate(void)
{
	have_empty_part("alice");
	test_host_close(&one);
	store_many_parts();
	test_host_open(&one);
	test_until(array_count(&one.parts) == 3 * 256);
	have_empty_part("alice");
	close_gate();
	end_connections("%");
	test_until(array_count(&one.parts) < 3 * 256);
	test_until(array_count(&one.parts) >= 256);
}

static void test_slots_are_released_during_a_look(void **state ATTR_UNUSED)
{
	look_until_gate();
	test_host_init(&two, "two");
	test_until(slots_of_each(2) == 128);
	open_gate();
	test_until(array_count(&one.parts) == 3 * 128);
	test_until(array_count(&two.parts) == 3 * 128);
}

/* In a part that was empty when it was looked at. */
static void test_stored_during_a_look(void **state ATTR_UNUSED)
{
	struct queue_part *part;
	struct queue_item item;

	look_until_gate();
	item = item_of(&one, "alice", ++last_seq);
	assert_true(queue_add_moved(one.queue, &item, stored, NULL));
	queue_flush(one.queue);
	open_gate();
	test_commit(&one);
	part = find_part(&one, stored_id);
	assert_non_null(part);
	assert_true(queue_part_last_id(part) == stored_id);
	/* it is read, for a former owner may have sent it */
	assert_null(stored_part);
	test_until(array_count(&one.parts) == 1 + 3 * 256);
	(void)store(&one, "alice");
	assert_ptr_equal(stored_part, part);
}

static void test_lost_connection_is_revoked_at_once(void **state ATTR_UNUSED)
{
	int64_t id;

	test_until(slots_taken() == 256);
	id = store(&one, "alice");
	assert_ptr_equal(sender_of(id), &one);
	str_truncate(one.told, 0);
	end_connections("%");
	test_until(array_count(&one.parts) == 0);
	assert_string_equal(str_c(one.told), "revoked:1 ");
	/* and comes back */
	assert_ptr_equal(sender_of(id), &one);
}

/* The process was stopped for longer than the slots are its own for certain. */
static void test_stopped_process_may_not_send(void **state ATTR_UNUSED)
{
	int64_t id;

	test_until(slots_taken() == 256);
	id = store(&one, "alice");
	assert_ptr_equal(sender_of(id), &one);
	str_truncate(one.told, 0);
	i_sleep_msecs(LEASE_MSECS);
	assert_false(queue_may_send(one.queue));
	/* but not from inside */
	assert_string_equal(str_c(one.told), "");
	test_until(array_count(&one.parts) == 0);
	assert_string_equal(str_c(one.told), "revoked:1 ");
	assert_false(queue_may_send(one.queue));
	assert_ptr_equal(sender_of(id), &one);
	assert_true(queue_may_send(one.queue));
}

static void set_standby(const char *name)
{
	(void)test_sql(NULL, t_strdup_printf("ALTER SYSTEM SET "
		"synchronous_standby_names = '%s'", name));
	(void)test_sql(NULL, "SELECT pg_reload_conf()");
	test_until(test_sql(NULL, t_strdup_printf("SELECT count(*) "
		"FROM pg_settings WHERE name = 'synchronous_standby_names' "
		"AND setting = '%s'", name)) == 1);
}

/* The commit has been made, but nobody says so: it waits for a standby. */
static void store_unconfirmed(void)
{
	set_standby("nobody");
	/* the backend may not have seen it */
	do {
		assert_true(add_seq(&one, "alice", ++last_seq));
		one.commits = 0;
		test_until(one.commits > 0);
	} while (one.error == NULL);
	assert_non_null(stored_error);
	assert_non_null(strstr(stored_error, "may be stored"));
}

static void confirm(void)
{
	set_standby("");
	while (test_try_commit(&one) != NULL)
		test_turn(5);
	assert_true(test_sql(NULL, "SELECT count(*) FROM notification") ==
		    (int64_t)last_seq);
}

static void test_unconfirmed_commit_is_recognised(void **state ATTR_UNUSED)
{
	int64_t id;

	(void)store(&one, "alice");
	store_unconfirmed();
	confirm();
	/* it comes again */
	assert_false(add_seq(&one, "alice", last_seq));
	test_commit(&one);
	assert_null(stored_error);
	assert_true(test_sql(NULL, "SELECT count(*) FROM notification") ==
		    (int64_t)last_seq);
	/* and it is sent */
	id = test_sql(NULL, "SELECT max(id) FROM notification");
	assert_ptr_equal(sender_of(id), &one);
}

static int64_t sessions_that_wait(void)
{
	return test_sql(NULL, "SELECT count(*) FROM pg_stat_activity "
			"WHERE wait_event = 'SyncRep'");
}

static bool standby_is_named(void)
{
	struct queue_state state;

	queue_get_state(one.queue, &state);
	return state.error != NULL &&
		strstr(state.error, "synchronous standby") != NULL;
}

/* What is not on the standby is not shown to others, and does not count even if
   an admin ends the wait. */
static void test_standby_is_waited_for(void **state ATTR_UNUSED)
{
	(void)store(&one, "alice");
	store_unconfirmed();
	test_until(standby_is_named());
	assert_int_equal(sessions_that_wait(), 1);
	assert_true(test_sql(NULL, "SELECT count(*) FROM notification") <
		    (int64_t)last_seq);
	(void)test_sql(NULL, "SELECT count(pg_terminate_backend(pid)) "
		       "FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
	/* the next one waits, too */
	test_until(test_sql(NULL, "SELECT count(*) FROM notification") ==
		   (int64_t)last_seq && sessions_that_wait() == 1);
	(void)add_seq(&one, "alice", last_seq);
	assert_non_null(test_try_commit(&one));
	confirm();
}

/* Until test_stop_failing(). */
static void make_slow(const char *what, unsigned int secs)
{
	(void)test_sql(NULL, t_strdup_printf("CREATE OR REPLACE FUNCTION "
		"failure() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(%u); "
		"RETURN coalesce(new, old); END $$ LANGUAGE plpgsql", secs));
	(void)test_sql(NULL, t_strdup_printf("CREATE TRIGGER failure BEFORE "
		"%s FOR EACH ROW EXECUTE FUNCTION failure()", what));
}

/* It may take longer than mail processes wait. */
static void test_removal_may_take_long(void **state ATTR_UNUSED)
{
	int64_t id = store(&one, "alice");

	make_slow("DELETE ON notification", 1);
	queue_remove(one.queue, id, 2);
	test_commit(&one);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM notification"),
			 0);
}

/* Something that nobody waits for is stored meanwhile, and takes longer than
   until removals are tried again. */
static void test_removals_are_tried_again_later(void **state ATTR_UNUSED)
{
	int64_t id = store(&one, "alice");
	struct queue_item item = {
		.endpoint = queue_endpoint_set(one.queue, "key", "options"),
		.username = "alice", .seq = ++last_seq, .folder = "INBOX",
		.body = "{}", .expires = queue_now(one.queue) + 3600
	};

	guid_128_copy(item.session, session);
	(void)test_sql(NULL, "CREATE FUNCTION failure() RETURNS trigger AS $$ "
		"BEGIN IF TG_OP = 'DELETE' THEN RAISE SQLSTATE '53100'; END IF; "
		"PERFORM pg_sleep(1); RETURN NEW; END $$ LANGUAGE plpgsql; "
		"CREATE TRIGGER failure BEFORE INSERT OR DELETE "
		"ON notification FOR EACH ROW EXECUTE FUNCTION failure()");
	queue_remove(one.queue, id, 2);
	assert_non_null(test_try_commit(&one));
	(void)queue_add_moved(one.queue, &item, stored, NULL);
	test_until(stored_id > id);
	test_stop_failing(NULL);
	test_until(test_sql(NULL, "SELECT count(*) FROM notification") == 1);
}

static bool adding;

static void add_more(struct queue_item *item ATTR_UNUSED,
		     const char *error ATTR_UNUSED, void *context)
{
	struct test_host *host = context;
	struct queue_item more = {
		.endpoint = queue_endpoint_set(host->queue, "key", "options"),
		.username = "bob", .seq = ++last_seq, .folder = "INBOX",
		.body = "{}", .expires = queue_now(host->queue) + 3600
	};

	guid_128_copy(more.session, session);
	if (adding)
		(void)queue_add_moved(host->queue, &more, add_more, host);
}

/* Although there is always something to be stored. */
static void test_removals_are_made_in_the_end(void **state ATTR_UNUSED)
{
	int64_t ids[10];
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(ids); i++)
		ids[i] = store(&one, "alice");
	(void)test_sql(NULL, "CREATE FUNCTION failure() RETURNS trigger AS $$ "
		"BEGIN RAISE SQLSTATE '53100'; END $$ LANGUAGE plpgsql; "
		"CREATE TRIGGER failure BEFORE DELETE "
		"ON notification FOR EACH ROW EXECUTE FUNCTION failure()");
	for (i = 0; i < N_ELEMENTS(ids); i++)
		queue_remove(one.queue, ids[i], 2);
	assert_non_null(test_try_commit(&one));
	adding = TRUE;
	add_more(NULL, NULL, &one);
	test_turn(50);
	test_stop_failing(NULL);
	while (test_sql(NULL, "SELECT count(*) FROM notification "
			"WHERE username = 'alice'") > 0)
		test_turn(10);
	adding = FALSE;
}

/* But not while one waits. */
static void test_addition_does_not_wait_for_a_removal(void **state ATTR_UNUSED)
{
	int64_t id = store(&one, "alice");

	make_slow("DELETE ON notification", 60);
	queue_remove(one.queue, id, 2);
	queue_flush(one.queue);
	test_turn(20);
	assert_true(add_seq(&one, "alice", ++last_seq));
	/* until it fails, which is far sooner than a removal may take */
	test_turn(5000);
	assert_non_null(stored_error);
	test_stop_failing(NULL);
}

/* As all hosts do, so that none waits for another one that waits for it. */
static void test_parts_are_locked_in_order(void **state ATTR_UNUSED)
{
	struct queue_item item;
	unsigned int i;

	for (i = 0; i < USERS; i++)
		(void)store(&one, user(i));
	(void)test_sql(NULL, "CREATE FUNCTION failure() RETURNS trigger AS $$ "
		"BEGIN IF new.id < ('0' || current_setting('last.id', true))"
		"::bigint THEN RAISE 'not in order'; END IF; "
		"PERFORM set_config('last.id', new.id::text, true); "
		"RETURN new; END $$ LANGUAGE plpgsql; "
		"CREATE TRIGGER failure BEFORE UPDATE ON part "
		"FOR EACH ROW EXECUTE FUNCTION failure()");
	while (i-- > 0) {
		item = item_of(&one, user(i), ++last_seq);
		assert_true(queue_add_moved(one.queue, &item, stored, NULL));
	}
	test_commit(&one);
	assert_null(stored_error);
	test_stop_failing(NULL);
}

/* Nothing that a former connection still does comes after that. */
static void test_former_connection_ends_first(void **state ATTR_UNUSED)
{
	(void)store(&one, "alice");
	make_slow("INSERT ON notification", 60);
	assert_true(add_seq(&one, "alice", ++last_seq));
	assert_non_null(test_try_commit(&one));
	while (test_try_commit(&one) != NULL)
		test_turn(5);
	test_stop_failing(NULL);
	assert_true(add_seq(&one, "alice", last_seq));
	test_commit(&one);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM notification"),
			 2);
}

static void lost_read(const struct queue_read_result *result, void *context)
{
	struct queue_item **item = context;

	assert_int_equal(result->count, 1);
	*item = result->items[0];
	queue_item_ref(*item);
}

/* So many seconds ago. */
static void give_up(struct test_host *host, int64_t id, unsigned int secs)
{
	struct queue_item item = {
		.id = id, .username = "", .folder = "", .body = "",
		.endpoint = queue_endpoint_set(host->queue, "key", "options")
	};
	const struct queue_loss loss = {
		.answer = "", .time = queue_now(host->queue) - secs
	};

	queue_give_up(host->queue, &item, 1, &loss);
	test_commit(host);
}

static unsigned int lost_count(struct test_host *host)
{
	return queue_lost_total(host->queue);
}

/* What has become too old was forgotten by another host. */
static void test_lost_that_others_forgot_is_not_counted(void **state ATTR_UNUSED)
{
	give_up(&one, store(&one, "alice"), 7*24*60*60 - 1);
	assert_int_equal(lost_count(&one), 1);
	(void)test_sql(NULL, "DELETE FROM lost");
	while (lost_count(&one) > 0)
		test_commit(&one);
	/* and that is all */
	test_turn(50);
	one.commits = 0;
	test_turn(50);
	assert_int_equal(one.commits, 0);
}

static void test_lost_of_others_is_dropped(void **state ATTR_UNUSED)
{
	struct queue_item *lost = NULL;
	unsigned int i;

	share();
	assert_int_equal(lost_count(&two), 0);
	for (i = 0; i < 3; i++)
		give_up(&one, store(&one, "alice"), 0);
	(void)queue_lost_read(two.queue, 0, 1, lost_read, &lost);
	test_until(lost != NULL);
	queue_lost_drop(two.queue, lost->lost_id);
	queue_item_unref(&lost);
	test_commit(&two);
	test_until(lost_count(&two) == 2);
	test_commit(&two);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM lost"), 2);
}

static struct queue_item *only_lost(struct test_host *host)
{
	struct queue_item *lost = NULL;

	(void)queue_lost_read(host->queue, 0, 10, lost_read, &lost);
	test_until(lost != NULL);
	return lost;
}

static void assert_lost_by(int64_t number, const char *name)
{
	struct queue_item *lost = only_lost(&one);

	assert_int_equal(lost->loss.host.number, number);
	assert_string_equal(lost->loss.host.name, name);
	queue_item_unref(&lost);
}

/* Also after it has gone for good. */
static void test_lost_says_which_host_gave_it_up(void **state ATTR_UNUSED)
{
	int64_t number;

	test_host_init(&two, "two");
	number = queue_host_number(two.queue);
	assert_true(number != queue_host_number(one.queue));
	give_up(&two, store(&two, "alice"), 0);
	test_host_close(&two);
	(void)test_sql(NULL, t_strdup_printf("UPDATE host SET name = 'gone' "
		"WHERE id = %"PRId64, number));
	assert_lost_by(number, "gone");
	(void)test_sql(NULL, t_strdup_printf("DELETE FROM host "
		"WHERE id = %"PRId64, number));
	assert_lost_by(number, "");
}

static void count_lost(struct test_host *host)
{
	struct queue_engine *engine = host->queue->engine;

	engine->v->recount_lost(engine);
	while (lost_count(host) <= 1000)
		test_turn(1);
}

/* All of them see that there are too many. */
static void test_one_host_forgets_what_is_too_much(void **state ATTR_UNUSED)
{
	unsigned int i;

	share();
	give_up(&one, store(&one, "alice"), 0);
	(void)test_sql(NULL, "INSERT INTO lost (host, notification, session, "
		"seq, created, lost, reason, answer, attempts, size, username, "
		"folder, uid, body) SELECT host, notification, session, seq, "
		"created, lost, reason, answer, attempts, size, username, "
		"folder, uid, body FROM lost, generate_series(1, 1399)");
	count_lost(&one);
	count_lost(&two);
	for (i = 0; i < 5; i++) {
		test_commit(&one);
		test_commit(&two);
	}
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM lost"), 1000);
}

static void test_owner_looks_again_after_a_resend(void **state ATTR_UNUSED)
{
	struct queue_item *lost = NULL;
	unsigned int i;
	int64_t id = 0;

	share();
	/* in a part that the other one has nothing to do with */
	for (i = 0; i < USERS; i++) {
		id = store(&one, user(i));
		if (sender_of(id) == &one)
			break;
	}
	give_up(&one, id, 0);
	(void)queue_lost_read(two.queue, 0, 10, lost_read, &lost);
	test_until(lost != NULL);
	str_truncate(one.told, 0);
	queue_lost_resend(two.queue, lost, stored, NULL);
	test_commit(&two);
	assert_int_equal(stored_id, id);
	test_until(strcmp(str_c(one.told), "again:1 ") == 0);
	queue_item_unref(&lost);
}

/* By two admins at once, each on a host of its own. */
static void test_lost_goes_to_another_endpoint_once(void **state ATTR_UNUSED)
{
	struct test_host *hosts[] = { &one, &two };
	struct queue_item *lost[2] = { NULL, NULL };
	struct queue_item again;
	int64_t ids[2];
	unsigned int i;

	share();
	give_up(&one, store(&one, "alice"), 0);
	for (i = 0; i < 2; i++) {
		(void)queue_lost_read(hosts[i]->queue, 0, 10, lost_read,
				      &lost[i]);
		test_until(lost[i] != NULL);
	}
	for (i = 0; i < 2; i++) {
		again = *lost[i];
		again.id = 0;
		again.endpoint = queue_endpoint_set(hosts[i]->queue, "right",
						    "options");
		queue_lost_resend(hosts[i]->queue, &again, stored, NULL);
		test_commit(hosts[i]);
		assert_null(stored_error);
		ids[i] = stored_id;
		queue_item_unref(&lost[i]);
	}
	assert_true(ids[0] != 0);
	assert_int_equal(ids[1], 0);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM notification"),
			 1);
	(void)sender_of(ids[0]);
}

/* What has been announced */

static struct test_announced ask(struct test_host *host, int64_t mailbox)
{
	struct test_announced answer;

	queue_announced_begin(host->queue, 0);
	answer = test_ask_announced(host, mailbox);
	queue_announced_end(host->queue);
	return answer;
}

static void
assert_announced(struct test_host *host, int64_t mailbox, const char *uids)
{
	assert_string_equal(ask(host, mailbox).uids, uids);
}

static unsigned int known_secs(struct test_host *host)
{
	return ask(host, 5).secs;
}

static void announce(struct test_host *host, int64_t mailbox, uint32_t uid)
{
	struct queue_item item = item_of(host, "alice", ++last_seq);

	item.mailbox = mailbox;
	item.uid = uid;
	(void)store_item(host, &item);
}

static void reopen_one(void)
{
	test_host_close(&one);
	(void)test_sql(NULL, "UPDATE tidy SET begun = 0");
	test_host_open(&one);
}

static void test_others_know_what_was_announced(void **state ATTR_UNUSED)
{
	test_host_init(&two, "two");
	announce(&one, 5, 1);
	assert_announced(&two, 5, "1");
	announce(&two, 5, 3);
	assert_announced(&one, 5, "1,3");
	announce(&one, 5, 2);
	queue_remove(one.queue, stored_id, 2);
	test_commit(&one);
	assert_announced(&two, 5, "1:3");
}

static void test_announced_is_gathered(void **state ATTR_UNUSED)
{
	announce(&one, 5, 1);
	announce(&one, 5, 2);
	announce(&one, 6, 1);
	/* more than one step's */
	(void)test_sql(NULL, "INSERT INTO announced_log SELECT 10 + n % 100, "
		       "n / 100 FROM generate_series(100, 1099) AS n");
	/* and more gaps than are kept */
	(void)test_sql(NULL, "INSERT INTO announced_log SELECT 7, 10 * n "
		       "FROM generate_series(1, 66) AS n");
	reopen_one();
	test_until(test_sql(NULL, "SELECT count(*) FROM announced_log") == 0);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM announced"), 103);
	announce(&one, 5, 3);
	(void)test_sql(NULL, "INSERT INTO announced_log VALUES (7, 1000)");
	assert_announced(&one, 5, "1:3");
	assert_announced(&one, 6, "1");
	assert_announced(&one, 42, "1:10");
	reopen_one();
	test_until(test_sql(NULL, "SELECT count(*) FROM announced_log") == 0);
	assert_announced(&one, 5, "1:3");
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM (SELECT "
		"unnest(uids) FROM announced WHERE mailbox = 7) AS r"), 64);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM announced "
		"WHERE mailbox = 7 AND uids @> "
		"'{[10,41),[50,51),[660,661),[1000,1001)}'::int8multirange "
		"AND NOT uids && '{[42,50),[1001,)}'::int8multirange"), 1);
}

static void test_unused_mailboxes_are_forgotten(void **state ATTR_UNUSED)
{
	announce(&one, 5, 1);
	(void)test_sql(NULL, "INSERT INTO announced SELECT 100 + n, "
		"extract(epoch FROM now()) - (n % 2) * (7*24*60*60 + 100), "
		"'{[1,2)}' FROM generate_series(1, 5000) AS n");
	reopen_one();
	test_until(test_sql(NULL, "SELECT count(*) FROM announced") == 2501);
	assert_announced(&one, 102, "1");
	assert_announced(&one, 5, "1");
}

/* As by someone who may write to the hand-off socket. */
static void test_too_many_mailboxes_are_forgotten_earlier(void **state ATTR_UNUSED)
{
	unsigned int secs;

	(void)test_sql(NULL, "UPDATE tidy SET announced_since = 0");
	(void)test_sql(NULL, "INSERT INTO announced SELECT 100 + n, "
		"extract(epoch FROM now()) - (n % 2) * (4*24*60*60), "
		"'{[1,2)}' FROM generate_series(1, 6000) AS n");
	assert_int_equal(known_secs(&one), QUEUE_ANNOUNCED_KEEP_SECS);
	one.announced_max = 4000;
	reopen_one();
	test_until(test_sql(NULL, "SELECT count(*) FROM announced") == 3000);
	assert_announced(&one, 102, "1");
	secs = known_secs(&one);
	/* not of those that were forgotten, whenever it is asked */
	assert_true(secs < 4*24*60*60 &&
		    secs > QUEUE_ANNOUNCED_KEEP_SECS / 2 - 60);
}

/* What nobody uses */

/* As if nothing had been stored in them for long. */
static void set_unused(void)
{
	(void)test_sql(NULL, "UPDATE part SET used = used - 8*24*60*60");
	(void)test_sql(NULL, "UPDATE endpoint SET used = used - 8*24*60*60");
}

static void test_unused_rows_are_deleted(void **state ATTR_UNUSED)
{
	int64_t queued, lost;

	(void)store(&one, "alice");
	queue_remove(one.queue, stored_id, 2);
	queued = store(&one, "bob");
	lost = store(&one, "carol");
	give_up(&one, lost, 0);
	(void)test_sql(NULL, "INSERT INTO endpoint (key, options) "
		       "VALUES ('unused', ''), ('used', '')");
	set_unused();
	(void)test_sql(NULL, "UPDATE endpoint SET used = used + 8*24*60*60 "
		       "WHERE key = 'used'");
	reopen_one();
	test_until(test_sql(NULL, "SELECT count(*) FROM part") == 2);
	assert_int_equal(test_sql(NULL, t_strdup_printf("SELECT count(*) "
		"FROM part WHERE id IN (%"PRId64", %"PRId64")",
		PGSQL_PART_NUMBER(queued), PGSQL_PART_NUMBER(lost))), 2);
	test_until(test_sql(NULL, "SELECT count(*) FROM endpoint "
			    "WHERE key = 'unused'") == 0);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM endpoint "
				  "WHERE key IN ('used', 'key')"), 2);
}

static void wait_for_commit(void)
{
	while (test_try_commit(&one) != NULL)
		test_turn(5);
}

static void add_unused_host(const char *name)
{
	(void)test_sql(NULL, t_strdup_printf("INSERT INTO host "
		"(guid, name, used) SELECT '%s', '%s', "
		"extract(epoch FROM now()) - 8*24*60*60", name, name));
}

/* A container without a disk of its own is a new one each time. */
static void test_unused_hosts_are_deleted(void **state ATTR_UNUSED)
{
	test_host_init(&two, "two");
	give_up(&one, store(&one, "alice"), 0);
	add_unused_host("unused");
	add_unused_host("has lost");
	add_unused_host("has a session");
	(void)test_sql(NULL, "UPDATE lost SET host = (SELECT id FROM host "
		       "WHERE name = 'has lost')");
	(void)test_sql(NULL, "INSERT INTO session (id, host, seq, added, used) "
		"SELECT guid, id, 1, 1, extract(epoch FROM now()) FROM host "
		"WHERE name = 'has a session'");
	(void)test_sql(NULL, "INSERT INTO host (guid, name) "
		       "VALUES ('used', 'used')");
	(void)test_sql(NULL, t_strdup_printf("UPDATE host SET used = 0 "
		"WHERE id = %"PRId64, queue_host_number(two.queue)));
	reopen_one();
	test_until(test_sql(NULL, "SELECT count(*) FROM host "
			    "WHERE name = 'unused'") == 0);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM host"), 5);
}

static void assert_is_new(int64_t number)
{
	assert_true(queue_host_number(one.queue) != number);
	assert_int_equal(test_sql(NULL, "SELECT id FROM host"),
			 queue_host_number(one.queue));
	assert_ptr_equal(sender_of(store(&one, "alice")), &one);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM session "
				  "WHERE host = (SELECT id FROM host)"), 1);
}

/* While it was away, or its service was not running. */
static void test_deleted_host_is_a_new_one(void **state ATTR_UNUSED)
{
	int64_t number = queue_host_number(one.queue);

	(void)store(&one, "alice");
	(void)test_sql(NULL, "DELETE FROM host");
	end_connections("%");
	test_until(queue_host_number(one.queue) != number);
	wait_for_commit();
	assert_is_new(number);
	number = queue_host_number(one.queue);
	test_host_close(&one);
	(void)test_sql(NULL, "DELETE FROM host");
	test_host_open(&one);
	assert_is_new(number);
}

/* By a host that knows their numbers. */
static void test_deleted_rows_are_made_anew(void **state ATTR_UNUSED)
{
	struct queue_item item;
	int64_t before, id;

	before = store(&one, "alice");
	assert_ptr_equal(sender_of(before), &one);
	queue_remove(one.queue, before, 2);
	test_commit(&one);
	(void)test_sql(NULL, "DELETE FROM part");
	/* and in one commit with one that is there */
	item = item_of(&one, "bob", ++last_seq);
	assert_true(queue_add_moved(one.queue, &item, stored, NULL));
	id = store(&one, "alice");
	assert_true(PGSQL_PART_NUMBER(id) != PGSQL_PART_NUMBER(before));
	assert_ptr_equal(sender_of(id), &one);

	queue_remove(one.queue, id, 2);
	test_commit(&one);
	(void)test_sql(NULL, "DELETE FROM notification");
	(void)test_sql(NULL, "DELETE FROM part");
	(void)test_sql(NULL, "DELETE FROM endpoint");
	id = store(&one, "alice");
	assert_ptr_equal(sender_of(id), &one);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM endpoint "
				  "WHERE key = 'key'"), 1);
	(void)store(&one, "bob");
	test_host_close(&one);
	test_host_open(&one);
	assert_ptr_equal(sender_of(id), &one);
}

/* By a host that does not know the former number, of which the sender does. */
static void test_deleted_part_is_made_anew_by_others(void **state ATTR_UNUSED)
{
	int64_t before = 0, id;
	unsigned int i;

	share();
	for (i = 0; i < USERS; i++) {
		before = store(&one, user(i));
		if (sender_of(before) == &one)
			break;
	}
	queue_remove(one.queue, before, 2);
	test_commit(&one);
	(void)test_sql(NULL, t_strdup_printf("DELETE FROM part WHERE id = "
		"%"PRId64, PGSQL_PART_NUMBER(before)));
	id = store(&two, user(i));
	assert_true(PGSQL_PART_NUMBER(id) != PGSQL_PART_NUMBER(before));
	test_until(find_part(&one, before) == NULL &&
		   find_part(&one, id) != NULL);
	assert_ptr_equal(sender_of(id), &one);
	id = store(&one, user(i));
	assert_ptr_equal(stored_part, find_part(&one, id));
}

/* It knows them because of what was given up. */
static void test_deleted_parts_are_no_other_tables(void **state ATTR_UNUSED)
{
	struct queue_item *lost = NULL;

	share();
	give_up(&one, store(&one, "alice"), 0);
	(void)queue_lost_read(two.queue, 0, 10, lost_read, &lost);
	test_until(lost != NULL);
	queue_item_unref(&lost);
	test_host_close(&one);
	(void)test_sql(NULL, "DELETE FROM lost");
	(void)test_sql(NULL, "DELETE FROM part");
	end_connections("%");
	while (test_try_commit(&two) == NULL)
		test_turn(5);
	while (test_try_commit(&two) != NULL)
		test_turn(5);
}

static void test_part_that_is_gone_at_once_is_made_again(void **state ATTR_UNUSED)
{
	(void)test_sql(NULL, "CREATE SEQUENCE tries; "
		"CREATE FUNCTION failure() RETURNS trigger AS $$ BEGIN "
		"IF nextval('http_notify.tries') = 1 THEN RETURN NULL; END IF; "
		"RETURN NEW; END $$ LANGUAGE plpgsql SECURITY DEFINER; "
		"CREATE TRIGGER failure BEFORE INSERT ON part "
		"FOR EACH ROW EXECUTE FUNCTION failure()");
	(void)store(&one, "alice");
	test_stop_failing(NULL);
	(void)test_sql(NULL, "DROP SEQUENCE tries");
}

static void test_deleted_part_does_not_lose_a_resend(void **state ATTR_UNUSED)
{
	struct queue_item *lost = NULL;
	struct queue_item again = item_of(&one, "alice", ++last_seq);
	int64_t id;

	again.endpoint = queue_endpoint_set(one.queue, "right", "options");
	id = store_item(&one, &again);
	queue_remove(one.queue, id, 2);
	give_up(&one, store(&one, "alice"), 0);
	(void)test_sql(NULL, t_strdup_printf("DELETE FROM part WHERE id = "
		"%"PRId64, PGSQL_PART_NUMBER(id)));
	(void)queue_lost_read(one.queue, 0, 10, lost_read, &lost);
	test_until(lost != NULL);
	again = *lost;
	again.id = 0;
	again.endpoint = queue_endpoint_set(one.queue, "right", "options");
	queue_lost_resend(one.queue, &again, stored, NULL);
	test_commit(&one);
	assert_null(stored_error);
	assert_true(stored_id != 0);
	assert_ptr_equal(sender_of(stored_id), &one);
	queue_item_unref(&lost);
}

/* Longer than an index of PostgreSQL's may have, and not to be compressed. */
static void test_key_may_be_long(void **state ATTR_UNUSED)
{
	struct queue_endpoint *ep;
	string_t *key = t_str_new(8192);
	guid_128_t random;

	while (str_len(key) < 8000) {
		guid_128_generate(random);
		str_append(key, guid_128_to_string(random));
	}
	ep = queue_endpoint_set(one.queue, str_c(key), "options");
	test_commit(&one);
	assert_true(ep->number != 0);
	assert_int_equal(test_sql(NULL, "SELECT max(length(key)) "
				  "FROM endpoint"), str_len(key));
	/* it is the same one */
	test_host_close(&one);
	test_host_open(&one);
	ep = queue_endpoint_set(one.queue, str_c(key), "other options");
	test_commit(&one);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM endpoint "
				  "WHERE length(key) > 8000 - 32"), 1);
}

/* Versions, and what an admin does to the database */

static void set_version(unsigned int version, unsigned int compatible)
{
	(void)test_sql(NULL, t_strdup_printf("UPDATE version SET version = %u, "
					     "compatible = %u", version,
					     compatible));
}

static void test_other_schema_is_not_used(void **state ATTR_UNUSED)
{
	static const unsigned int others[][2] = { { 2, 2 }, { 0, 0 } };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(others); i++) {
		test_host_close(&one);
		set_version(others[i][0], others[i][1]);
		one.commits = 0;
		test_host_open_only(&one);
		while (test_try_commit(&one) == NULL)
			test_turn(5);
		test_turn(200);
		assert_non_null(test_try_commit(&one));
		set_version(1, 1);
		wait_for_commit();
	}
}

static void test_newer_schema_is_used_if_compatible(void **state ATTR_UNUSED)
{
	test_host_close(&one);
	set_version(3, 1);
	test_host_open(&one);
	assert_ptr_equal(sender_of(store(&one, "alice")), &one);
}

/* While both run, one of them of yesterday: here, they are the same. */
static void test_schema_is_upgraded_while_it_is_used(void **state ATTR_UNUSED)
{
	int64_t id;

	share();
	(void)store(&one, "alice");
	(void)test_sql(NULL, "BEGIN; UPDATE version SET version = 2; "
		"ALTER TABLE notification ADD COLUMN added bigint DEFAULT 0; "
		"ALTER TABLE lost ADD COLUMN added bigint DEFAULT 0; "
		"CREATE TABLE added (id bigint); COMMIT");
	(void)store(&two, "alice");
	id = store(&one, "alice");
	(void)sender_of(id);
	give_up(&one, id, 0);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM lost"), 1);
	(void)test_sql(NULL, "DROP TABLE added; "
		"ALTER TABLE notification DROP COLUMN added; "
		"ALTER TABLE lost DROP COLUMN added");
	(void)store(&two, "alice");
}

/* Nor does it keep others from sending. */
static void test_incompatible_schema_is_left_at_once(void **state ATTR_UNUSED)
{
	test_until(slots_taken() == 256);
	(void)store(&one, "alice");
	set_version(2, 2);
	while (test_try_commit(&one) == NULL)
		test_turn(5);
	test_until(slots_taken() == 0);
	test_turn(200);
	assert_non_null(test_try_commit(&one));
	assert_int_equal(slots_taken(), 0);
	set_version(2, 1);
	wait_for_commit();
	test_until(slots_taken() == 256);
}

static void test_missing_rights_are_waited_for(void **state ATTR_UNUSED)
{
	test_host_close(&one);
	(void)test_sql(NULL, "REVOKE DELETE ON notification FROM http_notify");
	one.commits = 0;
	test_host_open_only(&one);
	while (test_try_commit(&one) == NULL)
		test_turn(5);
	test_turn(200);
	assert_non_null(test_try_commit(&one));
	(void)test_sql(NULL, "GRANT DELETE ON notification TO http_notify");
	wait_for_commit();
}

/* None of them makes a difference. */
static void test_role_may_have_other_defaults(void **state ATTR_UNUSED)
{
	test_host_close(&one);
	(void)test_sql(NULL, "CREATE SCHEMA odd; CREATE FUNCTION "
		"odd.sha256(bytea) RETURNS bytea AS 'SELECT $1' "
		"LANGUAGE sql; GRANT USAGE ON SCHEMA odd TO mailhost; "
		"ALTER ROLE mailhost SET search_path = odd, pg_catalog; "
		"ALTER ROLE mailhost SET statement_timeout = 200; "
		"ALTER ROLE mailhost SET lock_timeout = 1; "
		"ALTER ROLE mailhost SET default_transaction_isolation = "
		"'serializable'; "
		"ALTER ROLE mailhost SET bytea_output = 'escape'");
	test_host_open(&one);
	assert_ptr_equal(sender_of(store(&one, "alice")), &one);
	make_slow("DELETE ON notification", 1);
	give_up(&one, stored_id, 0);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM lost"), 1);
	(void)queue_endpoint_set(one.queue, "key", "changed options");
	test_commit(&one);
	assert_int_equal(test_sql(NULL, "SELECT count(*) FROM endpoint "
				  "WHERE options = 'changed options'"), 1);
	(void)test_sql(NULL, "ALTER ROLE mailhost RESET ALL; "
		       "DROP SCHEMA odd CASCADE");
}

/* What hosts say to each other */

#define MESSAGES 40

static struct {
	int64_t others[2];
	unsigned int others_count;
	bool answered;
} asked;
static struct {
	unsigned int count;
	int64_t host;
	size_t size;
	bool ordered;
} heard;

static void
have_hosts(const struct queue_host *hosts, unsigned int count,
	   const char *error, void *context ATTR_UNUSED)
{
	unsigned int i;

	assert_null(error);
	assert_true(count <= N_ELEMENTS(asked.others));
	for (i = 0; i < count; i++) {
		asked.others[i] = hosts[i].number;
		assert_string_not_equal(hosts[i].name, "");
	}
	asked.others_count = count;
	asked.answered = TRUE;
}

static void ask_for_hosts(struct test_host *host)
{
	asked.answered = FALSE;
	(void)queue_hosts_read(host->queue, have_hosts, NULL);
	test_until(asked.answered);
}

static bool knows_endpoint(struct test_host *host, const char *key)
{
	const struct queue_endpoint *ep = queue_engine_endpoints(host->queue);

	while (ep != NULL && strcmp(ep->key, key) != 0)
		ep = ep->next;
	return ep != NULL;
}

static void test_hosts_know_each_other(void **state ATTR_UNUSED)
{
	struct queue_hosts_read *read;
	struct queue_item item = {
		.username = "user", .seq = 1, .folder = "INBOX", .uid = 17,
		.body = "{}"
	};

	assert_true(queue_is_shared(one.queue));
	ask_for_hosts(&one);
	assert_int_equal(asked.others_count, 0);
	share();
	ask_for_hosts(&one);
	assert_int_equal(asked.others_count, 1);
	assert_true(asked.others[0] == queue_host_number(two.queue));
	ask_for_hosts(&two);
	assert_int_equal(asked.others_count, 1);
	assert_true(asked.others[0] == queue_host_number(one.queue));

	/* what one host alone has stored */
	guid_128_copy(item.session, session);
	item.endpoint = queue_endpoint_set(two.queue, "another", "options");
	item.created = queue_now(two.queue);
	item.expires = item.created + 3600;
	assert_true(queue_add(two.queue, &item, stored, NULL));
	test_commit(&two);
	ask_for_hosts(&one);
	assert_true(knows_endpoint(&one, "another"));

	asked.answered = FALSE;
	read = queue_hosts_read(one.queue, have_hosts, NULL);
	queue_hosts_read_cancel(&read);
	read = queue_hosts_read(one.queue, have_hosts, NULL);
	test_turn(1);
	if (!asked.answered)
		queue_hosts_read_cancel(&read);
}

static void
have_message(const struct queue_message *message, void *context ATTR_UNUSED)
{
	const char *data = message->data;
	size_t i;

	heard.ordered = heard.ordered && message->talk == INT64_MAX &&
		message->kind == -1 && message->number == heard.count;
	for (i = 0; i < message->size; i++)
		heard.ordered = heard.ordered && data[i] == (char)heard.count;
	heard.count++;
	heard.host = message->host;
	heard.size = message->size;
}

static void test_messages_arrive_in_order(void **state ATTR_UNUSED)
{
	struct queue_message message = { .talk = INT64_MAX, .kind = -1 };
	char *data = i_malloc(QUEUE_MESSAGE_MAX);

	share();
	i_zero(&heard);
	heard.ordered = TRUE;
	queue_set_message_callback(two.queue, have_message, NULL);
	message.host = queue_host_number(two.queue);
	for (; message.number < MESSAGES; message.number++) {
		memset(data, message.number, QUEUE_MESSAGE_MAX);
		message.data = data;
		message.size = message.number == MESSAGES - 1 ?
			QUEUE_MESSAGE_MAX : message.number;
		queue_message_send(one.queue, &message);
	}
	i_free(data);
	test_until(heard.count == MESSAGES);
	assert_true(heard.ordered);
	assert_true(heard.host == queue_host_number(one.queue));
	assert_int_equal(heard.size, QUEUE_MESSAGE_MAX);
	assert_true(test_sql(NULL, "SELECT count(*) FROM message") == 0);

	queue_set_message_callback(two.queue, NULL, NULL);
	queue_message_send(one.queue, &(struct queue_message) {
		.host = queue_host_number(two.queue) });
	test_until(test_sql(NULL, "SELECT count(*) FROM message") == 0);
	assert_int_equal(heard.count, MESSAGES);
}

static void test_messages_are_not_left(void **state ATTR_UNUSED)
{
	struct queue_message message = { .host = 9999, .talk = 5 };

	/* to a host that there is not */
	queue_message_send(one.queue, &message);
	message.talk = 6;
	queue_message_send(one.queue, &message);
	test_until(test_sql(NULL, "SELECT count(*) FROM message") == 2);
	queue_messages_retract(one.queue, 9999, 5);
	test_until(test_sql(NULL, "SELECT count(*) FROM message") == 1);
	assert_true(test_sql(NULL, "SELECT talk FROM message") == 6);
	/* young ones stay */
	ask_for_hosts(&one);
	assert_true(test_sql(NULL, "SELECT count(*) FROM message") == 1);
	(void)test_sql(NULL, "UPDATE message SET sent = sent - "
		       "interval '1 hour'");
	ask_for_hosts(&one);
	test_until(test_sql(NULL, "SELECT count(*) FROM message") == 0);
}

static void test_useless_messages_are_dropped(void **state ATTR_UNUSED)
{
	/* by then it is told of what comes */
	test_until(slots_taken() == 256);
	i_zero(&heard);
	heard.ordered = TRUE;
	queue_set_message_callback(one.queue, have_message, NULL);
	(void)test_sql(NULL, t_strdup_printf(
		"INSERT INTO message (host, sender, talk, kind, number, data, "
		"sent) SELECT %"PRId64", 1, %"PRId64", -1, 0, "
		"convert_to(repeat('x', size), 'UTF8'), clock_timestamp() - "
		"make_interval(secs => age) FROM (VALUES (%u, 0), (1, 3600)) "
		"AS v (size, age)", queue_host_number(one.queue), INT64_MAX,
		QUEUE_MESSAGE_MAX + 1));
	queue_message_send(one.queue, &(struct queue_message) {
		.host = queue_host_number(one.queue), .talk = INT64_MAX,
		.kind = -1 });
	test_until(heard.count > 0);
	assert_true(heard.ordered);
	assert_int_equal(heard.size, 0);
	assert_true(test_sql(NULL, "SELECT count(*) FROM message") == 0);
	queue_set_message_callback(one.queue, NULL, NULL);
}

/* An empty table is planned for as if it were not. That is so until it has been
   analysed: then, what commits do must not join a whole index either. */
static void test_no_statement_reads_a_whole_table(void **state ATTR_UNUSED)
{
	unsigned int i;

	store_many_parts();
	(void)test_sql(NULL, "CREATE OR REPLACE FUNCTION plan_has("
		"query text, what text) RETURNS bigint AS $$ "
		"DECLARE line text; args text; found bigint := 0; BEGIN "
		"EXECUTE 'PREPARE q AS ' || query; "
		"SELECT '(' || string_agg('NULL', ',') || ')' INTO args "
		"FROM pg_prepared_statements, unnest(parameter_types) "
		"WHERE name = 'q'; "
		"FOR line IN EXECUTE 'EXPLAIN EXECUTE q' || coalesce(args, '') "
		"LOOP IF line ~ what THEN RAISE WARNING '%', line; "
		"found := found + 1; END IF; END LOOP; "
		"DEALLOCATE q; RETURN found; END $$ LANGUAGE plpgsql "
		"SET plan_cache_mode = force_generic_plan "
		"SET enable_seqscan = off SET enable_bitmapscan = off");
	for (i = 0; i < PGSQL_STATEMENT_COUNT; i++) {
		if (test_sql(NULL, t_strdup_printf("SELECT plan_has($q$%s$q$, "
			"'Seq Scan on (endpoint|part|notification|lost|"
			"announced)')", pgsql_statements[i])) > 0)
			fail_msg("%s", pgsql_statements[i]);
	}
	(void)test_sql(NULL, "ANALYZE part, notification, session");
	for (i = PGSQL_PARTS_COUNT; i <= PGSQL_SESSIONS_FORGET; i++) {
		if (test_sql(NULL, t_strdup_printf("SELECT plan_has($q$%s$q$, "
			"'Seq Scan on|Merge Join|Hash Join|Join Filter')",
			pgsql_statements[i])) > 0)
			fail_msg("%s", pgsql_statements[i]);
	}
	(void)test_sql(NULL, "DROP FUNCTION plan_has");
}

static void test_secrets_are_refused(void **state ATTR_UNUSED)
{
	struct queue_settings set = {
		.directory = one.directory, .pgsql_password_file = ""
	};
	const char *error;

	test_host_close(&one);
	set.pgsql = "host=/nowhere password=geheim";
	assert_int_equal(test_queue_init(&set, &one.queue, &error), -1);
	assert_non_null(strstr(error, "http_notify_pgsql must not have "
			       "password in it"));
	assert_null(strstr(error, "geheim"));
	set.pgsql = "host=/nowhere passwort=geheim";
	assert_int_equal(test_queue_init(&set, &one.queue, &error), -1);
	assert_null(strstr(error, "geheim"));
	set.pgsql = "hots=/nowhere password=geheim";
	assert_int_equal(test_queue_init(&set, &one.queue, &error), -1);
	assert_null(strstr(error, "geheim"));
	set.pgsql = "postgresql://mailhost:geheim@/nowhere?hots=db";
	assert_int_equal(test_queue_init(&set, &one.queue, &error), -1);
	assert_null(strstr(error, "geheim"));
	one.queue = NULL;
}

static void test_misspelt_word_is_named(void **state ATTR_UNUSED)
{
	struct queue_settings set = {
		.directory = one.directory, .pgsql_password_file = ""
	};
	const char *error;

	test_host_close(&one);
	set.pgsql = "hots=/nowhere dbname=http_notify";
	assert_int_equal(test_queue_init(&set, &one.queue, &error), -1);
	assert_non_null(strstr(error, "\"hots\""));
	one.queue = NULL;
}

#define queue_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		queue_test(test_hosts_share_the_slots),
		queue_test(test_each_is_sent_by_one),
		queue_test(test_owner_is_told_of_what_others_store),
		queue_test(test_slots_of_a_host_that_ends_go_to_others),
		queue_test(test_parts_are_released_first),
		queue_test(test_many_parts_are_claimed),
		queue_test(test_slots_are_released_during_a_look),
		queue_test(test_stored_during_a_look),
		queue_test(test_lost_connection_is_revoked_at_once),
		queue_test(test_stopped_process_may_not_send),
		queue_test(test_unconfirmed_commit_is_recognised),
		queue_test(test_standby_is_waited_for),
		queue_test(test_removal_may_take_long),
		queue_test(test_removals_are_tried_again_later),
		queue_test(test_removals_are_made_in_the_end),
		queue_test(test_addition_does_not_wait_for_a_removal),
		queue_test(test_parts_are_locked_in_order),
		queue_test(test_former_connection_ends_first),
		queue_test(test_lost_that_others_forgot_is_not_counted),
		queue_test(test_lost_of_others_is_dropped),
		queue_test(test_lost_says_which_host_gave_it_up),
		queue_test(test_one_host_forgets_what_is_too_much),
		queue_test(test_owner_looks_again_after_a_resend),
		queue_test(test_lost_goes_to_another_endpoint_once),
		queue_test(test_others_know_what_was_announced),
		queue_test(test_announced_is_gathered),
		queue_test(test_unused_mailboxes_are_forgotten),
		queue_test(test_too_many_mailboxes_are_forgotten_earlier),
		queue_test(test_unused_rows_are_deleted),
		queue_test(test_unused_hosts_are_deleted),
		queue_test(test_deleted_host_is_a_new_one),
		queue_test(test_deleted_rows_are_made_anew),
		queue_test(test_deleted_part_is_made_anew_by_others),
		queue_test(test_deleted_parts_are_no_other_tables),
		queue_test(test_part_that_is_gone_at_once_is_made_again),
		queue_test(test_deleted_part_does_not_lose_a_resend),
		queue_test(test_key_may_be_long),
		queue_test(test_other_schema_is_not_used),
		queue_test(test_newer_schema_is_used_if_compatible),
		queue_test(test_schema_is_upgraded_while_it_is_used),
		queue_test(test_incompatible_schema_is_left_at_once),
		queue_test(test_missing_rights_are_waited_for),
		queue_test(test_role_may_have_other_defaults),
		queue_test(test_hosts_know_each_other),
		queue_test(test_messages_arrive_in_order),
		queue_test(test_messages_are_not_left),
		queue_test(test_useless_messages_are_dropped),
		queue_test(test_no_statement_reads_a_whole_table),
		queue_test(test_secrets_are_refused),
		queue_test(test_misspelt_word_is_named),
	};
	int ret = 0;

	lib_init();
	test_engine = "pgsql";
	if (test_pgsql() != NULL)
		ret = cmocka_run_group_tests_name("pgsql", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
