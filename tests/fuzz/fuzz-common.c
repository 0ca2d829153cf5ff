/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "istream.h"
#include "str.h"
#include "strescape.h"

#include "fuzz-common.h"

/* what libFuzzer calls */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerInitialize(int *argc ATTR_UNUSED, char ***argv ATTR_UNUSED)
{
	lib_init();
	/* libFuzzer ends with exit(), which is none of Dovecot's ways */
	lib_set_clean_exit(TRUE);
	return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	pool_t pool = pool_allocfree_create("fuzz");

	T_BEGIN {
		fuzz_one(data, size, pool);
	} T_END;
	pool_unref(&pool);
	return 0;
}

const char *const *fuzz_words_dup(pool_t pool, const char *const *words)
{
	unsigned int i, count = str_array_length(words);
	const char **dup = p_new(pool, const char *, count + 1);

	for (i = 0; i < count; i++)
		dup[i] = p_strdup(pool, words[i]);
	return dup;
}

const char *const *fuzz_fields_of(const string_t *dest)
{
	const unsigned char *data = str_data(dest);
	size_t size = str_len(dest);
	struct istream *input = i_stream_create_from_data(data, size);
	const char *const *fields;

	i_assert(memchr(data, '\0', size) == NULL);
	i_assert(memchr(data, '\r', size) == NULL);
	i_assert(memchr(data, '\n', size) == data + size - 1);
	fields = t_strsplit_tabescaped(i_stream_read_next_line(input));
	i_assert(i_stream_read_next_line(input) == NULL);
	i_stream_unref(&input);
	return fields;
}

bool fuzz_has_controls(const char *str)
{
	for (; *str != '\0'; str++) {
		if ((unsigned char)*str < ' ')
			return TRUE;
	}
	return FALSE;
}
