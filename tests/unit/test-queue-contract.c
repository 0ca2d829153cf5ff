/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every engine of the queue promises, by one host that sends all there
   is. */
#include "lib.h"
#include "array.h"
#include "hostpid.h"
#include "ioloop.h"
#include "str.h"

#include "queue-announced.h"
#include "queue-engine.h"
#include "queue-hosts.h"
#include "queue-lost.h"

#include "test-common.h"
#include "test-queue-engines.h"

static struct test_host host;
static pool_t pool;
static guid_128_t session;
/* the latest addition */
static int64_t stored_id;
static struct queue_part *stored_part;
static char *stored_error;

static int setup(void **state ATTR_UNUSED)
{
	pool = pool_alloconly_create("test", 4096);
	guid_128_generate(session);
	stored_id = 0;
	test_queues_init();
	test_host_init(&host, "host");
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	test_host_deinit(&host);
	test_queues_deinit();
	i_free(stored_error);
	pool_unref(&pool);
	return 0;
}

static void reopen(void)
{
	test_host_close(&host);
	test_host_open(&host);
}

static struct queue_endpoint *endpoint_of(const char *key)
{
	return queue_endpoint_set(host.queue, key, "options of today");
}

static void
stored(struct queue_item *item, const char *error, void *context ATTR_UNUSED)
{
	stored_id = item == NULL ? 0 : item->id;
	stored_part = item == NULL ? NULL : item->part;
	i_free(stored_error);
	stored_error = i_strdup(error);
}

static struct queue_item
item_of(const char *key, const char *username, uint64_t seq)
{
	struct queue_item item = {
		.endpoint = endpoint_of(key), .seq = seq,
		.username = username, .folder = "INBOX", .uid = 17,
		.body = "{}", .created = 1700000000, .expires = 1700003600
	};

	guid_128_copy(item.session, session);
	return item;
}

static bool add_to(const char *key, const char *username, uint64_t seq)
{
	struct queue_item item = item_of(key, username, seq);

	return queue_add(host.queue, &item, stored, NULL);
}

static int64_t store(const char *username, uint64_t seq)
{
	assert_true(add_to("key", username, seq));
	test_commit(&host);
	assert_null(stored_error);
	return stored_id;
}

struct reading {
	struct queue_item *items;
	unsigned int count;
	int64_t read_to;
	bool more, done;
};

static void
reading_done(const struct queue_read_result *result, void *context)
{
	struct reading *reading = context;
	unsigned int i;

	assert_null(result->error);
	reading->items = p_new(pool, struct queue_item, result->count + 1);
	reading->count = result->count;
	for (i = 0; i < result->count; i++) {
		struct queue_item *item = &reading->items[i];

		*item = *result->items[i];
		item->username = p_strdup(pool, item->username);
		item->folder = p_strdup(pool, item->folder);
		item->body = p_strdup(pool, item->body);
		item->loss.answer = p_strdup(pool, item->loss.answer);
		item->loss.host.name = p_strdup(pool, item->loss.host.name);
	}
	reading->read_to = result->read_to;
	reading->more = result->more;
	reading->done = TRUE;
}

static struct reading
read_some(const char *key, int64_t after_id, unsigned int limit)
{
	struct reading reading = { .done = FALSE };

	(void)queue_read_endpoint(host.queue, endpoint_of(key), after_id,
				  INT64_MAX, limit, reading_done, &reading);
	test_until(reading.done);
	return reading;
}

static struct reading read_all(const char *key)
{
	return read_some(key, 0, 1000);
}

static struct reading
read_part(enum queue_read_what what, int64_t after_id, unsigned int limit)
{
	struct reading reading = { .done = FALSE };

	(void)queue_read(host.queue, array_idx_elem(&host.parts, 0), what,
			 after_id, INT64_MAX, limit, reading_done, &reading);
	test_until(reading.done);
	return reading;
}

static struct reading read_lost(void)
{
	struct reading reading = { .done = FALSE };

	(void)queue_lost_read(host.queue, 0, 1000, reading_done, &reading);
	test_until(reading.done);
	return reading;
}

static const char *to_str(const struct reading *reading)
{
	string_t *str = t_str_new(128);
	unsigned int i;

	for (i = 0; i < reading->count; i++) {
		str_printfa(str, "%s%s:%"PRIu64, i == 0 ? "" : " ",
			    reading->items[i].username, reading->items[i].seq);
	}
	return str_c(str);
}

