/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All endpoints, with a real queue, and servers that answer what and when each
   test chooses. */
#include "lib.h"
#include "array.h"
#include "str.h"
#include "unlink-directory.h"

#include "delivery.h"
#include "endpoint.h"
#include "live.h"
#include "queue.h"
#include "queue-engine.h"
#include "queue-lost.h"
#include "sender.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "test-clock.h"
#include "test-common.h"

#define QUEUE_LIMIT 100
#define MAX_REQUESTS 2000

struct request {
	char *body;
	/* the endpoint's */
	char *label;
	/* of its hand-off */
	uint64_t seq;
	sender_callback_t *callback;
	void *context;
};

/* Idle endpoints that are not forgotten. */
#define KEPT 1000

static char *dir;
static struct queue *queue;
static struct delivery *delivery;
static ARRAY(struct request) requests;
static guid_128_t session;
static uint64_t last_seq;
static unsigned int errors, infos, stored_count;
static int64_t stored_id;
/* what is added has been added before */
static bool repeated;
/* the endpoint that gets what is sent again; 0 = that it was for */
static unsigned int resend_to;

/* of what is added, and why that was refused */
static const char *body;
static char *refusal;
/* the queue's limit */
static uint64_t max_bytes;

void sender_put(struct sender *sender ATTR_UNUSED,
		const struct sender_target *target,
		const char *body, const char *idempotency_key,
		sender_callback_t *callback, void *context)
{
	struct request *req = array_append_space(&requests);

	req->body = i_strdup(body);
	req->label = i_strdup(target->label);
	if (str_to_uint64(strchr(idempotency_key, '-') + 1, &req->seq) < 0)
		fail_msg("%s", idempotency_key);
	req->callback = callback;
	req->context = context;
}

static unsigned int under_way(void)
{
	return array_count(&requests);
}

static void answer(unsigned int idx, unsigned int status)
{
	const struct answer answer = { .status = status, .reason = "test" };
	struct request req = *array_idx(&requests, idx);

	array_delete(&requests, idx, 1);
	i_free(req.body);
	i_free(req.label);
	T_BEGIN {
		req.callback(&answer, req.context);
	} T_END;
}

/* ... and what is read and sent then. */
static void answer_all(unsigned int status)
{
	while (under_way() > 0) {
		answer(0, status);
		if (under_way() == 0)
			test_clock_turn();
	}
}

static void open_all(void)
{
	const struct queue_settings set = {
		.directory = dir, .lost_keep_secs = 24*3600,
		.lost_max_rows = 1000, .lost_max_bytes = 1024*1024
	};
	const char *error;

	if (queue_init(&queue_engine_sqlite, &set, &queue, &error) < 0)
		fail_msg("%s", error);
	delivery = delivery_init(queue, NULL, QUEUE_LIMIT, max_bytes,
				 MAX_REQUESTS);
	/* to find what is there, and to read it */
	test_clock_turn();
	test_clock_turn();
}

static void close_all(void)
{
	struct request *req;

	delivery_deinit(&delivery);
	queue_deinit(&queue);
	array_foreach_modifiable(&requests, req) {
		i_free(req->body);
		i_free(req->label);
	}
	array_clear(&requests);
}

static void stored(const struct delivery_stored *result, void *context)
{
	assert_null(context);
	assert_null(result->error);
	assert_int_equal(result->id == 0, repeated);
	assert_non_null(result->endpoint);
	stored_count++;
	stored_id = result->id;
}

/* Returns FALSE if it is refused. */
static bool add_with(const char *const *words, const char *username)
{
	struct delivery_notification notification = {
		.username = username, .folder = "INBOX", .body = body
	};
	const char *error;

	if (strncmp(words[0], "owner=", 6) == 0)
		notification.owner = *words++ + 6;
	notification.options = words;
	notification.seq = notification.uid = ++last_seq;
	guid_128_copy(notification.session, session);
	if (delivery_add(delivery, &notification, stored, NULL, &error) == 0)
		return TRUE;
	i_free(refusal);
	refusal = i_strdup(error);
	return FALSE;
}

/* options: separated by blanks, maybe after owner=. Returns the endpoint's
   number in the queue. */
static int64_t add_with_options(const char *options, const char *username)
{
	assert_true(add_with(t_strsplit(options, " "), username));
	queue_flush(queue);
	return stored_id >> 40;
}

