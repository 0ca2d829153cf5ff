/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "strescape.h"
#include "write-full.h"

#include "child.h"
#include "monotonic.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: where it says something, a line each. */
static int child_fd = -1;

static void ATTR_FORMAT(2, 0)
child_ignore(const struct failure_context *ctx ATTR_UNUSED,
	     const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
}

static void ATTR_FORMAT(2, 0) ATTR_NORETURN
child_fatal(const struct failure_context *ctx ATTR_UNUSED,
	    const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	_exit(1);
}

void child_say(const char *text)
{
	text = t_strconcat(str_tabescape(text), "\n", NULL);
	(void)write_full(child_fd, text, strlen(text));
}

/* Read until the child ends. Returns FALSE if that takes too long. */
static bool child_read(int fd, unsigned int msecs, string_t *said)
{
	int64_t deadline = http_notify_monotonic_msecs() + msecs, left;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char buf[1024];
	ssize_t ret;

	while ((left = deadline - http_notify_monotonic_msecs()) > 0) {
		if (poll(&pfd, 1, left) <= 0)
			continue;
		ret = read(fd, buf, sizeof(buf));
		if (ret <= 0)
			return TRUE;
		str_append_data(said, buf, ret);
	}
	return FALSE;
}

static const char *const *split_lines(string_t *said)
{
	const char **lines = t_strsplit(str_c(said), "\n");
	unsigned int i, count = str_array_length(
		(const char *const *)lines);

	/* what follows the last newline is nothing, or was cut off */
	if (count > 0)
		lines[count - 1] = NULL;
	for (i = 0; lines[i] != NULL; i++)
		lines[i] = str_tabunescape(t_strdup_noconst(lines[i]));
	return lines;
}

const char *const *
child_run(void (*func)(void *context), void *context, unsigned int msecs,
	  const char **error_r)
{
	string_t *said = t_str_new(256);
	int fd[2], status;
	bool in_time;
	pid_t pid;

	*error_r = NULL;
	if (pipe(fd) < 0) {
		*error_r = t_strdup_printf("pipe() failed: %m");
		return split_lines(said);
	}
	if ((pid = fork()) < 0) {
		*error_r = t_strdup_printf("fork() failed: %m");
		i_close_fd(&fd[0]);
		i_close_fd(&fd[1]);
		return split_lines(said);
	}
	if (pid == 0) {
		i_close_fd(&fd[0]);
		child_fd = fd[1];
		i_set_fatal_handler(child_fatal);
		i_set_error_handler(child_ignore);
		i_set_info_handler(child_ignore);
		i_set_debug_handler(child_ignore);
		func(context);
		_exit(0);
	}
	i_close_fd(&fd[1]);
	in_time = child_read(fd[0], msecs, said);
	i_close_fd(&fd[0]);
	if (!in_time)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) ;
	if (!in_time) {
		*error_r = t_strdup_printf("no answer within %u seconds",
					   msecs / 1000);
	} else if (WIFSIGNALED(status)) {
		*error_r = t_strdup_printf("signal %d ends the process",
					   WTERMSIG(status));
	} else if (WEXITSTATUS(status) != 0) {
		*error_r = "the process has failed";
	}
	return split_lines(said);
}
