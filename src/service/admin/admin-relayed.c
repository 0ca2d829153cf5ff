/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AT for another host: the side that is asked */
#include "lib.h"
#include "fd-util.h"
#include "ioloop.h"
#include "llist.h"
#include "net.h"
#include "ostream.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "admin-relay.h"
#include "monotonic.h"
#include "queue-hosts.h"

#include <sys/socket.h>
#include <unistd.h>

/* How many commands may be under way. Each needs two file descriptors. */
#define RELAYED_MAX 16
/* For how long an asking host may be silent. It gives up before that. */
#define SILENT_MSECS 15000
/* Rows are gathered for this long. */
#define GATHER_MSECS 10

struct admin_relayed {
	struct admin_relayed *prev, *next;
	struct admin *admin;
	int64_t host, talk;
	/* monotonic, in milliseconds: when something last came */
	int64_t heard;
	struct timeout *to_alive;

	/* the other end is a connection of admin.c's, which answers */
	int fd;
	struct ostream *output;
	struct io *io;
	struct timeout *to_read;
	/* how many pieces have been sent, and how many are done with */
	int64_t pieces, done;
};

static void relayed_free(struct admin_relayed *relayed)
{
	DLLIST_REMOVE(&relayed->admin->relayed, relayed);
	relayed->admin->relayed_count--;
	timeout_remove(&relayed->to_alive);
	timeout_remove(&relayed->to_read);
	io_remove(&relayed->io);
	o_stream_abort(relayed->output);
	o_stream_unref(&relayed->output);
	i_close_fd(&relayed->fd);
	i_free(relayed);
}

static void
relayed_send(struct admin_relayed *relayed, enum relay_kind kind,
	     int64_t number, const void *data, size_t size)
{
	admin_relay_send(relayed->admin, relayed->host, relayed->talk, kind,
			 number, data, size);
}

static void relayed_end(struct admin_relayed *relayed)
{
	relayed_send(relayed, RELAY_END, 0, NULL, 0);
	relayed_free(relayed);
}

void admin_relayed_end_all(struct admin *admin)
{
	while (admin->relayed != NULL)
		relayed_end(admin->relayed);
}

/* Answering */

static void relayed_input(struct admin_relayed *relayed);

static void relayed_wait(struct admin_relayed *relayed)
{
	if (relayed->io == NULL && relayed->to_read == NULL &&
	    relayed->pieces - relayed->done < RELAY_WINDOW) {
		relayed->io = io_add(relayed->fd, IO_READ, relayed_input,
				     relayed);
	}
}

static void relayed_read(struct admin_relayed *relayed)
{
	unsigned char *piece = t_malloc_no0(RELAY_PIECE_SIZE);
	ssize_t ret = read(relayed->fd, piece, RELAY_PIECE_SIZE);

	timeout_remove(&relayed->to_read);
	if (ret > 0) {
		relayed_send(relayed, RELAY_PIECE, ++relayed->pieces, piece,
			     ret);
		relayed_wait(relayed);
	} else if (ret < 0 && (errno == EAGAIN || errno == EINTR))
		relayed_wait(relayed);
	else
		relayed_end(relayed);
}

static void relayed_input(struct admin_relayed *relayed)
{
	io_remove(&relayed->io);
	relayed->to_read = timeout_add_short(GATHER_MSECS, relayed_read,
					     relayed);
}

static void
relayed_go_on(struct admin_relayed *relayed, int64_t done)
{
	if (done > relayed->done && done <= relayed->pieces) {
		relayed->done = done;
		relayed_wait(relayed);
	} else
		relayed_send(relayed, RELAY_PIECE, relayed->pieces, NULL, 0);
}

static void relayed_alive(struct admin_relayed *relayed)
{
	if (http_notify_monotonic_msecs() - relayed->heard > SILENT_MSECS)
		relayed_free(relayed);
}

/* Being asked */

static void
relayed_refuse(struct admin *admin, const struct queue_message *message,
	       const char *reason)
{
	admin_relay_send(admin, message->host, message->talk, RELAY_END, 0,
			 reason, strlen(reason));
}

static void
relayed_start(struct admin *admin, const struct queue_message *message)
{
	struct admin_relayed *relayed;
	int fds[2];

	if (admin->relayed_count >= RELAYED_MAX) {
		relayed_refuse(admin, message,
			       "it is being asked too much at a time");
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) {
		relayed_refuse(admin, message, t_strdup_printf(
			"socketpair() failed: %m"));
		return;
	}
	fd_close_on_exec(fds[0], TRUE);
	fd_close_on_exec(fds[1], TRUE);
	net_set_nonblock(fds[0], TRUE);
	net_set_nonblock(fds[1], TRUE);
	admin_conn_init_relayed(admin, fds[0]);

	relayed = i_new(struct admin_relayed, 1);
	relayed->admin = admin;
	relayed->host = message->host;
	relayed->talk = message->talk;
	relayed->heard = http_notify_monotonic_msecs();
	relayed->fd = fds[1];
	relayed->output = o_stream_create_fd(fds[1], SIZE_MAX);
	o_stream_set_no_error_handling(relayed->output, TRUE);
	DLLIST_PREPEND(&admin->relayed, relayed);
	admin->relayed_count++;
	o_stream_nsend_str(relayed->output, t_strdup_printf(
		"VERSION\t"HTTP_NOTIFY_ADMIN_NAME"\t%u\t%u\n",
		HTTP_NOTIFY_ADMIN_VERSION_MAJOR,
		HTTP_NOTIFY_ADMIN_VERSION_MINOR));
	o_stream_nsend(relayed->output, message->data, message->size);
	relayed->to_alive = timeout_add(RELAY_ALIVE_MSECS, relayed_alive,
					relayed);
	relayed_wait(relayed);
}

void admin_relayed_message(struct admin *admin,
			   const struct queue_message *message)
{
	struct admin_relayed *relayed = admin->relayed;

	while (relayed != NULL && (relayed->host != message->host ||
				   relayed->talk != message->talk))
		relayed = relayed->next;
	if (relayed != NULL) {
		relayed->heard = http_notify_monotonic_msecs();
		if (message->kind == RELAY_GO_ON)
			relayed_go_on(relayed, message->number);
		else if (message->kind == RELAY_END)
			relayed_free(relayed);
	} else if (message->kind == RELAY_ASK)
		relayed_start(admin, message);
	else if (message->kind == RELAY_GO_ON ||
		 message->kind == RELAY_PIECE)
		admin_relay_unknown(admin, message);
}
