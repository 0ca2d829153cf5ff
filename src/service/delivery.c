/* For each endpoint a cursor moves over its part of the queue. A row that it
   meets goes to the lane of its user, which is made for it; if the lane is busy
   with an earlier row, it only notes the id. So every row up to the cursor is
   either a lane's current one or known to the lane by its id, and no lane
   exists for a user who has nothing there. */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "http-url.h"
#include "ioloop.h"
#include "llist.h"
#include "str.h"
#include "str-sanitize.h"
#include "strescape.h"

#include "delivery.h"
#include "health.h"
#include "monotonic.h"
#include "options.h"
#include "queue.h"
#include "sender.h"

/* Rows read from the queue at a time. */
#define READ_BATCH 64
/* How often to look for notifications that are too old, and how many at a
   time. */
#define EXPIRE_INTERVAL_MSECS (5*1000)
#define EXPIRE_BATCH 256
/* Attempts of a notification that fails while its endpoint takes others. */
#define RETRY_MIN_MSECS (1*1000)
#define RETRY_MAX_MSECS (48*1000)

/* One of an endpoint's servers. */
struct target {
	struct endpoint *ep;
	/* host and port, for the log */
	const char *label;
	struct sender_target sender_target;
	struct health health;
	int64_t down_since;
};

/* One mail user of an endpoint, as long as there is a row up to the cursor. */
struct lane {
	/* in the endpoint's list of lanes that are ready to send */
	struct lane *prev, *next;

	struct endpoint *ep;
	char *username;
	/* holds the current item */
	pool_t pool;
	struct queue_item item;
	/* where the current item is under way to */
	struct target *target;
	/* the current item waits for its next attempt */
	struct timeout *to_retry;
	/* ids of the rows after it that the cursor has passed, and how many of
	   them have had their turn */
	ARRAY(int64_t) passed;
	unsigned int passed_done;
};

struct endpoint {
	struct delivery *delivery;
	int64_t id;
	pool_t pool;
	/* its options as the queue and the hand-off have them */
	char *options_key;
	struct http_notify_options options;
	/* url, and standby_url where there is one */
	struct target targets[2];
	unsigned int targets_count;

	int64_t cursor;
	/* rows may be there behind the cursor */
	bool unread;
	/* something was added, which can be read after the next commit */
	bool added;
	/* by mail user */
	HASH_TABLE(char *, struct lane *) lanes;
	struct lane *ready_head, *ready_tail;

	/* for the next probe */
	struct timeout *to_probe;
	/* while a target is down: notifications given up */
	unsigned int given_up;
};

struct delivery {
	struct queue *queue;
	struct sender *sender;
	struct event *event;
	ARRAY(struct endpoint *) endpoints;
	HASH_TABLE(const char *, struct endpoint *) endpoints_by_options;
	struct timeout *to_expire;
};

static void endpoint_pump(struct endpoint *ep);

static void lane_ready(struct lane *lane)
{
	DLLIST2_APPEND(&lane->ep->ready_head, &lane->ep->ready_tail, lane);
}

static void lane_unready(struct lane *lane)
{
	DLLIST2_REMOVE(&lane->ep->ready_head, &lane->ep->ready_tail, lane);
}

static void lane_free(struct lane **_lane)
{
	struct lane *lane = *_lane;

	*_lane = NULL;
	hash_table_remove(lane->ep->lanes, lane->username);
	timeout_remove(&lane->to_retry);
	if (array_is_created(&lane->passed))
		array_free(&lane->passed);
	pool_unref(&lane->pool);
	i_free(lane->username);
	i_free(lane);
}

static void lane_set_item(struct lane *lane, const struct queue_item *item)
{
	p_clear(lane->pool);
	lane->item = *item;
	lane->item.username = lane->username;
	lane->item.folder = p_strdup(lane->pool, item->folder);
	lane->item.body = p_strdup(lane->pool, item->body);
}

static void
lane_create(struct endpoint *ep, const struct queue_item *item)
{
	struct lane *lane;

	lane = i_new(struct lane, 1);
	lane->ep = ep;
	lane->username = i_strdup(item->username);
	lane->pool = pool_alloconly_create("http-notify lane", 1024);
	lane_set_item(lane, item);
	hash_table_insert(ep->lanes, lane->username, lane);
	lane_ready(lane);
}