static const char *queued_in(const char *key)
{
	const struct reading reading = read_all(key);

	return to_str(&reading);
}

static const char *queued(void)
{
	return queued_in("key");
}

/* Storing */

static void test_added_is_read_after_commit_only(void **state ATTR_UNUSED)
{
	assert_true(add_to("key", "alice", 1));
	assert_int_equal(stored_id, 0);
	test_commit(&host);
	assert_true(stored_id > 0);
	assert_string_equal(queued(), "alice:1");
}

static void test_everything_added_is_read(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("key", "us\ter\xff'", INT64_MAX);
	struct reading reading;

	/* as if another queue had it before */
	item.attempts = 7;
	item.folder = "\xe5\x8f\x97\001\n\"";
	item.uid = UINT32_MAX;
	item.body = "{\"a\":\"\\u0001%s\"}";
	item.expires = 4102444800;
	assert_true(queue_add(host.queue, &item, stored, NULL));
	test_commit(&host);
	reopen();
	reading = read_all("key");
	assert_int_equal(reading.count, 1);
	assert_int_equal(reading.items[0].id, stored_id);
	assert_memory_equal(reading.items[0].session, session, sizeof(session));
	assert_true(reading.items[0].seq == INT64_MAX);
	assert_string_equal(reading.items[0].username, item.username);
	assert_string_equal(reading.items[0].folder, item.folder);
	assert_true(reading.items[0].uid == UINT32_MAX);
	assert_string_equal(reading.items[0].body, item.body);
	assert_int_equal(reading.items[0].created, item.created);
	assert_int_equal(reading.items[0].expires, item.expires);
	assert_int_equal(reading.items[0].attempts, 7);
	assert_ptr_equal(reading.items[0].endpoint, endpoint_of("key"));
}

/* Of all its parts. */
static void test_endpoint_is_read_in_turns(void **state ATTR_UNUSED)
{
	struct reading reading = { .read_to = 0 };
	unsigned int i, count = 0;
	int64_t last_id = 0;

	for (i = 1; i <= 60; i++)
		assert_true(add_to("key", dec2str(i % 30), i));
	assert_true(add_to("other", "other", i));
	test_commit(&host);
	do {
		reading = read_some("key", reading.read_to, 7);
		assert_true(reading.count <= 7);
		for (i = 0; i < reading.count; i++) {
			assert_true(reading.items[i].id > last_id);
			last_id = reading.items[i].id;
		}
		count += reading.count;
	} while (reading.more);
	assert_int_equal(count, 60);
}

static void test_order_is_that_of_adding(void **state ATTR_UNUSED)
{
	struct reading reading;
	unsigned int i;

	for (i = 1; i <= 100; i++)
		assert_true(add_to("key", "alice", i));
	test_commit(&host);
	(void)store("alice", 101);
	reopen();
	(void)store("alice", 102);
	reading = read_all("key");
	assert_int_equal(reading.count, 102);
	for (i = 0; i < reading.count; i++) {
		assert_true(reading.items[i].seq == i + 1);
		assert_true(i == 0 ||
			    reading.items[i].id == reading.items[i - 1].id + 1);
	}
}

static void test_ids_are_not_used_again(void **state ATTR_UNUSED)
{
	int64_t id = store("alice", 1);

	queue_remove(host.queue, id, 2);
	test_commit(&host);
	assert_true(store("alice", 2) > id);
	queue_remove(host.queue, stored_id, 2);
	/* SQLite only knows those that are there */
	assert_true(store("alice", 3) > id);
	id = stored_id;
	reopen();
	assert_true(store("alice", 4) > id);
}

static void test_endpoints_have_their_own(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		assert_true(add_to(i % 2 == 0 ? "key" : "key2", "alice", i));
	test_commit(&host);
	assert_string_equal(queued(), "alice:0 alice:2 alice:4 alice:6 alice:8");
	assert_string_equal(queued_in("key2"),
			    "alice:1 alice:3 alice:5 alice:7 alice:9");
	assert_string_equal(queued_in("key3"), "");
}

/* Repeats */

