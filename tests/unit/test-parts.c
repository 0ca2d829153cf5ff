/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A queue that several processes share: this one, with a real delivery, and
   another one, which each test plays. The engine stands in for a database that
   both use, and servers answer what and when each test chooses. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "str.h"

#include "delivery.h"
#include "endpoint.h"
#include "monotonic.h"
#include "queue.h"
#include "queue-engine.h"
#include "sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test-clock.h"
#include "test-common.h"

/* Parts of each endpoint. A user is a number, and that of the user's part is
   the rest of its division by this. */
#define SLOTS 256
#define PART_SHIFT 40
#define FIRST_ID(number) ((int64_t)(number) << PART_SHIFT)
#define PART_NUMBER(id) ((id) >> PART_SHIFT)
#define URL "http://endpoint/"
/* Lanes carry two notifications of this size, and not three. */
#define LARGE_SIZE (6*1024*1024)

struct request {
	char *body;
	sender_callback_t *callback;
	void *context;
};

/* What both processes see. */
static struct {
	/* sorted by id */
	ARRAY(struct queue_item *) rows;
	/* by the endpoint's number, less 1 */
	ARRAY(char *) keys, options;
	/* the last id ever given, by part */
	int64_t last_ids[4 * SLOTS];
	/* the slots that this process has */
	bool owned[SLOTS];
	/* nothing can be committed */
	bool broken;
	/* the other process may have all slots by now */
	bool lapsed;
} db;

static struct queue_engine engine;
static struct queue *queue;
static struct delivery *delivery;
static ARRAY(struct queue_read *) reads;
static struct timeout *to_read;
static bool reads_hang;
/* how many whole ones were read */
static unsigned int rows_read;
/* parts that were given back */
static unsigned int released;

static unsigned int seed;
/* what the latest request was sent with */
static char *latest_password;
static ARRAY(struct request) requests;
/* bodies that were taken, from either process */
static ARRAY(char *) taken;
static guid_128_t session;
static uint64_t last_seq;

/* The database */

static unsigned int slot_of(const char *username)
{
	unsigned int number;

	if (str_to_uint(username, &number) < 0)
		fail_msg("%s", username);
	return number % SLOTS;
}

static int64_t part_number(int64_t endpoint_number, unsigned int slot)
{
	return endpoint_number * SLOTS + slot;
}

static int64_t next_id(int64_t number)
{
	if (db.last_ids[number] == 0)
		db.last_ids[number] = FIRST_ID(number);
	return ++db.last_ids[number];
}

static int row_cmp(struct queue_item *const *item1,
		   struct queue_item *const *item2)
{
	return (*item1)->id < (*item2)->id ? -1 : (*item1)->id > (*item2)->id;
}

static void insert_row(const struct queue_item *item)
{
	struct queue_item *copy = queue_item_dup(item);

	array_push_back(&db.rows, &copy);
	array_sort(&db.rows, row_cmp);
}

static void delete_row(int64_t id)
{
	struct queue_item **rowp;

	array_foreach_modifiable(&db.rows, rowp) {
		if ((*rowp)->id == id) {
			queue_item_unref(rowp);
			array_delete(&db.rows,
				     array_foreach_idx(&db.rows, rowp), 1);
			break;
		}
	}
}

/* The first row of the part above this id; NULL = there is none. */
static struct queue_item *row_after(int64_t number, int64_t id)
{
	struct queue_item *row;

	array_foreach_elem(&db.rows, row) {
		if (PART_NUMBER(row->id) == number && row->id > id)
			return row;
	}
	return NULL;
}

static int64_t last_row_id(int64_t number)
{
	struct queue_item *row;
	int64_t id = 0;

	array_foreach_elem(&db.rows, row) {
		if (PART_NUMBER(row->id) == number)
			id = row->id;
	}
	return id;
}

/* The engine */

static int engine_init(struct queue *q,
		       const struct queue_settings *set ATTR_UNUSED,
		       struct queue_engine **engine_r,
		       const char **error_r ATTR_UNUSED)
{
	unsigned int i;

	engine.queue = q;
	for (i = 0; i < array_count(&db.keys); i++) {
		(void)queue_engine_have_endpoint(q, i + 1,
			*array_idx(&db.keys, i), *array_idx(&db.options, i));
	}
	*engine_r = &engine;
	return 0;
}

static void reads_done(void)
{
	struct queue_read *read;

	timeout_remove(&to_read);
	while (array_count(&reads) > 0) {
		read = *array_front(&reads);
		array_pop_front(&reads);
		queue_engine_read_done(read, NULL);
	}
}

static void reads_done_timeout(void *context ATTR_UNUSED)
{
	if (!reads_hang)
		reads_done();
}

/* Rows are there at once, but it is done later. */
static void engine_read(struct queue_engine *e ATTR_UNUSED,
			struct queue_read *read)
{
	struct queue_item *row;
	unsigned int count = 0;

	array_foreach_elem(&db.rows, row) {
		int64_t number = PART_NUMBER(row->id);

		if (number / SLOTS != read->endpoint_number ||
		    (read->part_number != 0 && number != read->part_number) ||
		    row->id <= read->after_id || row->id > read->last_id)
			continue;
		if (read->what == QUEUE_READ_WHOLE)
			rows_read++;
		if (count++ == read->limit ||
		    !queue_engine_read_row(read, row))
			break;
	}
	array_push_back(&reads, &read);
	if (to_read == NULL)
		to_read = timeout_add_short(1, reads_done_timeout, NULL);
}

