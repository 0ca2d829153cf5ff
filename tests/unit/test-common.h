/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_COMMON_H
#define TEST_COMMON_H

/* Included last: cmocka takes names like fail() and skip() from whatever
   comes after it. */

/* what cmocka.h needs and does not include */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* before cmocka 2 */
#ifndef assert_uint_in_range
#define assert_uint_in_range assert_in_range
#endif

/* cmocka's assertions cast whatever they are given, the results of functions
   included, and Dovecot's flags have the compiler warn about that. */
#pragma GCC diagnostic ignored "-Wbad-function-cast"

#endif
