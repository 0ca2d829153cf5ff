/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "health.h"

#include "test-common.h"

/* any time */
#define NOW 1000000

/* A notification's that has not been tried. */
static void sent(struct health *health)
{
	struct blame blame;

	i_zero(&blame);
	health_sent(health, &blame);
	assert_ptr_equal(blame.tried, health);
	assert_int_equal(blame.taken, health->taken);
}

/* again: the notification has failed before. blamed: others have been accepted
   since it was sent. */
static bool
answered_for(struct health *health, enum answer_class answer, bool again,
	     bool blamed, unsigned int retry_after_secs, int64_t now)
{
	struct blame blame = {
		.tried = health, .failed = again,
		.taken = health->taken - (blamed ? 1 : 0)
	};

	return health_answered(health, &blame, answer, retry_after_secs, now);
}

static bool
answered(struct health *health, enum answer_class answer, int64_t now)
{
	return answered_for(health, answer, FALSE, FALSE, 0, now);
}

static void send_count(struct health *health, unsigned int count)
{
	for (; count > 0; count--)
		sent(health);
}

/* A request and its answer. */
static bool send_one(struct health *health, enum answer_class answer)
{
	sent(health);
	return answered(health, answer, NOW);
}

static void down_init(struct health *health)
{
	health_init(health);
	(void)send_one(health, ANSWER_UNREACHABLE);
	assert_int_equal(health->state, HEALTH_DOWN);
}

static void misconfigured_init(struct health *health)
{
	health_init(health);
	(void)send_one(health, ANSWER_MISCONFIGURED);
	assert_int_equal(health->state, HEALTH_MISCONFIGURED);
}

/* Sends the next probe as soon as it is due; returns when it was. */
static int64_t
probe(struct health *health, enum answer_class answer,
      unsigned int retry_after_secs)
{
	int64_t now = health->next_probe;

	assert_true(health_may_send(health, now));
	sent(health);
	(void)answered_for(health, answer, FALSE, FALSE, retry_after_secs,
			      now);
	return now;
}

static void
assert_jittered(int64_t msecs, unsigned int interval_msecs)
{
	assert_uint_in_range(msecs, interval_msecs * 3 / 4, interval_msecs * 5 / 4);
}

static void test_starts_up_with_the_small_window(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	assert_int_equal(health.state, HEALTH_UP);
	assert_int_equal(health.window, HEALTH_WINDOW_MIN);
	assert_int_equal(health.in_flight, 0);
}

static void test_window_limits_requests_under_way(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	for (i = 0; i < HEALTH_WINDOW_MIN; i++) {
		assert_true(health_may_send(&health, NOW));
		sent(&health);
	}
	assert_false(health_may_send(&health, NOW));
	(void)answered(&health, ANSWER_DONE, NOW);
	assert_true(health_may_send(&health, NOW));
}

static void test_window_grows_with_success(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int window;

	health_init(&health);
	for (window = HEALTH_WINDOW_MIN; window < HEALTH_WINDOW_MAX; window++) {
		assert_int_equal(health.window, window);
		(void)send_one(&health, ANSWER_DONE);
	}
	(void)send_one(&health, ANSWER_DONE);
	assert_int_equal(health.window, HEALTH_WINDOW_MAX);
}

/* It is no sign of too many at once. */
static void test_refusal_leaves_the_window_as_it_is(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	(void)send_one(&health, ANSWER_REFUSED);
	assert_int_equal(health.state, HEALTH_UP);
	assert_int_equal(health.window, HEALTH_WINDOW_MIN);
}

static void test_refusing_all_is_misconfigured(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	(void)send_one(&health, ANSWER_DONE);
	for (i = 1; i < HEALTH_MAX_FAILURES; i++)
		assert_false(send_one(&health, ANSWER_REFUSED));
	assert_true(send_one(&health, ANSWER_REFUSED));
	assert_int_equal(health.state, HEALTH_MISCONFIGURED);
}

/* As of a proxy that is there before what is behind it. */
static void test_refusal_does_not_end_an_outage(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	down_init(&health);
	for (i = 0; i < 3; i++) {
		(void)probe(&health, ANSWER_REFUSED, 0);
		assert_int_equal(health.state, HEALTH_DOWN);
	}
}