static void test_same_handoff_is_added_once(void **state ATTR_UNUSED)
{
	assert_true(add_to("key", "alice", 1));
	assert_true(add_to("key", "alice", 2));
	assert_false(add_to("key", "alice", 2));
	test_commit(&host);
	assert_false(add_to("key", "alice", 1));
	test_commit(&host);
	assert_int_equal(stored_id, 0);
	assert_null(stored_error);
	reopen();
	assert_false(add_to("key", "alice", 2));
	assert_true(add_to("key", "alice", 3));
	test_commit(&host);
	assert_string_equal(queued(), "alice:1 alice:2 alice:3");
}

static void test_handoffs_may_overtake_others(void **state ATTR_UNUSED)
{
	assert_true(add_to("key", "alice", 3));
	assert_true(add_to("key", "alice", 1));
	test_commit(&host);
	assert_false(add_to("key", "alice", 3));
	assert_false(add_to("key", "alice", 1));
	assert_true(add_to("key", "alice", 2));
	test_commit(&host);
	assert_true(add_to("key", "alice", 100));
	/* too far behind to know */
	assert_false(add_to("key", "alice", 36));
	assert_true(add_to("key", "alice", 37));
	test_commit(&host);
	assert_string_equal(queued(),
			    "alice:3 alice:1 alice:2 alice:100 alice:37");
}

static void test_failed_handoff_can_be_repeated(void **state ATTR_UNUSED)
{
	(void)store("alice", 1);
	test_fail(&host, "INSERT ON notification");
	assert_true(add_to("key", "alice", 3));
	assert_true(add_to("key", "alice", 2));
	assert_non_null(test_try_commit(&host));
	assert_non_null(stored_error);
	assert_int_equal(stored_id, 0);
	test_stop_failing(&host);
	do {
		test_turn(5);
		assert_true(add_to("key", "alice", 2));
		assert_true(add_to("key", "alice", 3));
	} while (test_try_commit(&host) != NULL);
	assert_false(add_to("key", "alice", 1));
	assert_false(add_to("key", "alice", 3));
	test_commit(&host);
	assert_string_equal(queued(), "alice:1 alice:2 alice:3");
}

/* Removing */

static void test_removed_is_gone(void **state ATTR_UNUSED)
{
	int64_t ids[4];
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(ids); i++)
		ids[i] = store("alice", i + 1);
	queue_remove(host.queue, ids[2], 2);
	assert_string_equal(queued(), "alice:1 alice:2 alice:4");
	test_commit(&host);
	assert_string_equal(queued(), "alice:1 alice:2 alice:4");
	queue_remove(host.queue, ids[0], 2);
	reopen();
	assert_string_equal(queued(), "alice:2 alice:4");
}

static void test_what_was_moved_away_may_come_back(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("key", "alice", 2);
	int64_t id;

	(void)store("alice", 1);
	id = store("alice", 2);
	queue_forget_added(host.queue);
	queue_remove(host.queue, id, 2);
	reopen();
	item.endpoint = endpoint_of("key");
	assert_true(queue_add_moved(host.queue, &item, stored, NULL));
	test_commit(&host);
	assert_string_equal(queued(), "alice:1 alice:2");
}

static void test_failed_removal_is_repeated(void **state ATTR_UNUSED)
{
	int64_t id = store("alice", 1);

	test_fail(&host, "DELETE ON notification");
	queue_remove(host.queue, id, 2);
	assert_non_null(test_try_commit(&host));
	test_stop_failing(&host);
	i_free(host.error);
	host.error = i_strdup("");
	test_until(host.error == NULL);
	reopen();
	assert_string_equal(queued(), "");
}

static void test_deinit_commits_all(void **state ATTR_UNUSED)
{
	struct reading reading;
	unsigned int i;

	for (i = 1; i <= 600; i++)
		assert_true(add_to("key", "alice", i));
	test_commit(&host);
	reading = read_all("key");
	assert_int_equal(reading.count, 600);
	for (i = 0; i < 600; i++)
		queue_remove(host.queue, reading.items[i].id, 2);
	assert_true(add_to("key", "alice", 601));
	reopen();
	assert_string_equal(queued(), "alice:601");
}

static void test_attempts_are_kept(void **state ATTR_UNUSED)
{
	struct reading reading;
	int64_t id;

	(void)store("alice", 1);
	id = store("alice", 2);
	queue_set_attempts(host.queue, id, 1);
	queue_set_attempts(host.queue, id, 7);
	test_commit(&host);
	reading = read_all("key");
	assert_int_equal(reading.items[0].attempts, 0);
	assert_int_equal(reading.items[1].attempts, 7);
}