static void lane_pass(struct lane *lane, int64_t id)
{
	if (!array_is_created(&lane->passed))
		i_array_init(&lane->passed, 8);
	else if (lane->passed_done > array_count(&lane->passed) / 2) {
		/* a user may have something queued forever */
		array_delete(&lane->passed, 0, lane->passed_done);
		lane->passed_done = 0;
	}
	array_push_back(&lane->passed, &id);
}

static bool lane_read_passed(struct lane *lane, int64_t id)
{
	struct queue_item item;
	bool found;

	T_BEGIN {
		found = queue_read_item(lane->ep->delivery->queue, id,
					pool_datastack_create(), &item);
		if (found)
			lane_set_item(lane, &item);
	} T_END;
	return found;
}

/* The current item is out of the queue: go on to the next one. */
static void lane_next(struct lane *lane)
{
	bool found = FALSE;

	while (!found && array_is_created(&lane->passed) &&
	       lane->passed_done < array_count(&lane->passed)) {
		/* it is not there any more if it was too old */
		found = lane_read_passed(lane, *array_idx(&lane->passed,
							  lane->passed_done++));
	}
	if (found)
		lane_ready(lane);
	else
		lane_free(&lane);
}

static void
delivery_lost(struct endpoint *ep, const struct queue_item *item,
	      const char *reason)
{
	e_error(ep->delivery->event, "Notification lost: "
		"user=%s folder=%s uid=%u endpoint=%s: %s",
		str_sanitize(item->username, 128),
		str_sanitize(item->folder, 128), item->uid,
		ep->targets[0].label, str_sanitize(reason, 256));
	ep->given_up++;
	queue_remove(ep->delivery->queue, item->id);
}

static void
target_changed_state(struct target *target, const struct answer *answer)
{
	struct endpoint *ep = target->ep;
	struct event *event = ep->delivery->event;
	const char *reason = str_sanitize(answer->reason, 256);

	switch (target->health.state) {
	case HEALTH_UP:
		e_info(event, "Endpoint %s is up again after %"PRId64" s: "
		       "%u notifications queued, %u given up",
		       target->label, (int64_t)ioloop_time - target->down_since,
		       queue_count(ep->delivery->queue, ep->id), ep->given_up);
		return;
	case HEALTH_DOWN:
		e_error(event, "Endpoint %s is down, notifications are kept "
			"and tried again: %s", target->label, reason);
		break;
	case HEALTH_MISCONFIGURED:
		e_error(event, "Endpoint %s takes no notifications, they are "
			"kept (are url= and its credentials right?): %s",
			target->label, reason);
		break;
	}
	ep->given_up = 0;
	target->down_since = ioloop_time;
}

static void lane_retry(struct lane *lane)
{
	timeout_remove(&lane->to_retry);
	lane_ready(lane);
	endpoint_pump(lane->ep);
}

static unsigned int lane_retry_msecs(const struct lane *lane)
{
	unsigned int msecs = RETRY_MIN_MSECS, i;

	for (i = 1; i < lane->item.attempts && msecs < RETRY_MAX_MSECS; i++)
		msecs *= 2;
	return health_jitter(I_MIN(msecs, RETRY_MAX_MSECS));
}

/* An attempt has failed, another one may succeed. */
static void
lane_failed(struct lane *lane, const struct target *target,
	    const struct answer *answer)
{
	struct endpoint *ep = lane->ep;

	lane->item.attempts++;
	if (lane->item.attempts > ep->options.max_retries) {
		delivery_lost(ep, &lane->item, t_strdup_printf(
			"max_retries=%u reached: %s",
			ep->options.max_retries, answer->reason));
		lane_next(lane);
		return;
	}
	queue_set_attempts(ep->delivery->queue, lane->item.id,
			   lane->item.attempts);
	if (target->health.state == HEALTH_UP) {
		lane->to_retry = timeout_add(lane_retry_msecs(lane),
					     lane_retry, lane);
	} else {
		/* it is not this notification's turn to wait */
		lane_ready(lane);
	}
}