static void test_window_halves_with_failure(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	health.window = HEALTH_WINDOW_MAX;
	(void)send_one(&health, ANSWER_FAILED);
	assert_int_equal(health.state, HEALTH_UP);
	assert_int_equal(health.window, HEALTH_WINDOW_MAX / 2);
}

static void test_window_never_closes(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	for (i = 1; i < HEALTH_MAX_FAILURES; i++)
		(void)send_one(&health, ANSWER_FAILED);
	assert_int_equal(health.window, 1);
	assert_true(health_may_send(&health, NOW));
}

static void test_many_notifications_failing_is_down(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	for (i = 1; i < HEALTH_MAX_FAILURES; i++) {
		assert_false(send_one(&health, ANSWER_FAILED));
		assert_int_equal(health.state, HEALTH_UP);
	}
	assert_true(send_one(&health, ANSWER_FAILED));
	assert_int_equal(health.state, HEALTH_DOWN);
}

static void test_one_notification_failing_is_not_down(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	(void)send_one(&health, ANSWER_FAILED);
	for (i = 0; i < 10 * HEALTH_MAX_FAILURES; i++) {
		sent(&health);
		assert_false(answered_for(&health, ANSWER_FAILED, TRUE, TRUE, 0,
					     NOW));
	}
	assert_int_equal(health.state, HEALTH_UP);
	assert_int_equal(health.in_flight, 0);
}

/* Some are taken and some fail: there may be too many at once. */
static void test_window_halves_if_others_are_taken(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	health.window = 10;
	sent(&health);
	(void)answered_for(&health, ANSWER_FAILED, FALSE, TRUE, 0, NOW);
	assert_int_equal(health.window, 5);
	/* nor has one that fails again and again */
	sent(&health);
	(void)answered_for(&health, ANSWER_FAILED, TRUE, TRUE, 0, NOW);
	assert_int_equal(health.window, 5);
	/* these have nothing to do with how many there are */
	sent(&health);
	(void)answered_for(&health, ANSWER_MISCONFIGURED, TRUE, TRUE, 0,
			      NOW);
	assert_int_equal(health.window, 5);
	assert_int_equal(health.state, HEALTH_UP);
}

/* It has nothing else to send, so nobody knows whose fault it is. */
static bool fail_alone(struct health *health)
{
	sent(health);
	return answered_for(health, ANSWER_FAILED, TRUE, FALSE, 0, NOW);
}

static void test_one_notification_failing_alone_is_down(
	void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	(void)send_one(&health, ANSWER_FAILED);
	for (i = 2; i < HEALTH_MAX_FAILURES; i++)
		assert_false(fail_alone(&health));
	assert_true(fail_alone(&health));
	assert_int_equal(health.state, HEALTH_DOWN);

	/* another one tells, and need not wait */
	assert_false(health_may_send(&health, NOW));
	assert_true(health_may_send_untried(&health));
	(void)send_one(&health, ANSWER_FAILED);
	assert_int_equal(health.state, HEALTH_DOWN);
	assert_false(health_may_send_untried(&health));
}

static void test_other_notification_does_not_wait_for_one_that_fails(
	void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	for (i = 0; i < HEALTH_MAX_FAILURES; i++)
		(void)fail_alone(&health);
	assert_true(health_may_send_untried(&health));
	sent(&health);
	assert_false(health_may_send_untried(&health));
	assert_true(answered(&health, ANSWER_DONE, NOW));
	assert_int_equal(health.state, HEALTH_UP);
	assert_false(health_may_send_untried(&health));

	/* in an outage of all it does wait */
	for (i = 0; i < HEALTH_MAX_FAILURES; i++)
		(void)send_one(&health, ANSWER_FAILED);
	assert_int_equal(health.state, HEALTH_DOWN);
	assert_false(health_may_send_untried(&health));
}

/* Requests that were under way together fail together. */
static void test_window_halves_once_a_round_trip(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	health.window = 32;
	send_count(&health, 11);
	(void)answered(&health, ANSWER_DONE, NOW);
	for (i = 0; i < 9; i++)
		(void)answered_for(&health, ANSWER_FAILED, FALSE, TRUE, 0, NOW);
	assert_int_equal(health.window, 16);
	(void)answered_for(&health, ANSWER_FAILED, FALSE, TRUE, 0, NOW);
	(void)send_one(&health, ANSWER_FAILED);
	assert_int_equal(health.window, 8);
}

