/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "str.h"
#include "str-sanitize.h"
#include "strescape.h"
#include "strfuncs.h"

#include "body-event.h"
#include "handoff.h"
#include "handoff-client.h"
#include "handoff-connect.h"
#include "monotonic.h"
#include "slow-mark.h"
#include "version-compat.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* pause before connecting again after a lost connection, doubled each time */
#define RECONNECT_MIN_USECS (5*1000)
#define RECONNECT_MAX_USECS (40*1000)
/* For IMPATIENT_FOR_MSECS after a missed deadline, a hand-off gets no more than
   IMPATIENT_TIMEOUT_MSECS. */
#define IMPATIENT_FOR_MSECS 1000
#define IMPATIENT_TIMEOUT_MSECS 10
/* And this is for a service that has missed the deadline of another process: if
   it stores at all, it does so within this time. */
#define MARKED_TIMEOUT_MSECS 100

/* In the background: how long to wait before connecting again, doubled each
   time. */
#define BACKGROUND_RETRY_MIN_MSECS 100
#define BACKGROUND_RETRY_MAX_MSECS (5*1000)
/* What a service that does not answer may make a process keep, in bytes of
   bodies. */
#define BACKGROUND_SIZE_MAX (1024*1024)
/* So many have no answer at once: fewer than a session may be sent again
   (handoff.h). */
#define UNANSWERED_MAX 32

struct handoff_client_item {
	pool_t pool;
	struct http_notify_handoff handoff;
	struct event *event;
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
	/* the service, as it is now or was last, knows no UID validities */
	bool old_service;
	/* The connection failed, as it does when the service is restarted; a
	   new one may work. */
	bool connection_lost;
	/* The last attempt to connect found no socket, or none that this
	   process may use: do not wait for it again. */
	bool socket_gone;

	/* what is to be written on this connection */
	string_t *output;

	/* what was added and not answered yet, or since the last wait, and the
	   size of its bodies in bytes */
	ARRAY(struct handoff_client_item *) items;
	size_t size;
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

	/* in the background */
	struct io *io_read, *io_write;
	struct timeout *to_retry;
	unsigned int retry_msecs;
	/* when it is due (monotonic, in milliseconds) */
	int64_t retry_at;
};

struct handoff_client *handoff_client_init(const char *socket_path)
{
	struct handoff_client *client;

	client = i_new(struct handoff_client, 1);
	client->socket_path = i_strdup(socket_path);
	guid_128_generate(client->session);
	client->fd = -1;
	client->input = str_new(default_pool, 256);
	client->output = str_new(default_pool, 256);
	i_array_init(&client->items, 4);
	client->retry_msecs = BACKGROUND_RETRY_MIN_MSECS;
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
	io_remove(&client->io_read);
	io_remove(&client->io_write);
	i_close_fd(&client->fd);
	str_truncate(client->input, 0);
	str_truncate(client->output, 0);
	client->version_received = FALSE;
	client->connection_lost = FALSE;
}

static void
handoff_client_item_free(struct handoff_client *client,
			 struct handoff_client_item *item)
{
	client->size -= strlen(item->handoff.body);
	event_unref(&item->event);
	pool_unref(&item->pool);
}

static void handoff_client_forget_items(struct handoff_client *client)
{
	struct handoff_client_item *item;

	array_foreach_elem(&client->items, item)
		handoff_client_item_free(client, item);
	array_clear(&client->items);
}

void handoff_client_deinit(struct handoff_client **_client)
{
	struct handoff_client *client = *_client;

	*_client = NULL;
	handoff_client_disconnect(client);
	handoff_client_forget_items(client);
	array_free(&client->items);
	timeout_remove(&client->to_retry);
	str_free(&client->input);
	str_free(&client->output);
	i_free(client->socket_path);
	i_free(client);
}

void handoff_client_add(struct handoff_client *client,
			const struct http_notify_handoff *handoff,
			struct event *event)
{
	struct handoff_client_item *item;
	pool_t pool;