static void take_slot(unsigned int slot)
{
	unsigned int i;

	db.owned[slot] = TRUE;
	for (i = 1; i <= array_count(&db.keys); i++) {
		int64_t number = part_number(i, slot);

		if (last_row_id(number) > 0) {
			(void)queue_engine_have_part(queue,
				queue_engine_get_endpoint(queue, i), number,
				last_row_id(number));
		}
	}
}

static void engine_claim(struct queue_engine *e ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		if (db.owned[i])
			take_slot(i);
	}
}

static void engine_part_released(struct queue_engine *e ATTR_UNUSED,
				 struct queue_part *part)
{
	db.owned[part->number % SLOTS] = FALSE;
	released++;
}

static void set_endpoint(struct queue_endpoint *ep)
{
	char *key = i_strdup(ep->key), *options = i_strdup(ep->options);

	if (ep->number == 0) {
		array_push_back(&db.keys, &key);
		array_push_back(&db.options, &options);
		ep->number = array_count(&db.keys);
	} else {
		i_free(key);
		i_free(*array_idx_modifiable(&db.options, ep->number - 1));
		array_idx_set(&db.options, ep->number - 1, &options);
	}
}

static void forget_endpoint(struct queue_endpoint *ep)
{
	struct queue_item *row;

	array_foreach_elem(&db.rows, row) {
		if (PART_NUMBER(row->id) / SLOTS == ep->number)
			return;
	}
	ep->number = 0;
}

/* known: by part, what this process knows to be there */
static void add_row(struct queue_item *item, int64_t known[])
{
	unsigned int slot = slot_of(item->username);
	int64_t number = part_number(item->endpoint->number, slot);
	struct queue_part *part = queue_engine_find_part(queue, number);

	if (db.owned[slot] && part == NULL) {
		part = queue_engine_have_part(queue, item->endpoint, number,
					      last_row_id(number));
	}
	if (part != NULL)
		known[number] = I_MAX(known[number], part->last_id);
	item->id = next_id(number);
	if (part != NULL && row_after(number, known[number]) == NULL) {
		item->part = part;
		known[number] = item->id;
	}
	insert_row(item);
	if (part != NULL && item->part == NULL)
		queue_engine_part_grown(queue, part, item->id);
}

static void engine_commit(struct queue_engine *e ATTR_UNUSED,
			  struct queue_changes *changes)
{
	int64_t known[N_ELEMENTS(db.last_ids)] = { 0 };
	const struct queue_attempts *attempts;
	struct queue_endpoint *ep;
	struct queue_item *item;
	int64_t id;

	/* those that were asked for before */
	reads_done();
	if (db.broken) {
		queue_engine_committed(queue, "made to fail");
		return;
	}
	array_foreach_elem(&changes->removed, id)
		delete_row(id);
	array_foreach(&changes->attempts, attempts) {
		array_foreach_elem(&db.rows, item) {
			if (item->id == attempts->id)
				item->attempts = attempts->attempts;
		}
	}
	array_foreach_elem(&changes->endpoints, ep)
		set_endpoint(ep);
	array_foreach_elem(&changes->forgotten, ep)
		forget_endpoint(ep);
	array_foreach_elem(&changes->added, item)
		add_row(item, known);
	queue_engine_committed(queue, NULL);
}

static void engine_reclaim(struct queue_engine *e ATTR_UNUSED,
			   bool scarce ATTR_UNUSED)
{
	queue_engine_reclaimed(queue);
}

static int64_t engine_now(struct queue_engine *e ATTR_UNUSED)
{
	return 1700000000 + http_notify_monotonic_msecs() / 1000;
}

static bool engine_may_send(struct queue_engine *e ATTR_UNUSED)
{
	return !db.lapsed;
}

static void engine_deinit(struct queue_engine *e ATTR_UNUSED)
{
	reads_done();
}

static const struct queue_engine_vfuncs queue_engine_fake = {
	.name = "fake",
	.part_shift = PART_SHIFT,
	.init = engine_init,
	.deinit = engine_deinit,
	.claim = engine_claim,
	.may_send = engine_may_send,
	.part_released = engine_part_released,
	.commit = engine_commit,
	.reclaim = engine_reclaim,
	.read = engine_read,
	.now = engine_now,
};

/* The endpoint */

/* Who a body is for: "<user>:<number>" */
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
	req->body = i_strdup(body);
	req->callback = callback;
	req->context = context;
	i_free(latest_password);
	latest_password = i_strdup(target->password);
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

static const char *under_way_to_str(void)
{
	string_t *str = t_str_new(128);
	struct request *req;

	array_foreach_modifiable(&requests, req)
		str_printfa(str, "%s%s", str_len(str) == 0 ? "" : " ",
			    req->body);
	return str_c(str);
}

static void take(const char *body)
{
	char *copy = i_strdup(body);

	array_push_back(&taken, &copy);
}

static const char *taken_to_str(void)
{
	string_t *str = t_str_new(128);
	char *body;

	array_foreach_elem(&taken, body)
		str_printfa(str, "%s%s", str_len(str) == 0 ? "" : " ", body);
	return str_c(str);
}

