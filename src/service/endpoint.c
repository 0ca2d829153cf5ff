/* The endpoint's part of the queue is read by two cursors. "scouted" is always
   near the end: a row that it meets goes to the lane of its user if there is
   one, or to a new lane if the endpoint is able to take it soon. All others are
   backlog, of which only the users are remembered: "cursor" comes to them when
   there is room. A user who has something in the backlog gets nothing sent that
   is behind it. */
#include "lib.h"
#include "hash.h"
#include "ioloop.h"
#include "llist.h"
#include "str-sanitize.h"
#include "wildcard-match.h"

#include "backlog.h"
#include "compat.h"
#include "endpoint.h"
#include "health.h"
#include "lane.h"
#include "monotonic.h"
#include "options.h"
#include "queue.h"
#include "sender.h"

/* Lanes that are ready are topped up to this number from the backlog. */
#define READY_MIN 64
/* Beyond this number even a user who is not in the backlog goes there. */
#define READY_MAX 256
/* Rows read at a time, and how many times before others have their turn. */
#define READ_BATCH 64
#define READ_BATCHES_MAX 16
/* Rows looked at for being too old at a time. */
#define EXPIRE_BATCH 64
/* Notifications sent, or found to be too old, before others have their turn. */
#define SEND_BATCH 256

/* Attempts at a notification that fails while its endpoint is up, the first one
   after 1 second, then 4, 16, 64 and 120. */
#define RETRY_MIN_MSECS (1*1000)
#define RETRY_MAX_MSECS (120*1000)
/* After this many attempts, which take some minutes, a notification that fails
   while its endpoint takes others is given up. */
#define STRIKES_MAX 6

/* One of an endpoint's servers. */
struct target {
	struct endpoint *ep;
	struct sender_target sender_target;
	struct health health;
	/* when its state has changed: monotonic, in milliseconds */
	int64_t since;
	/* what it last failed with */
	char *error;
};

struct endpoint {
	struct endpoint_common *common;
	int64_t id;
	pool_t pool;
	unsigned int max_retries;
	/* how often the options have changed */
	unsigned int options_changes;
	/* url, and standby_url where there is one */
	struct target targets[2];
	unsigned int targets_count;

	/* Ids: all rows up to them have been read. The backlog is between. */
	int64_t cursor, scouted;
	struct backlog *backlog;
	/* rows up to scouted */
	unsigned int queued;
	/* lanes that did not wait in the backlog, sent since that was read */
	unsigned int fresh_sent;

	/* by mail user */
	HASH_TABLE(char *, struct lane *) lanes;
	struct lane *ready_head, *ready_tail;
	unsigned int ready_count;

	/* to go on where work was left for a later turn */
	struct timeout *to_run;
	/* for the next probe */
	struct timeout *to_probe;
	/* while a target is down: notifications given up */
	unsigned int given_up;
	struct endpoint_counters counters;
};

/* Counts for the endpoint and for all of them. */
#define ENDPOINT_COUNT(ep, counter) STMT_START { \
		(ep)->counters.counter++; \
		(ep)->common->counters.counter++; \
	} STMT_END

static void endpoint_pump(struct endpoint *ep);

static void endpoint_run_later(struct endpoint *ep, unsigned int msecs)
{
	if (ep->to_run == NULL) {
		ep->to_run = timeout_add_short(msecs, endpoint_run, ep);
	}
}

/* Lanes */

static void lane_set_ready(struct lane *lane)
{
	struct endpoint *ep = lane->ep;

	DLLIST2_APPEND(&ep->ready_head, &ep->ready_tail, lane);
	ep->ready_count++;
}

static void lane_set_unready(struct lane *lane)
{
	struct endpoint *ep = lane->ep;

	DLLIST2_REMOVE(&ep->ready_head, &ep->ready_tail, lane);
	ep->ready_count--;
}

static void
endpoint_add_lane(struct endpoint *ep, const char *username, int64_t id,
		  bool fresh)
{
	struct lane *lane = lane_init(ep, username, id);

	lane->fresh = fresh;
	hash_table_insert(ep->lanes, lane->username, lane);
	lane_set_ready(lane);
}