/* Parts */

static void test_stored_is_handed_over(void **state ATTR_UNUSED)
{
	uint64_t seq = 0;

	test_until(store("alice", ++seq) != 0 && stored_part != NULL);
	assert_ptr_equal(queue_part_get_endpoint(stored_part),
			 endpoint_of("key"));
	assert_int_equal(queue_part_last_id(stored_part), stored_id);
}

/* Returns its id, which is the last one of the only part. */
static int64_t store_claimed(const char *username, uint64_t seq)
{
	int64_t id = store(username, seq);

	test_until(array_count(&host.parts) > 0);
	test_until(queue_part_last_id(
			array_idx_elem(&host.parts, 0)) == id);
	return id;
}

static void test_queued_is_claimed_after_reopen(void **state ATTR_UNUSED)
{
	int64_t id = store_claimed("alice", 1);

	reopen();
	test_until(array_count(&host.parts) == 1);
	assert_int_equal(queue_part_last_id(array_idx_elem(&host.parts, 0)),
			 id);
	queue_remove(host.queue, id, 2);
	reopen();
	assert_string_equal(queued(), "");
}

static void test_part_is_read_in_steps(void **state ATTR_UNUSED)
{
	struct reading reading;
	int64_t ids[4];
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(ids); i++)
		ids[i] = store_claimed("alice", i + 1);
	reading = read_part(QUEUE_READ_USERS, 0, 2);
	assert_string_equal(reading.items[1].username, "alice");
	assert_int_equal(reading.count, 2);
	assert_int_equal(reading.items[0].id, ids[0]);
	assert_int_equal(reading.read_to, ids[1]);
	assert_true(reading.more);
	reading = read_part(QUEUE_READ_WHOLE, ids[1], 64);
	assert_string_equal(to_str(&reading), "alice:3 alice:4");
	assert_ptr_equal(reading.items[0].part,
			 array_idx_elem(&host.parts, 0));
	assert_false(reading.more);
	assert_int_equal(reading.read_to, ids[3]);
}

static void test_reading_is_limited_in_bytes(void **state ATTR_UNUSED)
{
	char *body = p_malloc(pool, 400*1024 + 1);
	struct reading reading;
	struct queue_item item;
	unsigned int i, found = 0;
	int64_t after_id = 0;

	memset(body, ' ', 400*1024);
	for (i = 1; i <= 10; i++) {
		item = item_of("key", "alice", i);
		item.body = body;
		assert_true(queue_add(host.queue, &item, stored, NULL));
		test_commit(&host);
	}
	test_until(array_count(&host.parts) > 0);
	test_until(queue_part_last_id(
			array_idx_elem(&host.parts, 0)) == stored_id);
	do {
		reading = read_part(QUEUE_READ_WHOLE, after_id, 64);
		assert_uint_in_range(reading.count, 1, 4);
		for (i = 0; i < reading.count; i++)
			assert_true(reading.items[i].seq == ++found);
		after_id = reading.read_to;
	} while (reading.more);
	assert_int_equal(found, 10);
	/* all that fit into one read have been removed */
	reading = read_part(QUEUE_READ_USERS, 0, 5);
	for (i = 0; i < reading.count; i++)
		queue_remove(host.queue, reading.items[i].id, 2);
	after_id = found = 0;
	do {
		reading = read_part(QUEUE_READ_WHOLE, after_id, 64);
		found += reading.count;
		after_id = reading.read_to;
	} while (reading.more);
	assert_int_equal(found, 5);
}

static void test_forgotten_part_comes_again(void **state ATTR_UNUSED)
{
	struct queue_part *part;
	int64_t id = store_claimed("alice", 1);

	queue_remove(host.queue, id, 2);
	test_commit(&host);
	part = array_idx_elem(&host.parts, 0);
	array_clear(&host.parts);
	queue_part_forget(host.queue, &part);
	assert_null(part);
	assert_int_equal(store("alice", 2), id + 1);
	assert_int_equal(array_count(&host.parts), 1);
	assert_ptr_equal(stored_part, array_idx_elem(&host.parts, 0));
	assert_string_equal(queued(), "alice:2");
}

