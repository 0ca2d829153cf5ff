/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_CONN_H
#define HTTP_NOTIFY_ADMIN_CONN_H

#include "connection.h"
#include "guid.h"

struct admin_adding;
struct admin_probe;
struct admin_walk;
struct admin_watch;
struct delivery;
struct http_notify_admin_command;
struct queue;
struct sender;

/* What the files of this folder share: one doveadm, and how it is answered. */

struct admin {
	struct queue *queue;
	struct delivery *delivery;
	struct sender *sender;
	struct event *event;
	struct connection_list *conns;
	/* of PROBE; they outlive their connections */
	struct admin_probe *probes;
	/* all SENDs are one session */
	uint64_t last_seq;
	guid_128_t session;
	/* monotonic, in milliseconds */
	int64_t started;
};

struct admin_conn {
	struct connection conn;
	struct admin *admin;

	/* its command; NULL unless it is one of these */
	struct admin_walk *walk;
	struct admin_watch *watch;
	struct admin_adding *adding;
	/* PROBE: requests that are under way */
	unsigned int probes_count;
};

/* One more row of the answer, with this many fields. */
void admin_conn_row(struct admin_conn *conn, const char *const *row,
		    unsigned int count);
/* The answer's end. The next command may come. */
void admin_conn_ok(struct admin_conn *conn, uint64_t count);
void admin_conn_fail(struct admin_conn *conn, const char *reason);
/* It lives on the data stack. */
const char *admin_num(int64_t value);

/* STATUS, QUEUE, PURGE: admin-walk.c. FLUSH is done at once. */
void admin_walk_start(struct admin_conn *conn,
		      const struct http_notify_admin_command *command);
void admin_walk_abort(struct admin_conn *conn);
void admin_flush(struct admin_conn *conn,
		 const struct http_notify_admin_command *command);

/* PROBE and SEND: admin-send.c */
void admin_probe(struct admin_conn *conn,
		 const struct http_notify_admin_command *command);
void admin_send(struct admin_conn *conn,
		const struct http_notify_admin_command *command);
void admin_send_abort(struct admin_conn *conn);
/* The sender does not call back any more. */
void admin_probes_free(struct admin *admin);

#endif
