/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "live.h"

static const char *const names[] = {
	[LIVE_QUEUED] = "queued",
	[LIVE_SENT] = "sent",
	[LIVE_ANSWERED] = "answered",
	[LIVE_RETRIED] = "retried",
	[LIVE_DELIVERED] = "delivered",
	[LIVE_LOST] = "lost",
};

const char *live_what_name(enum live_what what)
{
	return names[what];
}

void live_tell(struct live_watch *watches, enum live_what what,
	       const struct queue_item *item, const char *endpoint,
	       const char *detail)
{
	for (; watches != NULL; watches = watches->next)
		watches->happened(watches, what, item, endpoint, detail);
}
