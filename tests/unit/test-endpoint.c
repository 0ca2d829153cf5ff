/* An endpoint with a real queue and, in place of the sender, an endpoint
   server whose answers each test chooses. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "str.h"
#include "unlink-directory.h"

#include "endpoint.h"
#include "health.h"
#include "options.h"
#include "queue.h"
#include "sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "test-common.h"

#define USERS_COUNT 50

/* What the endpoint has sent and waits for. */
struct request {
	char *body;
	sender_callback_t *callback;
	void *context;
};

static char *dir;
static struct ioloop *ioloop;
static struct queue *queue;
static struct endpoint_common common;
static struct endpoint *ep;
static int64_t ep_id;
static guid_128_t session;
static uint64_t last_seq;

static ARRAY(struct request) requests;
/* bodies of the notifications that were taken */
static ARRAY(char *) taken;
static unsigned int max_under_way;

void sender_put(struct sender *sender ATTR_UNUSED,
		const struct sender_target *target ATTR_UNUSED,
		const char *body, const char *idempotency_key ATTR_UNUSED,
		sender_callback_t *callback, void *context)
{
	struct request *req = array_append_space(&requests);

	req->body = i_strdup(body);
	req->callback = callback;
	req->context = context;
	max_under_way = I_MAX(max_under_way, array_count(&requests));
}

/* Answer a request that is under way. */
static void answer(unsigned int idx, unsigned int status)
{
	const struct answer answer = { .status = status, .reason = "test" };
	struct request req = *array_idx(&requests, idx);

	array_delete(&requests, idx, 1);
	if (status / 100 == 2)
		array_push_back(&taken, &req.body);
	req.callback(&answer, req.context);
	if (status / 100 != 2)
		i_free(req.body);
}

static unsigned int under_way(void)
{
	return array_count(&requests);
}

static const char *body_under_way(unsigned int idx)
{
	const struct request *req = array_idx(&requests, idx);

	return req->body;
}

static void turn_end(void *context ATTR_UNUSED)
{
	io_loop_stop(ioloop);
}

/* Let the endpoint go on with what it has left for later. */
static void turn(void)
{
	struct timeout *to = timeout_add_short(0, turn_end, NULL);

	io_loop_run(ioloop);
	timeout_remove(&to);
}

static void committed(const char *error, void *context ATTR_UNUSED)
{
	if (error != NULL)
		fail_msg("%s", error);
}

/* The body names the user and a number. */
static void add(const char *username, unsigned int number)
{
	const char *error;
	struct queue_item item = {
		.endpoint = ep_id, .seq = ++last_seq, .username = username,
		.folder = "INBOX", .uid = number,
		.body = t_strdup_printf("%s:%u", username, number),
		.created = queue_now(queue), .expires = queue_now(queue) + 3600,
	};

	guid_128_copy(item.session, session);
	assert_int_equal(queue_add(queue, &item, &error), 1);
}

static void store(void)
{
	/* the commit happens in the same turn, before what is stopped by it */
	turn();
	endpoint_run(ep);
}

static const char *user(unsigned int i)
{
	return t_strdup_printf("user%u", i);
}

static void ep_open(void)
{
	const char *words[] = { "url=http://127.0.0.1/", NULL };
	struct http_notify_options options;
	const char *error;

	if (queue_init(dir, FALSE, committed, NULL, &queue, &error) < 0 ||
	    http_notify_options_parse(words, pool_datastack_create(),
				      &options, &error) < 0 ||
	    queue_endpoint_set(queue, "key", "options", &ep_id, &error) < 0)
		fail_msg("%s", error);
	i_zero(&common);
	common.queue = queue;
	common.event = event_create(NULL);
	ep = endpoint_init(&common, ep_id, &options);
}

static void ep_close(void)
{
	struct request *req;

	endpoint_deinit(&ep);
	queue_deinit(&queue);
	event_unref(&common.event);
	array_foreach_modifiable(&requests, req)
		i_free(req->body);
	array_clear(&requests);
}

static void quiet(const struct failure_context *ctx ATTR_UNUSED,
		  const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
}

static int setup(void **state ATTR_UNUSED)
{
	const char *tmp = getenv("TMPDIR");

	dir = i_strconcat(tmp == NULL ? "/tmp" : tmp, "/test-endpoint.XXXXXX",
			  NULL);
	if (mkdtemp(dir) == NULL)
		return -1;
	/* outages are not to be seen */
	i_set_error_handler(quiet);
	i_set_info_handler(quiet);
	ioloop = io_loop_create();
	i_array_init(&requests, 64);
	i_array_init(&taken, 64);
	max_under_way = 0;
	guid_128_generate(session);
	last_seq = 0;
	ep_open();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;
	char *body;

	ep_close();
	io_loop_destroy(&ioloop);
	i_set_error_handler(default_error_handler);
	i_set_info_handler(default_error_handler);
	array_foreach_elem(&taken, body)
		i_free(body);
	array_free(&taken);
	array_free(&requests);
	if (unlink_directory(dir, UNLINK_DIRECTORY_FLAG_RMDIR, &error) < 0)
		i_fatal("%s", error);
	i_free(dir);
	return 0;
}

/* Everything that was taken was so once, and in order for each user. */
static void check_taken(const unsigned int counts[USERS_COUNT])
{
	unsigned int next[USERS_COUNT], i, idx, number;
	char *body;

	i_zero(&next);
	array_foreach_elem(&taken, body) {
		assert_int_equal(sscanf(body, "user%u:%u", &idx, &number), 2);
		assert_true(idx < USERS_COUNT);
		assert_int_equal(number, next[idx]);
		next[idx]++;
	}
	for (i = 0; i < USERS_COUNT; i++)
		assert_int_equal(next[i], counts[i]);
}

static void answer_all(void)
{
	unsigned int i;

	/* an endpoint may leave something for its next turn */
	for (i = 0; i < 1000 && !endpoint_is_idle(ep); i++) {
		while (under_way() > 0)
			answer(0, 200);
		turn();
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
			turn();
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
			turn();
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
		if (str_begins(*array_idx(&taken, array_count(&taken) - 1),
			       "old4999:"))
			last_old_taken = TRUE;
	} T_END;
	assert_true(last_old_taken);
}

/* Any order of events: nothing is lost, sent twice or out of order. */
static void test_random_walk(void **state ATTR_UNUSED)
{
	static const unsigned int statuses[] = { 500, 0, 429, 401 };
	unsigned int counts[USERS_COUNT], round, i, idx;

	i_zero(&counts);
	for (round = 0; round < 3000; round++) T_BEGIN {
		unsigned int burst = i_rand_limit(100) == 0 ? 2000 :
			i_rand_limit(4);

		for (i = 0; i < burst; i++) T_BEGIN {
			/* some users get more than others */
			idx = i_rand_limit(i_rand_limit(USERS_COUNT) + 1);
			add(user(idx), counts[idx]++);
		} T_END;
		if (burst > 0)
			store();
		for (i = i_rand_limit(20); i > 0 && under_way() > 0; i--) {
			answer(i_rand_limit(under_way()),
			       i_rand_limit(500) != 0 ? 200 :
			       statuses[i_rand_limit(N_ELEMENTS(statuses))]);
		}
		if (i_rand_limit(500) == 0) {
			/* the service is restarted; what was under way goes
			   again */
			ep_close();
			ep_open();
			endpoint_run(ep);
		}
		turn();
	} T_END;

	/* end the waits of what has failed */
	ep_close();
	ep_open();
	endpoint_run(ep);
	answer_all();
	check_taken(counts);
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
		endpoint_test(test_random_walk),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
