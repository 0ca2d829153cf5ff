/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_RELAY_H
#define HTTP_NOTIFY_ADMIN_RELAY_H

struct queue_message;

/* How a host has another one run a command (AT in admin-protocol.h), by messages
   of the queue that they share (queue-hosts.h). The asking host makes up the
   number of the conversation.

   The other host runs it as if a doveadm had connected, and sends what that
   would read, in pieces. It is at most RELAY_WINDOW pieces ahead of what the
   asking host's doveadm has read. Both hosts send something at least every
   RELAY_ALIVE_MSECS, and each gives up when it has heard nothing for longer than
   the other may be busy. Nothing is sent again: when a message is missing, the
   command fails. */
enum relay_kind {
	/* data: the command's line */
	RELAY_ASK,
	/* by the asking host: number = how many pieces it has got rid of */
	RELAY_GO_ON,
	/* by the other one: number = the how many-th piece this is, from 1; or
	   without data, to be heard, how many there have been */
	RELAY_PIECE,
	/* by either; data: why, or nothing */
	RELAY_END
};

#define RELAY_PIECE_SIZE (32*1024)
#define RELAY_WINDOW 4
#define RELAY_ALIVE_MSECS 2000

/* admin-relayed.c: the side that is asked. Ends all that it runs. */
void admin_relayed_message(struct admin *admin,
			   const struct queue_message *message);
void admin_relayed_end_all(struct admin *admin);

/* The message is of a conversation that has ended: say so. */
void admin_relay_unknown(struct admin *admin,
			 const struct queue_message *message);
void admin_relay_send(struct admin *admin, int64_t host, int64_t talk,
		      enum relay_kind kind, int64_t number, const void *data,
		      size_t size);

#endif
