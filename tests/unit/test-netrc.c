/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "netrc.h"

#include "test-common.h"

static void
check(const char *text, const char *login, const char *password)
{
	const char *found_login, *found_password;

	assert_int_equal(netrc_find(text, "proxy.example", &found_login,
				    &found_password), 1);
	assert_string_equal(found_login, login);
	assert_string_equal(found_password, password);
}

static void check_ret(const char *text, int ret)
{
	const char *login, *password;

	assert_int_equal(netrc_find(text, "proxy.example", &login, &password),
			 ret);
}

static void test_entry_of_the_host(void **state ATTR_UNUSED)
{
	check("machine proxy.example login l password p", "l", "p");
	check("machine other login a password b\n"
	      "machine Proxy.Example\n\tpassword p\r\n\tlogin l\r\n"
	      "machine proxy.example login c password d\n", "l", "p");
	check("machine proxy.example login l account x password p\n"
	      "default login a password b\n", "l", "p");
	check("machine other login a password b default login l password p",
	      "l", "p");
}

static void test_quotes_and_comments(void **state ATTR_UNUSED)
{
	check("# password x\nmachine proxy.example # login y\n"
	      "login \"my \\\"l\\\\\" password p#q", "my \"l\\", "p#q");
	check("machine \"proxy.example\" login \"\" password \"#\"", "", "#");
}

static void test_macros(void **state ATTR_UNUSED)
{
	check("machine other login a password b\nmacdef init\n"
	      "machine proxy.example login c password d\n\n"
	      "machine proxy.example login l password p", "l", "p");
	check("macdef init\r\ncd /\r\n\r\ndefault login l password p", "l",
	      "p");
	check_ret("macdef init\nmachine proxy.example login l password p\n", 0);
	check_ret("macdef", 0);
}

static void test_there_is_none(void **state ATTR_UNUSED)
{
	check_ret("", 0);
	check_ret("# machine proxy.example login l password p", 0);
	check_ret("machine other login l password p", 0);
	check_ret("machine proxy.example login l", 0);
	check_ret("machine proxy.example password p", 0);
	/* not those of another one */
	check_ret("machine proxy.example login l\n"
		  "machine other password p\n", 0);
}

static void test_no_netrc_file(void **state ATTR_UNUSED)
{
	check_ret("machine", -1);
	check_ret("machine proxy.example login l password", -1);
	check_ret("machine proxy.example login \"l password p", -1);
	check_ret("machine proxy.example login \"l\\", -1);
	check_ret("login:password", -1);
	check_ret("proxy.example login l password p", -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_of_the_host),
		cmocka_unit_test(test_quotes_and_comments),
		cmocka_unit_test(test_macros),
		cmocka_unit_test(test_there_is_none),
		cmocka_unit_test(test_no_netrc_file),
	};
	int ret;

	lib_init();
	ret = cmocka_run_group_tests_name("netrc", tests, NULL, NULL);
	lib_deinit();
	return ret;
}