/* The place among those that were taken; 0 = it was not, or is the first. */
static unsigned int taken_at(unsigned int user, unsigned int number)
{
	const char *body = t_strdup_printf("%u:%u", user, number);
	unsigned int i;

	for (i = array_count(&taken) - 1; i > 0; i--) {
		if (strcmp(*array_idx(&taken, i), body) == 0)
			break;
	}
	return i;
}

static void answer(unsigned int idx, unsigned int status)
{
	const struct answer answer = { .status = status, .reason = "test" };
	struct request req = *array_idx(&requests, idx);

	array_delete(&requests, idx, 1);
	if (status / 100 == 2)
		take(req.body);
	i_free(req.body);
	T_BEGIN {
		req.callback(&answer, req.context);
	} T_END;
}

/* What is stored is found and sent, and what was taken is removed. */
static void settle(void)
{
	test_clock_pass(100);
}

/* ... and everything is taken. */
static void take_all(void)
{
	settle();
	while (under_way() > 0) {
		answer(0, 200);
		settle();
	}
}

/* This process */

static void open_queue(void)
{
	const struct queue_settings set = { .lost_keep_secs = 0 };
	const char *error;

	if (queue_init(&queue_engine_fake, &set, &queue, &error) < 0)
		fail_msg("%s", error);
}

