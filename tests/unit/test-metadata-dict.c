/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Look-ups in a dictionary that may hang. The dictionary and the clock are the
   test's. */
#include "lib.h"
#include "ioloop.h"
#include "mail-storage-settings.h"

#include "attribute-dict.h"
#include "log-spells.h"
#include "metadata-dict.h"
#include "monotonic.h"
#include "slow-mark.h"

#include "test-common.h"

#define TIMEOUT_MSECS 400
#define NEVER UINT_MAX

static struct ioloop *ioloop;
static int64_t now = 100000;
static enum attribute_dict_kind kind;
static const char *dict_name;
/* how long it takes; what it answers, NULL = it fails */
static unsigned int takes, begin_takes;
static const char *answer;
static unsigned int open_count, asked_count, asked_timeout;
static dict_lookup_callback_t *pending;
static void *pending_context;
static struct timeout *to_answer;

/* another process has found that it hangs; how often this one has */
static bool marked;
static unsigned int marked_count;

static struct mail_user_settings user_set = { .base_dir = "/run" };
static struct mail_user user = { .set = &user_set };

bool slow_mark_is_set(const char *socket_path)
{
	assert_string_equal(socket_path, "/run/dict");
	return marked;
}

void slow_mark_set(const char *socket_path)
{
	assert_string_equal(socket_path, "/run/dict");
	marked_count++;
}

int64_t http_notify_monotonic_msecs(void)
{
	return now;
}

#ifdef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
const struct dict_op_settings *
mail_user_get_dict_op_settings(struct mail_user *of_user)
{
	static const struct dict_op_settings set = { .username = "bob" };

	assert_ptr_equal(of_user, &user);
	return &set;
}
#endif

static void test_dict_result(struct dict_lookup_result *result)
{
	i_zero(result);
	result->ret = answer == NULL ? -1 : (*answer == '\0' ? 0 : 1);
	result->value = answer;
	result->error = "it failed";
}

static void test_dict_answer(void *context ATTR_UNUSED)
{
	struct dict_lookup_result result;
	dict_lookup_callback_t *callback = pending;

	timeout_remove(&to_answer);
	now += takes;
	pending = NULL;
	test_dict_result(&result);
	callback(&result, pending_context);
}

static void test_dict_lookup_async(
	struct dict *dict ATTR_UNUSED,
#ifdef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
	const struct dict_op_settings *set ATTR_UNUSED,
#endif
	const char *key, dict_lookup_callback_t *callback, void *context)
{
	assert_string_equal(key, "priv/key");
	asked_count++;
	now += begin_takes;
	pending = callback;
	pending_context = context;
	if (takes != NEVER) {
		to_answer = timeout_add_short(0, test_dict_answer,
					      (void *)NULL);
	}
}

static bool test_dict_switch_ioloop(struct dict *dict ATTR_UNUSED)
{
	if (to_answer != NULL)
		to_answer = io_loop_move_timeout(&to_answer);
	return TRUE;
}

static void test_dict_deinit(struct dict *dict)
{
	struct dict_lookup_result result = { .ret = -1, .error = "Deinit" };

	timeout_remove(&to_answer);
	if (pending != NULL) {
		pending(&result, pending_context);
		pending = NULL;
	}
	open_count--;
	i_free(dict);
}

/* by which dict_lookup() is done, on this line or that */
static int dict_lookup_sync(const char **value_r, const char **error_r)
{
	struct dict_lookup_result result;

	asked_count++;
	now += I_MIN(takes, asked_timeout);
	if (takes == NEVER) {
		*error_r = "timed out";
		return -1;
	}
	test_dict_result(&result);
	*value_r = result.value;
	*error_r = result.error;
	return result.ret;
}

#ifdef HTTP_NOTIFY_HAVE_SETTINGS_ROOT
static int
test_dict_lookup(struct dict *dict ATTR_UNUSED,
		 const struct dict_op_settings *set ATTR_UNUSED, pool_t pool,
		 const char *key ATTR_UNUSED, const char *const **values_r,
		 const char **error_r)
{
	const char **values = p_new(pool, const char *, 2);

	*values_r = values;
	return dict_lookup_sync(&values[0], error_r);
}
#else
static int
test_dict_lookup(struct dict *dict ATTR_UNUSED,
#ifdef HTTP_NOTIFY_HAVE_DICT_OP_SETTINGS
		 const struct dict_op_settings *set ATTR_UNUSED,
#endif
		 pool_t pool ATTR_UNUSED, const char *key ATTR_UNUSED,
		 const char **value_r, const char **error_r)
{
	return dict_lookup_sync(value_r, error_r);
}
#endif