static void lane_answered(const struct answer *answer, struct lane *lane)
{
	struct endpoint *ep = lane->ep;
	struct target *target = lane->target;
	enum answer_class class = answer_classify(answer);
	bool again = lane->item.attempts > 0;

	lane->target = NULL;
	if (health_answered(&target->health, class, again,
			    answer->retry_after_secs,
			    http_notify_monotonic_msecs()))
		target_changed_state(target, answer);

	switch (class) {
	case ANSWER_DONE:
		queue_remove(ep->delivery->queue, lane->item.id);
		lane_next(lane);
		break;
	case ANSWER_REFUSED:
		delivery_lost(ep, &lane->item, t_strconcat(
			"refused: ", answer->reason, NULL));
		lane_next(lane);
		break;
	case ANSWER_RETRY:
	case ANSWER_UNREACHABLE:
	case ANSWER_MISCONFIGURED:
		lane_failed(lane, target, answer);
		break;
	}
	endpoint_pump(ep);
}

static void lane_sender_callback(const struct answer *answer, void *context)
{
	lane_answered(answer, context);
}

static void lane_send(struct lane *lane, struct target *target)
{
	lane_unready(lane);
	if (lane->item.expires <= ioloop_time) {
		delivery_lost(lane->ep, &lane->item, "max_age reached");
		lane_next(lane);
		return;
	}
	lane->target = target;
	health_sent(&target->health);
	T_BEGIN {
		const char *key = t_strdup_printf("%s-%"PRIu64,
			guid_128_to_string(lane->item.session), lane->item.seq);

		sender_put(lane->ep->delivery->sender, &target->sender_target,
			   lane->item.body, key, lane_sender_callback, lane);
	} T_END;
}

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
	if (wait != INT64_MAX) {
		ep->to_probe = timeout_add(I_MAX(wait, 1), endpoint_probe, ep);
	}
}

/* Move the cursor on. */
static void endpoint_read(struct endpoint *ep)
{
	struct queue_item *items;
	unsigned int i, count;

	items = t_new(struct queue_item, READ_BATCH);
	count = queue_read(ep->delivery->queue, ep->id, ep->cursor, READ_BATCH,
			   pool_datastack_create(), items);
	for (i = 0; i < count; i++) {
		struct lane *lane =
			hash_table_lookup(ep->lanes, items[i].username);

		if (lane != NULL)
			lane_pass(lane, items[i].id);
		else
			lane_create(ep, &items[i]);
		ep->cursor = items[i].id;
	}
	ep->unread = count == READ_BATCH;
}

static struct lane *endpoint_find_untried(struct endpoint *ep)
{
	struct lane *lane = ep->ready_head;

	while (lane != NULL && lane->item.attempts > 0)
		lane = lane->next;
	return lane;
}

/* A probe is best made with a notification that has not failed: if only some of
   them are to blame, the endpoint is up again with the first other one. */
static struct lane *endpoint_next_lane(struct endpoint *ep, bool probe)
{
	struct lane *lane = probe ? endpoint_find_untried(ep) : NULL;

	if (lane == NULL && probe && ep->unread) {
		T_BEGIN {
			endpoint_read(ep);
		} T_END;
		lane = endpoint_find_untried(ep);
	}
	while (ep->ready_head == NULL && ep->unread) T_BEGIN {
		endpoint_read(ep);
	} T_END;
	return lane != NULL ? lane : ep->ready_head;
}

static void endpoint_pump(struct endpoint *ep)
{
	int64_t now = http_notify_monotonic_msecs();
	struct target *target;
	struct lane *lane;

	while ((target = endpoint_find_target(ep, now)) != NULL) {
		lane = endpoint_next_lane(ep,
			target->health.state != HEALTH_UP);
		if (lane == NULL)
			return;
		lane_send(lane, target);
	}
	endpoint_schedule_probe(ep, now);
}

static void
endpoint_expire_item(struct endpoint *ep, const struct queue_item *item)
{
	struct lane *lane = hash_table_lookup(ep->lanes, item->username);

	if (lane == NULL || lane->item.id != item->id) {
		delivery_lost(ep, item, "max_age reached");
		return;
	}
	if (lane->target != NULL) {
		/* its last attempt is under way */
		return;
	}
	if (lane->to_retry == NULL)
		lane_unready(lane);
	timeout_remove(&lane->to_retry);
	delivery_lost(ep, item, "max_age reached");
	lane_next(lane);
}