static void open_all(void)
{
	open_queue();
	delivery = delivery_init(queue, NULL, 100000, UINT64_MAX, 2000);
	settle();
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

static void stored(const struct delivery_stored *result,
		   void *context ATTR_UNUSED)
{
	assert_null(result->error);
}

static void add_body(unsigned int user, const char *body)
{
	static const char *const options[] = { "url="URL, NULL };
	const char *error;
	struct delivery_notification notification = {
		.username = t_strdup_printf("%u", user), .folder = "INBOX",
		.body = body, .options = options, .seq = ++last_seq
	};

	guid_128_copy(notification.session, session);
	if (delivery_add(delivery, &notification, stored, NULL, &error) < 0)
		fail_msg("%s", error);
}

static void add(unsigned int user, unsigned int number)
{
	add_body(user, t_strdup_printf("%u:%u", user, number));
}

static void add_stored(unsigned int user, unsigned int number)
{
	add(user, number);
	queue_flush(queue);
}

static struct queue_part *part_of(unsigned int user)
{
	return queue_engine_find_part(queue, part_number(1, user % SLOTS));
}

static unsigned int parts(void)
{
	unsigned int i, count = 0;

	for (i = 0; i < SLOTS; i++) {
		if (part_of(i) != NULL)
			count++;
	}
	return count;
}

static unsigned int queued(void)
{
	unsigned int number = 0, count = 0;
	struct endpoint_status status;
	struct endpoint *ep;

	while ((ep = delivery_next_endpoint(delivery, &number)) != NULL) {
		endpoint_get_status(ep, &status);
		count += status.queued;
	}
	return count;
}

/* The database asks for what is the other process's. */
static void ask_for(unsigned int user)
{
	queue_engine_part_release(queue, part_of(user));
}

static void revoke_slot_of(unsigned int user)
{
	db.owned[user % SLOTS] = FALSE;
	if (part_of(user) != NULL)
		queue_engine_part_revoked(queue, part_of(user));
}

/* The other process */

/* It stores one of the first endpoint's. */
static void other_adds(unsigned int user, unsigned int number)
{
	const struct queue_item item = {
		.id = next_id(part_number(1, user % SLOTS)),
		.username = t_strdup_printf("%u", user), .folder = "INBOX",
		.body = t_strdup_printf("%u:%u", user, number),
		.created = engine_now(&engine),
		.expires = engine_now(&engine) + 3600
	};

	insert_row(&item);
}

/* What it has stored is heard of here. */
static void notify(unsigned int user)
{
	int64_t number = part_number(1, user % SLOTS);

	if (!db.owned[user % SLOTS] || last_row_id(number) == 0)
		return;
	if (part_of(user) != NULL) {
		queue_engine_part_grown(queue, part_of(user),
					last_row_id(number));
	} else {
		(void)queue_engine_have_part(queue,
			queue_engine_get_endpoint(queue, 1), number,
			last_row_id(number));
	}
}

/* It sends the first one of the part, and that is taken. */
static bool other_sends(unsigned int user)
{
	struct queue_item *row;

	assert_false(db.owned[user % SLOTS]);
	row = row_after(part_number(1, user % SLOTS), 0);
	if (row == NULL)
		return FALSE;
	take(row->body);
	delete_row(row->id);
	return TRUE;
}

/* Tests */

static int setup(void **state ATTR_UNUSED)
{
	i_zero(&db);
	i_array_init(&db.rows, 64);
	i_array_init(&db.keys, 4);
	i_array_init(&db.options, 4);
	i_array_init(&reads, 4);
	i_array_init(&requests, 64);
	i_array_init(&taken, 64);
	memset(db.owned, TRUE, sizeof(db.owned));
	engine.v = &queue_engine_fake;
	reads_hang = FALSE;
	released = 0;
	guid_128_generate(session);
	last_seq = 0;
	test_clock_init(seed);
	open_all();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	struct queue_item **rowp;
	char **strp;

	close_all();
	test_clock_deinit();
	array_foreach_modifiable(&db.rows, rowp)
		queue_item_unref(rowp);
	array_foreach_modifiable(&db.keys, strp)
		i_free(*strp);
	array_foreach_modifiable(&db.options, strp)
		i_free(*strp);
	array_foreach_modifiable(&taken, strp)
		i_free(*strp);
	i_free(latest_password);
	array_free(&db.rows);
	array_free(&db.keys);
	array_free(&db.options);
	array_free(&reads);
	array_free(&requests);
	array_free(&taken);
	return 0;
}

/* The endpoint is known and up, and user 0's part has had something. */
static void begin(void)
{
	add_stored(0, 0);
	take_all();
	assert_string_equal(taken_to_str(), "0:0");
}

static void test_backlog_of_what_is_claimed(void **state ATTR_UNUSED)
{
	unsigned int i;

	begin();
	db.owned[1] = FALSE;
	for (i = 1; i <= 3; i++)
		other_adds(1, i);
	settle();
	assert_int_equal(under_way(), 0);
	take_slot(1);
	settle();
	assert_int_equal(queued(), 3);
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2 1:3");
	assert_int_equal(array_count(&db.rows), 0);
}

static void test_backlog_after_a_restart(void **state ATTR_UNUSED)
{
	unsigned int i;

	begin();
	close_all();
	for (i = 1; i <= 3; i++) {
		other_adds(1, i);
		other_adds(2, i);
	}
	open_all();
	assert_int_equal(queued(), 6);
	assert_string_equal(under_way_to_str(), "1:1 2:1");
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 2:1 1:2 2:2 1:3 2:3");
}

static void test_stored_elsewhere_is_sent_by_others(void **state ATTR_UNUSED)
{
	begin();
	db.owned[1] = FALSE;
	add_stored(1, 1);
	settle();
	assert_int_equal(under_way(), 0);
	assert_int_equal(queued(), 0);
	assert_true(other_sends(1));
	assert_string_equal(taken_to_str(), "0:0 1:1");
}

static void test_grown_part_is_read_on(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	settle();
	other_adds(1, 2);
	other_adds(257, 1);
	notify(1);
	settle();
	assert_string_equal(under_way_to_str(), "1:1 257:1");
	assert_int_equal(queued(), 3);
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 257:1 1:2");
}

/* It is stored behind one that has not been heard of. */
static void test_own_one_does_not_pass_anothers(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	settle();
	answer(0, 200);
	other_adds(1, 2);
	add_stored(1, 3);
	settle();
	assert_string_equal(under_way_to_str(), "1:2");
	notify(1);
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2 1:3");
}

/* It is stored while what another one has stored is being found, which takes
   more than one read. */
static void test_own_one_waits_while_growth_is_found(void **state ATTR_UNUSED)
{
	unsigned int i;

	begin();
	for (i = 1; i <= 1000; i++)
		other_adds(1, i);
	notify(1);
	reads_hang = TRUE;
	settle();
	add_stored(1, 1001);
	add_stored(257, 1);
	assert_int_equal(queued(), 512);
	reads_hang = FALSE;
	settle();
	assert_int_equal(queued(), 1002);
	take_all();
	assert_int_equal(array_count(&taken), 1003);
	for (i = 1; i <= 1001; i++)
		assert_true(taken_at(1, i) > taken_at(1, i - 1));
}

static void test_what_was_put_back_is_found(void **state ATTR_UNUSED)
{
	struct queue_item again;

	begin();
	other_adds(1, 1);
	again = *row_after(part_number(1, 1), 0);
	again.username = "1";
	again.folder = "INBOX";
	again.body = "1:1";
	notify(1);
	take_all();
	add_stored(1, 2);
	settle();
	insert_row(&again);
	queue_engine_part_look_again(queue, part_of(1));
	add_stored(1, 3);
	settle();
	/* nothing is sent before it */
	assert_string_equal(under_way_to_str(), "1:2");
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2 1:1 1:3");
}

static void test_release_waits_for_requests(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	add_stored(1, 2);
	add_stored(257, 1);
	settle();
	assert_string_equal(under_way_to_str(), "1:1 257:1");
	ask_for(1);
	answer(0, 200);
	add_stored(513, 1);
	settle();
	/* nothing is started meanwhile */
	assert_string_equal(under_way_to_str(), "257:1");
	assert_int_equal(released, 0);
	answer(0, 500);
	settle();
	assert_int_equal(released, 1);
	assert_null(part_of(1));
	assert_int_equal(queued(), 0);
	test_clock_pass(60*1000);
	assert_int_equal(under_way(), 0);

	while (other_sends(1)) ;
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2 257:1 513:1");
}

/* Otherwise it would be sent again. */
static void test_release_waits_for_removals(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	settle();
	db.broken = TRUE;
	answer(0, 200);
	ask_for(1);
	/* nothing more is sent of it, and other parts do not wait for that */
	notify(1);
	other_adds(2, 1);
	notify(2);
	settle();
	assert_string_equal(under_way_to_str(), "2:1");
	test_clock_pass(10*1000);
	assert_int_equal(released, 0);

	db.broken = FALSE;
	test_clock_pass(60*1000);
	assert_int_equal(released, 1);
	assert_false(other_sends(1));
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 2:1");
}

static void test_idle_part_is_released_at_once(void **state ATTR_UNUSED)
{
	begin();
	ask_for(0);
	assert_int_equal(released, 1);
	assert_null(part_of(0));
}

static void test_released_part_is_stored_to(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	settle();
	db.broken = TRUE;
	answer(0, 200);
	ask_for(1);
	test_clock_pass(1000);
	db.broken = FALSE;
	/* additions go before removals then */
	add_stored(1, 2);
	assert_int_equal(array_count(&db.rows), 2);
	assert_int_equal(released, 0);
	test_clock_pass(60*1000);
	assert_int_equal(released, 1);
	assert_int_equal(under_way(), 0);
	assert_int_equal(queued(), 0);
	assert_true(other_sends(1));
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2");
}

/* It was stopped, or has no contact: what it has may be the other one's. */
static void test_lapsed_parts_are_not_sent(void **state ATTR_UNUSED)
{
	add_stored(1, 1);
	add_stored(1, 2);
	add_stored(2, 1);
	settle();
	assert_string_equal(under_way_to_str(), "1:1 2:1");
	db.lapsed = TRUE;
	/* neither the next one of a user, nor another's */
	answer(0, 200);
	add_stored(3, 1);
	settle();
	assert_string_equal(under_way_to_str(), "2:1");
	revoke_slot_of(1);
	revoke_slot_of(3);
	db.owned[1] = db.owned[3] = TRUE;
	db.lapsed = FALSE;
	notify(1);
	notify(3);
	settle();
	assert_string_equal(under_way_to_str(), "2:1 1:2 3:1");
	take_all();
	assert_string_equal(taken_to_str(), "1:1 2:1 1:2 3:1");
}

/* Whoever gets the part next would send all of that again. */
static void test_unremoved_ones_are_not_followed_by_others(
	void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 1; i <= 20; i++)
		add_stored(i % 2, i);
	settle();
	db.broken = TRUE;
	/* at first it may be that the removal is just late */
	answer(0, 200);
	assert_int_equal(under_way(), 2);
	answer(0, 200);
	test_clock_pass(2000);
	while (under_way() > 0)
		answer(0, 200);
	i = array_count(&taken);
	test_clock_pass(5000);
	assert_int_equal(under_way(), 0);
	db.broken = FALSE;
	/* the next try succeeds */
	test_clock_pass(20*1000);
	assert_int_equal(under_way(), 2);
	assert_int_equal(array_count(&taken), i);
	take_all();
	assert_int_equal(array_count(&taken), 20);
}