static void test_read_can_be_cancelled(void **state ATTR_UNUSED)
{
	struct reading reading = { .done = FALSE };
	struct queue_read *read;

	(void)store_claimed("alice", 1);
	read = queue_read(host.queue, array_idx_elem(&host.parts, 0),
			  QUEUE_READ_WHOLE, 0, INT64_MAX, 64, reading_done,
			  &reading);
	queue_read_cancel(&read);
	assert_null(read);
	read = queue_read(host.queue, array_idx_elem(&host.parts, 0),
			  QUEUE_READ_WHOLE, 0, INT64_MAX, 64, reading_done,
			  &reading);
	/* it may have begun */
	test_turn(0);
	if (!reading.done)
		queue_read_cancel(&read);
	reading.done = FALSE;
	assert_string_equal(queued(), "alice:1");
	assert_false(reading.done);
}

/* Endpoints */

static const char *options_of(const char *key)
{
	struct queue_item item = item_of(key, "alice", 1);

	return item.endpoint->options;
}

static void test_endpoint_has_its_latest_options(void **state ATTR_UNUSED)
{
	struct queue_endpoint *ep;
	int64_t number;

	(void)store("alice", 1);
	ep = queue_endpoint_set(host.queue, "key", "changed\t\xff'\001");
	assert_ptr_equal(ep, queue_endpoint_set(host.queue, "key",
						"changed\t\xff'\001"));
	number = ep->number;
	test_commit(&host);
	reopen();
	ep = endpoint_of("key");
	assert_int_equal(ep->number, number);
	assert_string_equal(options_of("key"), "options of today");
}

static void test_endpoint_with_something_queued_is_kept(void **state ATTR_UNUSED)
{
	struct queue_endpoint *ep;

	assert_true(add_to("key2", "alice", 1));
	test_commit(&host);
	ep = endpoint_of("key2");
	queue_endpoint_forget(host.queue, &ep);
	test_commit(&host);
	reopen();
	assert_string_equal(queued_in("key2"), "alice:1");
}

static void test_forgotten_endpoint_may_come_back(void **state ATTR_UNUSED)
{
	struct queue_endpoint *ep = endpoint_of("key2");

	test_commit(&host);
	queue_endpoint_forget(host.queue, &ep);
	test_commit(&host);
	assert_true(add_to("key2", "alice", 1));
	test_commit(&host);
	reopen();
	assert_string_equal(queued_in("key2"), "alice:1");
}

/* What is given up */

static void give_up(const struct queue_item *item)
{
	const struct queue_loss loss = {
		.reason = QUEUE_LOSS_REFUSED, .answer = "refused: 422",
		.time = queue_now(host.queue)
	};

	queue_give_up(host.queue, item, 3, &loss);
}

static struct queue_item store_and_give_up(uint64_t seq)
{
	struct queue_item item = item_of("key", "alice", seq);

	item.id = store("alice", seq);
	give_up(&item);
	test_commit(&host);
	return item;
}

static unsigned int lost_count(void)
{
	struct queue_lost_stats stats;

	queue_lost_get_stats(host.queue, NULL, &stats);
	return stats.rows[QUEUE_LOSS_REFUSED];
}

/* It was this one. */
static void assert_gave_up(const struct queue_item *item)
{
	assert_int_equal(item->loss.host.number, queue_host_number(host.queue));
	if (queue_is_shared(host.queue))
		assert_string_equal(item->loss.host.name, my_hostname);
	else
		assert_null(item->loss.host.name);
}

static void test_given_up_is_kept(void **state ATTR_UNUSED)
{
	struct queue_item item = store_and_give_up(1);
	struct queue_lost_stats stats;
	struct reading reading;

	assert_string_equal(queued(), "");
	assert_int_equal(lost_count(), 1);
	reopen();
	assert_int_equal(lost_count(), 1);
	queue_lost_get_stats(host.queue, endpoint_of("key"), &stats);
	assert_int_equal(stats.rows[QUEUE_LOSS_REFUSED], 1);
	queue_lost_get_stats(host.queue, NULL, &stats);
	assert_true(stats.oldest > 0);
	reading = read_lost();
	assert_int_equal(reading.count, 1);
	assert_int_equal(reading.items[0].id, item.id);
	assert_int_equal(reading.items[0].attempts, 3);
	assert_int_equal(reading.items[0].created, item.created);
	assert_string_equal(reading.items[0].loss.answer, "refused: 422");
	assert_int_equal(reading.items[0].loss.reason, QUEUE_LOSS_REFUSED);
	assert_gave_up(&reading.items[0]);
	assert_memory_equal(reading.items[0].session, session, sizeof(session));
	assert_string_equal(reading.items[0].body, "{}");
	assert_ptr_equal(reading.items[0].endpoint, endpoint_of("key"));
}

