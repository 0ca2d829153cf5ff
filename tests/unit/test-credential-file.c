/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "write-full.h"

#include "credential-file.h"

#include "test-common.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/test-credential-file.XXXXXX";

static void file_has(const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write_full(fd, data, size), 0);
	i_close_fd(&fd);
}

static void file_has_text(const char *text)
{
	file_has(text, strlen(text));
}

static const char *text_of_size(size_t size)
{
	char *text = t_malloc0(size + 1);

	memset(text, 'x', size);
	return text;
}

static void check_token(const char *text, const char *expected)
{
	const char *token, *error;

	file_has_text(text);
	assert_int_equal(credential_file_read_token(path, &token, &error), 0);
	assert_string_equal(token, expected);
}

static void check_no_token(const char *text, const char *expected_error)
{
	const char *token, *error;

	file_has_text(text);
	assert_int_equal(credential_file_read_token(path, &token, &error), -1);
	assert_string_equal(error, expected_error);
}

static void test_it_is_read_anew(void **state ATTR_UNUSED)
{
	check_token("a.b-c_d~e+f/g=", "a.b-c_d~e+f/g=");
	check_token(" token\r\n", "token");
	check_token(text_of_size(CREDENTIAL_TOKEN_MAX),
		    text_of_size(CREDENTIAL_TOKEN_MAX));
}

static void test_what_is_no_token(void **state ATTR_UNUSED)
{
	check_no_token("", "is empty");
	check_no_token("\n", "is empty");
	check_no_token("two words\n",
		       "must have one word of visible ASCII characters");
	check_no_token("a\nb",
		       "must have one word of visible ASCII characters");
	check_no_token("t\xc3\xb6ken",
		       "must have one word of visible ASCII characters");
	check_no_token(text_of_size(CREDENTIAL_TOKEN_MAX + 1),
		       "is longer than 2048 bytes");
}

static void test_size_is_limited(void **state ATTR_UNUSED)
{
	const char *text, *error;

	file_has_text(text_of_size(CREDENTIAL_FILE_MAX));
	assert_int_equal(credential_file_read(path, &text, &error), 0);
	assert_int_equal(strlen(text), CREDENTIAL_FILE_MAX);
	file_has_text(text_of_size(CREDENTIAL_FILE_MAX + 1));
	assert_int_equal(credential_file_read(path, &text, &error), -1);
	assert_string_equal(error, "is longer than 4096 bytes");

	/* of those that libcurl reads; this one takes no room */
	assert_int_equal(truncate(path, CREDENTIAL_FILE_OTHERS_MAX), 0);
	assert_int_equal(credential_file_check(path, &error), 0);
	assert_int_equal(truncate(path, CREDENTIAL_FILE_OTHERS_MAX + 1), 0);
	assert_int_equal(credential_file_check(path, &error), -1);
	assert_string_equal(error, "is longer than 4194304 bytes");
}

static void test_text_only(void **state ATTR_UNUSED)
{
	const char *text, *error;

	file_has("a\0b", 3);
	assert_int_equal(credential_file_read(path, &text, &error), -1);
	assert_string_equal(error, "is not a text file");
	file_has_text("\xef\xbb\xbfwhsec_");
	assert_int_equal(credential_file_read(path, &text, &error), -1);
	assert_string_equal(error, "begins with a byte order mark, which an "
			    "editor has added: save it without");
	file_has("a\0", 2);
	assert_int_equal(credential_file_read(path, &text, &error), -1);
}

static void check_other(const char *other, const char *expected_error)
{
	const char *text, *error;

	assert_int_equal(credential_file_read(other, &text, &error), -1);
	assert_string_equal(error, expected_error);
	assert_int_equal(credential_file_check(other, &error), -1);
	assert_string_equal(error, expected_error);
}

static void test_regular_files_only(void **state ATTR_UNUSED)
{
	const char *fifo = t_strconcat(path, ".fifo", NULL), *error;

	assert_int_equal(credential_file_check(path, &error), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	/* this does not wait for a writer */
	check_other(fifo, "is not a regular file");
	assert_int_equal(unlink(fifo), 0);
	check_other("/dev/zero", "is not a regular file");
	check_other("/tmp", "is not a regular file");
	check_other("/nonexistent", "can't be read by the service's user: "
		    "No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_read_anew),
		cmocka_unit_test(test_what_is_no_token),
		cmocka_unit_test(test_size_is_limited),
		cmocka_unit_test(test_text_only),
		cmocka_unit_test(test_regular_files_only),
	};
	int ret, fd;

	lib_init();
	fd = mkstemp(path);
	i_assert(fd != -1);
	i_close_fd(&fd);
	ret = cmocka_run_group_tests_name("credential-file", tests, NULL, NULL);
	(void)unlink(path);
	lib_deinit();
	return ret;
}