static void test_revoked_while_it_is_released(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	add_stored(2, 1);
	settle();
	/* one that waits for its request, and one that waits for its removal */
	db.broken = TRUE;
	answer(0, 200);
	ask_for(1);
	ask_for(2);
	test_clock_pass(1000);
	revoke_slot_of(1);
	revoke_slot_of(2);
	db.broken = FALSE;
	answer(0, 200);
	test_clock_pass(60*1000);
	assert_int_equal(released, 0);
	assert_int_equal(array_count(&db.rows), 0);
}

static void test_revoked_one_that_is_taken_is_removed(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	add_stored(1, 2);
	settle();
	revoke_slot_of(1);
	assert_int_equal(queued(), 0);
	answer(0, 200);
	settle();
	/* what is left is another one's */
	assert_int_equal(under_way(), 0);
	assert_int_equal(array_count(&db.rows), 1);
	assert_true(other_sends(1));
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2");
}

static void test_revoked_one_that_fails_is_forgotten(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	settle();
	revoke_slot_of(1);
	answer(0, 500);
	test_clock_pass(60*1000);
	assert_int_equal(under_way(), 0);
	assert_int_equal(array_count(&db.rows), 1);
	assert_int_equal((*array_front(&db.rows))->attempts, 0);
	/* the endpoint goes on */
	add_stored(2, 1);
	take_all();
	assert_string_equal(taken_to_str(), "0:0 2:1");
}

static void test_revoked_while_it_is_read(void **state ATTR_UNUSED)
{
	unsigned int i;

	begin();
	for (i = 1; i <= 20; i++)
		other_adds(1, i);
	notify(1);
	reads_hang = TRUE;
	settle();
	/* what there is is being found */
	revoke_slot_of(1);
	reads_hang = FALSE;
	settle();
	assert_int_equal(under_way(), 0);

	take_slot(1);
	test_clock_turn();
	test_clock_pass(1);
	assert_int_equal(queued(), 20);
	reads_hang = TRUE;
	settle();
	/* it is being read */
	revoke_slot_of(1);
	assert_int_equal(queued(), 0);
	reads_hang = FALSE;
	settle();
	assert_int_equal(under_way(), 0);
	assert_int_equal(array_count(&db.rows), 20);
}

/* Those of a lane that carries no more than memory allows. */
static void test_revoked_while_a_lane_reads(void **state ATTR_UNUSED)
{
	unsigned int i;
	char *body;

	begin();
	body = i_malloc(LARGE_SIZE + 1);
	memset(body, 'x', LARGE_SIZE);
	memcpy(body, "1:", 2);
	for (i = 0; i < 4; i++)
		add_body(1, body);
	i_free(body);
	settle();
	reads_hang = TRUE;
	while (under_way() > 0) {
		answer(0, 200);
		settle();
	}
	assert_true(array_count(&reads) > 0);
	revoke_slot_of(1);
	reads_hang = FALSE;
	settle();
	assert_int_equal(under_way(), 0);
	assert_true(array_count(&db.rows) > 0);
}

/* A row of the backlog has been read, but not handed over, when that
   notification is delivered: it was stored here, and is in a lane. */