/* Returns TRUE if there may be more. */
static bool endpoint_expire(struct endpoint *ep)
{
	unsigned int i, count, old_given_up = ep->given_up;
	struct queue_item *items;

	items = t_new(struct queue_item, EXPIRE_BATCH);
	count = queue_read(ep->delivery->queue, ep->id, 0, EXPIRE_BATCH,
			   pool_datastack_create(), items);
	for (i = 0; i < count && items[i].expires <= ioloop_time; i++)
		endpoint_expire_item(ep, &items[i]);
	if (ep->given_up == old_given_up)
		return FALSE;
	/* lanes have gone on to their next item */
	endpoint_pump(ep);
	return i == EXPIRE_BATCH;
}

static void delivery_expire(struct delivery *delivery)
{
	struct endpoint *ep;
	bool more = FALSE;

	array_foreach_elem(&delivery->endpoints, ep) T_BEGIN {
		/* As long as nothing can be removed, what is done with would
		   be found again. */
		if (!queue_is_failing(delivery->queue) && endpoint_expire(ep))
			more = TRUE;
	} T_END;
	timeout_remove(&delivery->to_expire);
	delivery->to_expire = timeout_add_short(
		more ? 0 : EXPIRE_INTERVAL_MSECS, delivery_expire, delivery);
}

static const char *endpoint_key_of_url(const struct http_url *url)
{
	return t_strdup_printf("%s@%s", url->user == NULL ? "" : url->user,
			       http_url_create(url));
}

/* What makes an endpoint the same one with other options: its URLs with their
   users, without the passwords. */
static const char *endpoint_key(const struct http_notify_options *options)
{
	pool_t pool = pool_datastack_create();
	const char *key = endpoint_key_of_url(
		http_notify_url_parse(options->url, pool));

	if (options->standby_url == NULL)
		return key;
	return t_strconcat(key, " ", endpoint_key_of_url(
		http_notify_url_parse(options->standby_url, pool)), NULL);
}

static void
endpoint_set_target(struct endpoint *ep, unsigned int idx, const char *url)
{
	struct target *target = &ep->targets[idx];
	struct sender_target *sender_target = &target->sender_target;
	const struct http_url *http_url =
		http_notify_url_parse(url, ep->pool);

	target->ep = ep;
	target->label = p_strdup(ep->pool,
		http_url_create_authority(http_url));
	sender_target->url = p_strdup(ep->pool, http_url_create(http_url));
	sender_target->username = http_url->user;
	sender_target->password = http_url->password;
	sender_target->netrc_file = ep->options.netrc_file;
	sender_target->timeout_msecs = ep->options.timeout_msecs;
}

static void
endpoint_set_options(struct endpoint *ep, const char *options_key,
		     const struct http_notify_options *options)
{
	struct delivery *delivery = ep->delivery;
	pool_t old_pool = ep->pool;

	ep->pool = pool_alloconly_create("http-notify endpoint", 1024);
	ep->options = *options;
	ep->options.netrc_file = p_strdup(ep->pool, options->netrc_file);
	endpoint_set_target(ep, 0, options->url);
	ep->targets_count = 1;
	if (options->standby_url != NULL) {
		endpoint_set_target(ep, 1, options->standby_url);
		ep->targets_count = 2;
	}
	pool_unref(&old_pool);

	if (ep->options_key != NULL) {
		hash_table_remove(delivery->endpoints_by_options,
				  (const char *)ep->options_key);
		i_free(ep->options_key);
	}
	ep->options_key = i_strdup(options_key);
	hash_table_insert(delivery->endpoints_by_options,
			  (const char *)ep->options_key, ep);
}

static struct endpoint *
endpoint_create(struct delivery *delivery, int64_t id)
{
	struct endpoint *ep;

	ep = i_new(struct endpoint, 1);
	ep->delivery = delivery;
	ep->id = id;
	health_init(&ep->targets[0].health);
	health_init(&ep->targets[1].health);
	hash_table_create(&ep->lanes, default_pool, 0, str_hash, strcmp);
	array_push_back(&delivery->endpoints, &ep);
	return ep;
}

static void endpoint_free(struct endpoint *ep)
{
	struct hash_iterate_context *iter;
	struct lane *lane;
	char *username;

	iter = hash_table_iterate_init(ep->lanes);
	while (hash_table_iterate(iter, ep->lanes, &username, &lane))
		lane_free(&lane);
	hash_table_iterate_deinit(&iter);
	hash_table_destroy(&ep->lanes);
	timeout_remove(&ep->to_probe);
	pool_unref(&ep->pool);
	i_free(ep->options_key);
	i_free(ep);
}