/* The strikes that it takes to give a notification up, while so many of others,
   of 16, fail. */
static unsigned int strikes_proved(enum answer_class class, unsigned int failing)
{
	struct health health;
	struct blame blame;
	unsigned int i;

	health_init(&health);
	for (i = 0; i < 1600; i++) {
		sent(&health);
		(void)answered_for(&health, i * 7 % 16 < failing ? ANSWER_FAILED :
				   ANSWER_DONE, FALSE, TRUE, 0, NOW);
	}
	i_zero(&blame);
	health_sent(&health, &blame);
	do {
		health.taken++;
		(void)health_answered(&health, &blame, class, 0, NOW);
		health_sent(&health, &blame);
	} while (blame.evidence < BLAME_PROVED);
	return blame.strikes;
}

static void test_more_failures_prove_less(void **state ATTR_UNUSED)
{
	assert_uint_in_range(strikes_proved(ANSWER_FAILED, 0), 6, 6);
	assert_uint_in_range(strikes_proved(ANSWER_REFUSED, 0), 3, 3);
	assert_uint_in_range(strikes_proved(ANSWER_FAILED, 8), 18, 32);
	assert_uint_in_range(strikes_proved(ANSWER_FAILED, 12), 60, 150);
}

static void test_success_forgives_failures(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	for (i = 0; i < 10 * HEALTH_MAX_FAILURES; i++) {
		(void)send_one(&health, i % HEALTH_MAX_FAILURES == 0 ?
			       ANSWER_DONE : ANSWER_FAILED);
	}
	assert_int_equal(health.state, HEALTH_UP);
}

static void test_unreachable_is_down_at_once(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	assert_true(send_one(&health, ANSWER_UNREACHABLE));
	assert_int_equal(health.state, HEALTH_DOWN);
}

static void
test_blamed_notification_says_nothing_about_a_server_that_is_up(
	void **state ATTR_UNUSED)
{
	static const enum answer_class failures[] = {
		ANSWER_UNREACHABLE, ANSWER_FAILED, ANSWER_LATER,
		ANSWER_MISCONFIGURED
	};
	struct health health;
	unsigned int i;

	health_init(&health);
	for (i = 0; i < N_ELEMENTS(failures); i++) {
		sent(&health);
		assert_false(answered_for(&health, failures[i], TRUE, TRUE,
					     0, NOW));
		assert_int_equal(health.state, HEALTH_UP);
		assert_int_equal(health.in_flight, 0);
	}
}

static void test_misconfigured_at_once(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	assert_true(send_one(&health, ANSWER_MISCONFIGURED));
	assert_int_equal(health.state, HEALTH_MISCONFIGURED);
}

static void test_change_is_reported_once_per_spell(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	assert_false(send_one(&health, ANSWER_DONE));
	assert_true(send_one(&health, ANSWER_UNREACHABLE));
	assert_false(send_one(&health, ANSWER_UNREACHABLE));
	assert_false(send_one(&health, ANSWER_FAILED));
	assert_true(send_one(&health, ANSWER_DONE));
	assert_false(send_one(&health, ANSWER_DONE));
}

static void test_probe_waits_until_it_is_due(void **state ATTR_UNUSED)
{
	struct health health;

	down_init(&health);
	assert_true(health.next_probe > NOW);
	assert_false(health_may_send(&health, NOW));
	assert_false(health_may_send(&health, health.next_probe - 1));
	assert_true(health_may_send(&health, health.next_probe));
}

static void test_one_probe_at_a_time(void **state ATTR_UNUSED)
{
	struct health health;

	down_init(&health);
	sent(&health);
	assert_false(health_may_send(&health, health.next_probe));
	assert_false(health_may_send(&health, INT64_MAX));
}

static void test_probe_waits_for_earlier_requests(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	send_count(&health, 3);
	(void)answered(&health, ANSWER_UNREACHABLE, NOW);
	assert_false(health_may_send(&health, health.next_probe));
	(void)answered(&health, ANSWER_UNREACHABLE, NOW);
	assert_false(health_may_send(&health, health.next_probe));
	(void)answered(&health, ANSWER_UNREACHABLE, NOW);
	assert_true(health_may_send(&health, health.next_probe));
}