static void test_delivered_while_it_is_read(void **state ATTR_UNUSED)
{
	unsigned int i, own;

	begin();
	/* until no more may be under way */
	for (i = 0; i == under_way(); i++) {
		add_stored(1 + SLOTS * i, 1);
		settle();
	}
	own = i + 1;
	for (; i <= own + 1; i++) {
		if (i == own)
			add_stored(1 + SLOTS * i, 1);
		else {
			other_adds(1 + SLOTS * i, 1);
			notify(1);
		}
		settle();
	}
	reads_hang = TRUE;
	answer(0, 200);
	settle();
	answer(0, 200);
	assert_string_equal(body_under_way(under_way() - 1),
			    t_strdup_printf("%u:1", 1 + SLOTS * own));
	assert_int_equal(array_count(&reads), 1);
	answer(under_way() - 1, 200);
	reads_hang = FALSE;
	take_all();
	assert_int_equal(array_count(&taken), i + 1);
}

/* By the same process, as after its connection to the database was lost. What
   it waits for is not sent once more meanwhile. */
static void test_revoked_and_claimed_again(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	add_stored(1, 2);
	add_stored(257, 1);
	add_stored(257, 2);
	settle();
	assert_string_equal(under_way_to_str(), "1:1 257:1");
	revoke_slot_of(1);
	take_slot(1);
	settle();
	assert_int_equal(queued(), 4);
	assert_string_equal(under_way_to_str(), "1:1 257:1");
	answer(0, 200);
	settle();
	assert_string_equal(under_way_to_str(), "257:1");
	answer(0, 503);
	settle();
	assert_int_equal(queued(), 3);
	assert_string_equal(under_way_to_str(), "1:2 257:1");
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2 257:1 257:2");
	assert_int_equal(queued(), 0);
	assert_int_equal(array_count(&db.rows), 0);
}

/* ... and it is asked for, before that is known. */
static void test_claimed_again_and_released(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	settle();
	revoke_slot_of(1);
	take_slot(1);
	ask_for(1);
	settle();
	assert_int_equal(released, 0);
	answer(0, 200);
	settle();
	assert_int_equal(released, 1);
	assert_false(other_sends(1));
}

static void test_order_over_release_and_claim(void **state ATTR_UNUSED)
{
	begin();
	add_stored(1, 1);
	add_stored(1, 2);
	settle();
	ask_for(1);
	answer(0, 200);
	settle();
	assert_int_equal(released, 1);
	add_stored(1, 3);
	other_adds(1, 4);
	assert_true(other_sends(1));
	take_slot(1);
	add_stored(1, 5);
	take_all();
	assert_string_equal(taken_to_str(), "0:0 1:1 1:2 1:3 1:4 1:5");
}

static void test_idle_parts_are_closed(void **state ATTR_UNUSED)
{
	unsigned int i;

	begin();
	for (i = 1; i < SLOTS; i++)
		add_stored(i, 1);
	settle();
	assert_int_equal(parts(), SLOTS);
	while (under_way() > 2) {
		answer(2, 200);
		settle();
	}
	/* it is retried, and the other one takes its time */
	answer(0, 503);
	test_clock_pass(10*1000);
	assert_string_equal(under_way_to_str(), "2:1 1:1");
	assert_int_equal(parts(), 2);

	/* a part that was closed has something again */
	add_stored(100, 2);
	other_adds(101, 2);
	notify(101);
	take_all();
	test_clock_pass(10*1000);
	assert_int_equal(parts(), 1);
	assert_int_equal(array_count(&db.rows), 0);
	assert_int_equal(array_count(&taken), SLOTS + 2);
}

/* Whatever the number of parts, few bodies are in memory. */
static void test_large_ones_are_not_all_read(void **state ATTR_UNUSED)
{
	static char body[1024*1024];
	unsigned int i;

	begin();
	close_all();
	memset(body, 'x', sizeof(body) - 1);
	for (i = 1; i <= 100; i++) {
		struct queue_item item = {
			.id = next_id(part_number(1, i)), .folder = "INBOX",
			.username = t_strdup_printf("%u", i), .body = body,
			.expires = engine_now(&engine) + 3600
		};

		memcpy(body, t_strdup_printf("%3u:", i), 4);
		insert_row(&item);
	}
	rows_read = 0;
	open_all();
	for (i = 0; under_way() > 0; i++) {
		/* what lanes carry, and what is read ahead */
		assert_true(rows_read <= i + 16 + 8 + 2);
		answer(0, 200);
		settle();
	}
	assert_int_equal(i, 100);
}

static void
purge_all(const struct queue_read_result *result, void *context)
{
	unsigned int *purged = context, number = 0, i;
	struct endpoint *ep = delivery_next_endpoint(delivery, &number);

	assert_int_equal(result->count, 2);
	for (i = 0; i < result->count; i++) {
		if (endpoint_purge(ep, result->items[i]))
			*purged += 1;
	}
}

/* Others' are listed as well, but not found here. */
static void test_purge_is_for_own_parts(void **state ATTR_UNUSED)
{
	unsigned int purged = 0;

	begin();
	other_adds(1, 1);
	notify(1);
	db.owned[2] = FALSE;
	other_adds(2, 1);
	settle();
	answer(0, 503);
	(void)queue_read_endpoint(queue, queue_engine_get_endpoint(queue, 1),
				  0, INT64_MAX, 1000, purge_all, &purged);
	settle();
	assert_int_equal(purged, 1);
	assert_int_equal(queued(), 0);
	assert_true(other_sends(2));
	assert_string_equal(taken_to_str(), "0:0 2:1");
}

