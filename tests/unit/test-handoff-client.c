/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A mail process's side of the hand-off, against a service that does what a
   test says whenever the client waits for it: poll() and the clock are the
   test's. */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "net.h"
#include "str.h"
#include "strfuncs.h"

#include "handoff.h"
#include "handoff-client.h"
#include "monotonic.h"
#include "slow-mark.h"

#include <poll.h>
#include <unistd.h>

#include "test-common.h"

#define TIMEOUT_MSECS 500
#define HELLO "VERSION\thttp-notify-handoff\t1\t0\n"

/* What happens while the client waits; after the last one, that again. Returns
   what poll() does. */
typedef int service_step_t(struct pollfd *pfd);

static char *socket_path;
static int listen_fd, service_fd;
static service_step_t *const *steps;
/* the client has yet to read that the connection is closed */
static bool end_unread;
static unsigned int connections;
static int64_t clock_msecs;
static char *log_lines;
/* another process has found that the service hangs; how often this one has */
static bool marked;
static unsigned int marked_count;
/* what has come over the present connection */
static char received[8192];

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
/* what poll() is with _FORTIFY_SOURCE */
int __wrap___poll_chk(struct pollfd *fds, nfds_t count, int timeout,
		      size_t size);
int __wrap_usleep(useconds_t usecs);

int64_t http_notify_monotonic_msecs(void)
{
	return clock_msecs;
}

bool slow_mark_is_set(const char *path)
{
	assert_string_equal(path, socket_path);
	return marked;
}

void slow_mark_set(const char *path)
{
	assert_string_equal(path, socket_path);
	marked_count++;
}

int __wrap_usleep(useconds_t usecs)
{
	clock_msecs += usecs / 1000;
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t count ATTR_UNUSED,
		int timeout ATTR_UNUSED)
{
	service_step_t *step = *steps;

	if (end_unread) {
		end_unread = FALSE;
		return 1;
	}
	if (steps[1] != NULL)
		steps++;
	return step(fds);
}

int __wrap___poll_chk(struct pollfd *fds, nfds_t count, int timeout,
		      size_t size ATTR_UNUSED)
{
	return __wrap_poll(fds, count, timeout);
}

static void service_accept(void)
{
	ssize_t size;

	if (service_fd == -1) {
		service_fd = net_accept(listen_fd, NULL, NULL);
		assert_true(service_fd >= 0);
		connections++;
	}
	/* all of it, since the client has sent it by now */
	size = read(service_fd, received, sizeof(received) - 1);
	assert_true(size > 0);
	received[size] = '\0';
}

static int service_says(const char *text)
{
	service_accept();
	assert_int_equal(write(service_fd, text, strlen(text)), strlen(text));
	return 1;
}

static int service_stores(struct pollfd *pfd ATTR_UNUSED)
{
	return service_says(HELLO"OK\t1\n");
}

static int service_refuses(struct pollfd *pfd ATTR_UNUSED)
{
	return service_says(HELLO"FAIL\t1\tthe queue is full\n");
}

static int service_is_of_another_version(struct pollfd *pfd ATTR_UNUSED)
{
	return service_says("VERSION\thttp-notify-handoff\t9\t0\n");
}

static int service_dies(struct pollfd *pfd ATTR_UNUSED)
{
	(void)service_says(HELLO);
	clock_msecs += 10;
	i_close_fd(&service_fd);
	end_unread = TRUE;
	return 1;
}

/* It takes no clients then. */
static int service_has_no_queue(struct pollfd *pfd ATTR_UNUSED)
{
	service_accept();
	clock_msecs += 10;
	i_close_fd(&service_fd);
	return 1;
}

static int service_hangs(struct pollfd *pfd ATTR_UNUSED)
{
	clock_msecs += TIMEOUT_MSECS;
	return 0;
}

static int poll_is_interrupted(struct pollfd *pfd ATTR_UNUSED)
{
	errno = EINTR;
	return -1;
}

static int poll_has_no_memory(struct pollfd *pfd ATTR_UNUSED)
{
	errno = ENOMEM;
	return -1;
}