	pool = pool_alloconly_create("http-notify hand-off",
				     strlen(handoff->body) + 1024);
	item = p_new(pool, struct handoff_client_item, 1);
	item->pool = pool;
	item->handoff.seq = ++client->last_seq;
	item->handoff.username = p_strdup(pool, handoff->username);
	item->handoff.folder = p_strdup(pool, handoff->folder);
	item->handoff.uid = handoff->uid;
	item->handoff.uidvalidity = handoff->uidvalidity;
	item->handoff.body = p_strdup(pool, handoff->body);
	item->handoff.options = p_strarray_dup(pool, handoff->options);
	client->size += strlen(handoff->body);
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

static void handoff_client_append_unsent(struct handoff_client *client)
{
	struct handoff_client_item *item;
	unsigned int unanswered = 0;

	array_foreach_elem(&client->items, item) {
		if (item->answered)
			continue;
		if (unanswered++ == UNANSWERED_MAX)
			break;
		if (!item->sent) {
			if (client->old_service)
				item->handoff.uidvalidity = 0;
			http_notify_handoff_append(client->output,
						   &item->handoff);
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

/* Returns 1 if all is written, 0 if the service has to read first, -1 and
   error_r if it failed. */
static int handoff_client_write(struct handoff_client *client,
				const char **error_r)
{
	ssize_t ret;

	while (str_len(client->output) > 0) {
		ret = send(client->fd, str_data(client->output),
			   str_len(client->output),
			   MSG_NOSIGNAL | MSG_DONTWAIT);
		if (ret >= 0) {
			str_delete(client->output, 0, ret);
			handoff_client_set_written(client, TRUE);
		} else if (errno == EAGAIN) {
			return 0;
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
	unsigned int minor_version;

	if (!client->version_received) {
		if (!version_string_verify_full(line, HTTP_NOTIFY_HANDOFF_NAME,
				HTTP_NOTIFY_HANDOFF_VERSION_MAJOR,
				&minor_version)) {
			*error_r = "the service is of an incompatible version "
				"(mixed old and new binaries?)";
			/* it accepts nothing that begins with our VERSION line,
			   so nothing is stored */
			handoff_client_set_written(client, FALSE);
			return -1;
		}
		client->version_received = TRUE;
		/* it closes the connection if it has got one; the next one
		   is without */
		client->old_service = minor_version == 0;
		return 0;
	}
	if (http_notify_handoff_parse_reply(t_strsplit_tabescaped(line),
					    &reply, error_r) < 0)
		return -1;
	array_foreach_elem(&client->items, item) {
		if (item->handoff.seq == reply.seq) {
			item->answered = TRUE;
			item->error = p_strdup(item->pool, reply.error);
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

static void handoff_client_greet(struct handoff_client *client)
{
	str_printfa(client->output, "VERSION\t%s\t%u\t%u\n",
		    HTTP_NOTIFY_HANDOFF_NAME,
		    HTTP_NOTIFY_HANDOFF_VERSION_MAJOR,
		    HTTP_NOTIFY_HANDOFF_VERSION_MINOR);
	http_notify_handoff_append_session(client->output, client->session);
}

/* Send what has not been sent on this connection, as much as may be without an
   answer. Returns 1 if that is sent, 0 if the deadline has passed, -1 and
   error_r if it failed. */
static int
handoff_client_try_send(struct handoff_client *client, const char **error_r)
{
	int ret;

	if (client->fd == -1) {
		client->fd = handoff_connect(client->socket_path,
					     client->deadline,
					     &client->socket_gone, error_r);
		if (client->fd == -1)
			return -1;
		handoff_client_greet(client);
	}
	handoff_client_append_unsent(client);
	while ((ret = handoff_client_write(client, error_r)) == 0 &&
	       (ret = handoff_client_poll(client, POLLOUT, error_r)) > 0) ;
	return ret;
}

/* Likewise, and wait until all is answered. */
static int
handoff_client_try_wait(struct handoff_client *client, const char **error_r)
{
	int ret;

	while ((ret = handoff_client_try_send(client, error_r)) > 0 &&
	       !handoff_client_all_answered(client)) {
		ret = handoff_client_poll(client, POLLIN, error_r);
		if (ret > 0 && handoff_client_read(client, error_r) < 0)
			ret = -1;
		if (ret <= 0)
			break;
	}
	return ret;
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

/* How much time there is to send what was added, and to wait. */
static void
handoff_client_set_budget(struct handoff_client *client,
			  unsigned int timeout_msecs)
{
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
}

void handoff_client_send(struct handoff_client *client,
			 unsigned int timeout_msecs)
{
	handoff_client_set_budget(client, timeout_msecs);
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
	const char *what = http_notify_body_event(item->handoff.body);
	struct event_passthrough *e = event_create_passthrough(item->event)->
		set_name("http_notify_handoff_failed")->
		add_str("folder", item->handoff.folder)->
		add_int("uid", item->handoff.uid)->
		add_str(HTTP_NOTIFY_BODY_EVENT_FIELD, what)->
		add_str("stored", maybe_stored ? "maybe" : "no")->
		add_str("error", error);

	e_error(e->event(),
		"Notification %s: user=%s folder=%s uid=%u event=%s: %s",
		maybe_stored ? "not confirmed" : "lost",
		str_sanitize(item->handoff.username, 128),
		str_sanitize(item->handoff.folder, 128),
		item->handoff.uid, what, error);
}

static void handoff_client_background_run(struct handoff_client *client);

static void handoff_client_background_retry(struct handoff_client *client)
{
	timeout_remove(&client->to_retry);
	handoff_client_background_run(client);
}

static void handoff_client_background_later(struct handoff_client *client)
{
	handoff_client_disconnect(client);
	client->to_retry = timeout_add(client->retry_msecs,
		handoff_client_background_retry, client);
	client->retry_at = http_notify_monotonic_msecs() + client->retry_msecs;
	client->retry_msecs = I_MIN(client->retry_msecs * 2,
				    BACKGROUND_RETRY_MAX_MSECS);
}

/* Forget what is answered. */
static void handoff_client_background_answered(struct handoff_client *client)
{
	struct handoff_client_item *const *items;
	unsigned int i, count;

	items = array_get(&client->items, &count);
	for (i = 0; i < count && items[i]->answered; i++) {
		if (items[i]->error != NULL)
			handoff_client_failed(items[i], items[i]->error);
		handoff_client_item_free(client, items[i]);
	}
	if (i > 0) {
		array_delete(&client->items, 0, i);
		client->retry_msecs = BACKGROUND_RETRY_MIN_MSECS;
	}
}

static void handoff_client_background_input(struct handoff_client *client)
{
	const char *error;
	int ret;

	T_BEGIN {
		ret = handoff_client_read(client, &error);
	} T_END;
	handoff_client_background_answered(client);
	if (ret < 0 && !array_is_empty(&client->items))
		handoff_client_background_later(client);
	else
		handoff_client_background_run(client);
}

/* Returns 0 if all goes well, or -1 to try again later. */
static int handoff_client_background_try(struct handoff_client *client)
{
	const char *error;
	int ret;

	if (client->fd == -1) {
		/* tried once */
		client->fd = handoff_connect(client->socket_path, 0,
					     &client->socket_gone, &error);
		if (client->fd == -1)
			return -1;
		handoff_client_greet(client);
	}
	handoff_client_append_unsent(client);
	ret = handoff_client_write(client, &error);
	if (ret < 0)
		return -1;
	if (client->io_read == NULL) {
		client->io_read = io_add(client->fd, IO_READ,
			handoff_client_background_input, client);
	}
	if (ret > 0)
		io_remove(&client->io_write);
	else if (client->io_write == NULL) {
		client->io_write = io_add(client->fd, IO_WRITE,
			handoff_client_background_run, client);
	}
	return 0;
}

static void handoff_client_background_run(struct handoff_client *client)
{
	int ret;

	if (array_is_empty(&client->items)) {
		/* There may be many such processes, most of them idle. */
		handoff_client_disconnect(client);
		return;
	}
	if (client->to_retry != NULL)
		return;
	T_BEGIN {
		ret = handoff_client_background_try(client);
	} T_END;
	if (ret < 0)
		handoff_client_background_later(client);
}

/* What has just been added is the last. */
static void handoff_client_background_limit(struct handoff_client *client)
{
	struct handoff_client_item *item;
	unsigned int last;

	while (client->size > BACKGROUND_SIZE_MAX &&
	       (last = array_count(&client->items) - 1) > 0) {
		item = array_idx_elem(&client->items, last);
		if (item->sent)
			break;
		handoff_client_failed(item, "too much waits for the service, "
				      "which does not answer");
		handoff_client_item_free(client, item);
		array_delete(&client->items, last, 1);
	}
}

void handoff_client_send_background(struct handoff_client *client,
				    unsigned int timeout_msecs)
{
	handoff_client_set_budget(client, timeout_msecs);
	/* A Sieve script that one IMAP command runs for thousands of messages
	   keeps the ioloop waiting: take the answers that are there, and try
	   again when it is time to. */
	if (client->io_read != NULL)
		handoff_client_background_input(client);
	else if (client->to_retry != NULL &&
		 http_notify_monotonic_msecs() >= client->retry_at)
		handoff_client_background_retry(client);
	handoff_client_background_limit(client);
	handoff_client_background_run(client);
}

void handoff_client_wait(struct handoff_client *client)
{
	struct handoff_client_item *item;

	timeout_remove(&client->to_retry);
	io_remove(&client->io_read);
	io_remove(&client->io_write);
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