static bool add_to(const char *url, const char *username)
{
	const char *const words[] = {
		t_strconcat("url=", url, NULL), "max_age=1h", NULL
	};

	return add_with(words, username);
}

static void exec(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(t_strconcat(dir, "/queue.sqlite",
		NULL), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}

static const char *url(unsigned int i)
{
	return t_strdup_printf("http://endpoint%u/", i);
}

static const char *user(unsigned int i)
{
	return t_strdup_printf("user%u", i);
}

/* In the queue. */
static unsigned int endpoints(void)
{
	unsigned int number, count = 0;

	/* which may be waiting for SQLite's thread, whose clock is another */
	queue_flush(queue);
	for (number = 1; number <= last_seq; number++) {
		if (queue_engine_get_endpoint(queue, number) != NULL)
			count++;
	}
	return count;
}

static void count_error(const struct failure_context *ctx ATTR_UNUSED,
			const char *format ATTR_UNUSED,
			va_list args ATTR_UNUSED)
{
	errors++;
}

static void count_info(const struct failure_context *ctx ATTR_UNUSED,
		       const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	infos++;
}

static int setup(void **state ATTR_UNUSED)
{
	const char *tmp = getenv("TMPDIR");

	dir = i_strconcat(tmp == NULL ? "/tmp" : tmp, "/test-delivery.XXXXXX",
			  NULL);
	if (mkdtemp(dir) == NULL)
		return -1;
	i_array_init(&requests, 64);
	i_set_error_handler(count_error);
	i_set_info_handler(count_info);
	errors = infos = stored_count = 0;
	repeated = FALSE;
	resend_to = 0;
	test_clock_init(1);
	guid_128_generate(session);
	last_seq = 0;
	body = "{}";
	max_bytes = UINT64_MAX;
	open_all();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;

	close_all();
	test_clock_deinit();
	array_free(&requests);
	i_free(refusal);
	i_set_error_handler(default_error_handler);
	i_set_info_handler(default_error_handler);
	if (unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR, &error) < 0)
		i_fatal("%s", error);
	i_free(dir);
	return 0;
}

static void test_endpoints_are_apart(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		assert_true(add_to(url(i), "alice"));
	test_clock_turn();
	assert_int_equal(under_way(), 10);
	answer(3, 0);
	for (i = 0; i < 10; i++)
		assert_true(add_to(url(i), "bob"));
	test_clock_turn();
	assert_int_equal(under_way(), 9 + 9);
}

static void test_queue_limit(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < QUEUE_LIMIT; i++) T_BEGIN {
		assert_true(add_to(url(0), user(i)));
	} T_END;
	test_clock_turn();
	assert_false(add_to(url(0), "alice"));
	assert_false(add_to(url(4), "alice"));
	assert_int_equal(errors, 1);
	/* the last one once more, whose answer did not arrive */
	last_seq = QUEUE_LIMIT - 1;
	stored_count = 0;
	repeated = TRUE;
	assert_true(add_to(url(0), user(QUEUE_LIMIT - 1)));
	test_clock_turn();
	assert_int_equal(stored_count, 1);
	repeated = FALSE;
	last_seq += 2;
	/* as many as leave may come */
	answer(0, 200);
	assert_true(add_to(url(0), "alice"));
	test_clock_turn();
	assert_false(add_to(url(0), "bob"));
	assert_int_equal(errors, 1);

	/* what is queued is so after a restart as well */
	close_all();
	open_all();
	assert_false(add_to(url(0), "bob"));
	assert_int_equal(errors, 2);
	answer_all(200);
	test_clock_pass(5000);
	assert_int_equal(infos, 1);
	assert_true(add_to(url(0), "bob"));
}

/* Returns the sum of the endpoints, whose number in all of the queue's limit is
   percent_r. */
static uint64_t queued_bytes(unsigned int *percent_r)
{
	struct endpoint_status status;
	struct endpoint *ep;
	unsigned int number = 0, queued = 0;
	uint64_t bytes = 0;

	while ((ep = delivery_next_endpoint(delivery, &number)) != NULL) {
		endpoint_get_status(ep, &status);
		queued += status.queued;
		bytes += status.queued_bytes;
	}
	*percent_r = delivery_queue_percent(delivery, queued, bytes);
	return bytes;
}

#define BODY_SIZE 1000