static void test_lost_is_dropped(void **state ATTR_UNUSED)
{
	struct reading reading;

	(void)store_and_give_up(1);
	(void)store_and_give_up(2);
	reading = read_lost();
	assert_string_equal(to_str(&reading), "alice:1 alice:2");
	queue_lost_drop(host.queue, reading.items[0].lost_id);
	reading = read_lost();
	assert_string_equal(to_str(&reading), "alice:2");
	test_commit(&host);
	assert_int_equal(lost_count(), 1);
	reading = read_lost();
	assert_string_equal(to_str(&reading), "alice:2");
}

static void test_lost_is_put_back(void **state ATTR_UNUSED)
{
	struct queue_item item = store_and_give_up(1);
	struct reading reading;

	(void)store("alice", 2);
	reading = read_lost();
	reading.items[0].expires = 1800000000;
	queue_lost_resend(host.queue, &reading.items[0], stored, NULL);
	test_commit(&host);
	assert_null(stored_error);
	assert_int_equal(stored_id, item.id);
	/* it has gone by then */
	queue_lost_resend(host.queue, &reading.items[0], stored, NULL);
	test_commit(&host);
	assert_null(stored_error);
	assert_int_equal(stored_id, 0);
	assert_int_equal(lost_count(), 0);
	reading = read_all("key");
	assert_string_equal(to_str(&reading), "alice:1 alice:2");
	assert_int_equal(reading.items[0].expires, 1800000000);
	assert_int_equal(reading.items[0].attempts, 0);
}

/* Its URL was wrong, and the corrected one is another endpoint. */
static void test_lost_goes_to_another_endpoint(void **state ATTR_UNUSED)
{
	struct queue_item *item;
	struct reading reading;

	(void)store_and_give_up(1);
	(void)store_and_give_up(2);
	reading = read_lost();
	item = &reading.items[0];
	item->expires = 1800000000;
	item->id = 0;
	item->endpoint = endpoint_of("other key");
	queue_lost_resend(host.queue, item, stored, NULL);
	/* in one commit with it, and after it */
	assert_true(add_to("other key", "alice", 3));
	test_commit(&host);
	assert_null(stored_error);
	assert_string_equal(queued(), "");
	assert_string_equal(queued_in("other key"), "alice:1 alice:3");
	assert_int_equal(lost_count(), 1);
	/* it has gone by then */
	queue_lost_resend(host.queue, item, stored, NULL);
	test_commit(&host);
	assert_null(stored_error);
	assert_int_equal(stored_id, 0);
	assert_true(add_to("other key", "alice", 4));
	test_commit(&host);
	reading = read_all("other key");
	assert_string_equal(to_str(&reading), "alice:1 alice:3 alice:4");
	assert_int_equal(reading.items[0].expires, 1800000000);
	assert_int_equal(reading.items[0].attempts, 0);
	assert_memory_equal(reading.items[0].session, session, sizeof(session));
	assert_string_equal(reading.items[0].body, "{}");
	assert_int_equal(lost_count(), 1);
	reopen();
	assert_string_equal(queued_in("other key"), "alice:1 alice:3 alice:4");
}

/* Another queue has kept it. */
static int64_t keep(uint64_t seq)
{
	struct queue_item item = item_of("key", "alice", seq);

	item.lost_id = item.id = 77;
	item.attempts = 5;
	item.loss.reason = QUEUE_LOSS_EXPIRED;
	item.loss.answer = "too old";
	item.loss.time = queue_now(host.queue) - 50;
	item.loss.host.number = 77;
	item.loss.host.name = "other";
	queue_lost_add(host.queue, &item, stored, NULL);
	return item.loss.time;
}

