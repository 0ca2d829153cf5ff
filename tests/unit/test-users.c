/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "users.h"

#include "test-common.h"

#define HEADER "login,user,context\n"

static int read_sized(struct users *users, const char *data, size_t size,
		      const char *others, const char **error)
{
	FILE *file = tmpfile();
	int ret;

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	rewind(file);
	ret = users_read(users, file, "FILE", NULL, error);
	(void)fclose(file);
	if (ret == 0 && others != NULL) {
		file = tmpfile();
		assert_non_null(file);
		(void)fputs(others, file);
		rewind(file);
		ret = users_read_others(users, file, "LIST", NULL, error);
		(void)fclose(file);
	}
	return ret;
}

static void read_users(struct users *users, const char *data,
		       const char *others)
{
	const char *error;

	if (read_sized(users, data, strlen(data), others, &error) < 0)
		fail_msg("refused: %s", error);
}

/* As "login value" words, separated by commas. */
static void expect_tasks(const struct users *users, const char *expected)
{
	struct buffer tasks = {};
	size_t i;

	for (i = 0; i < users->task_count; i++) {
		buffer_printf(&tasks, "%s%s %s", i == 0 ? "" : ",",
			      users->tasks[i].login,
			      users->tasks[i].action == SESSION_REGISTER ?
			      users->tasks[i].value : "-");
	}
	assert_string_equal(buffer_str(&tasks), expected);
	buffer_free(&tasks);
}

static void expect_problem(const struct users *users, size_t idx,
			   const char *login, const char *reason)
{
	const struct user_problem *problem = &users->problems[idx];

	assert_true(idx < users->problem_count);
	if (login == NULL)
		assert_null(problem->login);
	else
		assert_string_equal(problem->login, login);
	if (strstr(problem->reason, reason) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", reason, problem->reason);
}

static void test_lines_in_their_order(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, HEADER "bob,3,1\nalice@example.org,2147483647,1\n"
		   "j\xc3\xb6rg@b\xc3\xbc" "cher.example,7,2", NULL);
	expect_tasks(&users, "bob user=3@1,"
		     "alice@example.org user=2147483647@1,"
		     "j\xc3\xb6rg@b\xc3\xbc" "cher.example user=7@2");
	assert_int_equal(users.problem_count, 0);
	users_free(&users);
}

static void test_byte_order_mark_crlf_quotes_and_empty_lines(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, "\xef\xbb\xbflogin,\"user\",context\r\n\r\n"
		   "\"a,\"\"b\",\"3\",1\r\n\nbob,4,\"1\"\r\n", NULL);
	expect_tasks(&users, "a,\"b user=3@1,bob user=4@1");
	assert_int_equal(users.problem_count, 0);
	users_free(&users);
}

static void test_empty_files_are_fine(void **state)
{
	static const char *const files[] = { "", "\n\n", HEADER,
					     "login,user,context" };
	struct users users;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		read_users(&users, files[i], NULL);
		assert_int_equal(users.task_count, 0);
		assert_int_equal(users.problem_count, 0);
		users_free(&users);
	}
}

static void test_other_headers_are_refused(void **state)
{
	static const char *const files[] = {
		"bob,3,1\n", "login,user\n", "login,user,context,x\n",
		"user,login,context\n", "login;user;context\n", "\"login\n",
	};
	const char *error;
	struct users users;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		assert_int_equal(read_sized(&users, files[i], strlen(files[i]),
					    NULL, &error), -1);
		assert_non_null(strstr(error, "login,user,context"));
		users_free(&users);
	}
}

static void test_bad_lines_do_not_stop_the_rest(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, HEADER
		   "a,3\n" "b,3,1,x\n" "c,x,1\n" "d,3,0\n" ",3,1\n"
		   "\"e,3,1\n" "f\xff,3,1\n" " g,3,1\n" "h\x01,3,1\n"
		   "i\"i,3,1\n" "\"j\"j,3,1\n" "k,03,1\n" "last,3,1\n", NULL);
	expect_tasks(&users, "last user=3@1");
	assert_int_equal(users.problem_count, 12);
	expect_problem(&users, 0, "a", "FILE, line 2: expected are three");
	expect_problem(&users, 1, "b", "line 3: expected are three");
	expect_problem(&users, 2, "c", "line 4: user is not a number");
	expect_problem(&users, 3, "d", "line 5: context is not a number");
	expect_problem(&users, 4, NULL, "line 6: the login is empty");
	expect_problem(&users, 5, NULL, "line 7: a quote is not closed");
	expect_problem(&users, 6, NULL, "line 8: the login is not UTF-8");
	expect_problem(&users, 7, NULL, "line 9: the login begins or ends");
	expect_problem(&users, 8, NULL, "line 10: the login has control");
	expect_problem(&users, 9, NULL, "line 11: a quote is inside");
	expect_problem(&users, 10, NULL, "line 12: text follows");
	expect_problem(&users, 11, "k", "line 13: user is not a number");
	users_free(&users);
}

static void test_nul_bytes_are_bad(void **state)
{
	static const char data[] = HEADER "bob\0,3,1\nalice,4,1\n";
	const char *error;
	struct users users;

	(void)state;
	assert_int_equal(read_sized(&users, data, sizeof(data) - 1, NULL,
				    &error), 0);
	expect_tasks(&users, "alice user=4@1");
	expect_problem(&users, 0, NULL, "line 2: there is a NUL");
	users_free(&users);
}

