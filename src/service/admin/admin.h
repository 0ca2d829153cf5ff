/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SERVICE_ADMIN_H
#define HTTP_NOTIFY_SERVICE_ADMIN_H

struct delivery;
struct master_service_connection;
struct move_back;
struct queue;
struct sender;
struct spool;

/* The service's side of the admin socket (admin-protocol.h): it answers
   doveadm. */
struct admin;

/* At first every command fails. */
struct admin *admin_init(struct sender *sender);
/* The queue can't be opened: that is what commands fail with. */
void admin_set_queue_error(struct admin *admin, const char *error);
/* From now on they are answered. local: this host's queue beside one that is
   shared; NULL = there is none. */
void admin_set_queue(struct admin *admin, struct queue *queue,
		     struct queue *local, struct delivery *delivery);
/* End what needs the delivery: that is about to be freed. */
void admin_stop(struct admin *admin);
/* For MOVE: what moves to the shared queue, or from it to this host's; one of
   these is not NULL. */
void admin_set_moving(struct admin *admin, struct spool *spool,
		      struct move_back *move_back);
/* Closes all connections. The sender must not call back any more. */
void admin_deinit(struct admin **admin);

/* A doveadm has connected. */
void admin_connected(struct admin *admin,
		     struct master_service_connection *conn);

#endif
