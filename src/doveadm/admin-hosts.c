/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hostpid.h"
#include "str.h"
#include "strnum.h"
#include "wildcard-match.h"
#include "doveadm.h"
#include "doveadm-settings.h"

#include "admin-client.h"
#include "admin-hosts.h"
#include "admin-protocol.h"

#include <poll.h>

/* The service answers at once, unless it is stopped or overloaded. */
#define ANSWER_TIMEOUT_MSECS (10*1000)
/* It finds out itself, before that, if another host does not answer. */
#define RELAYED_TIMEOUT_MSECS (15*1000)

struct admin_host {
	int64_t number;
	const char *name;
	/* this one */
	bool here;
	/* the command's */
	struct admin_client *client;
	bool failed;
};

struct admin_hosts {
	pool_t pool;
	ARRAY(struct admin_host) hosts;
	bool shared, all;
	/* when they were asked for first, on the queue's clock */
	int64_t time;
};

static void ATTR_FORMAT(1, 2) admin_hosts_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	i_error("%s", t_strdup_vprintf(format, args));
	va_end(args);
	doveadm_exit_code = EX_TEMPFAIL;
}

static struct admin_client *admin_hosts_connect(void)
{
	struct admin_client *client;
	const char *error;

	client = admin_client_init(doveadm_settings->base_dir, &error);
	if (client == NULL)
		admin_hosts_error("%s", error);
	return client;
}

/* Which there are */

/* Does nothing if it is known. */
static int admin_hosts_add(struct admin_hosts *hosts, const char *const *row)
{
	struct admin_host *host;
	int64_t number, time;

	if (str_to_int64(row[HTTP_NOTIFY_ADMIN_HOST_NUMBER], &number) < 0 ||
	    str_to_int64(row[HTTP_NOTIFY_ADMIN_HOST_TIME], &time) < 0)
		return -1;
	if (hosts->time == 0)
		hosts->time = time;
	array_foreach_modifiable(&hosts->hosts, host) {
		if (host->number == number)
			return 0;
	}
	host = array_append_space(&hosts->hosts);
	host->here = array_count(&hosts->hosts) == 1;
	host->number = number;
	host->name = p_strdup(hosts->pool, row[HTTP_NOTIFY_ADMIN_HOST_NAME]);
	hosts->shared = hosts->shared || number != 0;
	return 0;
}

/* Returns FALSE if not all are known. */
static bool admin_hosts_ask(struct admin_hosts *hosts)
{
	const struct http_notify_admin_command command = {
		.verb = HTTP_NOTIFY_ADMIN_HOSTS
	};
	struct admin_client *client = admin_hosts_connect();
	const char *const *row, *error;
	uint64_t count;
	int ret;

	if (client == NULL)
		return FALSE;
	admin_client_send(client, &command);
	do T_BEGIN {
		ret = admin_client_read(client, ANSWER_TIMEOUT_MSECS,
					HTTP_NOTIFY_ADMIN_HOST_COUNT, &row,
					&count, &error);
		if (ret > 0 && admin_hosts_add(hosts, row) < 0) {
			error = "invalid answer";
			ret = -1;
		}
		if (ret < 0) {
			admin_hosts_error(array_is_empty(&hosts->hosts) ?
				"%s" : "Other hosts can't be asked: %s", error);
		}
	} T_END; while (ret > 0);
	admin_client_deinit(&client);
	return ret == 0;
}

/* Returns FALSE if none is left. */
static bool admin_hosts_filter(struct admin_hosts *hosts, const char *mask)
{
	string_t *names = t_str_new(128);
	const struct admin_host *host;
	unsigned int i;

	hosts->all = FALSE;
	for (i = array_count(&hosts->hosts); i > 0; i--) {
		host = array_idx(&hosts->hosts, i - 1);
		str_printfa(names, "%s%s", str_len(names) == 0 ? "" : ", ",
			    host->name);
		if (!wildcard_match_icase(host->name, mask))
			array_delete(&hosts->hosts, i - 1, 1);
	}
	if (!array_is_empty(&hosts->hosts))
		return TRUE;
	i_error("No host that shares this queue is called %s (there are: %s)",
		mask, str_c(names));
	doveadm_exit_code = DOVEADM_EX_NOTFOUND;
	return FALSE;
}

/* No number is needed, nor to know of others. */
static void admin_hosts_add_here(struct admin_hosts *hosts)
{
	struct admin_host *host = array_append_space(&hosts->hosts);

	hosts->all = FALSE;
	host->here = TRUE;
	host->name = my_hostname;
}

static struct admin_hosts *admin_hosts_alloc(void)
{
	pool_t pool = pool_alloconly_create("hosts", 1024);
	struct admin_hosts *hosts = p_new(pool, struct admin_hosts, 1);

	hosts->pool = pool;
	hosts->all = TRUE;
	i_array_init(&hosts->hosts, 8);
	return hosts;
}

struct admin_hosts *admin_hosts_init(struct doveadm_cmd_context *cctx)
{
	struct admin_hosts *hosts;
	const char *mask = NULL;

	(void)doveadm_cmd_param_str(cctx, "host", &mask);
	if (null_strcmp(mask, HTTP_NOTIFY_ADMIN_HERE) == 0) {
		hosts = admin_hosts_alloc();
		admin_hosts_add_here(hosts);
		return hosts;
	}
	hosts = admin_hosts_init_all();
	if (hosts != NULL && mask != NULL && !admin_hosts_filter(hosts, mask))
		admin_hosts_deinit(&hosts);
	return hosts;
}

struct admin_hosts *admin_hosts_init_all(void)
{
	struct admin_hosts *hosts = admin_hosts_alloc();

