/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_INTAKE_H
#define HTTP_NOTIFY_INTAKE_H

struct delivery;
struct master_service_connection;

/* The service's side of the hand-off (handoff.h): takes notifications from
   mail processes, and answers once the queue has stored them. */
struct intake;

/* Until it has a delivery it refuses what it is given, so that no mail process
   waits. */
struct intake *intake_init(void);
void intake_set_delivery(struct intake *intake, struct delivery *delivery);
/* Closes all connections. Nothing may be in the process of being stored any
   more. */
void intake_deinit(struct intake **intake);

/* Go on until all mail processes have left, at most for this time. */
void intake_linger(struct intake *intake, unsigned int msecs);

/* A mail process has connected. */
void intake_connected(struct intake *intake,
		      struct master_service_connection *conn);

#endif
