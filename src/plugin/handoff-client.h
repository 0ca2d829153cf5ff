/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HANDOFF_CLIENT_H
#define HANDOFF_CLIENT_H

struct http_notify_handoff;

/* A mail process's side of the hand-off (handoff.h). One client serves all
   users of the process and keeps its connection between messages. */
struct handoff_client;

/* Does not connect: the first handoff_client_send() does. */
struct handoff_client *handoff_client_init(const char *socket_path);
void handoff_client_deinit(struct handoff_client **client);

/* Add a notification for the next handoff_client_send(). Everything is copied
   except seq, which is assigned here. event is for the log; it is referenced
   until handoff_client_wait() has returned. */
void handoff_client_add(struct handoff_client *client,
			const struct http_notify_handoff *handoff,
			struct event *event);

/* Send all that was added since the last send, in the order in which it was
   added. A send must be followed by handoff_client_wait(), at the end of a
   delivery: until then replies are not read, memory is not freed, and failures
   are not logged.

   A send and the wait after it may take timeout_msecs together, but far less
   for a moment after a missed deadline: a message may have many recipients. */
void handoff_client_send(struct handoff_client *client,
			 unsigned int timeout_msecs);
/* The same without waiting for anything: the next of these, or current_ioloop,
   which must be the process's own, does the rest, and tries for as long as it
   takes. What the service refuses is logged. What a service that does not answer
   can make this process keep is limited. What is not answered at the end of the
   mail user is left to handoff_client_wait(), which has timeout_msecs then. */
void handoff_client_send_background(struct handoff_client *client,
				    unsigned int timeout_msecs);
/* Wait until the service has answered for everything, whichever user it is of;
   it must all have been passed to handoff_client_send(), or _background(),
   before. What the service does not confirm is
   logged, one line each with user, folder, UID and the reason, and forgotten.
   It counts as lost if the service refused it or received nothing of it, and
   otherwise as not confirmed. As long as there is time, a lost connection is
   replaced and what has no answer is sent again. */
void handoff_client_wait(struct handoff_client *client);

#endif
