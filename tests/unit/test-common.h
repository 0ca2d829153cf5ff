#ifndef TEST_COMMON_H
#define TEST_COMMON_H

/* Included last: cmocka takes names like fail() and skip() from whatever
   comes after it. */

/* what cmocka.h needs and does not include */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* cmocka's assertions cast whatever they are given, the results of functions
   included, and Dovecot's flags have the compiler warn about that. */
#pragma GCC diagnostic ignored "-Wbad-function-cast"

#endif
