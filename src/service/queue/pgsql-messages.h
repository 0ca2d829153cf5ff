/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_MESSAGES_H
#define HTTP_NOTIFY_PGSQL_MESSAGES_H

#include "pgsql-private.h"
#include "queue-hosts.h"

/* What hosts say to each other (queue-hosts.h): rows of a table, of which the
   addressee is told by NOTIFY, and which it deletes when it reads them. Any role
   of the database may listen to NOTIFY, and use it: so that says no more than
   that there is something. */
#define PGSQL_MESSAGE_PAYLOAD "message"

extern const struct queue_hosts_vfuncs pgsql_messages_vfuncs;

/* There may be some for this host. */
void pgsql_messages_take(struct pgsql_queue *queue);
/* Delete those that nobody has read: hosts may have gone. */
void pgsql_messages_tidy(struct pgsql_queue *queue);

#endif
