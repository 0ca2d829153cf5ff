/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SERVICE_ADMIN_H
#define HTTP_NOTIFY_SERVICE_ADMIN_H

struct delivery;
struct master_service_connection;
struct queue;
struct sender;

/* The service's side of the admin socket (admin-protocol.h): it answers
   doveadm. */
struct admin;

struct admin *admin_init(struct queue *queue, struct delivery *delivery,
			 struct sender *sender);
/* End what needs the delivery: that is about to be freed. */
void admin_stop(struct admin *admin);
/* Closes all connections. The sender must not call back any more. */
void admin_deinit(struct admin **admin);

/* A doveadm has connected. */
void admin_connected(struct admin *admin,
		     struct master_service_connection *conn);

#endif