static void test_lost_of_another_queue_is_kept(void **state ATTR_UNUSED)
{
	struct queue_lost_stats stats;
	struct reading reading;
	int64_t when;

	assert_true(add_to("key", "alice", 1));
	when = keep(2);
	assert_true(add_to("key", "alice", 3));
	test_commit(&host);
	assert_null(stored_error);
	assert_string_equal(queued(), "alice:1 alice:3");
	queue_lost_get_stats(host.queue, endpoint_of("key"), &stats);
	assert_int_equal(stats.rows[QUEUE_LOSS_EXPIRED], 1);
	reopen();
	queue_lost_get_stats(host.queue, endpoint_of("key"), &stats);
	assert_int_equal(stats.rows[QUEUE_LOSS_EXPIRED], 1);
	queue_lost_get_stats(host.queue, NULL, &stats);
	assert_int_equal(stats.oldest, when);
	assert_string_equal(queued(), "alice:1 alice:3");
	reading = read_lost();
	assert_string_equal(to_str(&reading), "alice:2");
	assert_int_equal(reading.items[0].attempts, 5);
	assert_int_equal(reading.items[0].created, 1700000000);
	assert_int_equal(reading.items[0].loss.time, when);
	assert_int_equal(reading.items[0].loss.reason, QUEUE_LOSS_EXPIRED);
	assert_gave_up(&reading.items[0]);
	assert_string_equal(reading.items[0].loss.answer, "too old");
	assert_memory_equal(reading.items[0].session, session, sizeof(session));
	assert_ptr_equal(reading.items[0].endpoint, endpoint_of("key"));
	/* its id is its own */
	queue_lost_resend(host.queue, &reading.items[0], stored, NULL);
	test_commit(&host);
	assert_null(stored_error);
	assert_string_equal(queued(), "alice:1 alice:2 alice:3");
}

static void
test_lost_of_another_queue_is_not_a_handoff(void **state ATTR_UNUSED)
{
	(void)keep(7);
	test_commit(&host);
	assert_null(stored_error);
	assert_null(stored_part);
	assert_false(queue_has_added(host.queue, session, 7));
	(void)keep(8);
	test_fail(&host, "INSERT ON lost");
	assert_non_null(test_try_commit(&host));
	assert_non_null(stored_error);
	test_stop_failing(&host);
	reopen();
	assert_int_equal(read_lost().count, 1);
}

static void test_oldest_lost_are_forgotten(void **state ATTR_UNUSED)
{
	unsigned int i;
	struct queue_item item;
	struct reading reading;

	for (i = 1; i <= 1010; i++)
		assert_true(add_to("key", "alice", i));
	test_commit(&host);
	for (i = 0; i < 1010; i++) {
		item = item_of("key", "alice", i + 1);
		item.id = stored_id - 1009 + i;
		give_up(&item);
	}
	/* where hosts share the queue, it may not be known yet at the first
	   commits that it is this one that forgets */
	while (lost_count() != 1000)
		test_commit(&host);
	reading = read_lost();
	assert_int_equal(reading.count, 1000);
}

/* What has been announced */

static void announce_later(int64_t mailbox, uint32_t uid)
{
	static uint64_t seq = 0;
	struct queue_item item = item_of("key", "alice", ++seq);

	item.uid = uid;
	item.mailbox = mailbox;
	assert_true(queue_add(host.queue, &item, stored, NULL));
}

static int64_t queue_announcement(int64_t mailbox, uint32_t uid)
{
	announce_later(mailbox, uid);
	test_commit(&host);
	assert_true(stored_id != 0);
	return stored_id;
}

static void announce(int64_t mailbox, uint32_t uid)
{
	queue_remove(host.queue, queue_announcement(mailbox, uid), 2);
	test_commit(&host);
}

static const char *announced_in(int64_t mailbox)
{
	struct test_announced answer;

	queue_announced_begin(host.queue, 10);
	answer = test_ask_announced(&host, mailbox);
	queue_announced_end(host.queue);
	return t_strdup(answer.uids);
}

static void test_delivered_is_remembered(void **state ATTR_UNUSED)
{
	announce(5, 1);
	announce(5, 2);
	announce(5, UINT32_MAX);
	announce(INT64_MAX, 1);
	/* an event other than a new message */
	announce(0, 3);
	assert_string_equal(announced_in(5), "1:2,4294967295");
	assert_string_equal(announced_in(INT64_MAX), "1");
	assert_string_equal(announced_in(7), "");
	announce(5, 3);
	reopen();
	announce(5, 4);
	assert_string_equal(announced_in(5), "1:4,4294967295");
}