/* The parts have turns: one with much does not hold up others. */
static void test_parts_have_turns(void **state ATTR_UNUSED)
{
	unsigned int i, others = 0;

	begin();
	close_all();
	for (i = 0; i < 500; i++)
		other_adds(1 + SLOTS * i, 1);
	for (i = 0; i < 10; i++)
		other_adds(2 + SLOTS * i, 1);
	open_all();
	for (i = 0; i < 40; i++) {
		settle();
		if (slot_of(user_of(body_under_way(0))) == 2)
			others++;
		answer(0, 200);
	}
	assert_int_equal(others, 10);
	take_all();
	assert_int_equal(array_count(&taken), 511);
}

/* An endpoint that another process has made, or given another password. */
static void test_endpoint_of_another_process(void **state ATTR_UNUSED)
{
	const char *old = "url=http://user:old@other/";
	const char *new = "url=http://user:new@other/";
	struct queue_endpoint *ep;

	begin();
	ep = queue_engine_have_endpoint(queue, 2, "key", old);
	assert_ptr_equal(queue_engine_have_endpoint(queue, 2, "key", new), ep);
	assert_string_equal(ep->options, new);
	(void)queue_engine_have_part(queue, ep, part_number(2, 1), 0);
	insert_row(&(const struct queue_item) {
		.id = next_id(part_number(2, 1)), .username = "1",
		.folder = "INBOX", .body = "1:1",
		.expires = engine_now(&engine) + 3600
	});
	queue_engine_part_grown(queue, ep->parts,
				last_row_id(part_number(2, 1)));
	settle();
	assert_string_equal(latest_password, "new");
	take_all();
}

struct told {
	struct queue_endpoint *ep;
	struct queue_part *part;
};

static void tell_endpoint(struct queue_endpoint *ep,
			  const char *options ATTR_UNUSED, void *context)
{
	((struct told *)context)->ep = ep;
}

static void tell_claimed(struct queue_part *part, void *context)
{
	((struct told *)context)->part = part;
}

/* Another process stores something for it before it is forgotten. */
static void test_forgotten_endpoint_is_needed(void **state ATTR_UNUSED)
{
	static const struct queue_part_vfuncs vfuncs = {
		.endpoint = tell_endpoint, .claimed = tell_claimed
	};
	struct queue_endpoint *ep, *forgotten;
	struct told told;

	begin();
	close_all();
	open_queue();
	queue_claim(queue, &vfuncs, &told);
	ep = forgotten = queue_engine_get_endpoint(queue, 1);
	queue_endpoint_forget(queue, &forgotten);
	i_zero(&told);
	other_adds(1, 1);
	notify(1);
	assert_ptr_equal(told.ep, ep);
	assert_ptr_equal(told.part, part_of(1));
	queue_flush(queue);
	assert_ptr_equal(queue_engine_get_endpoint(queue, 1), ep);
	queue_deinit(&queue);
	open_all();
	take_all();
}

/* What is queued for an endpoint that is invalid is given up to others. */
static void test_parts_of_an_invalid_endpoint(void **state ATTR_UNUSED)
{
	struct queue_endpoint *ep;
	struct queue_part *part;

	begin();
	ep = queue_engine_have_endpoint(queue, 2, "key", "url=?");
	part = queue_engine_have_part(queue, ep, part_number(2, 1), 0);
	queue_engine_part_grown(queue, part, 1);
	queue_engine_part_look_again(queue, part);
	queue_engine_part_release(queue, part);
	assert_int_equal(released, 1);
	part = queue_engine_have_part(queue, ep, part_number(2, 2), 0);
	queue_engine_part_revoked(queue, part);
	settle();
}

/* Each commit takes the disk's time. */
static void test_removals_wait_for_company(void **state ATTR_UNUSED)
{
	struct queue_engine_vfuncs vfuncs = queue_engine_fake;

	begin();
	vfuncs.gather_msecs = 1000;
	engine.v = &vfuncs;
	add(1, 1);
	settle();
	answer(0, 200);
	settle();
	assert_int_equal(array_count(&db.rows), 1);
	/* what is added goes at once, and the removal with it */
	add(2, 1);
	settle();
	assert_int_equal(array_count(&db.rows), 1);
	assert_string_equal(body_under_way(0), "2:1");
	answer(0, 200);
	test_clock_pass(1000);
	assert_int_equal(array_count(&db.rows), 0);
	engine.v = &queue_engine_fake;
}

/* A random walk */

#define WALK_USERS 12
#define WALK_ROUNDS 20000

static struct {
	/* how many were added, and the last one that was taken, by user */
	unsigned int added[WALK_USERS], last[WALK_USERS];
	/* how many of taken have been looked at */
	unsigned int taken;
	/* those that were under way when their part was revoked */
	ARRAY(char *) revoked;
	unsigned int again;
} walk;

/* Two users have a slot together. */
static unsigned int walk_user(unsigned int i)
{
	return i / 2 + (i % 2) * SLOTS;
}

static bool walk_was_revoked(const char *body)
{
	char *str;

	array_foreach_elem(&walk.revoked, str) {
		if (strcmp(str, body) == 0)
			return TRUE;
	}
	return FALSE;
}

