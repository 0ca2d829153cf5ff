/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FUZZ_COMMON_H
#define FUZZ_COMMON_H

/* A fuzz target: asserts what has to hold for one input. Inputs of the code
   under test belong into the pool: there each is a memory block of its own, and
   AddressSanitizer notices a read beyond it. All of the data stack is one
   block. */
void fuzz_one(const unsigned char *data, size_t size, pool_t pool);

/* Each word is allocated from the pool, and so is the array. */
const char *const *fuzz_words_dup(pool_t pool, const char *const *words);

/* What the other side splits: asserts that dest is one line. */
const char *const *fuzz_fields_of(const string_t *dest);

bool fuzz_has_controls(const char *str);

#endif