static void test_queued_counts_as_announced(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 1; i <= 200; i++)
		announce_later(5, i);
	test_commit(&host);
	assert_string_equal(announced_in(5), "1:200");
	announce_later(5, 201);
	queue_announced_begin(host.queue, 200);
	assert_string_equal(test_ask_announced(&host, 5).uids, "1:201");
	announce_later(5, 202);
	test_commit(&host);
	assert_string_equal(test_ask_announced(&host, 5).uids, "1:202");
	queue_announced_end(host.queue);
}

static void test_not_stored_is_not_announced(void **state ATTR_UNUSED)
{
	announce(5, 1);
	test_fail(&host, "INSERT ON notification");
	announce_later(5, 2);
	assert_non_null(test_try_commit(&host));
	test_stop_failing(&host);
	while (test_try_commit(&host) != NULL)
		test_turn(5);
	assert_string_equal(announced_in(5), "1");
}

static void test_given_up_is_remembered(void **state ATTR_UNUSED)
{
	struct queue_item item = item_of("key", "alice", 1000);

	item.id = queue_announcement(5, 1);
	give_up(&item);
	test_commit(&host);
	assert_string_equal(announced_in(5), "1");
}

static void test_mailbox_is_read_with_the_rest(void **state ATTR_UNUSED)
{
	struct reading reading;

	(void)queue_announcement(INT64_MAX, 1);
	reopen();
	reading = read_all("key");
	assert_true(reading.items[0].mailbox == INT64_MAX);
}

static void test_remembering_has_a_beginning(void **state ATTR_UNUSED)
{
	unsigned int secs;

	queue_announced_begin(host.queue, 0);
	secs = test_ask_announced(&host, 5).secs;
	/* by the clock of the database, which counts on */
	test_until(test_ask_announced(&host, 5).secs > secs);
	queue_announced_end(host.queue);
}

static void test_time_is_that_of_the_clock(void **state ATTR_UNUSED)
{
	int64_t diff = queue_now(host.queue) - time(NULL);

	assert_true(diff >= -2 && diff <= 2);
}

#define queue_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_engine(const char *engine)
{
	const struct CMUnitTest tests[] = {
		queue_test(test_added_is_read_after_commit_only),
		queue_test(test_everything_added_is_read),
		queue_test(test_order_is_that_of_adding),
		queue_test(test_endpoint_is_read_in_turns),
		queue_test(test_ids_are_not_used_again),
		queue_test(test_endpoints_have_their_own),
		queue_test(test_same_handoff_is_added_once),
		queue_test(test_handoffs_may_overtake_others),
		queue_test(test_failed_handoff_can_be_repeated),
		queue_test(test_removed_is_gone),
		queue_test(test_what_was_moved_away_may_come_back),
		queue_test(test_failed_removal_is_repeated),
		queue_test(test_deinit_commits_all),
		queue_test(test_attempts_are_kept),
		queue_test(test_stored_is_handed_over),
		queue_test(test_queued_is_claimed_after_reopen),
		queue_test(test_part_is_read_in_steps),
		queue_test(test_reading_is_limited_in_bytes),
		queue_test(test_forgotten_part_comes_again),
		queue_test(test_read_can_be_cancelled),
		queue_test(test_endpoint_has_its_latest_options),
		queue_test(test_endpoint_with_something_queued_is_kept),
		queue_test(test_forgotten_endpoint_may_come_back),
		queue_test(test_given_up_is_kept),
		queue_test(test_lost_is_dropped),
		queue_test(test_lost_is_put_back),
		queue_test(test_lost_goes_to_another_endpoint),
		queue_test(test_lost_of_another_queue_is_kept),
		queue_test(test_lost_of_another_queue_is_not_a_handoff),
		queue_test(test_oldest_lost_are_forgotten),
		queue_test(test_delivered_is_remembered),
		queue_test(test_queued_counts_as_announced),
		queue_test(test_not_stored_is_not_announced),
		queue_test(test_given_up_is_remembered),
		queue_test(test_mailbox_is_read_with_the_rest),
		queue_test(test_remembering_has_a_beginning),
		queue_test(test_time_is_that_of_the_clock),
	};

	test_engine = engine;
	return cmocka_run_group_tests_name(engine, tests, NULL, NULL);
}

int main(void)
{
	int ret;

	lib_init();
	ret = run_engine("sqlite");
	if (test_pgsql() != NULL)
		ret += run_engine("pgsql");
	lib_deinit();
	return ret;
}
