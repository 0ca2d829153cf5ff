/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_INTAKE_H
#define HTTP_NOTIFY_INTAKE_H

struct delivery;
struct master_service_connection;

/* The service's side of the hand-off (handoff.h): accepts notifications from
   mail processes, and answers once the queue has stored them. */
struct intake;

struct intake_settings {
	/* if more are connected, idle ones have to connect again */
	unsigned int max_clients;
	/* where the hand-off socket is: only clients that the admin has named
	   by its user and group (peer.h) choose their endpoints */
	const char *base_dir;
	/* The options of those that the others may use (options.h). Both lists
	   are NULL-terminated. */
	const char *const *const *endpoints;
};

/* Until it has a delivery it refuses all notifications, so that no mail process
   waits. The settings are not copied. */
struct intake *intake_init(const struct intake_settings *set);
void intake_set_delivery(struct intake *intake, struct delivery *delivery);
/* Closes all connections. No notification may be in the process of being stored
   any more: call delivery_deinit() first. */
void intake_deinit(struct intake **intake);

/* A mail process has connected. */
void intake_connected(struct intake *intake,
		      struct master_service_connection *conn);
/* Is any mail process connected? */
bool intake_has_clients(const struct intake *intake);

#endif
