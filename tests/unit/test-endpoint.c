/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An endpoint with a real queue and, in place of the sender, an endpoint
   server whose answers each test chooses. */
#include "lib.h"
#include "array.h"
#include "str.h"
#include "unlink-directory.h"

#include "dovecot-compat.h"
#include "endpoint.h"
#include "endpoint-common.h"
#include "health.h"
#include "options.h"
#include "part.h"
#include "queue.h"
#include "sender.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test-clock.h"
#include "test-common.h"

#define FIRST_URL "http://first/"
#define STANDBY_URL "http://standby/"

/* What the endpoint has sent and waits for. */
struct request {
	char *url, *body;
	sender_callback_t *callback;
	void *context;
};

static const char *const one_url[] = {
	"url="FIRST_URL, NULL
};
static const char *const with_rate[] = {
	"url="FIRST_URL, "max_per_second=5", NULL
};
static const char *const with_standby[] = {
	"url="FIRST_URL, "standby_url="STANDBY_URL, NULL
};

static unsigned int seed;
static char *dir;
static struct queue *queue;
static char *commit_error;
static struct endpoint_common common;
static struct endpoint *ep;
static struct queue_endpoint *queue_ep;
static struct queue_part *queue_part;
static const char *const *ep_words;
static guid_128_t session;
static uint64_t last_seq;
/* of what is added */
static unsigned int max_age_secs;
static size_t lane_budget;

static ARRAY(struct request) requests;
/* bodies of the notifications that were taken, and what was logged */
static ARRAY(char *) taken;
static ARRAY(char *) errors;
static unsigned int max_under_way;
/* the service is not being stopped */
static bool run_when_committed;

/* The user that a body names. */
static const char *user_of(const char *body)
{
	return t_strcut(body, ':');
}

void sender_put(struct sender *sender ATTR_UNUSED,
		const struct sender_target *target,
		const char *body, const char *idempotency_key ATTR_UNUSED,
		sender_callback_t *callback, void *context)
{
	struct request *req;

	/* whatever else a test is about */
	array_foreach_modifiable(&requests, req)
		assert_string_not_equal(user_of(req->body), user_of(body));

	req = array_append_space(&requests);
	req->url = i_strdup(target->url);
	req->body = i_strdup(body);
	req->callback = callback;
	req->context = context;
	max_under_way = I_MAX(max_under_way, array_count(&requests));
}

static void request_free(struct request *req)
{
	i_free(req->url);
	i_free(req->body);
}

/* Answer a request that is under way. */
static void
answer_later(unsigned int idx, unsigned int status,
	     unsigned int retry_after_secs)
{
	const struct answer answer = {
		.status = status, .reason = "test",
		.retry_after_secs = retry_after_secs,
	};
	struct request req = *array_idx(&requests, idx);

	array_delete(&requests, idx, 1);
	if (status / 100 == 2) {
		char *body = i_strdup(req.body);
		array_push_back(&taken, &body);
	}
	T_BEGIN {
		req.callback(&answer, req.context);
	} T_END;
	request_free(&req);
}

static void answer(unsigned int idx, unsigned int status)
{
	answer_later(idx, status, 0);
}

static unsigned int under_way(void)
{
	return array_count(&requests);
}

static const struct request *request(unsigned int idx)
{
	assert_true(idx < under_way());
	return array_idx(&requests, idx);
}

static const char *body_under_way(unsigned int idx)
{
	return request(idx)->body;
}

static const char *url_under_way(unsigned int idx)
{
	return request(idx)->url;
}

/* Bodies, separated by blanks. */
static const char *taken_to_str(void)
{
	string_t *str = t_str_new(128);
	char *body;

	array_foreach_elem(&taken, body)
		str_printfa(str, "%s%s", str_len(str) == 0 ? "" : " ", body);
	return str_c(str);
}

static void committed(const char *error, void *context ATTR_UNUSED)
{
	i_free(commit_error);
	commit_error = i_strdup(error);
	if (run_when_committed)
		endpoint_run(ep);
}

static void stored(struct queue_item *item, const char *error,
		   void *context ATTR_UNUSED)
{
	assert_non_null(item);
	if (error == NULL)
		part_stored(queue_part_get_context(item->part), item);
}

static void
add_body(const char *username, unsigned int number, const char *body)
{
	struct queue_item item = {
		.endpoint = queue_ep, .seq = last_seq + 1, .username = username,
		.folder = "INBOX", .uid = number, .body = body,
		.created = queue_now(queue),
		.expires = queue_now(queue) + max_age_secs,
	};

	guid_128_copy(item.session, session);
	last_seq++;
	assert_true(queue_add(queue, &item, stored, NULL));
}

/* The body names the user and a number. */
static void add(const char *username, unsigned int number)
{
	add_body(username, number, t_strdup_printf("%s:%u", username, number));
}

static void store(void)
{
	test_clock_turn();
	assert_null(commit_error);
	/* what had no room is read */
	test_clock_turn();
}

static void add_stored(const char *username, unsigned int number)
{
	add(username, number);
	store();
}

static const char *user(unsigned int i)
{
	return t_strdup_printf("user%u", i);
}

static void have_endpoint(struct queue_endpoint *queue_endpoint,
			  const char *options ATTR_UNUSED,
			  void *context ATTR_UNUSED)
{
	assert_ptr_equal(queue_endpoint, queue_ep);
}

static void claimed(struct queue_part *part, void *context ATTR_UNUSED)
{
	queue_part = part;
	part_claimed(ep, part);
}

static void claim(void)
{
	static const struct queue_part_vfuncs vfuncs = {
		.endpoint = have_endpoint, .claimed = claimed
	};

	queue_claim(queue, &vfuncs, NULL);
}

static void ep_open(void)
{
	const struct queue_settings set = { .directory = dir };
	struct http_notify_options options;
	const char *error;

	if (queue_init(&queue_engine_sqlite, &set, &queue, &error) < 0 ||
	    http_notify_options_parse(ep_words, pool_datastack_create(),
				      &options, &error) < 0)
		fail_msg("%s", error);
	queue_ep = queue_endpoint_set(queue, "key", "options");
	i_zero(&common);
	common.queue = queue;
	common.event = event_create(NULL);
	common.lane_budget.max = lane_budget;
	common.requests.max = 1000;
	ep = endpoint_init(&common, queue_ep, &options);
	claim();
	run_when_committed = TRUE;
	queue_set_committed_callback(queue, committed, NULL);
}

