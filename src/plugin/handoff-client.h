#ifndef HANDOFF_CLIENT_H
#define HANDOFF_CLIENT_H

struct http_notify_handoff;

/* A mail process's side of the hand-off (handoff.h). One client serves all the
   process's users and keeps its connection from one message to the next. */
struct handoff_client;

/* Connects at the first flush. */
struct handoff_client *handoff_client_init(const char *socket_path);
void handoff_client_deinit(struct handoff_client **client);

/* Add a notification to the next flush. Everything is copied; seq is assigned
   here. event is referenced until then, for the log. */
void handoff_client_add(struct handoff_client *client,
			const struct http_notify_handoff *handoff,
			struct event *event);

/* Hand over all that was added, in the order of the UIDs, by one write, and
   wait until the service has stored it, for at most timeout_msecs in all. What
   the service does not confirm is logged, each with user, folder, UID and the
   reason, and forgotten. */
void handoff_client_flush(struct handoff_client *client,
			  unsigned int timeout_msecs);

#endif