static void ATTR_FORMAT(2, 0)
log_error(const struct failure_context *ctx ATTR_UNUSED, const char *format,
	  va_list args)
{
	char *line = i_strdup_vprintf(format, args);
	char *old = log_lines;

	log_lines = i_strconcat(old, line, "\n", NULL);
	i_free(old);
	i_free(line);
}

static const char *const options[] = { "url=http://x/", NULL };
static const struct http_notify_handoff handoff = {
	.username = "bob", .folder = "INBOX", .uid = 7, .body = "{}",
	.options = options
};

/* What the client logs about so many notifications of bob's. */
static const char *
log_of(service_step_t *const *first_step, bool listen,
       const struct http_notify_handoff *handoffs, unsigned int count)
{
	struct handoff_client *client = handoff_client_init(socket_path);
	struct event *event = event_create(NULL);
	unsigned int i;

	steps = first_step;
	connections = 0;
	service_fd = listen_fd = -1;
	i_free(log_lines);
	log_lines = i_strdup("");
	if (listen) {
		listen_fd = net_listen_unix(socket_path, 10);
		assert_true(listen_fd >= 0);
	}

	i_set_error_handler(log_error);
	for (i = 0; i < count; i++)
		handoff_client_add(client, &handoffs[i], event);
	handoff_client_send(client, TIMEOUT_MSECS);
	handoff_client_wait(client);
	i_set_error_handler(default_error_handler);

	event_unref(&event);
	handoff_client_deinit(&client);
	if (service_fd != -1)
		i_close_fd(&service_fd);
	if (listen_fd != -1)
		i_close_fd(&listen_fd);
	(void)unlink(socket_path);
	return log_lines;
}

#define LOG_OF(...) \
	log_of((service_step_t *const []){ __VA_ARGS__, NULL }, TRUE, \
	       &handoff, 1)
#define NOTIFICATION(what) "Notification "what": user=bob folder=INBOX uid=7 " \
	"event=: "

static void test_stored_is_not_logged(void **state ATTR_UNUSED)
{
	assert_string_equal(LOG_OF(service_stores), "");
	assert_string_equal(LOG_OF(poll_is_interrupted, service_stores), "");
}

static void test_lost_connections_are_made_anew(void **state ATTR_UNUSED)
{
	assert_string_equal(LOG_OF(service_dies, service_dies, service_dies,
				   service_dies, service_stores), "");
	assert_int_equal(connections, 5);
}

static void
test_reconnecting_ends_at_the_deadline(void **state ATTR_UNUSED)
{
	int64_t begin = clock_msecs;

	assert_string_equal(LOG_OF(service_dies),
		NOTIFICATION("not confirmed")
		"the service closed the connection\n");
	assert_true(clock_msecs - begin >= TIMEOUT_MSECS);
	assert_true(clock_msecs - begin < 2 * TIMEOUT_MSECS);
	/* with pauses */
	assert_true(connections > 5);
	assert_true(connections < 20);
}

static void test_closed_without_a_word_is_lost(void **state ATTR_UNUSED)
{
	assert_string_equal(LOG_OF(service_has_no_queue),
		NOTIFICATION("lost")"the service closed the connection\n");
	/* unless another one has got it */
	assert_string_equal(LOG_OF(service_dies, service_has_no_queue),
		NOTIFICATION("not confirmed")
		"the service closed the connection\n");
	assert_string_equal(LOG_OF(service_has_no_queue, service_stores), "");
}

static void test_silence_is_not_confirmed(void **state ATTR_UNUSED)
{
	assert_string_equal(LOG_OF(service_hangs),
		NOTIFICATION("not confirmed")
		"the service did not store it within 500 ms\n");
	assert_string_equal(LOG_OF(service_dies, service_hangs),
		NOTIFICATION("not confirmed")
		"the service did not store it within 500 ms\n");
}

/* To one of minor version 0 a UID validity makes a UID invalid. */
static int service_is_old(struct pollfd *pfd ATTR_UNUSED)
{
	(void)service_says("VERSION\thttp-notify-handoff\t1\t0\n");
	clock_msecs += 10;
	if (strstr(received, "\tINBOX\t7\t") != NULL) {
		assert_int_equal(write(service_fd, "OK\t1\n", 5), 5);
		return 1;
	}
	assert_non_null(strstr(received, "\tINBOX\t7/99\t"));
	i_close_fd(&service_fd);
	end_unread = TRUE;
	return 1;
}

