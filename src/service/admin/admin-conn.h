/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_CONN_H
#define HTTP_NOTIFY_ADMIN_CONN_H

#include "connection.h"
#include "guid.h"

struct admin_announced;
struct admin_live;
struct admin_lost;
struct admin_move;
struct admin_probe;
struct admin_relay;
struct admin_relayed;
struct admin_walk;
struct admin_watch;
struct delivery;
struct http_notify_admin_command;
struct move_back;
struct queue;
struct queue_check;
struct queue_hosts_read;
struct queue_item;
struct queue_message;
struct sender;
struct spool;

/* What the files in this folder share: the connection of a doveadm, and how to
   answer it. */

struct admin {
	/* queue: NULL = it is not open: what every command fails with */
	struct queue *queue, *local;
	char *queue_error;
	struct delivery *delivery;
	struct sender *sender;
	/* see admin_set_moving() */
	struct spool *spool;
	struct move_back *move_back;
	struct event *event;
	struct connection_list *conns;
	/* the requests of PROBE; they may outlive their connections */
	struct admin_probe *probes;
	/* AT: what other hosts run for this one, and this one for others */
	struct admin_relay *relays;
	struct admin_relayed *relayed;
	unsigned int relayed_count;
	/* all SENDs together are one hand-off session (handoff.h) */
	uint64_t last_seq;
	guid_128_t session;
	/* monotonic, in milliseconds */
	int64_t started;
};

/* A notification of SEND or ANNOUNCE that is being stored. It may outlive its
   connection. */
struct admin_adding {
	/* NULL if doveadm has closed it */
	struct admin_conn *conn;
	/* SEND */
	char *username;
};

struct admin_conn {
	struct connection conn;
	struct admin *admin;
	/* of another host's doveadm */
	bool is_relayed;

	/* the state of the present command: at most one is not NULL */
	struct admin_walk *walk;
	struct admin_lost *lost;
	struct admin_live *live;
	struct admin_move *move;
	struct admin_watch *watch;
	struct admin_adding *adding;
	struct queue_check *check;
	struct queue_hosts_read *hosts;
	int64_t hosts_asked;
	struct admin_relay *relay;
	/* from the first ANNOUNCED to the end of the connection */
	struct admin_announced *announced;
	/* PROBE: number of requests under way */
	unsigned int probes_count;
};

/* If more bytes than this wait to be written, stop reading the queue until they
   have been. */
#define ADMIN_OUTPUT_FULL (64*1024)

/* Another host's doveadm, whose input this is. It is closed when that ends. */
void admin_conn_init_relayed(struct admin *admin, int fd);
/* Send another row of the answer, with this many fields. */
void admin_conn_row(struct admin_conn *conn, const char *const *row,
		    unsigned int count);
/* End the answer with OK or FAIL. The next command may come then. */
void admin_conn_ok(struct admin_conn *conn, uint64_t count);
void admin_conn_fail(struct admin_conn *conn, const char *reason);
/* Returns the number as a string on the data stack. */
const char *admin_num(int64_t value);

/* The row of BODY. */
void admin_body_row(struct admin_conn *conn, const char *endpoint,
		    const struct queue_item *item);

/* admin-walk.c: STATUS, QUEUE, SPOOLED, PURGE and BODY QUEUE, which take a while,
   and FLUSH, which is done at once */
void admin_walk_start(struct admin_conn *conn,
		      const struct http_notify_admin_command *command);
void admin_walk_abort(struct admin_conn *conn);
void admin_flush(struct admin_conn *conn,
		 const struct http_notify_admin_command *command);

/* admin-relay.c: HOSTS, and commands for another host */
void admin_hosts(struct admin_conn *conn);
void admin_relay_start(struct admin_conn *conn,
		       const struct http_notify_admin_command *command);
void admin_relay_abort(struct admin_conn *conn);
/* For queue_set_message_callback(). */
void admin_relay_message(const struct queue_message *message, void *context);

/* admin-history.c: HISTORY */
void admin_history(struct admin_conn *conn);

/* admin-check.c: CHECK */
void admin_check(struct admin_conn *conn);
void admin_check_abort(struct admin_conn *conn);

/* admin-lost.c: LOST, RESEND and DROP, and BODY LOST */
void admin_lost_start(struct admin_conn *conn,
		      const struct http_notify_admin_command *command);
void admin_lost_abort(struct admin_conn *conn);

/* admin-live.c: WATCH */
void admin_live_start(struct admin_conn *conn,
		      const struct http_notify_admin_command *command);
void admin_live_abort(struct admin_conn *conn);

/* admin-move.c: MOVE */
void admin_move_start(struct admin_conn *conn);
void admin_move_abort(struct admin_conn *conn);

/* admin-announced.c: ANNOUNCED and ANNOUNCE */
void admin_announced(struct admin_conn *conn,
		     const struct http_notify_admin_command *command);
void admin_announce(struct admin_conn *conn,
		    const struct http_notify_admin_command *command);
void admin_announced_abort(struct admin_conn *conn);

/* admin-send.c: PROBE and SEND */
void admin_probe(struct admin_conn *conn,
		 const struct http_notify_admin_command *command);
void admin_send(struct admin_conn *conn,
		const struct http_notify_admin_command *command);
void admin_send_abort(struct admin_conn *conn);
/* Free all requests of PROBE. The sender must not call back any more. */
void admin_probes_free(struct admin *admin);

#endif
