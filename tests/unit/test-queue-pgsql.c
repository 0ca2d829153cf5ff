/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several hosts that share a queue in a real PostgreSQL. Each has connections of
   its own. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "str.h"

#include "queue-engine.h"
#include "queue-lost.h"

#include <stdlib.h>

#include "test-common.h"
#include "test-queue-engines.h"

/* How many users there are, which is more than enough to have some in the slots
   of each host. */
#define USERS 64

#define SLOT_LOCKS "locktype = 'advisory' AND classid = 1752460034"

static struct test_host one, two;
static guid_128_t session;
static uint64_t last_seq;
/* the latest addition */
static int64_t stored_id;
static struct queue_part *stored_part;
static char *stored_error;

static int setup(void **state ATTR_UNUSED)
{
	guid_128_generate(session);
	last_seq = 0;
	test_queues_init();
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

static bool
add_seq(struct test_host *host, const char *username, uint64_t seq)
{
	struct queue_item item = {
		.endpoint = queue_endpoint_set(host->queue, "key", "options"),
		.username = username, .seq = seq,
		.folder = "INBOX", .uid = 17, .body = "{}",
		.created = queue_now(host->queue),
		.expires = queue_now(host->queue) + 3600
	};

	guid_128_copy(item.session, session);
	return queue_add(host->queue, &item, stored, NULL);
}

static int64_t store(struct test_host *host, const char *username)
{
	assert_true(add_seq(host, username, ++last_seq));
	test_commit(host);
	assert_null(stored_error);
	return stored_id;
}

static struct queue_part *
find_part(struct test_host *host, int64_t id)
{
	struct queue_part *part;

	array_foreach_elem(&host->parts, part) {
		if (part->number == QUEUE_PART_NUMBER(id))
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

/* Both connections, as by a server that restarts. */
static void
end_connections(const char *name)
{
	(void)test_sql(NULL, t_strdup_printf("SELECT count(pg_terminate_backend("
		"pid)) FROM pg_stat_activity WHERE application_name = "
		"'http-notify' AND query LIKE '%s'", name));
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

/* The commit has been made, but nobody says so: it waits for a standby. */
static void test_unconfirmed_commit_is_recognised(void **state ATTR_UNUSED)
{
	int64_t id;

	(void)store(&one, "alice");
	(void)test_sql(NULL, "ALTER SYSTEM SET synchronous_standby_names = "
		       "'nobody'");
	(void)test_sql(NULL, "SELECT pg_reload_conf()");
	test_until(test_sql(NULL, "SELECT count(*) FROM pg_settings WHERE name "
		"= 'synchronous_standby_names' AND setting = 'nobody'") == 1);
	/* the backend may not have seen it */
	do {
		assert_true(add_seq(&one, "alice", ++last_seq));
		one.commits = 0;
		test_until(one.commits > 0);
	} while (one.error == NULL);
	assert_non_null(stored_error);
	assert_non_null(strstr(stored_error, "may be stored"));
	(void)test_sql(NULL, "ALTER SYSTEM RESET synchronous_standby_names");
	(void)test_sql(NULL, "SELECT pg_reload_conf()");
	while (test_try_commit(&one) != NULL)
		test_turn(5);
	assert_true(test_sql(NULL, "SELECT count(*) FROM notification") ==
		    (int64_t)last_seq);
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
	struct queue_lost_stats stats;
	unsigned int i, count = 0;

	queue_lost_get_stats(host->queue, NULL, &stats);
	for (i = 0; i < N_ELEMENTS(stats.rows); i++)
		count += stats.rows[i];
	return count;
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

static void test_other_schema_is_not_used(void **state ATTR_UNUSED)
{
	test_host_close(&one);
	(void)test_sql(NULL, "UPDATE version SET version = 2");
	one.commits = 0;
	test_host_open_only(&one);
	while (test_try_commit(&one) == NULL)
		test_turn(5);
	test_turn(200);
	assert_non_null(test_try_commit(&one));
	(void)test_sql(NULL, "UPDATE version SET version = 1");
	while (test_try_commit(&one) != NULL)
		test_turn(5);
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
		queue_test(test_lost_connection_is_revoked_at_once),
		queue_test(test_unconfirmed_commit_is_recognised),
		queue_test(test_removal_may_take_long),
		queue_test(test_addition_does_not_wait_for_a_removal),
		queue_test(test_former_connection_ends_first),
		queue_test(test_lost_that_others_forgot_is_not_counted),
		queue_test(test_lost_of_others_is_dropped),
		queue_test(test_owner_looks_again_after_a_resend),
		queue_test(test_key_may_be_long),
		queue_test(test_other_schema_is_not_used),
		queue_test(test_secrets_are_refused),
	};
	int ret = 0;

	lib_init();
	test_engine = "pgsql";
	if (test_pgsql() != NULL)
		ret = cmocka_run_group_tests_name("pgsql", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