	if (!admin_hosts_ask(hosts) && array_is_empty(&hosts->hosts))
		admin_hosts_deinit(&hosts);
	return hosts;
}

void admin_hosts_deinit(struct admin_hosts **_hosts)
{
	struct admin_hosts *hosts = *_hosts;

	*_hosts = NULL;
	if (hosts == NULL)
		return;
	array_free(&hosts->hosts);
	pool_unref(&hosts->pool);
}

bool admin_hosts_look_again(struct admin_hosts *hosts)
{
	i_assert(hosts->all);

	return admin_hosts_ask(hosts);
}

bool admin_hosts_are_shared(const struct admin_hosts *hosts)
{
	return hosts->shared;
}

bool admin_hosts_are_all(const struct admin_hosts *hosts)
{
	return hosts->all;
}

int64_t admin_hosts_time(const struct admin_hosts *hosts)
{
	return hosts->time;
}

unsigned int admin_hosts_count(const struct admin_hosts *hosts)
{
	return array_count(&hosts->hosts);
}

/* Asking them */

static void
admin_host_start(struct admin_host *host,
		 const struct http_notify_admin_command *command)
{
	struct http_notify_admin_command at = *command;

	at.at = TRUE;
	at.host = host->number;
	host->client = admin_hosts_connect();
	if (host->client != NULL)
		admin_client_send(host->client, &at);
	else
		host->failed = TRUE;
}

static void
admin_host_end(const struct admin_hosts *hosts, struct admin_host *host,
	       const char *error)
{
	if (error != NULL) {
		admin_hosts_error("%s%s", !hosts->shared ? "" :
			t_strdup_printf("Host %s: ", host->name), error);
		host->failed = TRUE;
	}
	admin_client_deinit(&host->client);
}

static void
admin_hosts_start(struct admin_hosts *hosts,
		  const struct http_notify_admin_command *command)
{
	struct admin_host *host;

	array_foreach_modifiable(&hosts->hosts, host) {
		if (!host->failed) T_BEGIN {
			admin_host_start(host, command);
		} T_END;
	}
}

/* Returns 1 if there was a row, 0 and count_r if its answer has ended, or -1 if
   it has failed. */
static int
admin_host_read(const struct admin_hosts *hosts, struct admin_host *host,
		unsigned int timeout_msecs, unsigned int columns_count,
		admin_hosts_row_callback_t *callback, void *context,
		uint64_t *count_r)
{
	const char *const *row, *error;
	int ret;

	T_BEGIN {
		ret = admin_client_read(host->client, timeout_msecs,
					columns_count, &row, count_r, &error);
		if (ret > 0)
			callback(host->name, row, context);
		else
			admin_host_end(hosts, host, ret < 0 ? error : NULL);
	} T_END;
	return ret;
}

static bool
admin_host_read_all(const struct admin_hosts *hosts, struct admin_host *host,
		    unsigned int columns_count,
		    admin_hosts_row_callback_t *callback, void *context,
		    uint64_t *sum)
{
	uint64_t count;
	int ret;

	do {
		ret = admin_host_read(hosts, host, host->here ?
			ANSWER_TIMEOUT_MSECS : RELAYED_TIMEOUT_MSECS,
			columns_count, callback, context, &count);
	} while (ret > 0);
	if (ret == 0)
		*sum += count;
	return ret == 0;
}

bool admin_hosts_run(struct admin_hosts *hosts,
		     const struct http_notify_admin_command *command,
		     unsigned int columns_count,
		     admin_hosts_row_callback_t *callback, void *context,
		     uint64_t *sum)
{
	struct admin_host *host;
	bool answered = FALSE;

	/* all at the same time */
	admin_hosts_start(hosts, command);
	array_foreach_modifiable(&hosts->hosts, host) {
		if (host->client != NULL &&
		    admin_host_read_all(hosts, host, columns_count, callback,
					context, sum))
			answered = TRUE;
	}
	return answered;
}

/* Read the rows that are there. */
static void
admin_host_read_some(const struct admin_hosts *hosts, struct admin_host *host,
		     unsigned int columns_count,
		     admin_hosts_row_callback_t *callback, void *context)
{
	uint64_t count;

	while (host->client != NULL && admin_client_has_answer(host->client)) {
		(void)admin_host_read(hosts, host, ANSWER_TIMEOUT_MSECS,
				      columns_count, callback, context, &count);
	}
}

/* Returns FALSE if none is left to wait for. */
static bool admin_hosts_wait(struct admin_hosts *hosts)
{
	unsigned int count = 0;
	bool left;

	T_BEGIN {
		struct pollfd *fds = t_new(struct pollfd,
					   array_count(&hosts->hosts));
		const struct admin_host *host;

		array_foreach(&hosts->hosts, host) {
			if (host->client != NULL) {
				fds[count].fd = admin_client_fd(host->client);
				fds[count++].events = POLLIN;
			}
		}
		left = count > 0;
		if (left && poll(fds, count, -1) < 0 && errno != EINTR)
			i_fatal("poll() failed: %m");
	} T_END;
	return left;
}

void admin_hosts_run_endless(struct admin_hosts *hosts,
			     const struct http_notify_admin_command *command,
			     unsigned int columns_count,
			     admin_hosts_row_callback_t *callback,
			     void *context)
{
	struct admin_host *host;

	admin_hosts_start(hosts, command);
	while (admin_hosts_wait(hosts)) {
		array_foreach_modifiable(&hosts->hosts, host) {
			admin_host_read_some(hosts, host, columns_count,
					     callback, context);
		}
	}
}