/* A body of this many bytes, which are fewer characters. */
static const char *large_body(void)
{
	string_t *str = t_str_new(BODY_SIZE);

	while (str_len(str) < BODY_SIZE)
		str_append(str, "\xC3\xA4");
	return str_c(str);
}

static void reopen_with_max_bytes(uint64_t bytes)
{
	close_all();
	max_bytes = bytes;
	open_all();
}

static void test_queue_limit_in_bytes(void **state ATTR_UNUSED)
{
	unsigned int i, percent;

	reopen_with_max_bytes(10 * BODY_SIZE);
	body = large_body();
	for (i = 0; i < 10; i++) {
		assert_true(queued_bytes(&percent) == i * BODY_SIZE);
		assert_int_equal(percent, i * 10);
		assert_true(add_to(url(0), user(i)));
		test_clock_turn();
	}
	assert_false(add_to(url(0), "alice"));
	assert_string_equal(refusal, "the queue is full in bytes "
			    "(http_notify_queue_limit = 100 10000)");
	assert_false(add_to(url(4), "alice"));
	assert_int_equal(errors, 1);
	/* as many as leave may come */
	answer(0, 200);
	assert_true(add_to(url(0), "alice"));
	test_clock_turn();
	assert_false(add_to(url(0), "bob"));
	assert_int_equal(errors, 1);

	/* the same after a restart, when only the users are known */
	close_all();
	open_all();
	assert_true(queued_bytes(&percent) == 10 * BODY_SIZE);
	assert_false(add_to(url(0), "bob"));
	assert_int_equal(errors, 2);
	answer_all(200);
	assert_true(queued_bytes(&percent) == 0);
	assert_int_equal(percent, 0);
	test_clock_pass(5000);
	assert_int_equal(infos, 1);
	assert_true(add_to(url(0), "bob"));
}

static unsigned int add_all_that_fits(const char *to)
{
	unsigned int count = 0;
	bool fits = TRUE;

	while (fits) {
		T_BEGIN {
			fits = add_to(to, user(count));
		} T_END;
		test_clock_turn();
		if (fits)
			count++;
	}
	return count;
}

static void test_last_quarter_is_for_those_who_have_little(
						void **state ATTR_UNUSED)
{
	assert_true(add_to(url(1), "alice"));
	test_clock_turn();
	answer_all(200);
	assert_int_equal(add_all_that_fits(url(0)), QUEUE_LIMIT * 3 / 4);
	assert_false(add_to(url(0), "alice"));
	assert_int_equal(errors, 1);
	/* a quarter for the two of them */
	assert_int_equal(add_all_that_fits(url(1)), QUEUE_LIMIT / 4 / 2);
	/* and others have theirs */
	assert_true(add_to(url(2), "alice"));
	assert_true(add_to(url(3), "alice"));
	assert_int_equal(errors, 2);

	answer_all(200);
	test_clock_pass(5000);
	answer_all(200);
	test_clock_pass(10*1000);
	assert_int_equal(infos, 2);
	assert_true(add_to(url(0), "bob"));
}

static void test_last_quarter_of_the_bytes_is_for_those_who_have_little(
						void **state ATTR_UNUSED)
{
	reopen_with_max_bytes(40 * BODY_SIZE);
	assert_true(add_to(url(1), "alice"));
	test_clock_turn();
	answer_all(200);
	body = large_body();
	assert_int_equal(add_all_that_fits(url(0)), 30);
	assert_false(add_to(url(0), "alice"));
	assert_string_equal(refusal, "the endpoint's share of the queue is "
			    "full in bytes (http_notify_queue_limit = "
			    "100 40000)");
	assert_int_equal(errors, 1);
	assert_int_equal(add_all_that_fits(url(1)), 5);
	assert_int_equal(errors, 2);
	/* small ones have room, until three quarters in number are used */
	body = "{}";
	assert_int_equal(add_all_that_fits(url(2)), 75 - 30 - 5);
	assert_string_equal(refusal, "the endpoint's share of the queue is "
			    "full in number (http_notify_queue_limit = "
			    "100 40000)");
	assert_int_equal(errors, 3);

	answer_all(200);
	test_clock_pass(5000);
	answer_all(200);
	test_clock_pass(10*1000);
	assert_int_equal(infos, 3);
	assert_true(add_to(url(0), "bob"));
}

