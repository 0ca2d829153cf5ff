/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_WATCH_H
#define HTTP_NOTIFY_ENDPOINT_WATCH_H

struct answer;

/* A caller waiting for the outcome of a notification. */
struct endpoint_watch {
	struct endpoint_watch *prev, *next;
	int64_t id;
	/* An attempt was answered by this server after this time. */
	void (*answered)(struct endpoint_watch *watch, const char *label,
			 const struct answer *answer, unsigned int msecs);
	/* It is done: error = NULL, or lost. The watch has been removed. */
	void (*finished)(struct endpoint_watch *watch, const char *error);
};

/* Tell those in this list that wait for the notification. */
void endpoint_watches_answered(struct endpoint_watch *watches, int64_t id,
			       const char *label, const struct answer *answer,
			       unsigned int msecs);
void endpoint_watches_finished(struct endpoint_watch **watches, int64_t id,
			       const char *error);
/* Tell all that they wait in vain. */
void endpoint_watches_end(struct endpoint_watch **watches, const char *error);

#endif
