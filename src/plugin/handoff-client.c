/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "eacces-error.h"
#include "net.h"
#include "str.h"
#include "str-sanitize.h"
#include "strescape.h"
#include "strfuncs.h"

#include "handoff.h"
#include "handoff-client.h"
#include "monotonic.h"
#include "slow-mark.h"
#include "version-compat.h"

#include <poll.h>
#include <unistd.h>

#define CONNECT_RETRY_USECS (5*1000)
/* pause before connecting again after a lost connection, doubled each time */
#define RECONNECT_MIN_USECS (5*1000)
#define RECONNECT_MAX_USECS (40*1000)
/* How long to wait for a missing socket: a reload of Dovecot removes its
   sockets for a moment. */
#define SOCKET_GONE_MSECS 100
/* For IMPATIENT_FOR_MSECS after a missed deadline, a hand-off gets no more than
   IMPATIENT_TIMEOUT_MSECS. */
#define IMPATIENT_FOR_MSECS 1000
#define IMPATIENT_TIMEOUT_MSECS 10
/* And this is for a service that has missed the deadline of another process: if
   it stores at all, it does so within this time. */
#define MARKED_TIMEOUT_MSECS 100

struct handoff_client_item {
	struct http_notify_handoff handoff;
	struct event *event;
	/* how many were added before it, and before the first of the
	   consecutive items for the same user and folder that it belongs to */
	unsigned int nr, first_nr;
	/* on the present connection: sent = it is not to be sent again; written
	   = some of it may have gone out */
	bool sent;
	bool written;
	/* the service may have read some of it on a former connection */
	bool maybe_stored;
	bool answered;
	/* if answered: NULL = it is stored, else why the service refused it */
	const char *error;
};

struct handoff_client {
	char *socket_path;
	guid_128_t session;
	uint64_t last_seq;

	int fd;
	/* what came on this connection and is not a whole line yet */
	string_t *input;
	bool version_received;
	/* The connection failed, as it does when the service is restarted; a
	   new one may work. */
	bool connection_lost;
	/* The last attempt to connect found no socket, or none that this
	   process may use: do not wait for it again. */
	bool socket_gone;

	/* what was added since the last wait */
	pool_t pool;
	ARRAY(struct handoff_client_item *) items;
	/* how much time is left for them, and, while it is being spent, when it
	   will have passed (monotonic, in milliseconds) */
	int64_t budget_msecs, deadline;
	unsigned int timeout_msecs;
	/* The service has missed a deadline. Until this time (monotonic) it is
	   given little time, so that a message to many recipients is held up
	   only once. */
	int64_t impatient_until;
	/* it has been given little time */
	bool impatient;
};

struct handoff_client *handoff_client_init(const char *socket_path)
{
	struct handoff_client *client;

	client = i_new(struct handoff_client, 1);
	client->socket_path = i_strdup(socket_path);
	guid_128_generate(client->session);
	client->fd = -1;
	client->input = str_new(default_pool, 256);
	client->pool = pool_alloconly_create("http-notify hand-off", 4096);
	i_array_init(&client->items, 4);
	return client;
}

/* A service that does not accept a connection closes it without a word, and has
   read nothing then. */