static void test_stopped_delivery_waits_for_answers(void **state ATTR_UNUSED)
{
	assert_true(add_to(url(0), "alice"));
	assert_true(add_to(url(0), "bob"));
	test_clock_turn();
	assert_int_equal(under_way(), 2);
	assert_int_equal(delivery_in_flight(delivery), 2);

	delivery_stop(delivery);
	assert_true(add_to(url(0), "alice"));
	assert_true(add_to(url(0), "carol"));
	assert_true(add_to(url(1), "bob"));
	test_clock_turn();
	assert_int_equal(stored_count, 5);
	answer(0, 200);
	assert_int_equal(delivery_in_flight(delivery), 1);
	answer(0, 500);
	assert_int_equal(delivery_in_flight(delivery), 0);
	test_clock_pass(60*1000);
	assert_int_equal(under_way(), 0);

	close_all();
	open_all();
	assert_int_equal(under_way(), 4);
}

static void test_stopped_delivery_waits_for_no_probe(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 5; i++)
		assert_true(add_to(url(0), user(i)));
	test_clock_turn();
	/* the first few of these are enough for it to be down */
	while (under_way() > 0)
		answer(0, 0);
	for (i = 0; i < 10 && under_way() == 0; i++)
		test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	assert_int_equal(delivery_in_flight(delivery), 0);
}

static void test_old_ones_make_room(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < QUEUE_LIMIT; i++) T_BEGIN {
		assert_true(add_to(url(i % 3), user(i)));
	} T_END;
	test_clock_turn();
	answer_all(0);
	test_clock_pass(3600*1000 - 1000);
	answer_all(0);
	assert_false(add_to(url(0), "alice"));
	test_clock_pass(10*1000);
	answer_all(0);
	test_clock_turn();
	assert_true(add_to(url(0), "alice"));
}

/* What an admin asks for is what was delivered, too. */
static void test_idle_endpoints_are_kept(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 50; i++)
		assert_true(add_to(url(i), "alice"));
	test_clock_turn();
	answer_all(200);
	test_clock_pass(600*1000);
	assert_int_equal(endpoints(), 50);
}

/* As there may be one for each user. More than are looked at in one turn, while
   others come. */
static void test_many_idle_endpoints_are_forgotten(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 2000; i++) T_BEGIN {
		assert_true(add_to(url(i), "alice"));
		test_clock_turn();
		if (i % 40 != 0)
			answer(under_way() - 1, 200);
	} T_END;
	assert_int_equal(under_way(), 50);
	test_clock_pass(59*1000);
	assert_int_equal(endpoints(), 2000);
	for (i = 0; i < 50; i++) {
		test_clock_pass(200);
		answer(0, 200);
		assert_true(add_to(url(2000 + i), "alice"));
		test_clock_turn();
	}
	test_clock_pass(10*1000);
	assert_int_equal(endpoints(), KEPT);
	assert_int_equal(under_way(), 50);
	/* those that have something to do are still there */
	answer_all(200);
	test_clock_pass(90*1000);
	assert_int_equal(endpoints(), KEPT);
	/* and others are made anew */
	assert_true(add_to(url(7), "alice"));
	test_clock_turn();
	assert_int_equal(under_way(), 1);
	answer_all(200);
}

