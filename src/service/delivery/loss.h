/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_LOSS_H
#define HTTP_NOTIFY_LOSS_H

#include "queue-item.h"

struct endpoint_common;

/* Give up a notification of the endpoint with this label, after so many failed
   attempts: log that, and have the queue keep it. answer is for admins and
   contains no secrets. */
void loss_give_up(struct endpoint_common *common, const char *label,
		  const struct queue_item *item, unsigned int attempts,
		  enum queue_loss_reason reason, const char *answer);
/* Returns "refused", "dropped" or "expired". */
const char *loss_reason_name(enum queue_loss_reason reason);

#endif
