#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "hash.h"
#include "http-url.h"
#include "ioloop.h"
#include "llist.h"
#include "str.h"
#include "strescape.h"

#include "delivery.h"
#include "endpoint.h"
#include "events.h"
#include "monotonic.h"
#include "options.h"
#include "queue.h"

/* How often to look for notifications that are too old and for endpoints that
   are not in use any more. */
#define SWEEP_INTERVAL_MSECS (5*1000)
/* Endpoints looked at before others have their turn. */
#define SWEEP_BATCH 256
/* There may be an endpoint for each user: if there are more than so many, those
   that have had nothing to do for this time are forgotten. */
#define ENDPOINTS_MIN 1000
#define IDLE_MSECS (60*1000)

struct delivery_endpoint {
	struct endpoint *ep;
	/* its options as the queue and the hand-off have them */
	char *options_key;
	unsigned int max_age_secs;

	/* monotonic, in milliseconds */
	int64_t last_used;
	/* something was added, which can be read after the next commit */
	bool added;
};

struct delivery {
	struct endpoint_common common;
	unsigned int queue_limit;
	/* notifications that were refused because the queue was full; it is
	   full for the log until it has shrunk a bit */
	unsigned int refused;

	/* sorted by their numbers */
	ARRAY(struct delivery_endpoint *) endpoints;
	HASH_TABLE(const char *, struct delivery_endpoint *) by_options;
	/* those that have something added */
	ARRAY(struct delivery_endpoint *) added;
	struct timeout *to_sweep;
	/* the first ones of the endpoints, which are still to be looked at */
	unsigned int sweep_left;
	/* do it again at once */
	bool sweep_more;
};

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

static void
delivery_endpoint_set_options(struct delivery *delivery,
			      struct delivery_endpoint *dep,
			      const char *options_key,
			      const struct http_notify_options *options)
{
	if (dep->options_key != NULL) {
		hash_table_remove(delivery->by_options,
				  (const char *)dep->options_key);
		i_free(dep->options_key);
	}
	dep->options_key = i_strdup(options_key);
	hash_table_insert(delivery->by_options,
			  (const char *)dep->options_key, dep);
	dep->max_age_secs = options->max_age_secs;
	dep->last_used = http_notify_monotonic_msecs();
}

static int
delivery_endpoint_cmp(const int64_t *id, struct delivery_endpoint *const *dep)
{
	int64_t dep_id = endpoint_get_id((*dep)->ep);

	return *id < dep_id ? -1 : *id > dep_id;
}

/* The endpoint, or the place where it belongs. */
static bool
delivery_endpoint_find(struct delivery *delivery, int64_t id,
		       unsigned int *idx_r)
{
	return array_bsearch_insert_pos(&delivery->endpoints, &id,
					delivery_endpoint_cmp, idx_r);
}

static struct delivery_endpoint *
delivery_endpoint_create(struct delivery *delivery, int64_t id,
			 const char *options_key,
			 const struct http_notify_options *options)
{
	struct delivery_endpoint *dep;
	unsigned int idx;

	if (delivery_endpoint_find(delivery, id, &idx))
		i_unreached();
	dep = i_new(struct delivery_endpoint, 1);
	dep->ep = endpoint_init(&delivery->common, id, options);
	delivery_endpoint_set_options(delivery, dep, options_key, options);
	array_insert(&delivery->endpoints, idx, &dep, 1);
	return dep;
}

static void delivery_endpoint_free(struct delivery *delivery, unsigned int idx)
{
	struct delivery_endpoint *dep =
		array_idx_elem(&delivery->endpoints, idx);

	hash_table_remove(delivery->by_options, (const char *)dep->options_key);
	array_delete(&delivery->endpoints, idx, 1);
	endpoint_deinit(&dep->ep);
	i_free(dep->options_key);
	i_free(dep);
}

static int
delivery_endpoint_add(struct delivery *delivery, const char *const *words,
		      const char *options_key,
		      struct delivery_endpoint **dep_r, const char **error_r)
{
	struct http_notify_options options;
	struct delivery_endpoint *dep;
	unsigned int idx;
	int64_t id;

	if (http_notify_options_parse(words, pool_datastack_create(),
				      &options, error_r) < 0 ||
	    queue_endpoint_set(delivery->common.queue, endpoint_key(&options),
			       options_key, &id, error_r) < 0)
		return -1;

	if (!delivery_endpoint_find(delivery, id, &idx)) {
		dep = delivery_endpoint_create(delivery, id, options_key,
					       &options);
	} else {
		dep = array_idx_elem(&delivery->endpoints, idx);
		endpoint_set_options(dep->ep, &options);
		delivery_endpoint_set_options(delivery, dep, options_key,
					      &options);
	}
	*dep_r = dep;
	return 0;
}

static bool delivery_is_full(struct delivery *delivery)
{
	if (delivery->common.queued < delivery->queue_limit)
		return FALSE;
	if (delivery->refused++ == 0) {
		e_error(delivery->common.event, "Queue is full, notifications "
			"are refused (http_notify_queue_limit = %u)",
			delivery->queue_limit);
	}
	return TRUE;
}