/* Each is an endpoint of its own, with whatever options come in between. */
static void test_what_makes_another_endpoint(void **state ATTR_UNUSED)
{
	static const char *const others[] = {
		"url=http://a/x",
		"url=http://a/X",
		"url=http://a:81/x",
		"url=https://a/x",
		"url=http://a/x?y",
		"url=http://u@a/x",
		"url=http://v:p@a/x",
		"url=http://u%40http%3A%2F%2Fa%2Fx%20s@b/y",
		"url=http://u@a/x standby_url=http://s@b/y",
		"url=http://u@a/x standby_url=http://b/y",
		"url=http://a/x standby_url=http://u@b/y",
		"url=http://b/y standby_url=http://u@a/x",
		/* what words are separated by, and what an @ becomes */
		"url=http://u%09standby_url=http:%2F%2Fs%0Ab%2Fy@a/x",
		"url=http://u%0A@a/x",
		"url=http://u%40@a/x",
		"url=http://u%01n@a/x",
		"url=http://a/x netrc_file=/n",
		"url=http://a/x netrc_file=/m",
		"url=http://a/x netrc_file=/n@",
		"url=http://a/x standby_url=http://b/y netrc_file=/n",
		"url=http://u%09netrc_file=%2Fn@a/x",
		"url=http://a/x timeout_msecs=1",
		"url=http://a/x max_age=2h",
		"url=http://a/x max_retries=1",
		"url=http://a/x max_per_second=1",
		"url=http://a/x proxy=http://b",
		"url=http://a/x proxy=http://b proxy_netrc_file=/n",
		"url=http://a/x ca_file=/n",
		"url=http://a/x cert_file=/n",
		"url=http://a/x cert_file=/n key_file=/n",
		"url=http://a/x method=POST",
		"url=http://a/x token_file=/n",
		"url=http://a/x sign_file=/n",
		"url=http://a/x token_file=/n sign_file=/m",
		"owner=1000 url=http://a/x",
		"owner=1001 url=http://a/x",
		"owner=1001 url=http://a/x max_retries=1",
		"url=http://owner=1000@a/x",
	};
	int64_t ids[N_ELEMENTS(others)];
	unsigned int i, j, round;

	for (i = 0; i < N_ELEMENTS(others); i++) {
		ids[i] = add_with_options(others[i], "alice");
		assert_true(ids[i] > 0);
		for (j = 0; j < i; j++)
			assert_int_not_equal(ids[i], ids[j]);
	}
	assert_int_equal(endpoints(), N_ELEMENTS(others));
	/* so that none has more than its share of the queue */
	test_clock_turn();
	answer_all(200);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < N_ELEMENTS(others); i++) T_BEGIN {
			const char *options = t_strdup_printf(
				"%s cache_lifetime=%us", others[i], round);

			assert_int_equal(add_with_options(options, "alice"),
					 ids[i]);
		} T_END;
		test_clock_turn();
		answer_all(200);
		close_all();
		open_all();
		assert_int_equal(endpoints(), N_ELEMENTS(others));
	}
}

/* Former versions took them for one, whose standby was gone while it was in
   use. */
static void test_twin_urls_with_and_without_standby(void **state ATTR_UNUSED)
{
	int64_t with_standby, without;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		with_standby = add_with_options(
			"url=http://u@a/x standby_url=http://s@b/y", "alice");
		test_clock_turn();
		answer_all(0);
		without = add_with_options(
			"url=http://u%40http%3A%2F%2Fa%2Fx%20s@b/y", "alice");
		test_clock_turn();
		answer_all(0);
		test_clock_pass(2000);
		answer_all(200);
	}
	assert_int_not_equal(with_standby, without);
}

static void test_what_makes_no_other_endpoint(void **state ATTR_UNUSED)
{
	static const char *const same[] = {
		"url=http://u:p@a/x",
		"url=http://u:q@a/x",
		"url=http://u@a/x",
		"url=HTTP://u:p@a/x",
		"url=http://%75:p@a/x",
		"url=http://u:p@a/x timeout_msecs=2000",
		"max_age=60min url=http://u:p@a/x",
		"url=http://u:p@a/x cache_lifetime=1s",
		"url=http://u:p@a/x user_from_metadata=no",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(same); i++)
		assert_int_equal(add_with_options(same[i], "alice"), 1);
	assert_int_equal(endpoints(), 1);
	test_clock_turn();
	assert_int_equal(under_way(), 1);
}

/* They had other keys, which say less. */
static void test_endpoints_of_former_versions(void **state ATTR_UNUSED)
{
	static const char *const old_keys =
		"UPDATE endpoint SET key = CASE id "
		"WHEN 1 THEN 'u@http://a/x' ELSE '@http://a/x' END";

	assert_int_equal(add_with_options("url=http://u:p@a/x", "alice"), 1);
	assert_int_equal(add_with_options("url=http://a/x netrc_file=/n",
					  "alice"), 2);
	close_all();
	exec(old_keys);
	open_all();
	answer_all(0);
	/* with their options, and with others */
	assert_int_equal(add_with_options("url=http://u:p@a/x", "alice"), 1);
	assert_int_equal(add_with_options("url=http://u:q@a/x", "alice"), 1);
	assert_int_equal(add_with_options("url=http://a/x netrc_file=/n "
					  "cache_lifetime=1s", "alice"), 2);
	/* and what only looked like it is another one */
	assert_int_equal(add_with_options("url=http://a/x", "alice"), 3);
	assert_int_equal(endpoints(), 3);

	close_all();
	open_all();
	assert_int_equal(add_with_options("url=http://u:r@a/x", "alice"), 1);
	assert_int_equal(endpoints(), 3);
}

