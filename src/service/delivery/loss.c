/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str-sanitize.h"

#include "body-event.h"
#include "endpoint-common.h"
#include "live.h"
#include "loss.h"
#include "queue.h"
#include "queue-lost.h"

static const struct {
	const char *name, *event_name;
} reasons[QUEUE_LOSS_REASON_COUNT] = {
	[QUEUE_LOSS_REFUSED] = { "refused", "http_notify_refused" },
	[QUEUE_LOSS_DROPPED] = { "dropped", "http_notify_dropped" },
	[QUEUE_LOSS_EXPIRED] = { "expired", "http_notify_expired" },
};

const char *loss_reason_name(enum queue_loss_reason reason)
{
	return reasons[reason].name;
}

void loss_give_up(struct endpoint_common *common, const char *label,
		  const struct queue_item *item, unsigned int attempts,
		  enum queue_loss_reason reason, const char *answer)
{
	const struct queue_loss loss = {
		.reason = reason, .answer = answer,
		.time = queue_now(common->queue)
	};
	const char *what = http_notify_body_event(item->body);
	struct event_passthrough *e;

	e = event_create_passthrough(common->event)->
		set_name(reasons[reason].event_name)->
		add_str("user", item->username)->
		add_str("endpoint", label)->
		add_str("folder", item->folder)->
		add_int("uid", item->uid)->
		add_str(HTTP_NOTIFY_BODY_EVENT_FIELD, what)->
		add_int("age", loss.time - item->created)->
		add_str("error", answer);
	e_error(e->event(), "Notification lost: "
		"user=%s folder=%s uid=%u event=%s endpoint=%s: %s",
		str_sanitize(item->username, 128),
		str_sanitize(item->folder, 128), item->uid, what, label,
		answer);
	live_tell(common->live, LIVE_LOST, item, label, answer);
	queue_give_up(common->queue, item, attempts, &loss);
}