/* The lane, which is not ready, is done with its notification. */
static void endpoint_lane_done(struct endpoint *ep, struct lane *lane)
{
	if (lane_next(lane)) {
		lane_set_ready(lane);
		return;
	}
	hash_table_remove(ep->lanes, lane->username);
	lane_deinit(&lane);
}

static void lane_retry(struct lane *lane)
{
	timeout_remove(&lane->to_retry);
	lane_set_ready(lane);
	endpoint_pump(lane->ep);
}

static void lane_retry_later(struct lane *lane)
{
	unsigned int msecs = RETRY_MIN_MSECS, i;

	for (i = 0; i < lane->waits && msecs < RETRY_MAX_MSECS; i++)
		msecs *= 4;
	lane->waits++;
	lane->to_retry = timeout_add(
		health_jitter(I_MIN(msecs, RETRY_MAX_MSECS)), lane_retry, lane);
}

/* What becomes of a notification */

static void
endpoint_tell_answered(struct endpoint *ep, int64_t id, const char *label,
		       const struct answer *answer, unsigned int msecs)
{
	struct endpoint_watch *watch;

	for (watch = ep->common->watches; watch != NULL; watch = watch->next) {
		if (watch->id == id) {
			watch->answered(watch, label, answer, msecs);
			return;
		}
	}
}

static void
endpoint_tell_finished(struct endpoint *ep, int64_t id, const char *error)
{
	struct endpoint_watch *watch;

	for (watch = ep->common->watches; watch != NULL; watch = watch->next) {
		if (watch->id == id) {
			DLLIST_REMOVE(&ep->common->watches, watch);
			watch->finished(watch, error);
			return;
		}
	}
}

static void endpoint_remove(struct endpoint *ep, int64_t id)
{
	i_assert(ep->queued > 0);

	queue_remove(ep->common->queue, id);
	ep->queued--;
	ep->common->queued--;
}

static void
endpoint_lost(struct endpoint *ep, const struct queue_item *item,
	      const char *event_name, const char *reason)
{
	struct event_passthrough *e;

	reason = str_sanitize(reason, 256);
	e = event_create_passthrough(ep->common->event)->
		set_name(event_name)->
		add_str("user", item->username)->
		add_str("endpoint", endpoint_get_label(ep))->
		add_str("folder", item->folder)->
		add_int("uid", item->uid)->
		add_int("age", queue_now(ep->common->queue) - item->created)->
		add_str("error", reason);
	e_error(e->event(), "Notification lost: "
		"user=%s folder=%s uid=%u endpoint=%s: %s",
		str_sanitize(item->username, 128),
		str_sanitize(item->folder, 128), item->uid,
		endpoint_get_label(ep), reason);
	ep->given_up++;
	endpoint_remove(ep, item->id);
	endpoint_tell_finished(ep, item->id, reason);
}

/* Too old; error is what it has failed with, if it has. */
static void
endpoint_lost_by_age(struct endpoint *ep, const struct queue_item *item,
		     const char *error)
{
	ENDPOINT_COUNT(ep, expired);
	endpoint_lost(ep, item, "http_notify_expired",
		error == NULL ? "max_age reached" :
		t_strconcat("max_age reached: ", error, NULL));
}

/* The lane's notification, which is not under way. */
static void
lane_lost(struct lane *lane, const char *event_name, const char *reason)
{
	struct endpoint *ep = lane->ep;
	struct queue_item item;
	int ret;

	ret = queue_read_item(ep->common->queue, lane->id,
			      pool_datastack_create(), &item);
	if (ret < 0) {
		/* with the next attempt, rather than without a name */
		lane_retry_later(lane);
		return;
	}
	if (ret > 0)
		endpoint_lost(ep, &item, event_name, reason);
	endpoint_lane_done(ep, lane);
}