static void test_old_service_gets_no_uid_validity(void **state ATTR_UNUSED)
{
	struct http_notify_handoff with = handoff;
	service_step_t *const old[] = { service_is_old, NULL };

	with.uidvalidity = 99;
	assert_string_equal(log_of(old, TRUE, &with, 1), "");
	assert_int_equal(connections, 2);
}

static void test_other_processes(void **state ATTR_UNUSED)
{
	marked_count = 0;
	(void)LOG_OF(service_stores);
	(void)LOG_OF(service_dies);
	assert_int_equal(marked_count, 0);
	(void)LOG_OF(service_hangs);
	assert_int_equal(marked_count, 1);
	marked = TRUE;
	assert_string_equal(LOG_OF(service_hangs),
		NOTIFICATION("not confirmed")
		"the service did not store it within 100 ms\n");
	/* which can be too short: the mark ends */
	assert_int_equal(marked_count, 1);
	assert_string_equal(LOG_OF(service_stores), "");
	marked = FALSE;
}

static int service_stores_six(struct pollfd *pfd ATTR_UNUSED)
{
	return service_says(HELLO"OK\t1\nOK\t2\nOK\t3\nOK\t4\nOK\t5\nOK\t6\n");
}

/* Whatever their folders and UIDs are. */
static void test_order_is_that_of_adding(void **state ATTR_UNUSED)
{
#define HANDOFF(folder_, uid_, body_) { \
	.username = "bob", .folder = folder_, .uid = uid_, .body = body_, \
	.options = options \
}
	static const struct http_notify_handoff handoffs[] = {
		HANDOFF("INBOX", 8, "set"),
		HANDOFF("INBOX", 8, "expunged"),
		HANDOFF("INBOX", 7, "set"),
		HANDOFF("Sent", 3, "b"),
		HANDOFF("Sent", 2, "a"),
		HANDOFF("INBOX", 1, "last"),
	};
	static const char *const expected[] = {
		"NOTIFY\t1\tbob\tINBOX\t8\tset\t",
		"NOTIFY\t2\tbob\tINBOX\t8\texpunged\t",
		"NOTIFY\t3\tbob\tINBOX\t7\tset\t",
		"NOTIFY\t4\tbob\tSent\t3\tb\t",
		"NOTIFY\t5\tbob\tSent\t2\ta\t",
		"NOTIFY\t6\tbob\tINBOX\t1\tlast\t",
	};
	service_step_t *const stores[] = { service_stores_six, NULL };
	const char *p = received;
	unsigned int i;

	assert_string_equal(log_of(stores, TRUE, handoffs,
				   N_ELEMENTS(handoffs)), "");
	for (i = 0; i < N_ELEMENTS(expected); i++) {
		p = strstr(p, expected[i]);
		assert_non_null(p);
	}
}

/* An answer is one, whatever it is: there is nothing to wait for. */
static void test_refused_is_lost_at_once(void **state ATTR_UNUSED)
{
	int64_t begin = clock_msecs;

	assert_string_equal(LOG_OF(service_refuses),
		NOTIFICATION("lost")"the queue is full\n");
	assert_string_equal(LOG_OF(service_is_of_another_version),
		NOTIFICATION("lost")
		"the service is of an incompatible version "
		"(mixed old and new binaries?)\n");
	assert_int_equal(connections, 1);
	assert_int_equal(clock_msecs - begin, 0);
}

static void test_nobody_there_is_lost_soon(void **state ATTR_UNUSED)
{
	service_step_t *const no_steps[] = { NULL };
	int64_t begin = clock_msecs;
	const char *log = log_of(no_steps, FALSE, &handoff, 1);

	assert_non_null(strstr(log, NOTIFICATION("lost")"connect("));
	assert_true(clock_msecs - begin < TIMEOUT_MSECS / 2);
}

/* A process that has delivered a mail goes on, else the mail comes twice. */
static void test_failing_poll_ends_no_process(void **state ATTR_UNUSED)
{
	assert_string_equal(LOG_OF(poll_has_no_memory),
		NOTIFICATION("not confirmed")
		"poll() failed: Cannot allocate memory\n");
}

