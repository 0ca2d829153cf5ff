/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HANDOFF_CLIENT_H
#define HANDOFF_CLIENT_H

struct http_notify_handoff;

/* A mail process's side of the hand-off (handoff.h). One client serves all the
   process's users and keeps its connection from one message to the next. */
struct handoff_client;

/* Connects at the first flush. */
struct handoff_client *handoff_client_init(const char *socket_path);
void handoff_client_deinit(struct handoff_client **client);

/* Add a notification to the next send. Everything is copied; seq is assigned
   there. event is referenced until its end is known, for the log. */
void handoff_client_add(struct handoff_client *client,
			const struct http_notify_handoff *handoff,
			struct event *event);

/* Send all that was added since the last send by one write, in the order in
   which it was added, or of the UIDs where it is of one folder. This and the
   wait together may take timeout_msecs; far less for a moment after a deadline
   was missed, since a message may have many recipients. */
void handoff_client_send(struct handoff_client *client,
			 unsigned int timeout_msecs);
/* Wait until the service has stored all that was sent. What it does not confirm
   is logged, each with user, folder, UID and the reason, and forgotten: as lost
   if the service refused it or got nothing of it, else as not confirmed. A
   connection that is lost is made anew as long as there is time. */
void handoff_client_wait(struct handoff_client *client);

#endif