static void test_late_failures_do_not_slow_probes(void **state ATTR_UNUSED)
{
	static const enum answer_class late[] = {
		ANSWER_UNREACHABLE, ANSWER_FAILED
	};
	struct health health;
	int64_t next_probe;
	unsigned int i;

	health_init(&health);
	send_count(&health, 1 + N_ELEMENTS(late));
	(void)answered(&health, ANSWER_UNREACHABLE, NOW);
	next_probe = health.next_probe;

	for (i = 0; i < N_ELEMENTS(late); i++)
		assert_false(answered(&health, late[i], NOW + 500));
	assert_int_equal(health.next_probe, next_probe);
	assert_int_equal(health.probe_interval_msecs, HEALTH_PROBE_MIN_MSECS);
}

/* One outage is one line in the log, also where several servers behind one
   address fail in ways of their own. */
static void
test_late_failures_of_another_kind_change_nothing(void **state ATTR_UNUSED)
{
	struct health health;
	int64_t next_probe;

	health_init(&health);
	send_count(&health, 3);
	assert_true(answered(&health, ANSWER_UNREACHABLE, NOW));
	next_probe = health.next_probe;

	assert_false(answered(&health, ANSWER_MISCONFIGURED, NOW));
	assert_false(answered(&health, ANSWER_UNREACHABLE, NOW));
	assert_int_equal(health.state, HEALTH_DOWN);
	assert_int_equal(health.next_probe, next_probe);
}

static void test_late_success_is_up(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	send_count(&health, 3);
	(void)answered(&health, ANSWER_UNREACHABLE, NOW);
	assert_true(answered(&health, ANSWER_DONE, NOW));
	assert_int_equal(health.state, HEALTH_UP);
	/* what is under way still counts */
	assert_int_equal(health.in_flight, 1);
}

/* It has said when to come back, whatever it still takes until then. */
static void
test_late_success_does_not_end_retry_after(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	send_count(&health, 2);
	assert_true(answered_for(&health, ANSWER_LATER, FALSE, FALSE,
				    120, NOW));
	assert_false(answered(&health, ANSWER_DONE, NOW));
	assert_int_equal(health.state, HEALTH_DOWN);
	assert_int_equal(health.next_probe, NOW + 120*1000);
	assert_int_equal(health.taken, 1);
	(void)probe(&health, ANSWER_DONE, 0);
	assert_int_equal(health.state, HEALTH_UP);

	/* nor does that of an earlier outage hold for the next one */
	send_count(&health, 2);
	assert_true(answered(&health, ANSWER_UNREACHABLE, NOW));
	assert_true(answered(&health, ANSWER_DONE, NOW));
}

static void test_up_again_begins_with_small_window(void **state ATTR_UNUSED)
{
	struct health health;

	down_init(&health);
	health.window = HEALTH_WINDOW_MAX;
	sent(&health);
	assert_true(answered(&health, ANSWER_DONE, health.next_probe));
	assert_int_equal(health.state, HEALTH_UP);
	assert_int_equal(health.window, HEALTH_WINDOW_MIN);
	assert_int_equal(health.failures, 0);
}

static void test_new_outage_begins_with_fast_probes(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	down_init(&health);
	for (i = 0; i < 5; i++)
		(void)probe(&health, ANSWER_UNREACHABLE, 0);
	(void)probe(&health, ANSWER_DONE, 0);
	(void)send_one(&health, ANSWER_UNREACHABLE);
	assert_jittered(health.next_probe - NOW, HEALTH_PROBE_MIN_MSECS);
}

/* Probes until the interval is at its maximum, and some more. */
static void
check_backoff(struct health *health, enum answer_class answer,
	      unsigned int min_msecs, unsigned int max_msecs)
{
	unsigned int interval = min_msecs, i;
	int64_t now = NOW;

	for (i = 0; i < 20; i++) {
		assert_int_equal(health->probe_interval_msecs, interval);
		assert_jittered(health->next_probe - now, interval);
		now = probe(health, answer, 0);
		interval = I_MIN(interval * 2, max_msecs);
	}
	assert_int_equal(interval, max_msecs);
}