static struct endpoint *endpoint_find(struct delivery *delivery, int64_t id)
{
	struct endpoint *ep;

	array_foreach_elem(&delivery->endpoints, ep) {
		if (ep->id == id)
			return ep;
	}
	return NULL;
}

static int
delivery_endpoint_add(struct delivery *delivery, const char *const *words,
		      const char *options_key, struct endpoint **ep_r,
		      const char **error_r)
{
	struct http_notify_options options;
	struct endpoint *ep;
	int64_t id;

	if (http_notify_options_parse(words, pool_datastack_create(),
				      &options, error_r) < 0 ||
	    queue_endpoint_set(delivery->queue, endpoint_key(&options),
			       options_key, &id, error_r) < 0)
		return -1;

	ep = endpoint_find(delivery, id);
	if (ep == NULL)
		ep = endpoint_create(delivery, id);
	else {
		unsigned int i;

		/* An admin has changed something: that may have mended it. */
		for (i = 0; i < ep->targets_count; i++) {
			if (ep->targets[i].health.state == HEALTH_MISCONFIGURED)
				ep->targets[i].health.next_probe = 0;
		}
	}
	endpoint_set_options(ep, options_key, &options);
	*ep_r = ep;
	return 0;
}

static const char *options_key_of_words(const char *const *words)
{
	string_t *str = t_str_new(256);

	for (; *words != NULL; words++) {
		if (str_len(str) > 0)
			str_append_c(str, '\t');
		str_append_tabescaped(str, *words);
	}
	return str_c(str);
}

int delivery_endpoint_get(struct delivery *delivery,
			  const char *const *option_words,
			  int64_t *endpoint_r, unsigned int *max_age_secs_r,
			  const char **error_r)
{
	const char *options_key = options_key_of_words(option_words);
	struct endpoint *ep;

	ep = hash_table_lookup(delivery->endpoints_by_options, options_key);
	if (ep == NULL &&
	    delivery_endpoint_add(delivery, option_words, options_key, &ep,
				  error_r) < 0)
		return -1;
	ep->added = TRUE;
	*endpoint_r = ep->id;
	*max_age_secs_r = ep->options.max_age_secs;
	return 0;
}

void delivery_run(struct delivery *delivery)
{
	struct endpoint *ep;

	array_foreach_elem(&delivery->endpoints, ep) {
		if (ep->added)
			ep->unread = TRUE;
		ep->added = FALSE;
		if (ep->unread)
			endpoint_pump(ep);
	}
}

static void
delivery_init_endpoint(int64_t id, const char *options_key, void *context)
{
	struct delivery *delivery = context;
	const char *const *words = t_strsplit_tabescaped(options_key);
	struct http_notify_options options;
	struct endpoint *ep;
	const char *error;

	if (http_notify_options_parse(words, pool_datastack_create(),
				      &options, &error) < 0) {
		e_error(delivery->event, "Queue has an endpoint that is "
			"invalid, its notifications wait: %s", error);
		return;
	}
	ep = endpoint_create(delivery, id);
	endpoint_set_options(ep, options_key, &options);
	ep->unread = TRUE;
}

struct delivery *
delivery_init(struct queue *queue, struct sender *sender)
{
	struct delivery *delivery;

	delivery = i_new(struct delivery, 1);
	delivery->queue = queue;
	delivery->sender = sender;
	delivery->event = event_create(NULL);
	i_array_init(&delivery->endpoints, 4);
	hash_table_create(&delivery->endpoints_by_options, default_pool, 0,
			  str_hash, strcmp);
	queue_endpoints_foreach(queue, delivery_init_endpoint, delivery);
	delivery->to_expire = timeout_add_short(EXPIRE_INTERVAL_MSECS,
						delivery_expire, delivery);
	return delivery;
}

void delivery_deinit(struct delivery **_delivery)
{
	struct delivery *delivery = *_delivery;
	struct endpoint *ep;

	*_delivery = NULL;
	timeout_remove(&delivery->to_expire);
	hash_table_destroy(&delivery->endpoints_by_options);
	array_foreach_elem(&delivery->endpoints, ep)
		endpoint_free(ep);
	array_free(&delivery->endpoints);
	event_unref(&delivery->event);
	i_free(delivery);
}
