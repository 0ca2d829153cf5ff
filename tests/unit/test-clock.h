/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_CLOCK_H
#define TEST_CLOCK_H

/* Time and chance of the tests' own, in place of Dovecot's timeouts, its random
   numbers and the monotonic clock: hours pass at once, and what happens is the
   same each time. There is no ioloop then. */

/* Begin with this seed. */
void test_clock_init(unsigned int seed);
/* Fails the test if a timeout is left. */
void test_clock_deinit(void);

/* Call the timeouts that are due, without those that they add. */
void test_clock_turn(void);
/* Let time pass, and call what becomes due. Fails the test if that has no end,
   as in a loop that waits for nothing. */
void test_clock_pass(unsigned int msecs);

/* How many timeouts have been called so far. */
unsigned int test_clock_get_calls(void);

#endif