static void test_login_that_comes_again_is_done_once(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, HEADER "bob,3,1\nalice,4,1\nBob,3,1\nbob,x,1\n",
		   NULL);
	expect_tasks(&users, "bob user=3@1,alice user=4@1");
	assert_int_equal(users.problem_count, 2);
	expect_problem(&users, 0, "bob", "line 5: user is not");
	expect_problem(&users, 1, "Bob", "line 4: the login is in line 2 "
		       "already");
	users_free(&users);
}

static void test_lines_that_contradict_each_other_are_not_done(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, HEADER "bob,3,1\nalice,4,1\nbob,3,1\nbob,5,1\n",
		   "bob\n");
	expect_tasks(&users, "alice user=4@1");
	assert_int_equal(users.problem_count, 3);
	expect_problem(&users, 0, "bob", "line 2: the login is in line 4, "
		       "with other numbers: it is left");
	expect_problem(&users, 1, "bob", "line 4: the login is in line 2, "
		       "with other");
	expect_problem(&users, 2, "bob", "line 5: the login is in line 2, "
		       "with other");
	users_free(&users);
}

static void test_others_are_unregistered(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, HEADER "bob,3,1\nbad,x,1\n",
		   "\xef\xbb\xbf" "Bob\r\ncarol\n\nbad\ncarol\nCAROL\na b\n");
	expect_tasks(&users, "bob user=3@1,a b -,carol -");
	assert_int_equal(users.problem_count, 1);
	users_free(&users);
}

static void test_all_are_others_of_a_file_with_only_a_header(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, HEADER, "bob\n");
	expect_tasks(&users, "bob -");
	users_free(&users);
}

static void test_nobody_is_unregistered_by_a_broken_file(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, "", "bob\n");
	expect_tasks(&users, "");
	expect_problem(&users, 0, NULL, "nobody is unregistered");
	users_free(&users);

	read_users(&users, HEADER "alice,3,1\n\"carol,4,1\n", "bob\ncarol\n");
	expect_tasks(&users, "alice user=3@1");
	expect_problem(&users, 0, NULL, "line 3: a quote");
	expect_problem(&users, 1, NULL, "nobody is unregistered");
	users_free(&users);
}

static void test_bad_lines_of_the_list(void **state)
{
	struct users users;

	(void)state;
	read_users(&users, HEADER, "bob\n\tcarol\nd\xff\n");
	expect_tasks(&users, "bob -");
	expect_problem(&users, 0, NULL, "LIST, line 2: the login has control");
	expect_problem(&users, 1, NULL, "LIST, line 3: the login is not UTF");
	users_free(&users);
}

static void test_many_lines(void **state)
{
	struct buffer data = {}, list = {};
	struct users users;
	unsigned int i;

	(void)state;
	buffer_append_str(&data, HEADER);
	for (i = 1; i <= 10000; i++) {
		buffer_printf(&data, "user%u,%u,1\n", i, i);
		buffer_printf(&list, "user%u\n", i * 2);
	}
	read_users(&users, data.data, list.data);
	assert_int_equal(users.task_count, 15000);
	assert_int_equal(users.problem_count, 0);
	assert_string_equal(users.tasks[9999].login, "user10000");
	assert_string_equal(users.tasks[9999].value, "user=10000@1");
	buffer_free(&data);
	buffer_free(&list);
	users_free(&users);
}

static void test_logins_that_are_refused(void **state)
{
	char longest[LOGIN_SIZE_MAX + 2];

	(void)state;
	assert_null(login_check("user@example.org", 16, "*"));
	assert_non_null(login_check("user*admin", 10, "*"));
	assert_null(login_check("user*admin", 10, NULL));
	assert_non_null(login_check("", 0, NULL));
	assert_non_null(login_check("a\r\nb", 4, NULL));
	assert_non_null(login_check("a\0b", 3, NULL));
	memset(longest, 'a', sizeof(longest));
	assert_null(login_check(longest, LOGIN_SIZE_MAX, NULL));
	assert_non_null(login_check(longest, LOGIN_SIZE_MAX + 1, NULL));
}

static void test_csv_fields_come_back(void **state)
{
	static const char *const fields[] = {
		"", "a", "a,b", "\"", "a \"b\" c", " a ", "=1+1",
	};
	struct buffer line = {};
	const char *back[7], *error;
	unsigned int i;

	(void)state;
	for (i = 0; i < 7; i++) {
		buffer_append_str(&line, i == 0 ? "" : ",");
		csv_append(&line, fields[i]);
	}
	assert_int_equal(csv_split(line.data, back, 7, &error), 7);
	for (i = 0; i < 7; i++)
		assert_string_equal(back[i], fields[i]);
	buffer_clear(&line);
	csv_append(&line, "a\r\nb");
	assert_string_equal(line.data, "\"a\r\nb\"");
	buffer_free(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_in_their_order),
		cmocka_unit_test(
			test_byte_order_mark_crlf_quotes_and_empty_lines),
		cmocka_unit_test(test_empty_files_are_fine),
		cmocka_unit_test(test_other_headers_are_refused),
		cmocka_unit_test(test_bad_lines_do_not_stop_the_rest),
		cmocka_unit_test(test_nul_bytes_are_bad),
		cmocka_unit_test(test_login_that_comes_again_is_done_once),
		cmocka_unit_test(
			test_lines_that_contradict_each_other_are_not_done),
		cmocka_unit_test(test_others_are_unregistered),
		cmocka_unit_test(
			test_all_are_others_of_a_file_with_only_a_header),
		cmocka_unit_test(test_nobody_is_unregistered_by_a_broken_file),
		cmocka_unit_test(test_bad_lines_of_the_list),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_logins_that_are_refused),
		cmocka_unit_test(test_csv_fields_come_back),
	};

	return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