static void
target_changed_state(struct target *target, int64_t now)
{
	struct endpoint *ep = target->ep;
	const char *label = target->sender_target.label;
	int64_t secs = (now - target->since) / 1000;
	struct event_passthrough *e =
		event_create_passthrough(ep->common->event)->
		add_str("endpoint", label);

	if (target->health.state == HEALTH_UP) {
		e->set_name("http_notify_endpoint_up")->
			add_int("down_secs", secs);
		e_info(e->event(), "Endpoint %s is up again after %"PRId64" s: "
		       "%u notifications queued, %u given up",
		       label, secs, ep->queued, ep->given_up);
		target->since = now;
		return;
	}

	e->set_name("http_notify_endpoint_down")->
		add_str("state", health_state_name(target->health.state))->
		add_str("error", target->error);
	if (target->health.state == HEALTH_DOWN) {
		e_error(e->event(), "Endpoint %s is down, notifications are "
			"kept and tried again: %s", label, target->error);
	} else {
		e_error(e->event(), "Endpoint %s takes no notifications, they "
			"are kept (are "SETTING_URL" and its credentials "
			"right?): %s", label, target->error);
	}
	ep->given_up = 0;
	target->since = now;
}

/* An attempt has failed, another one may succeed. */
static void
lane_failed(struct lane *lane, struct event *event, struct target *target,
	    enum answer_class class, bool others_taken)
{
	struct endpoint *ep = lane->ep;
	bool up = target->health.state == HEALTH_UP;

	lane->attempts++;
	lane->judged_taken = target->health.taken;
	lane->judged_failed = TRUE;
	if (up && others_taken &&
	    (class == ANSWER_FAILED || class == ANSWER_UNREACHABLE))
		lane->strikes++;

	if (lane->attempts > ep->max_retries) {
		ENDPOINT_COUNT(ep, dropped);
		lane_lost(lane, "http_notify_dropped", t_strdup_printf(
			"max_retries=%u reached: %s",
			ep->max_retries, lane->error));
		return;
	}
	if (lane->strikes == STRIKES_MAX) {
		ENDPOINT_COUNT(ep, dropped);
		lane_lost(lane, "http_notify_dropped", t_strdup_printf(
			"failed %u times while the endpoint took others: %s",
			lane->strikes, lane->error));
		return;
	}
	ENDPOINT_COUNT(ep, retried);
	event_set_name(event, "http_notify_retried");
	e_debug(event, "Attempt %u for user=%s failed, there will be another",
		lane->attempts, str_sanitize(lane->username, 128));
	queue_set_attempts(ep->common->queue, lane->id, lane->attempts);
	if (up)
		lane_retry_later(lane);
	else {
		/* it is not this notification's turn to wait */
		lane_set_ready(lane);
	}
}

/* error: NULL = the endpoint has taken it */
static void
lane_attempt_finished(struct lane *lane, struct event *event,
		      const struct answer *answer, const char *error,
		      unsigned int msecs)
{
	const char *label = lane->target->sender_target.label;

	event_set_name(event, "http_notify_attempt_finished");
	event_add_int(event, "status_code", answer->status);
	if (error != NULL)
		event_add_str(event, "error", error);
	e_debug(event, "Attempt %u at %s for user=%s: %s (%u ms)",
		lane->attempts + 1, label, str_sanitize(lane->username, 128),
		error == NULL ? "taken" : error, msecs);
	endpoint_tell_answered(lane->ep, lane->id, label, answer, msecs);
}

static void lane_delivered(struct lane *lane, struct event *event)
{
	struct endpoint *ep = lane->ep;
	int64_t age = queue_now(ep->common->queue) - lane->created;

	event_set_name(event, "http_notify_delivered");
	event_add_int(event, "age", age);
	e_debug(event, "Delivered for user=%s, %"PRId64" s after it was queued",
		str_sanitize(lane->username, 128), age);

	ENDPOINT_COUNT(ep, delivered);
	endpoint_remove(ep, lane->id);
	endpoint_tell_finished(ep, lane->id, NULL);
}