int delivery_endpoint_get(struct delivery *delivery,
			  const char *const *option_words,
			  struct endpoint **ep_r, unsigned int *max_age_secs_r,
			  const char **error_r)
{
	const char *options_key = options_key_of_words(option_words);
	struct delivery_endpoint *dep;

	if (delivery_is_full(delivery)) {
		*error_r = t_strdup_printf("the queue is full "
			"(http_notify_queue_limit = %u)",
			delivery->queue_limit);
		return -1;
	}
	dep = hash_table_lookup(delivery->by_options, options_key);
	if (dep == NULL &&
	    delivery_endpoint_add(delivery, option_words, options_key, &dep,
				  error_r) < 0)
		return -1;
	dep->last_used = http_notify_monotonic_msecs();
	if (!dep->added) {
		dep->added = TRUE;
		array_push_back(&delivery->added, &dep);
	}
	*ep_r = dep->ep;
	*max_age_secs_r = dep->max_age_secs;
	return 0;
}

struct endpoint *
delivery_next_endpoint(struct delivery *delivery, int64_t after_id)
{
	struct delivery_endpoint *dep;
	unsigned int idx;

	(void)delivery_endpoint_find(delivery, after_id + 1, &idx);
	if (idx == array_count(&delivery->endpoints))
		return NULL;
	dep = array_idx_elem(&delivery->endpoints, idx);
	return dep->ep;
}

const struct endpoint_counters *delivery_counters(struct delivery *delivery)
{
	return &delivery->common.counters;
}

void delivery_watch(struct delivery *delivery, struct endpoint_watch *watch)
{
	DLLIST_PREPEND(&delivery->common.watches, watch);
}

void delivery_unwatch(struct delivery *delivery, struct endpoint_watch *watch)
{
	DLLIST_REMOVE(&delivery->common.watches, watch);
}

void delivery_run(struct delivery *delivery)
{
	struct delivery_endpoint *dep;

	array_foreach_elem(&delivery->added, dep) {
		dep->added = FALSE;
		endpoint_run(dep->ep);
	}
	array_clear(&delivery->added);
}

static void
delivery_sweep_endpoint(struct delivery *delivery, unsigned int idx)
{
	struct delivery_endpoint *dep =
		array_idx_elem(&delivery->endpoints, idx);
	int64_t idle_since = http_notify_monotonic_msecs() - IDLE_MSECS;

	if (endpoint_expire(dep->ep))
		delivery->sweep_more = TRUE;
	else if (array_count(&delivery->endpoints) > ENDPOINTS_MIN &&
		 !dep->added && dep->last_used <= idle_since &&
		 endpoint_is_idle(dep->ep)) {
		queue_endpoint_forget(delivery->common.queue,
				      endpoint_get_id(dep->ep));
		delivery_endpoint_free(delivery, idx);
	}
}

static void delivery_sweep_done(struct delivery *delivery)
{
	if (delivery->refused > 0 && delivery->common.queued <
	    delivery->queue_limit - delivery->queue_limit / 10) {
		e_info(delivery->common.event, "Queue takes notifications "
		       "again, %u were refused", delivery->refused);
		delivery->refused = 0;
	}
	if (delivery->common.queued == 0)
		queue_shrink(delivery->common.queue);
}

static void delivery_sweep(struct delivery *delivery)
{
	unsigned int i, msecs = 0;

	for (i = 0; i < SWEEP_BATCH && delivery->sweep_left > 0; i++) T_BEGIN {
		delivery_sweep_endpoint(delivery, --delivery->sweep_left);
	} T_END;
	if (delivery->sweep_left == 0) {
		delivery_sweep_done(delivery);
		delivery->sweep_left = array_count(&delivery->endpoints);
		msecs = delivery->sweep_more ? 0 : SWEEP_INTERVAL_MSECS;
		delivery->sweep_more = FALSE;
	}
	timeout_remove(&delivery->to_sweep);
	delivery->to_sweep = timeout_add_short(msecs, delivery_sweep, delivery);
}

static void
delivery_init_endpoint(int64_t id, const char *options_key, void *context)
{
	struct delivery *delivery = context;
	const char *const *words = t_strsplit_tabescaped(options_key);
	struct http_notify_options options;
	struct delivery_endpoint *dep;
	const char *error;

	if (http_notify_options_parse(words, pool_datastack_create(),
				      &options, &error) < 0) {
		e_error(delivery->common.event, "Queue has an endpoint that is "
			"invalid, its notifications wait: %s", error);
		return;
	}
	dep = delivery_endpoint_create(delivery, id, options_key, &options);
	dep->added = TRUE;
	array_push_back(&delivery->added, &dep);
}

struct delivery *
delivery_init(struct queue *queue, struct sender *sender,
	      unsigned int queue_limit)
{
	struct delivery *delivery;

	delivery = i_new(struct delivery, 1);
	delivery->common.queue = queue;
	delivery->common.sender = sender;
	delivery->common.event = event_create(NULL);
	event_add_category(delivery->common.event, &event_category_http_notify);
	delivery->queue_limit = queue_limit;
	i_array_init(&delivery->endpoints, 4);
	i_array_init(&delivery->added, 4);
	hash_table_create(&delivery->by_options, default_pool, 0,
			  str_hash, strcmp);
	queue_endpoints_foreach(queue, delivery_init_endpoint, delivery);
	delivery->to_sweep = timeout_add_short(SWEEP_INTERVAL_MSECS,
					       delivery_sweep, delivery);
	return delivery;
}

void delivery_deinit(struct delivery **_delivery)
{
	struct delivery *delivery = *_delivery;
	unsigned int i;

	*_delivery = NULL;
	timeout_remove(&delivery->to_sweep);
	for (i = array_count(&delivery->endpoints); i > 0; i--)
		delivery_endpoint_free(delivery, i - 1);
	hash_table_destroy(&delivery->by_options);
	array_free(&delivery->endpoints);
	array_free(&delivery->added);
	event_unref(&delivery->common.event);
	i_free(delivery);
}
