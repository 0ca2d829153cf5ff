/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LOOKUPS_H
#define HTTP_NOTIFY_LOOKUPS_H

struct curl_transfer;

/* One look-up per name at a time: transfers of libcurl's that need a name while
   another one is looking it up wait, and find it in libcurl's cache afterwards.
   libcurl itself would begin a look-up, in a thread, for each of them. If one
   takes long, because a question or an answer was lost, another one begins
   beside it. All times are those of http_notify_monotonic_msecs(). All
   functions are called in one thread, as for curl-sockets.h. */
struct lookups {
	/* under way; and transfers that wait for these, in the order in which
	   they were started */
	struct curl_transfer *under_way, *waiting_head, *waiting_tail;
	/* nobody waits */
	bool disabled;
};

void lookups_init(struct lookups *lookups_r);

/* A transfer needs its name. Returns FALSE if it has to wait; libcurl is to end
   it then, and it goes to lookups_wait(). */
bool lookups_begin(struct lookups *lookups, struct curl_transfer *transfer,
		   int64_t now);
/* Its name has been found. */
void lookups_found(struct lookups *lookups, struct curl_transfer *transfer);
/* It has ended, whatever it did. If its name can't be found, nor can it for
   those that wait for it. */
void lookups_ended(struct lookups *lookups, struct curl_transfer *transfer);

/* It waits for another one's look-up. */
void lookups_wait(struct lookups *lookups, struct curl_transfer *transfer);
/* Returns a transfer that need not wait any more, or NULL. If result is not
   CURLE_OK, it has ended with that; otherwise it is to be started again. */
struct curl_transfer *lookups_next(struct lookups *lookups, int64_t now);
/* When to call lookups_next() if no look-up ends before; INT64_MAX = never. */
int64_t lookups_next_time(const struct lookups *lookups);

#endif
