/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "llist.h"

#include "endpoint-watch.h"

static struct endpoint_watch *
endpoint_watches_find(struct endpoint_watch *watch, int64_t id)
{
	while (watch != NULL && watch->id != id)
		watch = watch->next;
	return watch;
}

void endpoint_watches_answered(struct endpoint_watch *watches, int64_t id,
			       const char *label, const struct answer *answer,
			       unsigned int msecs)
{
	struct endpoint_watch *watch = endpoint_watches_find(watches, id);

	if (watch != NULL)
		watch->answered(watch, label, answer, msecs);
}

static void endpoint_watches_tell(struct endpoint_watch **watches,
				  struct endpoint_watch *watch,
				  const char *error)
{
	DLLIST_REMOVE(watches, watch);
	watch->finished(watch, error);
}

void endpoint_watches_finished(struct endpoint_watch **watches, int64_t id,
			       const char *error)
{
	struct endpoint_watch *watch = endpoint_watches_find(*watches, id);

	if (watch != NULL)
		endpoint_watches_tell(watches, watch, error);
}

void endpoint_watches_end(struct endpoint_watch **watches, const char *error)
{
	while (*watches != NULL)
		endpoint_watches_tell(watches, *watches, error);
}