/* In the background: the process's ioloop does it. */

static struct handoff_client *background;
static struct event *background_event;

static void background_begin(bool listen)
{
	static service_step_t *const no_steps[] = { NULL };

	steps = no_steps;
	connections = 0;
	service_fd = listen_fd = -1;
	i_free(log_lines);
	log_lines = i_strdup("");
	if (listen)
		listen_fd = net_listen_unix(socket_path, 10);
	background = handoff_client_init(socket_path);
	background_event = event_create(NULL);
	i_set_error_handler(log_error);
}

static void background_end(void)
{
	i_set_error_handler(default_error_handler);
	handoff_client_deinit(&background);
	event_unref(&background_event);
	if (service_fd != -1)
		i_close_fd(&service_fd);
	if (listen_fd != -1)
		i_close_fd(&listen_fd);
	(void)unlink(socket_path);
}

static void background_add(const char *body, unsigned int count)
{
	struct http_notify_handoff other = handoff;

	other.body = body;
	for (; count > 0; count--)
		handoff_client_add(background, &other, background_event);
	handoff_client_send_background(background, TIMEOUT_MSECS);
}

static void stop_loop(void *context ATTR_UNUSED)
{
	io_loop_stop(current_ioloop);
}

/* Let the client do what it has to for so long. */
static void background_run(unsigned int msecs)
{
	struct timeout *to;

	to = timeout_add_short(msecs, stop_loop, (void *)NULL);
	io_loop_run(current_ioloop);
	timeout_remove(&to);
}

/* It tries again after a while. */
static void background_connects(void)
{
	net_set_nonblock(listen_fd, TRUE);
	while (service_fd < 0) {
		background_run(50);
		service_fd = net_accept(listen_fd, NULL, NULL);
	}
}

static void background_is_closed(void)
{
	char byte;

	background_run(50);
	assert_int_equal(read(service_fd, &byte, 1), 0);
	i_close_fd(&service_fd);
}

static void test_stored_in_the_background(void **state ATTR_UNUSED)
{
	background_begin(TRUE);
	background_add("{}", 1);
	service_says(HELLO"OK\t1\n");
	background_is_closed();
	/* once more */
	background_add("{}", 2);
	service_accept();
	assert_non_null(strstr(received, "\nNOTIFY\t2\t"));
	background_end();
}

static void test_refused_in_the_background(void **state ATTR_UNUSED)
{
	background_begin(TRUE);
	background_add("{}", 2);
	service_says(HELLO"FAIL\t1\tthe queue is full\nOK\t2\n");
	background_is_closed();
	assert_string_equal(log_lines,
			    NOTIFICATION("lost")"the queue is full\n");
	background_end();
}

static void test_service_comes_later(void **state ATTR_UNUSED)
{
	int64_t begin = clock_msecs;

	background_begin(FALSE);
	background_add("{}", 1);
	assert_int_equal(clock_msecs, begin);
	listen_fd = net_listen_unix(socket_path, 10);
	background_connects();
	service_says(HELLO"OK\t1\n");
	background_is_closed();
	assert_string_equal(log_lines, "");
	background_end();
}

/* The process does not get back to its ioloop. */
static void test_service_comes_during_a_long_command(void **state ATTR_UNUSED)
{
	background_begin(FALSE);
	background_add("{}", 1);
	listen_fd = net_listen_unix(socket_path, 10);
	net_set_nonblock(listen_fd, TRUE);
	background_add("{}", 1);
	assert_int_equal(net_accept(listen_fd, NULL, NULL), -1);
	clock_msecs += 100;
	background_add("{}", 1);
	service_accept();
	assert_non_null(strstr(received, "\nNOTIFY\t1\t"));
	assert_non_null(strstr(received, "\nNOTIFY\t3\t"));
	assert_string_equal(log_lines, "");
	background_end();
}