/* Left by a former version that came after this one: it does not find an
   endpoint whose options have changed. All goes to the one, and the other is
   gone when it is done. */
static void test_two_endpoints_of_one_key(void **state ATTR_UNUSED)
{
	unsigned int i;

	assert_int_equal(add_with_options("url=http://u:p@a/x", "alice"), 1);
	test_clock_turn();
	close_all();
	exec("INSERT INTO endpoint (id, key, options) VALUES "
	     "(2, 'u@http://a/x', 'url=http://u:q@a/x');"
	     "INSERT INTO notification SELECT id + (1 << 40) + 1, session, "
	     "seq, created, expires, 0, 'bob', folder, uid, body, 0 "
	     "FROM notification");
	open_all();
	assert_int_equal(under_way(), 2);
	for (i = 0; i < 3; i++) {
		assert_int_equal(add_with_options("url=http://u:q@a/x",
						  "alice"), 1);
		assert_int_equal(add_with_options("url=http://u:p@a/x",
						  "alice"), 1);
	}
	test_clock_turn();
	answer_all(200);
	test_clock_pass(10*1000);
	assert_int_equal(endpoints(), 1);
	assert_int_equal(add_with_options("url=http://u:q@a/x", "alice"), 1);
}

/* Giving up and sending again */

static unsigned int resent_count, gone_count;
static char *resent_error;

static void resent(const char *error, bool gone, void *context ATTR_UNUSED)
{
	assert_null(error);
	if (gone)
		gone_count++;
	else
		resent_count++;
}

static void resend(const struct queue_read_result *result,
		   void *context ATTR_UNUSED)
{
	const char *error;
	unsigned int i;

	delivery_resend_begin(delivery);
	for (i = 0; i < result->count; i++) {
		if (delivery_resend(delivery, result->items[i], resend_to,
				    resent, NULL, &error) < 0) {
			i_free(resent_error);
			resent_error = i_strdup(error);
		}
	}
	delivery_resend_end(delivery);
}

/* Returns how many were. */
static unsigned int resend_all(void)
{
	resent_count = 0;
	i_free(resent_error);
	(void)queue_lost_read(queue, 0, 1000, resend, NULL);
	test_clock_turn();
	queue_flush(queue);
	return resent_count;
}

#define NO_RETRY "url=http://endpoint/ max_retries=0 max_age=1h"

/* Returns the seq of one that is given up. */
static uint64_t lose(const char *username)
{
	(void)add_with_options(NO_RETRY, username);
	test_clock_turn();
	assert_int_equal(under_way(), 1);
	answer(0, 503);
	queue_flush(queue);
	return last_seq;
}

/* The endpoint is up again. */
static void recover(void)
{
	(void)add_with_options(NO_RETRY, "carol");
	while (under_way() == 0)
		test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	answer(0, 200);
}

static uint64_t seq_under_way(unsigned int idx)
{
	const struct request *req;

	assert_true(idx < under_way());
	req = array_idx(&requests, idx);
	return req->seq;
}

static const char *label_under_way(unsigned int idx)
{
	const struct request *req;

	assert_true(idx < under_way());
	req = array_idx(&requests, idx);
	return req->label;
}

static void test_resent_is_sent_before_what_waits(void **state ATTR_UNUSED)
{
	uint64_t first = lose("alice"), second = lose("alice");

	recover();
	(void)add_with_options(NO_RETRY, "alice");
	(void)add_with_options(NO_RETRY, "alice");
	(void)add_with_options(NO_RETRY, "bob");
	test_clock_turn();
	assert_int_equal(under_way(), 2);
	assert_true(seq_under_way(0) == second + 2);
	assert_int_equal(resend_all(), 2);
	test_clock_pass(1000);
	/* what is under way comes first, and nothing else is sent then */
	assert_int_equal(under_way(), 2);
	answer(0, 200);
	test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	answer(0, 200);
	test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	assert_true(seq_under_way(0) == first);
	answer(0, 200);
	assert_true(seq_under_way(0) == second);
	answer(0, 200);
	assert_true(seq_under_way(0) == second + 3);
	answer(0, 200);
	assert_int_equal(under_way(), 0);
	test_clock_pass(1000);
	assert_int_equal(delivery_counters(delivery)->delivered, 6);
	/* and it goes on */
	(void)add_with_options(NO_RETRY, "alice");
	test_clock_turn();
	assert_int_equal(under_way(), 1);
	answer(0, 200);
}