static void lane_answered(const struct answer *answer, struct lane *lane)
{
	struct endpoint *ep = lane->ep;
	struct target *target = lane->target;
	struct event *event = lane->event;
	enum answer_class class = answer_classify(answer);
	bool others_taken = target->health.taken != lane->judged_taken;
	int64_t now = http_notify_monotonic_msecs();
	bool changed;

	if (class != ANSWER_DONE) {
		i_free(lane->error);
		lane->error = i_strdup(str_sanitize(answer->reason, 256));
		i_free(target->error);
		target->error = i_strdup(lane->error);
	}
	lane_attempt_finished(lane, event, answer,
			      class == ANSWER_DONE ? NULL : lane->error,
			      now - lane->sent);
	lane->target = NULL;
	lane->event = NULL;
	changed = health_answered(&target->health, class, lane->judged_failed,
				  others_taken, answer->retry_after_secs, now);
	if (changed)
		target_changed_state(target, now);
	if (target->health.state == HEALTH_MISCONFIGURED &&
	    lane->options_changes != ep->options_changes) {
		/* that was what an admin has mended meanwhile */
		target->health.next_probe = 0;
	}

	switch (class) {
	case ANSWER_DONE:
		lane_delivered(lane, event);
		endpoint_lane_done(ep, lane);
		break;
	case ANSWER_REFUSED:
		ENDPOINT_COUNT(ep, refused);
		lane_lost(lane, "http_notify_refused",
			  t_strconcat("refused: ", lane->error, NULL));
		break;
	case ANSWER_LATER:
	case ANSWER_FAILED:
	case ANSWER_UNREACHABLE:
	case ANSWER_MISCONFIGURED:
		lane_failed(lane, event, target, class, others_taken);
		break;
	}
	event_unref(&event);
	endpoint_pump(ep);
}

static void lane_sender_callback(const struct answer *answer, void *context)
{
	lane_answered(answer, context);
}

static void
lane_send_item(struct lane *lane, struct target *target,
	       const struct queue_item *item)
{
	const char *key = t_strdup_printf("%s-%"PRIu64,
		guid_128_to_string(item->session), item->seq);

	/* it may have failed before the service was started */
	lane->attempts = I_MAX(lane->attempts, item->attempts);
	if (lane->judged_target != target) {
		lane->judged_target = target;
		lane->judged_taken = target->health.taken;
		lane->judged_failed = FALSE;
	}
	lane->target = target;
	lane->sent = http_notify_monotonic_msecs();
	lane->created = item->created;
	lane->event = event_create(lane->ep->common->event);
	event_add_str(lane->event, "user", item->username);
	event_add_str(lane->event, "endpoint", target->sender_target.label);
	event_add_int(lane->event, "attempt", lane->attempts + 1);
	lane->options_changes = lane->ep->options_changes;
	if (lane->fresh) {
		lane->fresh = FALSE;
		lane->ep->fresh_sent++;
	}
	health_sent(&target->health);
	sender_put(lane->ep->common->sender, &target->sender_target,
		   item->body, key, lane_sender_callback, lane);
}

static void lane_send(struct lane *lane, struct target *target)
{
	struct endpoint *ep = lane->ep;
	struct queue *queue = ep->common->queue;
	struct queue_item item;
	int ret;

	lane_set_unready(lane);
	ret = queue_read_item(queue, lane->id, pool_datastack_create(), &item);
	if (ret < 0)
		lane_retry_later(lane);
	else if (ret == 0) {
		/* it was too old while others were before it */
		endpoint_lane_done(ep, lane);
	} else if (item.expires <= queue_now(queue)) {
		endpoint_lost_by_age(ep, &item, lane->error);
		endpoint_lane_done(ep, lane);
	} else {
		lane_send_item(lane, target, &item);
	}
}

/* Reading */

static bool endpoint_is_up(const struct endpoint *ep)
{
	unsigned int i;

	for (i = 0; i < ep->targets_count; i++) {
		if (ep->targets[i].health.state == HEALTH_UP)
			return TRUE;
	}
	return FALSE;
}