/* It is sent again, by the same number. */
static void test_connection_is_lost_in_the_background(void **state ATTR_UNUSED)
{
	background_begin(TRUE);
	background_add("{}", 1);
	service_says(HELLO);
	i_close_fd(&service_fd);
	background_connects();
	service_accept();
	assert_non_null(strstr(received, "\nNOTIFY\t1\tbob\t"));
	background_end();
}

static void test_user_leaves(void **state ATTR_UNUSED)
{
	static service_step_t *const stores[] = { service_stores, NULL };
	static service_step_t *const hangs[] = { service_hangs, NULL };

	background_begin(TRUE);
	background_add("{}", 1);
	steps = stores;
	handoff_client_wait(background);
	assert_string_equal(log_lines, "");
	background_end();

	background_begin(TRUE);
	background_add("{}", 1);
	steps = hangs;
	handoff_client_wait(background);
	assert_string_equal(log_lines, NOTIFICATION("not confirmed")
		"the service did not store it within 500 ms\n");
	background_end();

	background_begin(FALSE);
	background_add("{}", 1);
	handoff_client_wait(background);
	assert_non_null(strstr(log_lines, NOTIFICATION("lost")"connect("));
	background_end();
}

/* No more than may be sent again. */
static void test_unanswered_are_limited(void **state ATTR_UNUSED)
{
	unsigned int i;

	background_begin(TRUE);
	background_add("{}", 40);
	service_accept();
	assert_non_null(strstr(received, "\nNOTIFY\t32\t"));
	assert_null(strstr(received, "\nNOTIFY\t33\t"));
	assert_int_equal(write(service_fd, HELLO, strlen(HELLO)),
			 strlen(HELLO));
	for (i = 1; i <= 32; i++) {
		const char *ok = t_strdup_printf("OK\t%u\n", i);

		assert_int_equal(write(service_fd, ok, strlen(ok)), strlen(ok));
	}
	background_run(50);
	service_accept();
	assert_true(strncmp(received, "NOTIFY\t33\t", 10) == 0);
	assert_non_null(strstr(received, "\nNOTIFY\t40\t"));
	background_end();
}

static void test_what_waits_is_limited(void **state ATTR_UNUSED)
{
	string_t *body = str_new(default_pool, 100*1024);
	unsigned int i;

	for (i = 0; i < 100*1024 - 1; i++)
		str_append_c(body, 'x');
	background_begin(FALSE);
	for (i = 0; i < 10; i++)
		background_add(str_c(body), 1);
	assert_string_equal(log_lines, "");
	background_add(str_c(body), 1);
	assert_string_equal(log_lines, NOTIFICATION("lost")
		"too much waits for the service, which does not answer\n");
	background_end();
	str_free(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored_is_not_logged),
		cmocka_unit_test(test_old_service_gets_no_uid_validity),
		cmocka_unit_test(test_lost_connections_are_made_anew),
		cmocka_unit_test(test_reconnecting_ends_at_the_deadline),
		cmocka_unit_test(test_closed_without_a_word_is_lost),
		cmocka_unit_test(test_silence_is_not_confirmed),
		cmocka_unit_test(test_other_processes),
		cmocka_unit_test(test_refused_is_lost_at_once),
		cmocka_unit_test(test_order_is_that_of_adding),
		cmocka_unit_test(test_nobody_there_is_lost_soon),
		cmocka_unit_test(test_failing_poll_ends_no_process),
		cmocka_unit_test(test_stored_in_the_background),
		cmocka_unit_test(test_refused_in_the_background),
		cmocka_unit_test(test_service_comes_later),
		cmocka_unit_test(test_service_comes_during_a_long_command),
		cmocka_unit_test(test_connection_is_lost_in_the_background),
		cmocka_unit_test(test_user_leaves),
		cmocka_unit_test(test_unanswered_are_limited),
		cmocka_unit_test(test_what_waits_is_limited),
	};
	struct ioloop *ioloop;
	int ret;

	lib_init();
	socket_path = i_strdup_printf("/tmp/http-notify-test-%ld",
				      (long)getpid());
	ioloop = io_loop_create();
	ret = cmocka_run_group_tests_name("hand-off client", tests, NULL, NULL);
	io_loop_destroy(&ioloop);
	i_free(socket_path);
	i_free(log_lines);
	lib_deinit();
	return ret;
}