static void ep_close(void)
{
	struct request *req;

	run_when_committed = FALSE;
	queue_flush(queue);
	endpoint_deinit(&ep);
	queue_deinit(&queue);
	assert_int_equal(common.lane_budget.used, 0);
	event_unref(&common.event);
	array_foreach_modifiable(&requests, req)
		request_free(req);
	array_clear(&requests);
}

/* The service is restarted; what was under way goes again. */
static void restart(void)
{
	ep_close();
	ep_open();
	/* what is there is found, and read */
	test_clock_turn();
	test_clock_turn();
}

/* Begin anew with these options, and with nothing in the queue. */
static void configure(const char *const *words)
{
	ep_words = words;
	restart();
}

/* By another process, which waits for the queue's transaction. */
static void exec(const char *sql)
{
	unsigned int turns = 0;
	sqlite3 *db;
	int ret;

	assert_int_equal(sqlite3_open(t_strconcat(dir, "/queue.sqlite", NULL),
				      &db), SQLITE_OK);
	while ((ret = sqlite3_exec(db, sql, NULL, NULL, NULL)) == SQLITE_BUSY &&
	       turns++ < 100)
		test_clock_turn();
	if (ret != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A statement that fails, as by an error of the disk. */

static void make_fail(const char *what)
{
	exec(t_strdup_printf("CREATE TRIGGER failure BEFORE %s ON notification "
		"BEGIN SELECT RAISE(ABORT, 'made to fail'); END", what));
}

static void stop_failing(void)
{
	exec("DROP TRIGGER failure");
}

static void ATTR_FORMAT(2, 0)
log_error(const struct failure_context *ctx ATTR_UNUSED,
	  const char *format, va_list args)
{
	char *error = i_strdup_vprintf(format, args);

	array_push_back(&errors, &error);
}

static void quiet(const struct failure_context *ctx ATTR_UNUSED,
		  const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
}

/* How often the log has this. */
static unsigned int logged(const char *text)
{
	unsigned int count = 0;
	char *error;

	array_foreach_elem(&errors, error) {
		if (strstr(error, text) != NULL)
			count++;
	}
	return count;
}

static int setup(void **state ATTR_UNUSED)
{
	const char *tmp = getenv("TMPDIR");

	dir = i_strconcat(tmp == NULL ? "/tmp" : tmp, "/test-endpoint.XXXXXX",
			  NULL);
	if (mkdtemp(dir) == NULL)
		return -1;
	i_array_init(&requests, 64);
	i_array_init(&taken, 64);
	i_array_init(&errors, 64);
	/* outages are not to be seen */
	i_set_error_handler(log_error);
	i_set_info_handler(quiet);
	test_clock_init(seed);
	max_under_way = 0;
	guid_128_generate(session);
	last_seq = 0;
	max_age_secs = 3600;
	lane_budget = 1024*1024;
	ep_words = one_url;
	ep_open();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;
	char *str;

	ep_close();
	test_clock_deinit();
	i_set_error_handler(default_error_handler);
	i_set_info_handler(default_error_handler);
	array_foreach_elem(&taken, str)
		i_free(str);
	array_free(&taken);
	array_foreach_elem(&errors, str)
		i_free(str);
	array_free(&errors);
	array_free(&requests);
	i_free(commit_error);
	if (unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR, &error) < 0)
		i_fatal("%s", error);
	i_free(dir);
	return 0;
}

static void answer_all(void)
{
	unsigned int i;

	/* an endpoint may leave something for its next turn */
	for (i = 0; i < 1000 && !endpoint_is_idle(ep); i++) {
		while (under_way() > 0)
			answer(0, 200);
		test_clock_turn();
	}
	assert_true(endpoint_is_idle(ep));
}

static void test_ramp_begins_small(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 1000; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	assert_int_equal(under_way(), HEALTH_WINDOW_MIN);
	answer(0, 200);
	assert_int_equal(under_way(), HEALTH_WINDOW_MIN + 1);
	answer_all();
	assert_int_equal(max_under_way, HEALTH_WINDOW_MAX);
}

static void test_one_user_has_one_under_way(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		add("alice", i);
	store();
	for (i = 0; i < 10; i++) {
		assert_int_equal(under_way(), 1);
		assert_string_equal(body_under_way(0),
				    t_strdup_printf("alice:%u", i));
		answer(0, 200);
	}
	assert_int_equal(under_way(), 0);
	assert_int_equal(common.queued, 0);
}

/* However much others have. */
static void test_fresh_one_does_not_wait_for_a_backlog(void **state ATTR_UNUSED)
{
	unsigned int i, sent;

	for (i = 0; i < 20000; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	for (i = 0; i < 2000; i++) {
		answer(0, 200);
		if (i % 50 == 0)
			test_clock_turn();
	}
	add("fresh", 0);
	store();
	for (sent = 0; sent < 1000; sent++) {
		if (strcmp(body_under_way(0), "fresh:0") == 0)
			break;
		answer(0, 200);
	}
	assert_true(sent < 1000);

	/* but a user who is in the backlog waits for it */
	add("user19999", 1);
	store();
	while (strcmp(body_under_way(0), "user19999:1") != 0) {
		answer(0, 200);
		if (under_way() == 0)
			test_clock_turn();
	}
	assert_true(array_count(&taken) > 20000);
}

/* What came while it was down is sent before what comes every moment. */
static void test_backlog_is_not_starved(void **state ATTR_UNUSED)
{
	bool last_old_taken = FALSE;
	unsigned int i;

	for (i = 0; i < 5000; i++) T_BEGIN {
		add(t_strdup_printf("old%u", i), 0);
	} T_END;
	store();
	for (i = 0; i < 20000 && !last_old_taken; i++) T_BEGIN {
		/* as many new ones as it takes */
		add(t_strdup_printf("new%u", i), 0);
		store();
		answer(0, 200);
		if (str_begins_with(*array_idx(&taken, array_count(&taken) - 1),
			       "old4999:"))
			last_old_taken = TRUE;
	} T_END;
	assert_true(last_old_taken);
}

/* Standby */

static void test_standby_is_taken_while_first_is_down(void **state ATTR_UNUSED)
{
	configure(with_standby);
	add("alice", 0);
	add("alice", 1);
	store();
	assert_string_equal(url_under_way(0), FIRST_URL);
	answer(0, 0);
	assert_string_equal(url_under_way(0), STANDBY_URL);
	assert_string_equal(body_under_way(0), "alice:0");
	answer(0, 200);
	assert_string_equal(url_under_way(0), STANDBY_URL);
	assert_string_equal(body_under_way(0), "alice:1");
	answer(0, 200);
	assert_int_equal(logged("is down"), 1);
}

static void test_standby_is_left_after_one_good_probe(void **state ATTR_UNUSED)
{
	unsigned int i;

	configure(with_standby);
	add_stored("alice", 0);
	answer(0, 0);
	answer(0, 200);
	test_clock_pass(2000);
	for (i = 0; i < 4; i++)
		add(user(i), 0);
	store();
	/* one probe, the others do not wait for it */
	assert_int_equal(under_way(), 4);
	assert_string_equal(url_under_way(0), FIRST_URL);
	for (i = 1; i < 4; i++)
		assert_string_equal(url_under_way(i), STANDBY_URL);
	/* a user's next one waits for the one that is under way elsewhere */
	add("user1", 1);
	answer(0, 200);
	store();
	assert_int_equal(under_way(), 3);
	answer(0, 200);
	assert_string_equal(body_under_way(2), "user1:1");
	assert_string_equal(url_under_way(2), FIRST_URL);
	answer_all();
	assert_int_equal(logged(""), 1);
}

/* Then both are probed, and the first to answer is used. */
static void test_both_may_be_down(void **state ATTR_UNUSED)
{
	unsigned int i;

	configure(with_standby);
	add_stored("alice", 0);
	answer(0, 0);
	answer(0, 0);
	assert_int_equal(under_way(), 0);
	assert_int_equal(logged("first is down"), 1);
	assert_int_equal(logged("standby is down"), 1);
	for (i = 0; i < 20; i++) {
		test_clock_pass(60*1000);
		while (under_way() > 0)
			answer(0, 0);
	}
	assert_int_equal(logged(""), 2);
	test_clock_pass(60*1000);
	assert_int_equal(under_way(), 1);
	answer(0, 200);
	/* whichever it was */
	test_clock_pass(60*1000);
	add_stored("alice", 1);
	answer_all();
	assert_int_equal(logged(""), 2);
}

/* It is not asked how it is as long as it is not needed, and there is nothing
   to remember the endpoint for. */
static void test_standby_that_is_down_is_idle(void **state ATTR_UNUSED)
{
	configure(with_standby);
	add_stored("alice", 0);
	answer(0, 0);
	answer(0, 0);
	assert_false(endpoint_is_idle(ep));
	/* jitter decides which one is probed before the other */
	while (under_way() == 0)
		test_clock_pass(10);
	if (strcmp(url_under_way(0), STANDBY_URL) == 0)
		answer(0, 0);
	while (under_way() == 0)
		test_clock_pass(10);
	assert_string_equal(url_under_way(0), FIRST_URL);
	answer(0, 200);
	assert_true(endpoint_is_idle(ep));
}

/* What failed before a restart says nothing about the endpoint now. */
static void test_standby_is_taken_after_a_restart(void **state ATTR_UNUSED)
{
	configure(with_standby);
	add_stored("alice", 0);
	answer(0, 0);
	answer(0, 0);
	restart();
	assert_string_equal(url_under_way(0), FIRST_URL);
	answer(0, 0);
	assert_string_equal(url_under_way(0), STANDBY_URL);
	answer(0, 200);
	assert_string_equal(taken_to_str(), "alice:0");
}

static void test_outage_is_seen_after_a_restart(void **state ATTR_UNUSED)
{
	add_stored("alice", 0);
	answer(0, 0);
	restart();
	answer(0, 0);
	assert_int_equal(logged("is down"), 2);
}

/* Age */

static void expire(void)
{
	unsigned int i;

	endpoint_sweep(ep);
	/* batches are read one after the other */
	for (i = 0; i < 100; i++)
		test_clock_turn();
}

static void
test_old_ones_are_given_up_wherever_they_are(void **state ATTR_UNUSED)
{
	unsigned int i;

	/* alice's is under way, and bob's waits for its next attempt */
	add("alice", 0);
	add("alice", 1);
	add("bob", 0);
	add("bob", 1);
	for (i = 0; i < 3; i++)
		add(user(i), 0);
	store();
	answer(1, 503);
	/* what is backlog */
	answer(1, 0);
	for (i = 0; i < 500; i++) T_BEGIN {
		add(user(i), 1);
	} T_END;
	store();

	test_clock_pass(max_age_secs * 1000);
	assert_string_equal(body_under_way(0), "alice:0");
	add_stored("carol", 0);
	expire();
	assert_int_equal(common.queued, under_way() + 1);
	while (under_way() > 0)
		answer(0, 0);
	test_clock_pass(120*1000);
	assert_string_equal(body_under_way(0), "carol:0");
	answer(0, 200);
	assert_string_equal(taken_to_str(), "carol:0");
	assert_int_equal(common.queued, 0);
	assert_int_equal(logged("Notification lost"), 2 + 2 + 3 + 500);
	assert_int_equal(logged("Notification lost: user=alice folder=INBOX "
				"uid=1 event= endpoint=first: "
				"max_age reached"), 1);
}

/* What is under way may still be taken. */
static void test_one_under_way_is_not_given_up(void **state ATTR_UNUSED)
{
	add_stored("alice", 0);
	test_clock_pass(max_age_secs * 1000);
	expire();
	assert_int_equal(logged(""), 0);
	answer(0, 200);
	assert_string_equal(taken_to_str(), "alice:0");
	assert_true(endpoint_is_idle(ep));
}

/* The backlog goes on behind what is given up, though that is still there. */
static void
test_backlog_is_read_while_removals_fail(void **state ATTR_UNUSED)
{
	unsigned int i;

	max_age_secs = 10;
	add_stored("alice", 0);
	/* so the backlog is not read either */
	answer(0, 401);
	add_stored("carol", 0);
	answer(0, 401);
	max_age_secs = 20;
	for (i = 0; i < 64; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	max_age_secs = 3600;
	add("bob", 0);
	store();
	test_clock_pass(10*1000);
	expire();
	test_clock_turn();
	assert_int_equal(common.queued, 65);
	make_fail("DELETE");
	test_clock_pass(10*1000);
	expire();
	assert_int_equal(common.queued, 1);
	test_clock_pass(40*1000);
	assert_string_equal(body_under_way(0), "bob:0");
	answer(0, 200);
	test_clock_turn();
	stop_failing();
	test_clock_pass(2000);
	assert_true(endpoint_is_idle(ep));
}

/* Failures */

/* Others are taken every second while alice's makes an error each time. */
static unsigned int poison(unsigned int status, unsigned int secs)
{
	unsigned int i, attempts = 0;

	add("alice", 0);
	add_stored("alice", 1);
	for (i = 0; i < secs; i++) T_BEGIN {
		add_stored(user(i), 0);
		while (under_way() > 0) {
			if (strcmp(body_under_way(0), "alice:0") == 0) {
				attempts++;
				answer(0, status);
			} else
				answer(0, 200);
		}
		test_clock_pass(1000);
	} T_END;
	/* those of others, and her next one, which does not wait forever */
	assert_int_equal(array_count(&taken), secs + 1);
	return attempts;
}

static void test_poison_is_given_up(void **state ATTR_UNUSED)
{
	assert_uint_in_range(poison(500, 500), 6, 7);
	assert_int_equal(logged("Notification lost: user=alice folder=INBOX "
				"uid=0 event= endpoint=first: failed 6 times "
				"while the endpoint accepted others: test"),
			 1);
	assert_int_equal(common.queued, 0);
}

static void test_poison_without_an_answer_is_given_up(void **state ATTR_UNUSED)
{
	assert_uint_in_range(poison(0, 500), 6, 8);
	assert_int_equal(logged("Notification lost"), 1);
}

/* Those that say that something else is wrong. */
static void test_not_now_is_no_poison(void **state ATTR_UNUSED)
{
	(void)poison(429, 1000);
	assert_int_equal(logged("Notification lost"), 0);
}

/* It is only she whom the endpoint does not know. */
static void test_misconfigured_for_one_is_given_up(void **state ATTR_UNUSED)
{
	assert_uint_in_range(poison(404, 500), 6, 8);
	assert_int_equal(logged("Notification lost"), 1);
}

static void test_refused_is_given_up(void **state ATTR_UNUSED)
{
	assert_uint_in_range(poison(400, 500), 3, 4);
	assert_int_equal(logged("Notification lost: user=alice folder=INBOX "
				"uid=0 event= endpoint=first: refused: test"),
			 1);
}

/* As by a proxy that is not set up yet. */
static void test_refused_by_all_is_kept(void **state ATTR_UNUSED)
{
	unsigned int i, n;

	for (i = 0; i < 100; i++)
		add_stored(user(i % 10), i);
	for (i = 0; i < 600; i++) {
		for (n = under_way(); n > 0; n--)
			answer(0, 400);
		test_clock_pass(1000);
	}
	assert_int_equal(logged("rejects all notifications"), 1);
	assert_int_equal(logged(""), 1);
	test_clock_pass(60*1000);
	answer_all();
	assert_int_equal(array_count(&taken), 100);
	assert_int_equal(logged(""), 1);
}

/* That of a user who is alone on the endpoint, so that nobody else shows that
   it is not the endpoint's fault. */
static void
test_poison_of_a_user_alone_lets_others_pass(void **state ATTR_UNUSED)
{
	unsigned int i;

	add("alice", 0);
	add_stored("alice", 1);
	for (i = 0; i < HEALTH_MAX_FAILURES; i++) {
		assert_string_equal(body_under_way(0), "alice:0");
		answer(0, 500);
		test_clock_pass(i + 1 < HEALTH_MAX_FAILURES ? 151*1000 : 0);
	}
	assert_string_equal(body_under_way(0), "alice:1");
	answer(0, 200);
	/* now it is known, and the next ones are sent at once */
	for (i = 2; i < 20; i++) {
		while (under_way() > 0) {
			assert_string_equal(body_under_way(0), "alice:0");
			answer(0, 500);
		}
		add_stored("alice", i);
		assert_string_equal(body_under_way(0),
				    t_strdup_printf("alice:%u", i));
		answer(0, 200);
		test_clock_pass(151*1000);
	}
	assert_int_equal(logged("uid=0 event= endpoint=first: failed 6 times"),
			 1);
	assert_int_equal(array_count(&taken), 19);
	assert_int_equal(common.queued, 0);
}

/* If the next one fails as well, it is the endpoint, and order holds. */
static void test_outage_for_a_user_alone_keeps_order(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		add("alice", i);
	store();
	for (i = 0; i < 100; i++) {
		while (under_way() > 0)
			answer(0, 500);
		test_clock_pass(20*1000);
	}
	test_clock_pass(60*1000);
	answer_all();
	assert_string_equal(taken_to_str(), "alice:0 alice:1 alice:2 alice:3");
	assert_int_equal(logged(""), 1);
}

/* As if three of four servers behind a balancer fail. */
static void test_brown_out_costs_nothing(void **state ATTR_UNUSED)
{
	unsigned int i;

	max_age_secs = 24*60*60;
	for (i = 0; i < 3600; i++) T_BEGIN {
		if (i < 1800)
			add_stored(user(i), 0);
		while (under_way() > 0)
			answer(0, i_rand_limit(4) > 0 ? 503 : 200);
		test_clock_pass(1000);
	} T_END;
	for (i = 0; i < 3600 && common.queued > 0; i++) {
		while (under_way() > 0)
			answer(0, 200);
		test_clock_pass(1000);
	}
	assert_int_equal(logged("Notification lost"), 0);
	assert_int_equal(array_count(&taken), 1800);
}

static void test_max_retries(void **state ATTR_UNUSED)
{
	static const char *const words[] = {
		"url="FIRST_URL, "max_retries=2", NULL
	};

	configure(words);
	add("alice", 0);
	add_stored("alice", 1);
	answer(0, 500);
	test_clock_pass(2000);
	answer(0, 0);
	/* which a restart does not change */
	restart();
	assert_string_equal(body_under_way(0), "alice:0");
	answer(0, 500);
	assert_string_equal(body_under_way(0), "alice:1");
	assert_int_equal(logged("max_retries=2 reached: test"), 1);
}

/* Not even what is taken of those that were under way when it asked for that
   changes it. */
static void test_retry_after_is_waited_for(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < 200; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	for (i = 0; i < 20; i++)
		answer(0, 200);
	assert_int_equal(under_way(), 24);
	/* one might be asked alone, but two are not */
	answer_later(0, 429, 60);
	assert_int_equal(under_way(), 24);
	answer_later(0, 429, 60);
	for (i = 23; i > 0; i--) {
		assert_int_equal(under_way(), i);
		if (i % 3 == 0)
			answer_later(0, 429, 60);
		else
			answer(0, 200);
	}
	test_clock_pass(59*1000);
	assert_int_equal(under_way(), 0);
	test_clock_pass(1000);
	assert_int_equal(under_way(), 1);
	assert_int_equal(logged("is down"), 1);
	answer_all();
	assert_int_equal(array_count(&taken), 200);
}

/* While others are taken, a user who gets too many is asked alone. */
static void test_retry_after_of_one_holds_for_it(void **state ATTR_UNUSED)
{
	unsigned int i;

	add_stored("alice", 0);
	add_stored("bob", 0);
	answer(1, 200);
	answer_later(0, 429, 60);
	for (i = 0; i < 50; i++) T_BEGIN {
		add_stored(user(i), 0);
		assert_string_equal(body_under_way(0),
				    t_strdup_printf("user%u:0", i));
		answer(0, 200);
		test_clock_pass(1000);
		assert_int_equal(under_way(), 0);
	} T_END;
	test_clock_pass(10*1000);
	assert_string_equal(body_under_way(0), "alice:0");
	answer(0, 200);
	assert_int_equal(logged(""), 0);
}

/* Whom it asks if it is only one nobody knows: another one tells. */
static void test_retry_after_is_for_others_to_confirm(void **state ATTR_UNUSED)
{
	add_stored("alice", 0);
	answer_later(0, 429, 60);
	add_stored("bob", 0);
	assert_string_equal(body_under_way(0), "bob:0");
	answer_later(0, 429, 60);
	add_stored("carol", 0);
	test_clock_pass(59*1000);
	assert_int_equal(under_way(), 0);
	test_clock_pass(1000);
	answer_all();
	assert_int_equal(array_count(&taken), 3);
}

/* The queue can't be read for a moment, and there is no memory to carry what is
   behind the one under way. */
static void
test_unreadable_notification_is_not_forgotten(void **state ATTR_UNUSED)
{
	common.lane_budget.max = 0;
	add("alice", 0);
	add_stored("alice", 1);
	exec("ALTER TABLE notification RENAME TO aside");
	answer(0, 200);
	test_clock_pass(10*1000);
	assert_int_equal(under_way(), 0);
	assert_int_equal(logged("Queue can't be read: "), 1);
	exec("ALTER TABLE aside RENAME TO notification");
	test_clock_pass(2000);
	assert_string_equal(body_under_way(0), "alice:1");
	answer(0, 200);
	assert_int_equal(common.queued, 0);
}

/* A request with the wrong ones may be under way at that time. */
static void test_mended_options_are_tried_at_once(void **state ATTR_UNUSED)
{
	static const char *const words[] = { "url=http://127.0.0.1/", NULL };
	struct http_notify_options options;
	const char *error;

	add_stored("alice", 0);
	assert_int_equal(http_notify_options_parse(words,
		pool_datastack_create(), &options, &error), 0);
	endpoint_set_options(ep, &options);
	answer(0, 401);
	assert_int_equal(under_way(), 1);
	/* once */
	answer(0, 401);
	assert_int_equal(under_way(), 0);
	endpoint_set_options(ep, &options);
	endpoint_run(ep);
	assert_int_equal(under_way(), 1);
	answer(0, 200);
}

/* Nobody knows whose fault it is: the endpoint is down, also for its standby to
   be used, but a new one does not wait for that to end. */
static void
test_one_that_fails_does_not_hold_up_others(void **state ATTR_UNUSED)
{
	unsigned int i;

	add_stored("alice", 0);
	for (i = 0; i < 20; i++) {
		answer(0, 500);
		test_clock_pass(151*1000);
		assert_int_equal(under_way(), 1);
	}
	answer(0, 500);
	assert_int_equal(logged("is down"), 1);
	add_stored("bob", 0);
	assert_string_equal(body_under_way(0), "bob:0");
	answer(0, 200);
	/* which also ends alice's wait */
	assert_string_equal(body_under_way(0), "alice:0");
}

/* It may be that only some are not taken; what has not been tried tells, though
   it has to be read first. */
static void test_probe_is_one_that_has_not_failed(void **state ATTR_UNUSED)
{
	add_stored("alice", 0);
	answer(0, 0);
	add_stored("bob", 0);
	assert_int_equal(under_way(), 0);
	test_clock_pass(60*1000);
	assert_int_equal(under_way(), 1);
	assert_string_equal(body_under_way(0), "bob:0");
	answer(0, 200);
	assert_string_equal(body_under_way(0), "alice:0");
}

/* Nor do many that fail hide it. */
static void test_probe_is_found_behind_many_that_fail(void **state ATTR_UNUSED)
{
	unsigned int i;

	add_stored("alice", 0);
	answer(0, 0);
	for (i = 0; i < 50; i++) {
		add_stored(t_strdup_printf("user%u", i), 0);
		test_clock_pass(60*1000);
		assert_string_equal(body_under_way(0),
				    t_strdup_printf("user%u:0", i));
		answer(0, 403);
	}
}

/* What a long outage leaves in memory is bounded: beyond the budget, a probe
   makes do with one that has failed. */
static void test_probes_of_an_outage_stay_within_budget(void **state ATTR_UNUSED)
{
	unsigned int i;

	common.lane_budget.max = 2000;
	add_stored("alice", 0);
	answer(0, 0);
	for (i = 0; i < 200; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	for (i = 0; i < 40; i++) T_BEGIN {
		test_clock_pass(60*1000);
		answer(0, 0);
		assert_uint_in_range(common.lane_budget.used, 1, 3000);
	} T_END;
	test_clock_pass(60*1000);
	answer_all();
	assert_int_equal(array_count(&taken), 201);
}

#define LARGE_SIZE (1024*1024)
#define LARGE_BUDGET (4 * LARGE_SIZE)

static void add_large(const char *username)
{
	char *body = t_malloc0(LARGE_SIZE + 1);

	memset(body, 'x', LARGE_SIZE);
	memcpy(body, t_strconcat(username, ":", NULL), strlen(username) + 1);
	add_body(username, 0, body);
}

/* Beyond the budget there may be one whose turn it is, and one that comes from
   the queue. */
static void check_large_ones_are_within_budget(void)
{
	assert_true(common.lane_budget.used <= LARGE_BUDGET + 2 * LARGE_SIZE);
	assert_uint_in_range(under_way(), 0, 6);
}

static void test_large_ones_stay_within_budget(void **state ATTR_UNUSED)
{
	unsigned int i;

	lane_budget = LARGE_BUDGET;
	restart();
	for (i = 0; i < 60; i++) T_BEGIN {
		add_large(user(i % 50));
		store();
		check_large_ones_are_within_budget();
		if (under_way() > 1)
			answer(0, 200);
	} T_END;
	/* after an outage, and after a restart of the service */
	for (i = 0; i < 8; i++) {
		while (under_way() > 0) {
			answer(0, i < 4 ? 0 : 503);
			check_large_ones_are_within_budget();
		}
		test_clock_pass(60*1000);
		check_large_ones_are_within_budget();
		if (i % 4 == 3)
			restart();
	}
	for (i = 0; i < 1000 && !endpoint_is_idle(ep); i++) {
		check_large_ones_are_within_budget();
		if (under_way() > 0)
			answer(0, 200);
		else
			test_clock_pass(60*1000);
		test_clock_turn();
	}
	assert_int_equal(array_count(&taken), 60);
}

/* They may take all of the budget; small ones go on beside them. */
static void test_small_ones_pass_large_ones(void **state ATTR_UNUSED)
{
	unsigned int i, before;

	lane_budget = LARGE_BUDGET;
	restart();
	for (i = 0; i < 20; i++) T_BEGIN {
		add_large(user(i));
		store();
	} T_END;
	before = under_way();
	add_stored("alice", 0);
	assert_int_equal(under_way(), before + 1);
	assert_string_equal(body_under_way(before), "alice:0");
	answer_all();
	assert_int_equal(array_count(&taken), 21);
}

/* Whatever it waits for. */
static void test_waiting_costs_nothing(void **state ATTR_UNUSED)
{
	unsigned int i, calls;

	configure(with_standby);
	for (i = 0; i < 1000; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	/* requests that hang: first those to the one, then to the other */
	for (i = 0; i < 3; i++) {
		calls = test_clock_get_calls();
		test_clock_pass(600*1000);
		/* but the queue's own, once a minute, with its commit and the
		   look at its file */
		assert_uint_in_range(test_clock_get_calls() - calls, 0,
				     3 + 3 * 10);
		assert_true(under_way() > 0);
		answer(0, 0);
		if (i == 1) {
			while (under_way() > 0)
				answer(0, 0);
			test_clock_pass(60*1000);
		}
	}
}

static void test_rate_is_kept(void **state ATTR_UNUSED)
{
	unsigned int i, before, calls;

	configure(with_rate);
	for (i = 0; i < 100; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	calls = test_clock_get_calls();
	for (i = 0; i < 2000; i++) {
		before = array_count(&taken);
		while (under_way() > 0)
			answer(0, 200);
		assert_true(array_count(&taken) <= before + 1);
		assert_true(array_count(&taken) <= 5 * (i / 100 + 1));
		test_clock_pass(10);
	}
	assert_int_equal(array_count(&taken), 100);
	/* the clock is not asked again and again */
	assert_uint_in_range(test_clock_get_calls() - calls, 0, 100 * 6);
	assert_int_equal(common.requests.users, 0);
}

/* Neither probes nor a budget that waits change anything. */
static void test_rate_of_one_that_is_down(void **state ATTR_UNUSED)
{
	unsigned int i, calls, attempts = 0;

	configure(with_rate);
	common.requests.max = 2;
	for (i = 0; i < 100; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	calls = test_clock_get_calls();
	for (i = 0; i < 1000; i++) {
		while (under_way() > 0) {
			answer(0, 0);
			attempts++;
		}
		test_clock_pass(10);
	}
	assert_uint_in_range(attempts, 3, 15);
	assert_uint_in_range(test_clock_get_calls() - calls, 0, 200);
	/* up again */
	for (i = 0; i < 10000 && common.queued > 0; i++) {
		while (under_way() > 0)
			answer(0, 200);
		test_clock_pass(10);
	}
	assert_int_equal(array_count(&taken), 100);
}

/* An endpoint that takes a few at a time gets a few at a time: it is not for
   the notifications to be given up. */
static void test_overloaded_endpoint_gets_fewer(void **state ATTR_UNUSED)
{
	const unsigned int capacity = 8, users = 5000;
	unsigned int i, ticks, refused = 0;

	max_age_secs = 24*60*60;
	for (i = 0; i < users; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	for (ticks = 0; common.queued > 0 && ticks < 100000; ticks++) {
		unsigned int count = under_way();

		for (i = 0; i < count; i++) {
			if (i >= capacity)
				refused++;
			answer(0, i < capacity ? 200 : 503);
		}
		test_clock_pass(20);
	}
	assert_int_equal(logged("Notification lost"), 0);
	assert_int_equal(array_count(&taken), users);
	assert_true(refused < users);
}

static void test_dead_endpoint_is_not_hammered(void **state ATTR_UNUSED)
{
	unsigned int i, attempts = 0;

	max_age_secs = 24*60*60;
	for (i = 0; i < 1000; i++) T_BEGIN {
		add(user(i), 0);
	} T_END;
	store();
	for (i = 0; i < 3600; i++) T_BEGIN {
		while (under_way() > 0) {
			answer(0, 0);
			attempts++;
		}
		test_clock_pass(1000);
	} T_END;
	assert_uint_in_range(attempts, 60, 120);
	assert_int_equal(logged(""), 1);
	assert_int_equal(common.queued, 1000);
	test_clock_pass(60*1000);
	answer_all();
	assert_int_equal(array_count(&taken), 1000);
}

/* Any order of events: nothing is lost without a line in the log, sent twice or
   out of order. */

#define WALK_USERS 50
#define WALK_ROUNDS 3000

enum fate {
	/* what becomes of the transaction is not known yet */
	FATE_ADDED,
	FATE_ROLLED_BACK,
	FATE_QUEUED,
	FATE_TAKEN,
	FATE_LOST,
	/* taken or lost, which a restart has not seen */
	FATE_AGAIN,

	FATE_COUNT
};

static struct walk_user {
	ARRAY(enum fate) fates;
	/* attempts that have failed */
	ARRAY(unsigned int) failed;
	/* the latest one that was taken; -1 = none */
	int last;
} walk_users[WALK_USERS];

static struct {
	/* how many of taken and errors have been looked at */
	unsigned int taken, errors;
	/* what fails, NULL = nothing */
	const char *failing;
	/* what either server answers */
	unsigned int status[2], retry_after_secs;
} walk;

/* The notification that was taken or lost. Returns FALSE if it is something
   else that was logged. */
static bool walk_parse(const char *str, unsigned int *idx_r,
		       unsigned int *number_r)
{
	if (sscanf(str, "user%u:%u", idx_r, number_r) != 2 &&
	    sscanf(str, "Notification lost: user=user%u folder=INBOX uid=%u",
		   idx_r, number_r) != 2)
		return FALSE;
	assert_true(*idx_r < WALK_USERS);
	return TRUE;
}

static void walk_became(const char *str, enum fate fate)
{
	unsigned int idx, number;
	struct walk_user *u;
	enum fate *old;

	if (!walk_parse(str, &idx, &number))
		return;
	u = &walk_users[idx];
	assert_true(number < array_count(&u->fates));
	old = array_idx_modifiable(&u->fates, number);
	if (*old != FATE_QUEUED && *old != FATE_AGAIN)
		fail_msg("%s: becomes %d, was %d", str, fate, *old);
	*old = fate;
	if (fate == FATE_TAKEN) {
		/* others pass one that has failed for long enough */
		if ((int)number <= u->last &&
		    *array_idx_get_space(&u->failed, number) < 4)
			fail_msg("%s: is behind %d", str, u->last);
		u->last = I_MAX(u->last, (int)number);
	}
}

/* What was taken and lost since the last time. */
static void walk_look(void)
{
	for (; walk.taken < array_count(&taken); walk.taken++)
		walk_became(*array_idx(&taken, walk.taken), FATE_TAKEN);
	for (; walk.errors < array_count(&errors); walk.errors++)
		walk_became(*array_idx(&errors, walk.errors), FATE_LOST);
}

static void walk_left(const char *str)
{
	unsigned int idx, number;
	struct walk_user *u;
	enum fate *fate;

	assert_true(walk_parse(str, &idx, &number));
	u = &walk_users[idx];
	fate = array_idx_modifiable(&u->fates, number);
	if (*fate == FATE_TAKEN || *fate == FATE_LOST) {
		*fate = FATE_AGAIN;
		u->last = I_MIN(u->last, (int)number - 1);
	}
}

static void walk_close(void)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;

	ep_close();
	walk_look();
	/* what could not be removed will be sent again */
	assert_int_equal(sqlite3_open(t_strconcat(dir, "/queue.sqlite", NULL),
				      &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT body FROM notification",
					    -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		walk_left((const char *)sqlite3_column_text(stmt, 0));
	(void)sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void walk_stop_failing(void)
{
	if (walk.failing == NULL)
		return;
	if (strcmp(walk.failing, "READ") == 0)
		exec("ALTER TABLE aside RENAME TO notification");
	else
		stop_failing();
	walk.failing = NULL;
}

static void walk_start_failing(void)
{
	static const char *const what[] = {
		"READ", "INSERT", "UPDATE", "DELETE", "DELETE"
	};

	walk.failing = what[i_rand_limit(N_ELEMENTS(what))];
	if (strcmp(walk.failing, "READ") == 0)
		exec("ALTER TABLE notification RENAME TO aside");
	else
		make_fail(walk.failing);
}

/* All that is queued is found soon then. */
static void walk_can_read(void)
{
	if (walk.failing != NULL && strcmp(walk.failing, "READ") == 0)
		walk_stop_failing();
}

static void walk_restart(void)
{
	walk_can_read();
	walk_close();
	ep_words = i_rand_limit(2) == 0 ? one_url : with_standby;
	lane_budget = i_rand_limit(2) == 0 ? 1024*1024 : 2000;
	ep_open();
}

/* It has been idle for a while, as far as it knows; but there is more to be
   sent. */
static void walk_forget(void)
{
	struct queue_endpoint *forgotten = queue_ep;
	struct http_notify_options options;
	const char *error;

	assert_int_equal(under_way(), 0);
	assert_int_equal(common.queued, 0);
	endpoint_deinit(&ep);
	if (http_notify_options_parse(ep_words, pool_datastack_create(),
				      &options, &error) < 0)
		fail_msg("%s", error);
	queue_part = NULL;
	queue_endpoint_forget(queue, &forgotten);
	queue_ep = queue_endpoint_set(queue, "key", "options");
	ep = endpoint_init(&common, queue_ep, &options);
}

static void walk_add(unsigned int count)
{
	enum fate fate, *fatep;
	struct walk_user *u;
	unsigned int i, idx;

	for (i = 0; i < count; i++) T_BEGIN {
		/* some users get more than others */
		idx = i_rand_limit(i_rand_limit(WALK_USERS) + 1);
		u = &walk_users[idx];
		max_age_secs = i_rand_limit(20) == 0 ? 5 : 3600;
		add(user(idx), array_count(&u->fates));
		fate = FATE_ADDED;
		array_push_back(&u->fates, &fate);
	} T_END;
	if (count == 0)
		return;

	test_clock_turn();
	fate = commit_error == NULL ? FATE_QUEUED : FATE_ROLLED_BACK;
	for (i = 0; i < WALK_USERS; i++) {
		array_foreach_modifiable(&walk_users[i].fates, fatep) {
			if (*fatep == FATE_ADDED)
				*fatep = fate;
		}
	}
}

static void walk_failed(const char *body)
{
	unsigned int idx, number;

	assert_true(walk_parse(body, &idx, &number));
	(*array_idx_get_space(&walk_users[idx].failed, number))++;
}

static void walk_answer(void)
{
	unsigned int idx = i_rand_limit(under_way()), server, status;

	server = strcmp(url_under_way(idx), FIRST_URL) == 0 ? 0 : 1;
	status = walk.status[server];
	if (i_rand_limit(500) == 0)
		status = 400;
	else if (i_rand_limit(200) == 0)
		status = 0;
	else if (status == 200 && i_rand_limit(5) != 0 &&
		 str_begins_with(body_under_way(idx), "user7:")) {
		/* someone has bad luck */
		status = 500;
	}
	if (status != 200)
		walk_failed(body_under_way(idx));
	answer_later(idx, status, status == 429 || status == 503 ?
		     walk.retry_after_secs : 0);
}

static unsigned int walk_count(enum fate wanted)
{
	unsigned int i, count = 0;
	enum fate fate;

	for (i = 0; i < WALK_USERS; i++) {
		array_foreach_elem(&walk_users[i].fates, fate) {
			if (fate == wanted)
				count++;
		}
	}
	return count;
}

static void walk_round(void)
{
	static const unsigned int statuses[] = { 200, 200, 200, 200, 200, 200,
		200, 0, 0, 401, 408, 429, 500, 503 };
	unsigned int i;

	if (i_rand_limit(100) == 0) {
		walk.status[i_rand_limit(2)] =
			statuses[i_rand_limit(N_ELEMENTS(statuses))];
		walk.retry_after_secs = i_rand_limit(2) * i_rand_limit(60);
	}
	if (i_rand_limit(150) == 0) {
		if (walk.failing != NULL)
			walk_stop_failing();
		else
			walk_start_failing();
	}
	walk_add(i_rand_limit(100) == 0 ? 2000 : i_rand_limit(4));
	for (i = i_rand_limit(30); i > 0 && under_way() > 0; i--)
		walk_answer();
	if (i_rand_limit(300) == 0)
		walk_restart();
	if (endpoint_is_idle(ep) && i_rand_limit(3) == 0)
		walk_forget();
	if (i_rand_limit(10) == 0)
		endpoint_sweep(ep);
	if (i_rand_limit(400) == 0 && queue_part != NULL) {
		walk_can_read();
		part_look_again(queue_part_get_context(queue_part));
	}
	if (i_rand_limit(500) == 0)
		test_clock_pass(i_rand_limit(200) * 1000);
	else if (i_rand_limit(20) == 0)
		test_clock_pass(i_rand_limit(4000));
	else
		test_clock_pass(i_rand_limit(50));
	walk_look();
}

static void walk_end(void)
{
	unsigned int i;

	walk_stop_failing();
	walk.status[0] = walk.status[1] = 200;
	/* what is not carried is read one by one */
	for (i = 0; i < 10000 && walk_count(FATE_QUEUED) +
	     walk_count(FATE_AGAIN) > 0; i++) {
		while (under_way() > 0)
			answer(0, 200);
		test_clock_pass(1000);
		walk_look();
	}
	test_clock_pass(1000);
	assert_int_equal(under_way(), 0);
	assert_int_equal(common.queued, 0);
	assert_int_equal(walk_count(FATE_QUEUED), 0);
	assert_int_equal(walk_count(FATE_AGAIN), 0);
}

static void test_random_walk(void **state ATTR_UNUSED)
{
	unsigned int i, queued;

	print_message("TEST_SEED=%u\n", seed);
	i_zero(&walk);
	walk.status[0] = walk.status[1] = 200;
	for (i = 0; i < WALK_USERS; i++) {
		i_array_init(&walk_users[i].fates, 1024);
		i_array_init(&walk_users[i].failed, 1024);
		walk_users[i].last = -1;
	}
	for (i = 0; i < WALK_ROUNDS; i++) T_BEGIN {
		walk_round();
		if (i % 16 == 0 && walk.failing == NULL &&
		    walk_count(FATE_AGAIN) == 0) {
			queued = walk_count(FATE_QUEUED);
			if (common.queued > queued || common.queued + 1024 * 4 <
			    queued)
				fail_msg("%u queued, are %u", common.queued,
					 queued);
		}
	} T_END;
	walk_end();
	for (i = 0; i < WALK_USERS; i++) {
		array_free(&walk_users[i].fates);
		array_free(&walk_users[i].failed);
	}
}

#define endpoint_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		endpoint_test(test_ramp_begins_small),
		endpoint_test(test_one_user_has_one_under_way),
		endpoint_test(test_fresh_one_does_not_wait_for_a_backlog),
		endpoint_test(test_backlog_is_not_starved),
		endpoint_test(test_standby_is_taken_while_first_is_down),
		endpoint_test(test_standby_is_left_after_one_good_probe),
		endpoint_test(test_both_may_be_down),
		endpoint_test(test_standby_that_is_down_is_idle),
		endpoint_test(test_standby_is_taken_after_a_restart),
		endpoint_test(test_outage_is_seen_after_a_restart),
		endpoint_test(test_old_ones_are_given_up_wherever_they_are),
		endpoint_test(test_one_under_way_is_not_given_up),
		endpoint_test(test_backlog_is_read_while_removals_fail),
		endpoint_test(test_poison_is_given_up),
		endpoint_test(test_poison_without_an_answer_is_given_up),
		endpoint_test(test_not_now_is_no_poison),
		endpoint_test(test_misconfigured_for_one_is_given_up),
		endpoint_test(test_refused_is_given_up),
		endpoint_test(test_refused_by_all_is_kept),
		endpoint_test(test_poison_of_a_user_alone_lets_others_pass),
		endpoint_test(test_outage_for_a_user_alone_keeps_order),
		endpoint_test(test_brown_out_costs_nothing),
		endpoint_test(test_max_retries),
		endpoint_test(test_retry_after_is_waited_for),
		endpoint_test(test_retry_after_of_one_holds_for_it),
		endpoint_test(test_retry_after_is_for_others_to_confirm),
		endpoint_test(test_unreadable_notification_is_not_forgotten),
		endpoint_test(test_mended_options_are_tried_at_once),
		endpoint_test(test_one_that_fails_does_not_hold_up_others),
		endpoint_test(test_probe_is_one_that_has_not_failed),
		endpoint_test(test_probe_is_found_behind_many_that_fail),
		endpoint_test(test_probes_of_an_outage_stay_within_budget),
		endpoint_test(test_large_ones_stay_within_budget),
		endpoint_test(test_small_ones_pass_large_ones),
		endpoint_test(test_waiting_costs_nothing),
		endpoint_test(test_rate_is_kept),
		endpoint_test(test_rate_of_one_that_is_down),
		endpoint_test(test_overloaded_endpoint_gets_fewer),
		endpoint_test(test_dead_endpoint_is_not_hammered),
		endpoint_test(test_random_walk),
	};
	const char *str = getenv("TEST_SEED");
	int ret;

	lib_init();
	/* as a walk that has failed has said */
	if (str == NULL || str_to_uint(str, &seed) < 0)
		seed = time(NULL) ^ getpid();
	ret = cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