static void test_resent_to_another_endpoint(void **state ATTR_UNUSED)
{
	uint64_t first = lose("alice"), second = lose("alice");
	struct queue_lost_stats stats;
	unsigned int number = 0;

	assert_true(add_to("http://corrected/", "alice"));
	test_clock_turn();
	while (delivery_next_endpoint(delivery, &number) != NULL)
		resend_to = number;
	assert_int_equal(under_way(), 1);
	/* by two admins at once, of whom one gets it done */
	gone_count = 0;
	(void)queue_lost_read(queue, 0, 1000, resend, NULL);
	assert_int_equal(resend_all(), 2);
	assert_int_equal(gone_count, 2);
	queue_lost_get_stats(queue, NULL, &stats);
	assert_int_equal(stats.rows[QUEUE_LOSS_DROPPED], 0);
	answer(0, 200);
	test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	assert_true(seq_under_way(0) == first);
	assert_string_equal(label_under_way(0), "corrected");
	answer(0, 200);
	test_clock_turn();
	assert_true(seq_under_way(0) == second);

	/* it is that one's from now on */
	close_all();
	open_all();
	test_clock_turn();
	assert_int_equal(under_way(), 1);
	assert_true(seq_under_way(0) == second);
	assert_string_equal(label_under_way(0), "corrected");
	answer(0, 404);

	resend_to = 1000;
	(void)lose("bob");
	assert_int_equal(resend_all(), 0);
	assert_string_equal(resent_error, "the endpoint has been forgotten");
}

static void test_resent_is_sent_after_a_restart(void **state ATTR_UNUSED)
{
	uint64_t first = lose("alice"), second = lose("alice");

	assert_int_equal(resend_all(), 2);
	close_all();
	open_all();
	assert_int_equal(under_way(), 1);
	assert_true(seq_under_way(0) == first);
	answer(0, 200);
	test_clock_turn();
	assert_true(seq_under_way(0) == second);
	answer(0, 200);
}

static void test_resent_counts_in_bytes(void **state ATTR_UNUSED)
{
	unsigned int percent;

	body = large_body();
	(void)lose("alice");
	(void)lose("bob");
	assert_true(queued_bytes(&percent) == 0);
	assert_int_equal(resend_all(), 2);
	test_clock_pass(1000);
	assert_true(queued_bytes(&percent) == 2 * BODY_SIZE);
	answer_all(200);
	assert_true(queued_bytes(&percent) == 0);

	reopen_with_max_bytes(1);
	body = "{}";
	(void)lose("alice");
	(void)add_with_options(NO_RETRY, "bob");
	assert_int_equal(resend_all(), 0);
	assert_non_null(strstr(resent_error, "full in bytes"));
}

static void test_resent_has_another_max_age(void **state ATTR_UNUSED)
{
	(void)lose("alice");
	test_clock_pass(2*3600*1000);
	assert_int_equal(resend_all(), 1);
	test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	/* and is kept again */
	answer(0, 503);
	queue_flush(queue);
	assert_int_equal(delivery_counters(delivery)->dropped, 2);
	assert_int_equal(resend_all(), 1);
	test_clock_pass(1000);
	answer(0, 200);
}

/* What comes behind expires before it. */
static void test_resent_does_not_keep_others_from_expiring(
	void **state ATTR_UNUSED)
{
	const char *options = "url=http://endpoint/ max_age=1h";
	unsigned int i;

	(void)add_with_options(options, "alice");
	test_clock_turn();
	for (i = 0; i < 100; i++) {
		if (under_way() > 0)
			answer(0, 0);
		test_clock_pass(60*1000);
	}
	assert_int_equal(delivery_counters(delivery)->expired, 1);

	(void)add_with_options(options, "alice");
	test_clock_pass(1800*1000);
	assert_int_equal(resend_all(), 1);
	while (under_way() > 0)
		answer(0, 0);
	for (i = 0; i < 40; i++) {
		test_clock_pass(60*1000);
		if (under_way() > 0)
			answer(0, 0);
	}
	assert_int_equal(delivery_counters(delivery)->expired, 2);
	for (i = 0; i < 40; i++) {
		test_clock_pass(60*1000);
		if (under_way() > 0)
			answer(0, 0);
	}
	assert_int_equal(delivery_counters(delivery)->expired, 3);
}

