/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_WATCH_H
#define HTTP_NOTIFY_ENDPOINT_WATCH_H

struct answer;

/* A caller waiting for the outcome of a notification. */
struct endpoint_watch {
	struct endpoint_watch *prev, *next;
	/* the notification's id in the queue */
	int64_t id;
	/* An attempt at the server with this label has ended after msecs, with
	   an answer or without one (status 0). */
	void (*answered)(struct endpoint_watch *watch, const char *label,
			 const struct answer *answer, unsigned int msecs);
	/* The end: error is NULL if the endpoint has accepted the notification,
	   or says why there is nothing more to wait for. The watch has been
	   removed already. */
	void (*finished)(struct endpoint_watch *watch, const char *error);
};

/* Tell the first watch in this list that waits for the notification. */
void endpoint_watches_answered(struct endpoint_watch *watches, int64_t id,
			       const char *label, const struct answer *answer,
			       unsigned int msecs);
void endpoint_watches_finished(struct endpoint_watch **watches, int64_t id,
			       const char *error);
/* Remove all watches and tell them this error. */
void endpoint_watches_end(struct endpoint_watch **watches, const char *error);

#endif
