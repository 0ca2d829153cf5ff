/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ANNOUNCED and ANNOUNCE: messages that no mail process has handed off are
   found again */
#include "lib.h"
#include "array.h"
#include "imap-util.h"
#include "str.h"

#include "admin-conn.h"
#include "admin-protocol.h"
#include "delivery.h"
#include "mailbox-number.h"
#include "move-back.h"
#include "options.h"
#include "queue-announced.h"

/* By trusted processes, and by those of the mail user's. */
#define OWNERS 2
/* There may be another one, in which there is what waits to be moved to the
   shared one, and what was announced before that was used. */
#define QUEUES 2

struct admin_announced {
	struct admin_conn *conn;
	/* of an ANNOUNCED under way */
	struct admin_announced_read {
		struct admin_announced *announced;
		/* NULL = it has ended */
		struct queue_announced_read *read;
	} reads[QUEUES * OWNERS];
	unsigned int reads_count;
	ARRAY_TYPE(seq_range) uids;
	unsigned int secs;
	char *error;
};

/* ANNOUNCED */

static void admin_announced_end(struct admin_announced *announced)
{
	struct admin_conn *conn = announced->conn;
	const char *row[HTTP_NOTIFY_ADMIN_ANNOUNCED_COUNT];
	string_t *uids = t_str_new(128);

	if (announced->error != NULL) {
		admin_conn_fail(conn, announced->error);
		i_free(announced->error);
		return;
	}
	imap_write_seq_range(uids, &announced->uids);
	row[HTTP_NOTIFY_ADMIN_ANNOUNCED_SECS] = admin_num(announced->secs);
	row[HTTP_NOTIFY_ADMIN_ANNOUNCED_UIDS] = str_c(uids);
	admin_conn_row(conn, row, N_ELEMENTS(row));
	admin_conn_ok(conn, 1);
}

static void
admin_announced_read(const struct queue_announced_result *result, void *context)
{
	struct admin_announced_read *read = context;
	struct admin_announced *announced = read->announced;

	read->read = NULL;
	if (result->error != NULL && announced->error == NULL)
		announced->error = i_strdup(result->error);
	seq_range_array_merge(&announced->uids, result->uids);
	if (read < &announced->reads[OWNERS])
		announced->secs = result->secs;
	if (--announced->reads_count == 0)
		admin_announced_end(announced);
}

static void
admin_announced_ask(struct admin_announced *announced, struct queue *queue,
		    int64_t mailbox)
{
	struct admin_announced_read *read =
		&announced->reads[announced->reads_count++];

	read->announced = announced;
	read->read = queue_announced_read(queue, mailbox, admin_announced_read,
					  read);
}

void admin_announced(struct admin_conn *conn,
		     const struct http_notify_admin_command *command)
{
	struct admin *admin = conn->admin;
	struct admin_announced *announced = conn->announced;
	const char *owners[OWNERS] = { NULL, command->owner };
	struct http_notify_options options;
	int64_t mailboxes[OWNERS];
	const char *error;
	unsigned int i;

	if (http_notify_options_parse(command->options, pool_datastack_create(),
				      &options, &error) < 0) {
		admin_conn_fail(conn, error);
		return;
	}
	if (admin->move_back != NULL && move_back_is_used(admin->move_back)) {
		admin_conn_fail(conn, "not all that has been announced is "
			"known while notifications are moved; run it again "
			"after that");
		return;
	}
	if (announced == NULL) {
		conn->announced = announced = i_new(struct admin_announced, 1);
		announced->conn = conn;
		i_array_init(&announced->uids, 8);
		queue_announced_begin(admin->queue,
				      delivery_queued(admin->delivery));
		if (admin->local != NULL)
			queue_announced_begin(admin->local, 0);
	}
	array_clear(&announced->uids);
	announced->reads_count = 0;
	for (i = 0; i < OWNERS; i++) {
		options.owner = owners[i];
		mailboxes[i] = mailbox_number(mailbox_number_endpoint(&options),
					      command->username,
					      command->folder,
					      command->uidvalidity);
		admin_announced_ask(announced, admin->queue, mailboxes[i]);
	}
	for (i = 0; i < OWNERS && admin->local != NULL; i++)
		admin_announced_ask(announced, admin->local, mailboxes[i]);
}

void admin_announced_abort(struct admin_conn *conn)
{
	struct admin_announced *announced = conn->announced;
	unsigned int i;

	if (announced == NULL)
		return;
	conn->announced = NULL;
	for (i = 0; i < N_ELEMENTS(announced->reads); i++)
		queue_announced_cancel(&announced->reads[i].read);
	queue_announced_end(conn->admin->queue);
	if (conn->admin->local != NULL)
		queue_announced_end(conn->admin->local);
	array_free(&announced->uids);
	i_free(announced->error);
	i_free(announced);
}

/* ANNOUNCE */

static void
admin_announce_stored(const struct delivery_stored *stored, void *context)
{
	struct admin_adding *adding = context;
	struct admin_conn *conn = adding->conn;

	i_free(adding);
	if (conn == NULL)
		return;
	conn->adding = NULL;
	if (stored->error != NULL)
		admin_conn_fail(conn, stored->error);
	else
		admin_conn_ok(conn, stored->id != 0 || stored->spooled);
}

void admin_announce(struct admin_conn *conn,
		    const struct http_notify_admin_command *command)
{
	const struct delivery_notification notification = {
		.seq = 1, .username = command->username,
		.folder = command->folder, .uid = command->uid,
		.uidvalidity = command->uidvalidity,
		.body = command->body, .options = command->options
	};
	struct admin_adding *adding;
	const char *error;

	adding = i_new(struct admin_adding, 1);
	adding->conn = conn;
	if (delivery_add(conn->admin->delivery, &notification,
			 admin_announce_stored, adding, &error) == 0) {
		conn->adding = adding;
		return;
	}
	i_free(adding);
	admin_conn_fail(conn, error);
}