static void test_backoff_doubles_up_to_its_maximum(void **state ATTR_UNUSED)
{
	struct health health;

	down_init(&health);
	check_backoff(&health, ANSWER_UNREACHABLE,
		      HEALTH_PROBE_MIN_MSECS, HEALTH_PROBE_MAX_MSECS);
	down_init(&health);
	check_backoff(&health, ANSWER_FAILED,
		      HEALTH_PROBE_MIN_MSECS, HEALTH_PROBE_MAX_MSECS);
}

static void test_down_is_probed_every_minute(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;
	int64_t now;

	down_init(&health);
	for (i = 0; i < 1000; i++) {
		now = probe(&health, ANSWER_UNREACHABLE, 0);
		assert_uint_in_range(health.next_probe - now, 1, 60*1000);
	}
}

static void test_misconfigured_is_probed_slowly_from_the_start(void **state ATTR_UNUSED)
{
	struct health health;

	misconfigured_init(&health);
	check_backoff(&health, ANSWER_MISCONFIGURED,
		      HEALTH_MISCONFIGURED_PROBE_MIN_MSECS,
		      HEALTH_PROBE_MAX_MSECS);
	assert_true(HEALTH_MISCONFIGURED_PROBE_MIN_MSECS >
		    HEALTH_PROBE_MIN_MSECS);
}

static void test_misconfigured_can_go_down(void **state ATTR_UNUSED)
{
	struct health health;
	int64_t now;

	misconfigured_init(&health);
	now = probe(&health, ANSWER_UNREACHABLE, 0);
	assert_int_equal(health.state, HEALTH_DOWN);
	assert_jittered(health.next_probe - now, HEALTH_PROBE_MIN_MSECS);
}

static void test_down_can_become_misconfigured(void **state ATTR_UNUSED)
{
	struct health health;
	int64_t now;

	down_init(&health);
	now = probe(&health, ANSWER_MISCONFIGURED, 0);
	assert_int_equal(health.state, HEALTH_MISCONFIGURED);
	assert_jittered(health.next_probe - now,
			HEALTH_MISCONFIGURED_PROBE_MIN_MSECS);
}

static void test_retry_after_is_honoured_while_up(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	sent(&health);
	assert_true(answered_for(&health, ANSWER_LATER, FALSE, FALSE,
				    120, NOW));
	assert_int_equal(health.state, HEALTH_DOWN);
	assert_int_equal(health.next_probe, NOW + 120*1000);
}

/* One is asked to come back later, and others are taken. */
static void test_retry_after_for_one_holds_for_it(void **state ATTR_UNUSED)
{
	struct health health;
	unsigned int i;

	health_init(&health);
	for (i = 0; i < 3; i++) {
		(void)send_one(&health, ANSWER_DONE);
		sent(&health);
		assert_false(answered_for(&health, ANSWER_LATER, FALSE, TRUE,
					  120, NOW));
	}
	assert_int_equal(health.state, HEALTH_UP);
	/* two in a row: it means all */
	sent(&health);
	assert_true(answered_for(&health, ANSWER_LATER, FALSE, TRUE, 120, NOW));
	assert_int_equal(health.next_probe, NOW + 120 * 1000);
	assert_false(health_may_send_untried(&health));
}

/* An error that one notification makes each time is its own. */
static void test_retry_after_of_a_poison_holds_for_it(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	sent(&health);
	assert_false(answered_for(&health, ANSWER_FAILED, TRUE, TRUE,
				     120, NOW));
	assert_int_equal(health.state, HEALTH_UP);
}

static void test_taken_counts_what_was_taken(void **state ATTR_UNUSED)
{
	struct health health;

	health_init(&health);
	(void)send_one(&health, ANSWER_FAILED);
	assert_int_equal(health.taken, 0);
	(void)send_one(&health, ANSWER_DONE);
	(void)send_one(&health, ANSWER_REFUSED);
	assert_int_equal(health.taken, 1);
	/* over an outage */
	(void)send_one(&health, ANSWER_UNREACHABLE);
	(void)probe(&health, ANSWER_DONE, 0);
	assert_int_equal(health.taken, 2);
}