static void
endpoint_scout_row(int64_t id, const char *username, void *context)
{
	struct endpoint *ep = context;
	struct lane *lane = hash_table_lookup(ep->lanes, username);

	ep->queued++;
	ep->common->queued++;
	if (backlog_has(ep->backlog, username))
		backlog_add(ep->backlog, username, id);
	else if (lane != NULL)
		lane_add(lane, id);
	else if (endpoint_is_up(ep) && ep->ready_count < READY_MAX)
		endpoint_add_lane(ep, username, id, TRUE);
	else
		backlog_add(ep->backlog, username, id);
}

/* Look at what was stored since the last time. */
static void endpoint_scout(struct endpoint *ep)
{
	int64_t last_id = queue_last_id(ep->common->queue, ep->id);
	unsigned int i;
	int ret = 1;

	for (i = 0; i < READ_BATCHES_MAX && ret > 0; i++) {
		ret = queue_scan(ep->common->queue, ep->id, &ep->scouted,
				 last_id, READ_BATCH, endpoint_scout_row, ep);
	}
	if (ret != 0)
		endpoint_run_later(ep, ret > 0 ? 0 : RETRY_MIN_MSECS);
	if (backlog_is_empty(ep->backlog))
		ep->cursor = ep->scouted;
}

static void
endpoint_backlog_row(int64_t id, const char *username, void *context)
{
	struct endpoint *ep = context;
	struct lane *lane = hash_table_lookup(ep->lanes, username);

	if (lane == NULL)
		endpoint_add_lane(ep, username, id, FALSE);
	else if (id > lane->last_id)
		lane_add(lane, id);
	/* else it was not left to the backlog */
}

/* Read on in the backlog until some lanes are ready. New ones take no more than
   every other turn from it. */
static void endpoint_read_backlog(struct endpoint *ep)
{
	unsigned int i;
	int ret = 1;

	for (i = 0; i < READ_BATCHES_MAX && ret > 0 &&
	     !backlog_is_empty(ep->backlog) &&
	     (ep->ready_count < READY_MIN ||
	      ep->fresh_sent >= READ_BATCH); i++) {
		ep->fresh_sent = 0;
		ret = queue_scan(ep->common->queue, ep->id, &ep->cursor,
				 ep->scouted, READ_BATCH,
				 endpoint_backlog_row, ep);
		backlog_read(ep->backlog, ep->cursor);
	}
	if (backlog_is_empty(ep->backlog))
		ep->cursor = ep->scouted;
	else if (ep->ready_head == NULL)
		endpoint_run_later(ep, ret > 0 ? 0 : RETRY_MIN_MSECS);
}

/* Sending */

/* The standby gets notifications while the first server is not up. */
static struct target *endpoint_find_target(struct endpoint *ep, int64_t now)
{
	unsigned int i;

	for (i = 0; i < ep->targets_count; i++) {
		struct target *target = &ep->targets[i];

		if (health_may_send(&target->health, now))
			return target;
		if (target->health.state == HEALTH_UP)
			break;
	}
	return NULL;
}

static struct target *endpoint_find_target_for_untried(struct endpoint *ep)
{
	unsigned int i;

	for (i = 0; i < ep->targets_count; i++) {
		if (health_may_send_untried(&ep->targets[i].health))
			return &ep->targets[i];
	}
	return NULL;
}

static void endpoint_probe(struct endpoint *ep)
{
	timeout_remove(&ep->to_probe);
	endpoint_pump(ep);
}

/* Wait for the first target that may be probed. Whether a target with
   requests under way may be used shows when they are answered. */
static void endpoint_schedule_probe(struct endpoint *ep, int64_t now)
{
	int64_t wait = INT64_MAX;
	unsigned int i;

	for (i = 0; i < ep->targets_count; i++) {
		const struct health *health = &ep->targets[i].health;

		if (health->state != HEALTH_UP && health->in_flight == 0)
			wait = I_MIN(wait, health->next_probe - now);
	}
	timeout_remove(&ep->to_probe);
	if (wait != INT64_MAX)
		ep->to_probe = timeout_add(I_MAX(wait, 1), endpoint_probe, ep);
}