int http_notify_attribute_dict_init(struct mail_user *of_user,
				    unsigned int timeout_msecs,
				    struct dict **dict_r,
				    enum attribute_dict_kind *kind_r,
				    const char **name_r)
{
	struct dict *dict;

	assert_ptr_equal(of_user, &user);
	if (dict_name == NULL)
		return -1;
	dict = i_new(struct dict, 1);
	dict->name = "test";
	dict->refcount = 1;
	dict->event = event_create(NULL);
	dict->v.deinit = test_dict_deinit;
	dict->v.lookup = test_dict_lookup;
	if (kind == ATTRIBUTE_DICT_ASYNC) {
		dict->v.lookup_async = test_dict_lookup_async;
		dict->v.switch_ioloop = test_dict_switch_ioloop;
	}
	open_count++;
	asked_timeout = timeout_msecs;
	*dict_r = dict;
	*kind_r = kind;
	*name_r = t_strdup(dict_name);
	return 0;
}

static int setup(void **state ATTR_UNUSED)
{
	kind = ATTRIBUTE_DICT_ASYNC;
	dict_name = "dictionary";
	takes = begin_takes = 0;
	answer = "value";
	asked_count = marked_count = 0;
	marked = FALSE;
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	metadata_dicts_deinit();
	log_spells_deinit();
	assert_int_equal(open_count, 0);
	assert_ptr_equal(current_ioloop, ioloop);
	return 0;
}

/* Returns what _finish() does. said: NULL = it does not matter */
static int look_up(const char **value_r, const char **error_r, bool *said_r)
{
	struct metadata_dict_lookup *lookup;
	bool said;
	int ret;

	lookup = metadata_dict_lookup_begin(&user, "priv/key", TIMEOUT_MSECS,
					    NULL, NULL);
	assert_non_null(lookup);
	ret = metadata_dict_lookup_finish(&lookup, TIMEOUT_MSECS, value_r,
					  error_r, &said);
	assert_null(lookup);
	if (said_r != NULL)
		*said_r = said;
	return ret;
}

static void found(const char *expected)
{
	const char *value, *error;
	bool said;

	assert_int_equal(look_up(&value, &error, &said), 1);
	assert_string_equal(value, expected);
	assert_false(said);
}

static void not_found(const char *why, int expected, bool is_said)
{
	const char *value, *error;
	bool said;

	assert_int_equal(look_up(&value, &error, &said), expected);
	assert_non_null(strstr(error, why));
	assert_int_equal(said, is_said);
}

static void answers(enum attribute_dict_kind of_kind)
{
	const char *value, *error;

	kind = of_kind;
	found("value");
	answer = "";
	assert_int_equal(look_up(&value, &error, NULL), 0);
	answer = NULL;
	/* each user's outage is another one */
	not_found("it failed", -1, FALSE);
	not_found("it failed", -1, FALSE);
	assert_int_equal(asked_count, 4);
}

static void test_asynchronous_answers(void **state ATTR_UNUSED)
{
	answers(ATTRIBUTE_DICT_ASYNC);
}

static void test_synchronous_answers(void **state ATTR_UNUSED)
{
	answers(ATTRIBUTE_DICT_GIVES_UP);
	assert_int_equal(asked_timeout, TIMEOUT_MSECS);
}

static void test_others_are_left_to_lib_storage(void **state ATTR_UNUSED)
{
	kind = ATTRIBUTE_DICT_BLOCKS;
	assert_null(metadata_dict_lookup_begin(&user, "priv/key", 400,
						NULL, NULL));
	dict_name = NULL;
	assert_null(metadata_dict_lookup_begin(&user, "priv/key", 400,
						NULL, NULL));
}

/* In the background. */

static struct metadata_dict_lookup *background;
static unsigned int called_count;

static void background_called(void *context)
{
	assert_ptr_equal(context, &called_count);
	called_count++;
	io_loop_stop(ioloop);
}

static void background_begin(void)
{
	called_count = 0;
	background = metadata_dict_lookup_begin(
		&user, "priv/key", METADATA_DICT_BACKGROUND_MSECS,
		background_called, &called_count);
	assert_non_null(background);
	assert_int_equal(called_count, 0);
	assert_ptr_equal(current_ioloop, ioloop);
}

static void background_finished(int expected)
{
	const char *value, *error;
	bool said;

	assert_int_equal(metadata_dict_lookup_finish(&background, TIMEOUT_MSECS,
						     &value, &error, &said),
			 expected);
	if (expected > 0)
		assert_string_equal(value, "value");
}

static void test_answers_in_the_background(void **state ATTR_UNUSED)
{
	static const enum attribute_dict_kind kinds[] = {
		ATTRIBUTE_DICT_ASYNC, ATTRIBUTE_DICT_GIVES_UP
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		kind = kinds[i];
		background_begin();
		io_loop_run(ioloop);
		assert_int_equal(called_count, 1);
		background_finished(1);
	}
	/* somebody is using the process */
	assert_int_equal(asked_timeout, 100);
}