static void test_retry_after_is_honoured_while_down(void **state ATTR_UNUSED)
{
	struct health health;
	int64_t now;

	down_init(&health);
	now = probe(&health, ANSWER_FAILED, 120);
	assert_int_equal(health.next_probe, now + 120*1000);
}

static void test_retry_after_is_capped(void **state ATTR_UNUSED)
{
	static const unsigned int believed = HEALTH_RETRY_AFTER_MAX_SECS;
	struct health health;
	int64_t now;

	down_init(&health);
	now = probe(&health, ANSWER_FAILED, believed);
	assert_int_equal(health.next_probe - now, believed * 1000);
	now = probe(&health, ANSWER_FAILED, believed + 1);
	assert_int_equal(health.next_probe - now, believed * 1000);
	now = probe(&health, ANSWER_FAILED, UINT_MAX);
	assert_int_equal(health.next_probe - now, believed * 1000);
}

static void test_jitter_is_a_quarter_more_or_less(void **state ATTR_UNUSED)
{
	unsigned int i, msecs, min = UINT_MAX, max = 0;

	for (i = 0; i < 10000; i++) {
		msecs = health_jitter(1000);
		assert_jittered(msecs, 1000);
		min = I_MIN(min, msecs);
		max = I_MAX(max, msecs);
	}
	assert_true(min < 1000 && max > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starts_up_with_the_small_window),
		cmocka_unit_test(test_window_limits_requests_under_way),
		cmocka_unit_test(test_window_grows_with_success),
		cmocka_unit_test(test_refusal_leaves_the_window_as_it_is),
		cmocka_unit_test(test_refusing_all_is_misconfigured),
		cmocka_unit_test(test_refusal_does_not_end_an_outage),
		cmocka_unit_test(test_window_halves_with_failure),
		cmocka_unit_test(test_window_never_closes),
		cmocka_unit_test(test_many_notifications_failing_is_down),
		cmocka_unit_test(test_one_notification_failing_is_not_down),
		cmocka_unit_test(test_one_notification_failing_alone_is_down),
		cmocka_unit_test(
			test_other_notification_does_not_wait_for_one_that_fails),
		cmocka_unit_test(test_window_halves_if_others_are_taken),
		cmocka_unit_test(test_window_halves_once_a_round_trip),
		cmocka_unit_test(test_more_failures_prove_less),
		cmocka_unit_test(test_success_forgives_failures),
		cmocka_unit_test(test_unreachable_is_down_at_once),
		cmocka_unit_test(test_blamed_notification_says_nothing_about_a_server_that_is_up),
		cmocka_unit_test(test_misconfigured_at_once),
		cmocka_unit_test(test_change_is_reported_once_per_spell),
		cmocka_unit_test(test_probe_waits_until_it_is_due),
		cmocka_unit_test(test_one_probe_at_a_time),
		cmocka_unit_test(test_probe_waits_for_earlier_requests),
		cmocka_unit_test(test_late_failures_do_not_slow_probes),
		cmocka_unit_test(
			test_late_failures_of_another_kind_change_nothing),
		cmocka_unit_test(test_late_success_is_up),
		cmocka_unit_test(test_late_success_does_not_end_retry_after),
		cmocka_unit_test(test_up_again_begins_with_small_window),
		cmocka_unit_test(test_new_outage_begins_with_fast_probes),
		cmocka_unit_test(test_backoff_doubles_up_to_its_maximum),
		cmocka_unit_test(test_down_is_probed_every_minute),
		cmocka_unit_test(test_misconfigured_is_probed_slowly_from_the_start),
		cmocka_unit_test(test_misconfigured_can_go_down),
		cmocka_unit_test(test_down_can_become_misconfigured),
		cmocka_unit_test(test_retry_after_is_honoured_while_up),
		cmocka_unit_test(test_retry_after_for_one_holds_for_it),
		cmocka_unit_test(test_retry_after_of_a_poison_holds_for_it),
		cmocka_unit_test(test_taken_counts_what_was_taken),
		cmocka_unit_test(test_retry_after_is_honoured_while_down),
		cmocka_unit_test(test_retry_after_is_capped),
		cmocka_unit_test(test_jitter_is_a_quarter_more_or_less),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("health", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