/* A probe is best made with a notification that has not failed: if only some of
   them are to blame, the endpoint is up again with the first other one. */
static struct lane *endpoint_next_lane(struct endpoint *ep, bool probe)
{
	struct lane *lane = ep->ready_head;

	while (probe && lane != NULL && lane->attempts > 0)
		lane = lane->next;
	return lane != NULL ? lane : ep->ready_head;
}

static void endpoint_pump(struct endpoint *ep)
{
	int64_t now = http_notify_monotonic_msecs();
	struct target *target;
	struct lane *lane;
	unsigned int i;
	bool untried;

	for (i = 0; i < SEND_BATCH; i++) {
		target = endpoint_find_target(ep, now);
		untried = target == NULL;
		if (untried)
			target = endpoint_find_target_for_untried(ep);
		if (target == NULL)
			break;
		endpoint_read_backlog(ep);
		lane = endpoint_next_lane(ep,
			target->health.state != HEALTH_UP);
		if (lane == NULL)
			return;
		if (untried && lane->attempts > 0)
			break;
		T_BEGIN {
			lane_send(lane, target);
		} T_END;
	}
	if (i == SEND_BATCH)
		endpoint_run_later(ep, 0);
	endpoint_schedule_probe(ep, now);
}

void endpoint_run(struct endpoint *ep)
{
	timeout_remove(&ep->to_run);
	endpoint_scout(ep);
	endpoint_pump(ep);
}

/* Age */

static void
endpoint_expire_item(struct endpoint *ep, const struct queue_item *item)
{
	struct lane *lane = hash_table_lookup(ep->lanes, item->username);

	if (lane == NULL || lane->id != item->id) {
		endpoint_lost_by_age(ep, item, endpoint_is_up(ep) ? NULL :
				     ep->targets[0].error);
		return;
	}
	if (lane->target != NULL) {
		/* its last attempt is under way */
		return;
	}
	if (lane->to_retry == NULL)
		lane_set_unready(lane);
	endpoint_lost_by_age(ep, item, lane->error);
	endpoint_lane_done(ep, lane);
}

bool endpoint_expire(struct endpoint *ep)
{
	struct queue *queue = ep->common->queue;
	unsigned int i, count, old_queued = ep->queued;
	int64_t now = queue_now(queue);
	struct queue_item *items;

	if (ep->queued == 0)
		return FALSE;
	items = t_new(struct queue_item, EXPIRE_BATCH);
	count = queue_read(queue, ep->id, 0, EXPIRE_BATCH,
			   pool_datastack_create(), items);
	for (i = 0; i < count && items[i].id <= ep->scouted &&
	     items[i].expires <= now; i++)
		endpoint_expire_item(ep, &items[i]);
	if (ep->queued == old_queued)
		return FALSE;
	/* lanes have gone on to their next notification */
	endpoint_pump(ep);
	return i == EXPIRE_BATCH;
}

/* What an admin asks for */

void endpoint_get_status(const struct endpoint *ep,
			 struct endpoint_status *status_r)
{
	const struct target *first = &ep->targets[0];
	unsigned int i;

	i_zero(status_r);
	/* a query may hold what is no one else's business */
	status_r->url = t_strcut(first->sender_target.url, '?');
	status_r->state = first->health.state;
	status_r->state_secs =
		(http_notify_monotonic_msecs() - first->since) / 1000;
	for (i = 0; i < ep->targets_count; i++)
		status_r->in_flight += ep->targets[i].health.in_flight;
	if (ep->targets_count > 1) {
		status_r->have_standby = TRUE;
		status_r->standby_state = ep->targets[1].health.state;
	}
	status_r->queued = ep->queued;
	status_r->counters = ep->counters;
	status_r->last_error = first->error;
}