/* Before there is an answer. */
static void test_background_is_over(void **state ATTR_UNUSED)
{
	background_begin();
	background_finished(1);
	assert_int_equal(called_count, 0);

	takes = NEVER;
	background_begin();
	background_finished(-2);
	assert_int_equal(called_count, 0);

	now += METADATA_DICT_SPELL_MSECS;
	background_begin();
	metadata_dict_lookup_abort(&background);
	assert_int_equal(called_count, 0);
}

static void hangs(enum attribute_dict_kind of_kind)
{
	unsigned int i;

	kind = of_kind;
	takes = NEVER;
	not_found("did not answer within 400 ms", -2, FALSE);
	for (i = 0; i < 3; i++)
		not_found("just before", -2, TRUE);
	assert_int_equal(asked_count, 1);
	/* another one does not */
	dict_name = "another";
	takes = 0;
	found("value");
	/* it still does */
	dict_name = "dictionary";
	takes = NEVER;
	now += METADATA_DICT_SPELL_MSECS;
	not_found("did not answer within 400 ms", -2, TRUE);
	assert_int_equal(asked_count, 3);
	/* it is back */
	now += METADATA_DICT_SPELL_MSECS;
	takes = 0;
	found("value");
	takes = NEVER;
	not_found("did not answer within 400 ms", -2, FALSE);
}

static void test_asynchronous_hangs(void **state ATTR_UNUSED)
{
	hangs(ATTRIBUTE_DICT_ASYNC);
}

static void test_synchronous_hangs(void **state ATTR_UNUSED)
{
	hangs(ATTRIBUTE_DICT_GIVES_UP);
}

static void test_far_away_is_not_slow(void **state ATTR_UNUSED)
{
	unsigned int i;

	takes = 100;
	for (i = 0; i < 50; i++)
		found("value");
}

/* What many recipients wait for together is limited. */
static void test_slow_answers(void **state ATTR_UNUSED)
{
	unsigned int i;

	takes = 200;
	for (i = 0; i < 3; i++)
		found("value");
	for (i = 0; i < 3; i++)
		not_found("just before", -2, i > 0);
	assert_int_equal(asked_count, 3);
	now += METADATA_DICT_SPELL_MSECS;
	found("value");
}

/* Dovecot's client waits for a dict service with too much to do. */
static void test_slow_beginning(void **state ATTR_UNUSED)
{
	begin_takes = 1000;
	answer = NULL;
	not_found("did not answer within 400 ms", -2, FALSE);
	not_found("just before", -2, TRUE);
	assert_int_equal(asked_count, 1);
}

static void test_other_processes(void **state ATTR_UNUSED)
{
	takes = NEVER;
	not_found("within 400 ms", -2, FALSE);
	assert_int_equal(marked_count, 1);
	not_found("just before", -2, TRUE);
	dict_name = "another";
	marked = TRUE;
	not_found("within 50 ms", -2, FALSE);
	/* which can be too short: the mark ends */
	assert_int_equal(marked_count, 1);
	dict_name = "one more";
	takes = 0;
	found("value");

	/* not one of the dict service */
	kind = ATTRIBUTE_DICT_GIVES_UP;
	takes = NEVER;
	not_found("within 400 ms", -2, FALSE);
	assert_int_equal(marked_count, 1);
}

static void test_left(void **state ATTR_UNUSED)
{
	struct metadata_dict_lookup *lookup;

	takes = NEVER;
	lookup = metadata_dict_lookup_begin(&user, "priv/key", TIMEOUT_MSECS,
					    NULL, NULL);
	assert_int_equal(open_count, 1);
	metadata_dict_lookup_abort(&lookup);
	assert_null(lookup);
	assert_int_equal(open_count, 0);
	/* nobody knows whether it would have answered */
	takes = 0;
	found("value");
}

static void test_many_dictionaries(void **state ATTR_UNUSED)
{
	unsigned int i;

	kind = ATTRIBUTE_DICT_GIVES_UP;
	takes = NEVER;
	for (i = 0; i < 40; i++) T_BEGIN {
		dict_name = t_strdup_printf("dictionary %c", 'A' + i);
		not_found("did not answer within", -2, FALSE);
		not_found("just before", -2, TRUE);
		dict_name = NULL;
	} T_END;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answers_in_the_background),
		TEST(test_background_is_over),
		TEST(test_asynchronous_answers),
		TEST(test_synchronous_answers),
		TEST(test_others_are_left_to_lib_storage),
		TEST(test_asynchronous_hangs),
		TEST(test_synchronous_hangs),
		TEST(test_far_away_is_not_slow),
		TEST(test_slow_answers),
		TEST(test_slow_beginning),
		TEST(test_other_processes),
		TEST(test_left),
		TEST(test_many_dictionaries),
	};
	int ret;

	lib_init();
	ioloop = io_loop_create();
	metadata_dicts_init();
	ret = cmocka_run_group_tests_name("METADATA dictionaries", tests, NULL,
					  NULL);
	io_loop_destroy(&ioloop);
	lib_deinit();
	return ret;
}