static void walk_look(void)
{
	unsigned int user, number, i;
	const char *body;

	for (; walk.taken < array_count(&taken); walk.taken++) {
		body = *array_idx(&taken, walk.taken);
		assert_int_equal(sscanf(body, "%u:%u", &user, &number), 2);
		i = user % SLOTS * 2 + user / SLOTS;
		if (number == walk.last[i] + 1)
			walk.last[i] = number;
		else if (number <= walk.last[i] && walk_was_revoked(body))
			walk.again++;
		else
			fail_msg("%s: is behind %u", body, walk.last[i]);
	}
}

static void walk_revoke(unsigned int user)
{
	struct request *req;
	char *body;

	array_foreach_modifiable(&requests, req) {
		if (slot_of(user_of(req->body)) == user % SLOTS) {
			body = i_strdup(req->body);
			array_push_back(&walk.revoked, &body);
		}
	}
	revoke_slot_of(user);
}

static void walk_slot(unsigned int user)
{
	bool owned = db.owned[user % SLOTS];

	if (!owned && i_rand_limit(3) == 0)
		take_slot(user % SLOTS);
	else if (!owned)
		(void)other_sends(user);
	else if (i_rand_limit(30) == 0)
		walk_revoke(user);
	else if (i_rand_limit(30) == 0 && part_of(user) != NULL &&
		 !part_of(user)->released)
		ask_for(user);
}

static void walk_round(void)
{
	unsigned int i = i_rand_limit(WALK_USERS), user = walk_user(i), n;

	if (i_rand_limit(4) > 0)
		add(user, ++walk.added[i]);
	else {
		queue_flush(queue);
		other_adds(user, ++walk.added[i]);
	}
	if (i_rand_limit(2) == 0)
		notify(user);
	reads_hang = i_rand_limit(4) == 0;
	walk_slot(walk_user(i_rand_limit(WALK_USERS)));
	for (n = i_rand_limit(4); n > 0 && under_way() > 0; n--) {
		answer(i_rand_limit(under_way()),
		       i_rand_limit(50) == 0 ? 503 : 200);
	}
	test_clock_pass(i_rand_limit(200) == 0 ? 6000 : i_rand_limit(20));
	walk_look();
}

static void walk_end(void)
{
	unsigned int i;

	queue_flush(queue);
	reads_hang = FALSE;
	/* those that were asked for are given back with their last requests */
	take_all();
	queue_flush(queue);
	for (i = 0; i < SLOTS; i++) {
		if (!db.owned[i])
			take_slot(i);
		notify(i);
	}
	for (i = 0; i < 1000; i++) {
		take_all();
		test_clock_pass(1000);
	}
	walk_look();
	assert_int_equal(array_count(&db.rows), 0);
	assert_int_equal(queued(), 0);
	for (i = 0; i < WALK_USERS; i++)
		assert_int_equal(walk.last[i], walk.added[i]);
	assert_true(walk.again <= array_count(&walk.revoked));
}

static void test_random_walk(void **state ATTR_UNUSED)
{
	unsigned int i;
	char **bodyp;

	print_message("TEST_SEED=%u\n", seed);
	i_zero(&walk);
	begin();
	walk.taken = array_count(&taken);
	i_array_init(&walk.revoked, 64);
	for (i = 0; i < WALK_ROUNDS; i++) T_BEGIN {
		walk_round();
	} T_END;
	walk_end();
	array_foreach_modifiable(&walk.revoked, bodyp)
		i_free(*bodyp);
	array_free(&walk.revoked);
}

#define parts_test(name) \
	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		parts_test(test_backlog_of_what_is_claimed),
		parts_test(test_backlog_after_a_restart),
		parts_test(test_stored_elsewhere_is_sent_by_others),
		parts_test(test_grown_part_is_read_on),
		parts_test(test_own_one_does_not_pass_anothers),
		parts_test(test_own_one_waits_while_growth_is_found),
		parts_test(test_what_was_put_back_is_found),
		parts_test(test_release_waits_for_requests),
		parts_test(test_release_waits_for_removals),
		parts_test(test_idle_part_is_released_at_once),
		parts_test(test_released_part_is_stored_to),
		parts_test(test_lapsed_parts_are_not_sent),
		parts_test(test_unremoved_ones_are_not_followed_by_others),
		parts_test(test_revoked_while_it_is_released),
		parts_test(test_revoked_one_that_is_taken_is_removed),
		parts_test(test_revoked_one_that_fails_is_forgotten),
		parts_test(test_revoked_while_it_is_read),
		parts_test(test_revoked_while_a_lane_reads),
		parts_test(test_delivered_while_it_is_read),
		parts_test(test_revoked_and_claimed_again),
		parts_test(test_claimed_again_and_released),
		parts_test(test_order_over_release_and_claim),
		parts_test(test_idle_parts_are_closed),
		parts_test(test_large_ones_are_not_all_read),
		parts_test(test_purge_is_for_own_parts),
		parts_test(test_parts_have_turns),
		parts_test(test_endpoint_of_another_process),
		parts_test(test_forgotten_endpoint_is_needed),
		parts_test(test_parts_of_an_invalid_endpoint),
		parts_test(test_removals_wait_for_company),
		parts_test(test_random_walk),
	};
	const char *str = getenv("TEST_SEED");
	int ret;

	lib_init();
	if (str == NULL || str_to_uint(str, &seed) < 0)
		seed = time(NULL) ^ getpid();
	ret = cmocka_run_group_tests_name("parts", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