unsigned int endpoint_flush(struct endpoint *ep, const char *user_mask)
{
	struct hash_iterate_context *iter;
	struct lane *lane;
	char *username;
	unsigned int i, count = 0;

	iter = hash_table_iterate_init(ep->lanes);
	while (hash_table_iterate(iter, ep->lanes, &username, &lane)) {
		if (lane->to_retry != NULL &&
		    wildcard_match(username, user_mask)) {
			timeout_remove(&lane->to_retry);
			lane_set_ready(lane);
			count++;
		}
	}
	hash_table_iterate_deinit(&iter);
	for (i = 0; i < ep->targets_count; i++) {
		if (ep->targets[i].health.state != HEALTH_UP) {
			ep->targets[i].health.next_probe = 0;
			count++;
		}
	}
	endpoint_pump(ep);
	return count;
}

bool endpoint_purge(struct endpoint *ep, const struct queue_item *item)
{
	struct lane *lane = hash_table_lookup(ep->lanes, item->username);

	if (item->id > ep->scouted) {
		/* it will be looked at soon */
		return FALSE;
	}
	if (lane == NULL || lane->id != item->id)
		endpoint_remove(ep, item->id);
	else if (lane->target != NULL)
		return FALSE;
	else {
		endpoint_remove(ep, item->id);
		if (lane->to_retry == NULL)
			lane_set_unready(lane);
		endpoint_lane_done(ep, lane);
		endpoint_run_later(ep, 0);
	}
	endpoint_tell_finished(ep, item->id, "purged");
	return TRUE;
}

/* Options */

void endpoint_set_options(struct endpoint *ep,
			  const struct http_notify_options *options)
{
	pool_t old_pool = ep->pool;
	unsigned int i;

	ep->pool = pool_alloconly_create("http-notify endpoint", 1024);
	ep->max_retries = options->max_retries;
	ep->options_changes++;
	sender_target_init(&ep->targets[0].sender_target, options->url,
			   options, ep->pool);
	if (options->standby_url != NULL) {
		sender_target_init(&ep->targets[1].sender_target,
				   options->standby_url, options, ep->pool);
	}
	pool_unref(&old_pool);

	for (i = 0; i < ep->targets_count; i++) {
		/* An admin has changed something: that may have mended it. */
		if (ep->targets[i].health.state == HEALTH_MISCONFIGURED)
			ep->targets[i].health.next_probe = 0;
	}
}

int64_t endpoint_get_id(const struct endpoint *ep)
{
	return ep->id;
}

const char *endpoint_get_label(const struct endpoint *ep)
{
	return ep->targets[0].sender_target.label;
}

bool endpoint_is_idle(const struct endpoint *ep)
{
	/* the standby's trouble does not end while it is not needed */
	return ep->targets[0].health.state == HEALTH_UP &&
		ep->queued == 0 && ep->to_run == NULL;
}

struct endpoint *
endpoint_init(struct endpoint_common *common, int64_t id,
	      const struct http_notify_options *options)
{
	struct endpoint *ep;
	unsigned int i;

	ep = i_new(struct endpoint, 1);
	ep->common = common;
	ep->id = id;
	ep->targets_count = options->standby_url == NULL ? 1 : 2;
	for (i = 0; i < ep->targets_count; i++) {
		ep->targets[i].ep = ep;
		ep->targets[i].since = http_notify_monotonic_msecs();
		health_init(&ep->targets[i].health);
	}
	endpoint_set_options(ep, options);
	ep->backlog = backlog_init();
	hash_table_create(&ep->lanes, default_pool, 0, str_hash, strcmp);
	return ep;
}

void endpoint_deinit(struct endpoint **_ep)
{
	struct endpoint *ep = *_ep;
	struct hash_iterate_context *iter;
	struct lane *lane;
	char *username;
	unsigned int i;

	*_ep = NULL;
	iter = hash_table_iterate_init(ep->lanes);
	while (hash_table_iterate(iter, ep->lanes, &username, &lane))
		lane_deinit(&lane);
	hash_table_iterate_deinit(&iter);
	hash_table_destroy(&ep->lanes);
	backlog_deinit(&ep->backlog);
	timeout_remove(&ep->to_run);
	timeout_remove(&ep->to_probe);
	for (i = 0; i < ep->targets_count; i++)
		i_free(ep->targets[i].error);
	pool_unref(&ep->pool);
	i_free(ep);
}