static bool handoff_client_was_refused(struct handoff_client *client)
{
	char byte;

	return client->connection_lost && !client->version_received &&
		str_len(client->input) == 0 &&
		recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static void handoff_client_disconnect(struct handoff_client *client)
{
	bool refused = handoff_client_was_refused(client);
	struct handoff_client_item *item;

	array_foreach_elem(&client->items, item) {
		if (item->written && !refused)
			item->maybe_stored = TRUE;
		item->sent = item->written = FALSE;
	}
	i_close_fd(&client->fd);
	str_truncate(client->input, 0);
	client->version_received = FALSE;
	client->connection_lost = FALSE;
}

static void handoff_client_forget_items(struct handoff_client *client)
{
	struct handoff_client_item *item;

	array_foreach_elem(&client->items, item)
		event_unref(&item->event);
	array_clear(&client->items);
	p_clear(client->pool);
}

void handoff_client_deinit(struct handoff_client **_client)
{
	struct handoff_client *client = *_client;

	*_client = NULL;
	handoff_client_disconnect(client);
	handoff_client_forget_items(client);
	array_free(&client->items);
	pool_unref(&client->pool);
	str_free(&client->input);
	i_free(client->socket_path);
	i_free(client);
}

void handoff_client_add(struct handoff_client *client,
			const struct http_notify_handoff *handoff,
			struct event *event)
{
	struct handoff_client_item *item, *last;
	pool_t pool = client->pool;

	item = p_new(pool, struct handoff_client_item, 1);
	item->nr = item->first_nr = array_count(&client->items);
	if (item->nr > 0) {
		last = array_idx_elem(&client->items, item->nr - 1);
		if (strcmp(last->handoff.username, handoff->username) == 0 &&
		    strcmp(last->handoff.folder, handoff->folder) == 0)
			item->first_nr = last->first_nr;
	}
	item->handoff.username = p_strdup(pool, handoff->username);
	item->handoff.folder = p_strdup(pool, handoff->folder);
	item->handoff.uid = handoff->uid;
	item->handoff.body = p_strdup(pool, handoff->body);
	item->handoff.options = p_strarray_dup(pool, handoff->options);
	item->event = event;
	event_ref(event);
	array_push_back(&client->items, &item);
}

/* Returns 1 if the connection is ready, 0 if the deadline has passed, -1 and
   error_r if the system has no memory for this. The mail is delivered by now:
   no failure here may end the process. */
static int
handoff_client_poll(struct handoff_client *client, short events,
		    const char **error_r)
{
	struct pollfd pfd = { .fd = client->fd, .events = events };
	int64_t left;
	int ret;

	do {
		left = client->deadline - http_notify_monotonic_msecs();
		ret = poll(&pfd, 1, left < 0 ? 0 : left);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		*error_r = t_strdup_printf("poll() failed: %m");
	return ret;
}

/* lmtp has become the mail user, but only for a while, and its connection is for
   the notifications of others, too. So it connects as what it is: then the
   service knows by the kernel that it is no process of a user's own. Keeps
   errno. */
static int connect_as_root(const char *path)
{
	uid_t euid = geteuid();
	int fd, error;

	if (euid == 0 || getuid() != 0 || seteuid(0) < 0)
		return net_connect_unix(path);
	fd = net_connect_unix(path);
	error = errno;
	if (seteuid(euid) < 0)
		i_fatal("seteuid(%s) failed: %m", dec2str(euid));
	errno = error;
	return fd;
}

static int
handoff_client_connect(struct handoff_client *client, const char **error_r)
{
	const char *path = client->socket_path;
	int64_t now = http_notify_monotonic_msecs();
	int64_t gone_deadline = client->socket_gone ? 0 :
		I_MIN(client->deadline, now + SOCKET_GONE_MSECS);

	/* A UNIX socket connects at once, or says that its backlog is full:
	   then there is nothing to poll for. */
	while ((client->fd = connect_as_root(path)) == -1) {
		/* EACCES: Dovecot makes the socket before it sets its owner */
		bool gone = errno == ENOENT || errno == ECONNREFUSED ||
			errno == EACCES;
		int64_t until = gone ? gone_deadline : client->deadline;

		if ((!gone && errno != EAGAIN) ||
		    http_notify_monotonic_msecs() >= until) {
			client->socket_gone = gone;
			break;
		}
		usleep(CONNECT_RETRY_USECS);
	}
	if (client->fd != -1) {
		client->socket_gone = FALSE;
		/* Programs that a Sieve script runs must not inherit it. */
		fd_close_on_exec(client->fd, TRUE);
		net_set_nonblock(client->fd, TRUE);
		return 0;
	}

	switch (errno) {
	case EACCES:
		*error_r = t_strconcat(eacces_error_get("connect", path),
			" (set mode, user or group of unix_listener "
			HTTP_NOTIFY_HANDOFF_SOCKET" in service "
			HTTP_NOTIFY_HANDOFF_SOCKET" so that this process "
			"may write to it)", NULL);
		break;
	case ENOENT:
	case ECONNREFUSED:
		*error_r = t_strdup_printf("connect(%s) failed: %m "
			"(is service "HTTP_NOTIFY_HANDOFF_SOCKET" configured "
			"and Dovecot running?)", path);
		break;
	default:
		*error_r = t_strdup_printf("connect(%s) failed: %m", path);
	}
	return -1;
}

static void
handoff_client_append_unsent(struct handoff_client *client, string_t *dest)
{
	struct handoff_client_item *item;

	array_foreach_elem(&client->items, item) {
		if (!item->sent && !item->answered) {
			http_notify_handoff_append(dest, &item->handoff);
			item->sent = TRUE;
		}
	}
}

static void
handoff_client_set_written(struct handoff_client *client, bool written)
{
	struct handoff_client_item *item;

	array_foreach_elem(&client->items, item)
		item->written = written && item->sent;
}

static int
handoff_client_connection_lost(struct handoff_client *client,
			       const char *function, const char **error_r)
{
	*error_r = t_strdup_printf("%s(%s) failed: %m", function,
				   client->socket_path);
	client->connection_lost = TRUE;
	return -1;
}

static int
handoff_client_write(struct handoff_client *client, const string_t *output,
		     const char **error_r)
{
	const unsigned char *data = str_data(output);
	size_t size = str_len(output);
	ssize_t ret;
	int poll_ret;

	while (size > 0) {
		ret = send(client->fd, data, size, MSG_NOSIGNAL);
		if (ret >= 0) {
			data += ret;
			size -= ret;
			handoff_client_set_written(client, TRUE);
		} else if (errno == EAGAIN) {
			poll_ret = handoff_client_poll(client, POLLOUT,
						       error_r);
			if (poll_ret <= 0)
				return poll_ret;
		} else if (errno != EINTR) {
			return handoff_client_connection_lost(client, "write",
							      error_r);
		}
	}
	return 1;
}

static int
handoff_client_input_line(struct handoff_client *client, const char *line,
			  const char **error_r)
{
	struct http_notify_handoff_reply reply;
	struct handoff_client_item *item;

	if (!client->version_received) {
		if (!version_string_verify(line, HTTP_NOTIFY_HANDOFF_NAME,
				HTTP_NOTIFY_HANDOFF_VERSION_MAJOR)) {
			*error_r = "the service is of an incompatible version "
				"(mixed old and new binaries?)";
			/* it accepts nothing that begins with our VERSION line,
			   so nothing is stored */
			handoff_client_set_written(client, FALSE);
			return -1;
		}
		client->version_received = TRUE;
		return 0;
	}
	if (http_notify_handoff_parse_reply(t_strsplit_tabescaped(line),
					    &reply, error_r) < 0)
		return -1;
	array_foreach_elem(&client->items, item) {
		if (item->handoff.seq == reply.seq) {
			item->answered = TRUE;
			item->error = p_strdup(client->pool, reply.error);
			return 0;
		}
	}
	*error_r = "reply to a notification that was not sent";
	return -1;
}

static int
handoff_client_read(struct handoff_client *client, const char **error_r)
{
	unsigned char buf[1024];
	const char *p;
	ssize_t ret;
	int line_ret;

	ret = read(client->fd, buf, sizeof(buf));
	if (ret < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		return handoff_client_connection_lost(client, "read", error_r);
	}
	if (ret == 0) {
		*error_r = "the service closed the connection";
		client->connection_lost = TRUE;
		return -1;
	}
	str_append_data(client->input, buf, ret);
	while ((p = strchr(str_c(client->input), '\n')) != NULL) {
		T_BEGIN {
			size_t size = p - str_c(client->input);

			line_ret = handoff_client_input_line(client,
				t_strndup(str_data(client->input), size),
				error_r);
			str_delete(client->input, 0, size + 1);
		} T_END_PASS_STR_IF(line_ret < 0, error_r);
		if (line_ret < 0)
			return -1;
	}
	return 0;
}

static bool handoff_client_all_answered(struct handoff_client *client)
{
	struct handoff_client_item *item;

	array_foreach_elem(&client->items, item) {
		if (!item->answered)
			return FALSE;
	}
	return TRUE;
}

/* Send what has not been sent on this connection. Returns 1 if all is sent, 0
   if the deadline has passed, -1 and error_r if it failed. */
static int
handoff_client_try_send(struct handoff_client *client, const char **error_r)
{
	string_t *output = t_str_new(2048);

	if (client->fd == -1) {
		if (handoff_client_connect(client, error_r) < 0)
			return -1;
		str_printfa(output, "VERSION\t%s\t%u\t%u\n",
			    HTTP_NOTIFY_HANDOFF_NAME,
			    HTTP_NOTIFY_HANDOFF_VERSION_MAJOR,
			    HTTP_NOTIFY_HANDOFF_VERSION_MINOR);
		http_notify_handoff_append_session(output, client->session);
	}
	handoff_client_append_unsent(client, output);
	return handoff_client_write(client, output, error_r);
}

/* Likewise, and wait until all is answered. */
static int
handoff_client_try_wait(struct handoff_client *client, const char **error_r)
{
	int ret;

	ret = handoff_client_try_send(client, error_r);
	while (ret > 0 && !handoff_client_all_answered(client)) {
		ret = handoff_client_poll(client, POLLIN, error_r);
		if (ret > 0 && handoff_client_read(client, error_r) < 0)
			ret = -1;
	}
	return ret;
}

/* Items that have been sent come first, in their order; then the new ones in
   the order in which they were added, but consecutive ones of one folder by
   UID. UIDs of different folders do not tell which came first. */
static int
handoff_client_item_cmp(struct handoff_client_item *const *a,
			struct handoff_client_item *const *b)
{
	/* 0, which is not assigned yet, becomes the highest */
	uint64_t seq_a = (*a)->handoff.seq - 1, seq_b = (*b)->handoff.seq - 1;

	if (seq_a != seq_b)
		return seq_a < seq_b ? -1 : 1;
	if ((*a)->first_nr != (*b)->first_nr)
		return (*a)->first_nr < (*b)->first_nr ? -1 : 1;
	if ((*a)->handoff.uid != (*b)->handoff.uid)
		return (*a)->handoff.uid < (*b)->handoff.uid ? -1 : 1;
	return (*a)->nr < (*b)->nr ? -1 : 1;
}

static void handoff_client_spend(struct handoff_client *client)
{
	client->deadline = http_notify_monotonic_msecs() + client->budget_msecs;
}

static void handoff_client_spent(struct handoff_client *client)
{
	client->budget_msecs = client->deadline - http_notify_monotonic_msecs();
	if (client->budget_msecs < 0)
		client->budget_msecs = 0;
}

void handoff_client_send(struct handoff_client *client,
			 unsigned int timeout_msecs)
{
	struct handoff_client_item *item;
	uint64_t old_last_seq = client->last_seq;

	/* a mail transaction's messages arrive in no particular order */
	array_sort(&client->items, handoff_client_item_cmp);
	array_foreach_elem(&client->items, item) {
		if (item->handoff.seq == 0)
			item->handoff.seq = ++client->last_seq;
	}
	if (client->last_seq == old_last_seq) {
		/* nothing is new: another driver line has sent it already */
		return;
	}

	client->timeout_msecs = timeout_msecs;
	client->impatient = TRUE;
	if (http_notify_monotonic_msecs() < client->impatient_until) {
		client->timeout_msecs = I_MIN(timeout_msecs,
					      IMPATIENT_TIMEOUT_MSECS);
	} else if (slow_mark_is_set(client->socket_path)) {
		client->timeout_msecs = I_MIN(timeout_msecs,
					      MARKED_TIMEOUT_MSECS);
	} else
		client->impatient = FALSE;
	client->budget_msecs = client->timeout_msecs;
	handoff_client_spend(client);
	T_BEGIN {
		const char *error;

		/* what fails here, handoff_client_wait() tries again */
		if (handoff_client_try_send(client, &error) <= 0)
			handoff_client_disconnect(client);
	} T_END;
	handoff_client_spent(client);
}

/* Returns NULL if all is answered, else why not. */
static const char *handoff_client_try(struct handoff_client *client)
{
	unsigned int pause_usecs = RECONNECT_MIN_USECS;
	const char *error;
	int ret;

	while ((ret = handoff_client_try_wait(client, &error)) < 0 &&
	       client->connection_lost &&
	       http_notify_monotonic_msecs() < client->deadline) {
		/* Sending again is safe: the service recognises what it has. */
		handoff_client_disconnect(client);
		usleep(pause_usecs);
		pause_usecs = I_MIN(pause_usecs * 2, RECONNECT_MAX_USECS);
	}
	if (ret > 0)
		return NULL;

	if (ret == 0 || client->connection_lost) {
		client->impatient_until =
			http_notify_monotonic_msecs() + IMPATIENT_FOR_MSECS;
		if (ret == 0 && !client->impatient &&
		    client->timeout_msecs >= MARKED_TIMEOUT_MSECS)
			slow_mark_set(client->socket_path);
	}
	handoff_client_disconnect(client);
	if (ret == 0) {
		error = t_strdup_printf("the service did not store it within "
					"%u ms", client->timeout_msecs);
	}
	return error;
}

/* It is lost, unless the service may have stored it but could not say so. */
static void
handoff_client_failed(struct handoff_client_item *item, const char *error)
{
	bool maybe_stored = item->maybe_stored && !item->answered;
	struct event_passthrough *e = event_create_passthrough(item->event)->
		set_name("http_notify_handoff_failed")->
		add_str("folder", item->handoff.folder)->
		add_int("uid", item->handoff.uid)->
		add_str("stored", maybe_stored ? "maybe" : "no")->
		add_str("error", error);

	e_error(e->event(), "Notification %s: user=%s folder=%s uid=%u: %s",
		maybe_stored ? "not confirmed" : "lost",
		str_sanitize(item->handoff.username, 128),
		str_sanitize(item->handoff.folder, 128),
		item->handoff.uid, error);
}

void handoff_client_wait(struct handoff_client *client)
{
	struct handoff_client_item *item;

	if (array_is_empty(&client->items))
		return;

	handoff_client_spend(client);
	T_BEGIN {
		const char *error = handoff_client_try(client);

		array_foreach_elem(&client->items, item) {
			if (item->answered && item->error == NULL)
				continue;
			handoff_client_failed(item, item->answered ?
					      item->error : error);
		}
	} T_END;
	handoff_client_forget_items(client);
}