/* Though it is idle, and one of many. */
static void test_endpoint_of_what_is_kept_is_not_forgotten(
	void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 2000; i++) T_BEGIN {
		assert_true(add_to(url(i), "alice"));
		test_clock_turn();
		answer(0, 200);
	} T_END;
	(void)lose("alice");
	recover();
	test_clock_pass(200*1000);
	assert_int_equal(endpoints(), KEPT);
	assert_int_equal(resend_all(), 1);
	test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	answer(0, 200);
}

static void test_resent_counts_for_the_limit(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		(void)lose("alice");
	for (i = 0; i < QUEUE_LIMIT - 3; i++) T_BEGIN {
		(void)add_with_options(NO_RETRY, user(i));
	} T_END;
	test_clock_turn();
	/* known before they are found in the queue */
	assert_int_equal(resend_all(), 3);
	assert_false(add_with(t_strsplit(NO_RETRY, " "), "bob"));
	test_clock_pass(1000);
	assert_false(add_with(t_strsplit(NO_RETRY, " "), "bob"));
	(void)resend_all();
	assert_null(resent_error);
}

/* Looking on */

static string_t *happenings;

static void happened(struct live_watch *watch ATTR_UNUSED, enum live_what what,
		     const struct queue_item *item, const char *endpoint_label,
		     const char *detail)
{
	str_printfa(happenings, "%s %s %s%s\n", live_what_name(what),
		    item->username, endpoint_label,
		    strstr(detail, "test") != NULL ? " test" : "");
}

static void test_who_looks_on_sees_what_happens(void **state ATTR_UNUSED)
{
	struct live_watch watch = { .happened = happened };
	const char *words = "url=http://endpoint/ max_retries=1";

	happenings = str_new(default_pool, 256);
	(void)lose("alice");
	delivery_live_add(delivery, &watch);
	(void)add_with_options(words, "bob");
	test_clock_turn();
	answer(0, 200);
	(void)add_with_options(words, "carol");
	test_clock_turn();
	answer(0, 503);
	test_clock_pass(10*1000);
	answer(0, 503);
	assert_string_equal(str_c(happenings),
		"queued bob endpoint\n"
		"sent bob endpoint\n"
		"answered bob endpoint\n"
		"delivered bob endpoint\n"
		"queued carol endpoint\n"
		"sent carol endpoint\n"
		"answered carol endpoint test\n"
		"retried carol endpoint test\n"
		"sent carol endpoint\n"
		"answered carol endpoint test\n"
		"lost carol endpoint test\n");
	delivery_live_remove(delivery, &watch);
	(void)lose("alice");
	assert_null(strstr(str_c(happenings), "alice"));
	str_free(&happenings);
}

#define delivery_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		delivery_test(test_endpoints_are_apart),
		delivery_test(test_queue_limit),
		delivery_test(test_queue_limit_in_bytes),
		delivery_test(test_last_quarter_is_for_those_who_have_little),
		delivery_test(test_last_quarter_of_the_bytes_is_for_those_who_have_little),
		delivery_test(test_stopped_delivery_waits_for_answers),
		delivery_test(test_stopped_delivery_waits_for_no_probe),
		delivery_test(test_old_ones_make_room),
		delivery_test(test_idle_endpoints_are_kept),
		delivery_test(test_many_idle_endpoints_are_forgotten),
		delivery_test(test_what_makes_another_endpoint),
		delivery_test(test_twin_urls_with_and_without_standby),
		delivery_test(test_what_makes_no_other_endpoint),
		delivery_test(test_endpoints_of_former_versions),
		delivery_test(test_two_endpoints_of_one_key),
		delivery_test(test_resent_is_sent_before_what_waits),
		delivery_test(test_resent_to_another_endpoint),
		delivery_test(test_resent_is_sent_after_a_restart),
		delivery_test(test_resent_counts_in_bytes),
		delivery_test(test_resent_has_another_max_age),
		delivery_test(test_resent_does_not_keep_others_from_expiring),
		delivery_test(test_endpoint_of_what_is_kept_is_not_forgotten),
		delivery_test(test_resent_counts_for_the_limit),
		delivery_test(test_who_looks_on_sees_what_happens),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("delivery", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
