/* All endpoints, with a real queue, and servers that answer what and when each
   test chooses. */
#include "lib.h"
#include "array.h"
#include "unlink-directory.h"

#include "delivery.h"
#include "endpoint.h"
#include "queue.h"
#include "sender.h"

#include <stdlib.h>

#include "test-clock.h"
#include "test-common.h"

#define QUEUE_LIMIT 100

struct request {
	char *body;
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
static unsigned int errors, infos;

void sender_put(struct sender *sender ATTR_UNUSED,
		const struct sender_target *target ATTR_UNUSED,
		const char *body, const char *idempotency_key ATTR_UNUSED,
		sender_callback_t *callback, void *context)
{
	struct request *req = array_append_space(&requests);

	req->body = i_strdup(body);
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
	T_BEGIN {
		req.callback(&answer, req.context);
	} T_END;
}

static void answer_all(unsigned int status)
{
	while (under_way() > 0)
		answer(0, status);
}

static void committed(const char *error, void *context ATTR_UNUSED)
{
	assert_null(error);
	if (delivery != NULL)
		delivery_run(delivery);
}

static void open_all(void)
{
	const char *error;

	if (queue_init(dir, FALSE, committed, NULL, &queue, &error) < 0)
		fail_msg("%s", error);
	delivery = delivery_init(queue, NULL, QUEUE_LIMIT);
	delivery_run(delivery);
}

static void close_all(void)
{
	struct request *req;

	delivery_deinit(&delivery);
	queue_deinit(&queue);
	array_foreach_modifiable(&requests, req)
		i_free(req->body);
	array_clear(&requests);
}

/* Returns FALSE if it is refused. */
static bool add_to(const char *url, const char *username)
{
	const char *const words[] = {
		t_strconcat("url=", url, NULL), "max_age=1h", NULL
	};
	struct endpoint *ep;
	unsigned int max_age_secs;
	const char *error;
	struct queue_item item = {
		.username = username, .folder = "INBOX", .body = "{}",
		.created = queue_now(queue),
	};

	item.seq = item.uid = ++last_seq;
	guid_128_copy(item.session, session);
	if (delivery_endpoint_get(delivery, words, &ep, &max_age_secs,
				  &error) < 0)
		return FALSE;
	item.endpoint = endpoint_get_id(ep);
	assert_int_equal(max_age_secs, 3600);
	item.expires = item.created + max_age_secs;
	assert_int_equal(queue_add(queue, &item, &error), 1);
	return TRUE;
}

static const char *url(unsigned int i)
{
	return t_strdup_printf("http://endpoint%u/", i);
}

static const char *user(unsigned int i)
{
	return t_strdup_printf("user%u", i);
}

static void count_endpoint(int64_t id ATTR_UNUSED,
			   const char *options ATTR_UNUSED, void *context)
{
	++*(unsigned int *)context;
}

static unsigned int endpoints(void)
{
	unsigned int count = 0;

	queue_endpoints_foreach(queue, count_endpoint, &count);
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
	errors = infos = 0;
	test_clock_init(1);
	guid_128_generate(session);
	last_seq = 0;
	open_all();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	const char *error;

	close_all();
	test_clock_deinit();
	array_free(&requests);
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
		assert_true(add_to(url(i % 3), user(i)));
	} T_END;
	test_clock_turn();
	assert_false(add_to(url(0), "alice"));
	assert_false(add_to(url(4), "alice"));
	assert_int_equal(errors, 1);
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

#define delivery_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		delivery_test(test_endpoints_are_apart),
		delivery_test(test_queue_limit),
		delivery_test(test_old_ones_make_room),
		delivery_test(test_idle_endpoints_are_kept),
		delivery_test(test_many_idle_endpoints_are_forgotten),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("delivery", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
