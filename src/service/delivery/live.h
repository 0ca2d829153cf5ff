/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LIVE_H
#define HTTP_NOTIFY_LIVE_H

struct queue_item;

/* What happens to notifications, for somebody who looks on. It costs nothing
   while nobody does. */
enum live_what {
	LIVE_QUEUED,
	LIVE_SENT,
	/* the attempt has ended */
	LIVE_ANSWERED,
	/* there will be another one */
	LIVE_RETRIED,
	LIVE_DELIVERED,
	LIVE_LOST
};

struct live_watch {
	struct live_watch *prev, *next;
	/* endpoint: host and port. detail: such as the answer, or "" */
	void (*happened)(struct live_watch *watch, enum live_what what,
			 const struct queue_item *item, const char *endpoint,
			 const char *detail);
};

/* Tell all of them. */
void live_tell(struct live_watch *watches, enum live_what what,
	       const struct queue_item *item, const char *endpoint,
	       const char *detail);
/* Returns "queued", "sent" and so on. */
const char *live_what_name(enum live_what what);

#endif
