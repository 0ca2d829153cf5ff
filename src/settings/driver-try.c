/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "module-dir.h"
#include "str-sanitize.h"
#include "write-full.h"
#include "mail-storage-service.h"
#include "mail-user.h"

#include "dovecot-compat.h"
#include "driver-try.h"
#include "monotonic.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the child may take. */
#define TRY_TIMEOUT_MSECS (5*1000)
#define TRY_ERROR_MAX 512

struct push_notification_driver_user;

/* push_notification_driver_init() of Dovecot's plugin, which is loaded only to
   call this. */
typedef int driver_init_func_t(struct mail_user *user, const char *config,
			       pool_t pool,
			       struct push_notification_driver_user **duser_r);

/* In the child: where errors are written. */
static int try_fd = -1;

/* The parent takes the last message that is logged for the reason. */
static void ATTR_FORMAT(2, 0)
try_error(const struct failure_context *ctx, const char *format, va_list args)
{
	const char *text = t_strdup_vprintf(format, args);

	if (ctx->type == LOG_TYPE_WARNING)
		return;
	text = t_strconcat(str_sanitize(text, TRY_ERROR_MAX), "\n", NULL);
	(void)write_full(try_fd, text, strlen(text));
}

static void ATTR_FORMAT(2, 0) ATTR_NORETURN
try_fatal(const struct failure_context *ctx, const char *format, va_list args)
{
	try_error(ctx, format, args);
	_exit(1);
}

/* The plugins can't be loaded, so the driver is not tried. */
static void ATTR_FORMAT(2, 0) ATTR_NORETURN
try_load_fatal(const struct failure_context *ctx ATTR_UNUSED,
	       const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	_exit(0);
}

static void ATTR_FORMAT(2, 0)
try_ignore(const struct failure_context *ctx ATTR_UNUSED,
	   const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
}

static driver_init_func_t *
try_load(const char *mail_plugin_dir, const char *const *mail_plugins)
{
	const struct module_dir_load_settings set = {
		.abi_version = DOVECOT_ABI_VERSION,
		.require_init_funcs = TRUE,
		/* some of lmtp's plugins need symbols that doveadm lacks */
		.ignore_dlopen_errors = TRUE,
		.ignore_missing = TRUE,
	};
	struct module *modules;

	modules = module_dir_load_missing(mail_storage_service_modules,
		mail_plugin_dir, mail_plugins, &set);
	module_dir_init(modules);
	return (driver_init_func_t *)dlsym(RTLD_DEFAULT,
					   "push_notification_driver_init");
}

static bool
try_init(struct mail_user *user, const char *mail_plugin_dir,
	 const char *const *mail_plugins, const char *config,
	 void (*prepare)(struct mail_user *user, void *context), void *context)
{
	struct push_notification_driver_user *duser;
	driver_init_func_t *driver_init;

	i_set_error_handler(try_ignore);
	i_set_fatal_handler(try_load_fatal);
	driver_init = try_load(mail_plugin_dir, mail_plugins);
	if (driver_init == NULL)
		return TRUE;
	if (prepare != NULL)
		prepare(user, context);
	i_set_error_handler(try_error);
	i_set_fatal_handler(try_fatal);
	/* tell the parent that the try has begun */
	(void)write_full(try_fd, "\n", 1);
	return driver_init(user, config, user->pool, &duser) == 0;
}

/* Read what the child writes until it ends or the time is up. Returns the end
   of it. */
static const char *try_read(int fd, bool *timeout_r)
{
	int64_t deadline = http_notify_monotonic_msecs() + TRY_TIMEOUT_MSECS;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char *buf = t_malloc0(TRY_ERROR_MAX * 4 + 1);
	size_t used = 0;
	int64_t left;
	ssize_t ret = 1;

	while ((left = deadline - http_notify_monotonic_msecs()) > 0) {
		if (poll(&pfd, 1, left) <= 0)
			continue;
		if (used == TRY_ERROR_MAX * 4) {
			/* only the last line counts */
			used /= 2;
			memmove(buf, buf + used, used);
		}
		ret = read(fd, buf + used, TRY_ERROR_MAX * 4 - used);
		if (ret <= 0)
			break;
		used += ret;
	}
	*timeout_r = left <= 0;
	buf[used] = '\0';
	return buf;
}

static const char *last_line(const char *text)
{
	const char *const *lines = t_strsplit(text, "\n");
	unsigned int count = str_array_length(lines);

	/* every line ends in a newline, so the last string is empty */
	return count < 2 ? "" : lines[count - 2];
}

bool driver_try(struct mail_user *user, const char *mail_plugin_dir,
		const char *const *mail_plugins, const char *config,
		void (*prepare)(struct mail_user *user, void *context),
		void *context, const char **error_r)
{
	const char *said;
	bool timeout;
	int fd[2], status;
	pid_t pid;

	if (pipe(fd) < 0) {
		*error_r = t_strdup_printf("pipe() failed: %m");
		return FALSE;
	}
	if ((pid = fork()) < 0) {
		*error_r = t_strdup_printf("fork() failed: %m");
		i_close_fd(&fd[0]);
		i_close_fd(&fd[1]);
		return FALSE;
	}
	if (pid == 0) {
		i_close_fd(&fd[0]);
		try_fd = fd[1];
		i_set_info_handler(try_ignore);
		i_set_debug_handler(try_ignore);
		_exit(try_init(user, mail_plugin_dir, mail_plugins, config,
			       prepare, context) ? 0 : 1);
	}
	i_close_fd(&fd[1]);
	said = try_read(fd[0], &timeout);
	i_close_fd(&fd[0]);
	if (timeout)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) ;
	if (said[0] == '\0' && !timeout) {
		/* the try has not begun: the plugins could not be loaded */
		return TRUE;
	}
	if (timeout) {
		*error_r = t_strdup_printf("it takes more than %u seconds",
					   TRY_TIMEOUT_MSECS / 1000);
		return FALSE;
	}
	if (WIFSIGNALED(status)) {
		*error_r = t_strdup_printf("signal %d ends the process",
					   WTERMSIG(status));
		return FALSE;
	}
	*error_r = last_line(said);
	return WEXITSTATUS(status) == 0;
}
