/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "hash.h"
#include "http-url.h"
#include "ioloop.h"
#include "llist.h"
#include "str.h"
#include "strescape.h"

#include "dovecot-compat.h"
#include "delivery.h"
#include "endpoint.h"
#include "endpoint-common.h"
#include "endpoint-watch.h"
#include "events.h"
#include "fair-share.h"
#include "history.h"
#include "live.h"
#include "mailbox-number.h"
#include "monotonic.h"
#include "options.h"
#include "part.h"
#include "queue.h"
#include "queue-lost.h"
#include "spool.h"

/* How often to look for notifications that are too old and for endpoints that
   are not in use any more. */
#define SWEEP_INTERVAL_MSECS (5*1000)
/* How many endpoints to look at in one turn of the ioloop. */
#define SWEEP_BATCH 256
/* There may be an endpoint per user. If there are more than ENDPOINTS_MIN,
   those that have been idle for IDLE_MSECS are forgotten. */
#define ENDPOINTS_MIN 1000
#define IDLE_MSECS (60*1000)
/* How much memory the notifications that wait for their turn may use, for all
   endpoints together. */
#define LANE_BUDGET (16*1024*1024)

/* How long to wait for what is still being put back. */
#define RESENT_MSECS 20

/* Before an owner in keys; no option begins with it. */
#define OWNER_WORD "owner="

/* Notifications, and the bytes of their bodies. */
struct amount {
	uint64_t number, bytes;
};

struct delivery_endpoint {
	struct delivery *delivery;
	struct endpoint *ep;
	struct queue_endpoint *queue_ep;
	unsigned int number;
	/* NULL: another endpoint has the same key, and new notifications are
	   added to that one. Only a queue that several versions have used has
	   such endpoints. */
	char *key;
	/* its options as one string, which the queue stores; NULL if key is */
	char *options_key;
	/* see mailbox-number.h */
	char *number_endpoint;
	unsigned int max_age_secs;

	/* monotonic, in milliseconds */
	int64_t last_used;
	/* notifications that are being stored */
	unsigned int adding;
	/* those refused because its share of the queue is full; 0 again, which
	   is logged, once it may have more of nine tenths of the queue */
	unsigned int refused;
	/* something was stored since endpoint_run(): it is in
	   delivery->stored */
	bool stored;
};

/* A notification being stored. */
struct delivery_adding {
	struct delivery_endpoint *dep;
	delivery_stored_callback_t *callback;
	void *context;
};

struct delivery {
	struct endpoint_common common;
	struct amount limit;
	/* see delivery_set_spool() */
	struct spool *spool;
	/* notifications refused because the queue is full; 0 again, which is
	   logged, once a tenth of it is free */
	unsigned int refused;
	/* those who put notifications back; and for looking at these when they
	   have done so */
	unsigned int resenders;
	struct timeout *to_resent;

	/* sorted by number */
	ARRAY(struct delivery_endpoint *) endpoints;
	unsigned int last_number;
	HASH_TABLE(const char *, struct delivery_endpoint *) by_key, by_options;
	/* those for which something was stored, to be run after the commit */
	ARRAY(struct delivery_endpoint *) stored;
	struct timeout *to_sweep;
	/* the sweep still has this many endpoints to look at, from the first */
	unsigned int sweep_left;
	/* how many endpoints are down, of those that the sweep has seen, and of
	   all when it was last done */
	unsigned int sweep_down, down;
};

/* Endpoints */

static void
key_append(string_t *key, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (str_len(key) > 0)
		str_append_c(key, '\t');
	str_append(key, name);
	str_append_tabescaped(key, value);
}

static void
key_append_url(string_t *key, const char *url, const char *url_name,
	       const char *user_name)
{
	const struct http_url *http_url =
		http_notify_url_parse(url, pool_datastack_create());

	key_append(key, url_name, http_url_create(http_url));
	key_append(key, user_name, http_url->user);
}

/* The identity of an endpoint: all of its options but the passwords. When an
   admin corrects one, what is queued goes out with it; but nobody changes for
   others how long and how often an endpoint is tried. Former versions' keys
   have no numbers in them, so that these never equal one. */
static const char *endpoint_key(const struct http_notify_options *options)
{
	string_t *key = t_str_new(256);

	key_append(key, OWNER_WORD, options->owner);
	key_append_url(key, options->url, "url=", "user=");
	if (options->standby_url != NULL) {
		key_append_url(key, options->standby_url, "standby_url=",
			       "standby_user=");
	}
	key_append(key, "netrc_file=", options->netrc_file);
	if (strcmp(options->method, HTTP_NOTIFY_DEFAULT_METHOD) != 0)
		key_append(key, "method=", options->method);
	key_append(key, "token_file=", options->token_file);
	key_append(key, "sign_file=", options->sign_file);
	key_append(key, "proxy=", options->proxy);
	key_append(key, "proxy_netrc_file=", options->proxy_netrc_file);
	key_append(key, "ca_file=", options->ca_file);
	key_append(key, "cert_file=", options->cert_file);
	key_append(key, "key_file=", options->key_file);
	str_printfa(key, "\ttimeout_msecs=%u\tmax_age=%u\tmax_retries=%u",
		    options->timeout_msecs, options->max_age_secs,
		    options->max_retries);
	if (options->max_per_second != HTTP_NOTIFY_NO_MAX_PER_SECOND) {
		str_printfa(key, "\tmax_per_second=%u",
			    options->max_per_second);
	}
	return str_c(key);
}

/* The options as one string, which begins with the owner, if there is one. */
static const char *
options_key_of_words(const char *const *words, const char *owner)
{
	string_t *str = t_str_new(256);

	key_append(str, OWNER_WORD, owner);
	for (; *words != NULL; words++)
		key_append(str, "", *words);
	return str_c(str);
}

static int
options_key_parse(const char *options_key, struct http_notify_options *options_r,
		  const char **error_r)
{
	const char *const *words = t_strsplit_tabescaped(options_key);
	const char *owner = NULL;

	if (words[0] != NULL && str_begins_with(words[0], OWNER_WORD))
		owner = *words++ + strlen(OWNER_WORD);
	if (http_notify_options_parse(words, pool_datastack_create(),
				      options_r, error_r) < 0)
		return -1;
	options_r->owner = owner;
	return 0;
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

static struct delivery_endpoint *
delivery_endpoint_create(struct delivery *delivery,
			 struct queue_endpoint *queue_ep,
			 const char *key, const char *options_key,
			 const struct http_notify_options *options)
{
	struct delivery_endpoint *dep;

	dep = i_new(struct delivery_endpoint, 1);
	dep->delivery = delivery;
	dep->number = ++delivery->last_number;
	dep->queue_ep = queue_ep;
	dep->ep = endpoint_init(&delivery->common, queue_ep, options);
	dep->max_age_secs = options->max_age_secs;
	dep->number_endpoint = i_strdup(mailbox_number_endpoint(options));
	queue_endpoint_set_context(queue_ep, dep);
	if (hash_table_lookup(delivery->by_key, key) == NULL) {
		dep->key = i_strdup(key);
		hash_table_insert(delivery->by_key,
				  (const char *)dep->key, dep);
		delivery_endpoint_set_options(delivery, dep, options_key,
					      options);
	}
	array_push_back(&delivery->endpoints, &dep);
	return dep;
}

static void delivery_endpoint_free(struct delivery *delivery, unsigned int idx)
{
	struct delivery_endpoint *dep =
		array_idx_elem(&delivery->endpoints, idx);

	if (dep->key != NULL) {
		hash_table_remove(delivery->by_key, (const char *)dep->key);
		hash_table_remove(delivery->by_options,
				  (const char *)dep->options_key);
	}
	array_delete(&delivery->endpoints, idx, 1);
	queue_endpoint_set_context(dep->queue_ep, NULL);
	endpoint_deinit(&dep->ep);
	i_free(dep->key);
	i_free(dep->options_key);
	i_free(dep->number_endpoint);
	i_free(dep);
}

static int
delivery_endpoint_find(struct delivery *delivery, const char *options_key,
		       struct delivery_endpoint **dep_r, const char **error_r)
{
	const char *key;
	struct queue *queue = delivery->common.queue;
	struct http_notify_options options;
	struct delivery_endpoint *dep;

	dep = hash_table_lookup(delivery->by_options, options_key);
	if (dep == NULL) {
		if (options_key_parse(options_key, &options, error_r) < 0)
			return -1;
		key = endpoint_key(&options);
		dep = hash_table_lookup(delivery->by_key, key);
		if (dep == NULL) {
			dep = delivery_endpoint_create(delivery,
				queue_endpoint_set(queue, key, options_key),
				key, options_key, &options);
		} else {
			queue_endpoint_set_options(queue, dep->queue_ep,
						   options_key);
			endpoint_set_options(dep->ep, &options);
			delivery_endpoint_set_options(delivery, dep,
						      options_key, &options);
		}
	}
	*dep_r = dep;
	return 0;
}

static int
delivery_endpoint_cmp(const unsigned int *number,
		      struct delivery_endpoint *const *dep)
{
	return *number < (*dep)->number ? -1 : *number > (*dep)->number;
}

/* Returns NULL if there is none. */
static struct delivery_endpoint *
delivery_endpoint_by_number(struct delivery *delivery, unsigned int number)
{
	unsigned int idx;

	if (!array_bsearch_insert_pos(&delivery->endpoints, &number,
				      delivery_endpoint_cmp, &idx))
		return NULL;
	return array_idx_elem(&delivery->endpoints, idx);
}

/* Adding */

static struct amount delivery_used(const struct delivery *delivery)
{
	return (struct amount){
		delivery->common.queued, delivery->common.queued_bytes
	};
}

static struct amount
delivery_endpoint_used(const struct delivery_endpoint *dep)
{
	struct amount used;

	used.number = endpoint_get_queued(dep->ep, &used.bytes);
	return used;
}

/* Returns what has reached the limit; NULL = nothing. */
static const char *
delivery_full_in(struct delivery *delivery, const struct amount *limit)
{
	const struct amount used = delivery_used(delivery);

	return used.number >= limit->number ? "number" :
		used.bytes >= limit->bytes ? "bytes" : NULL;
}

/* The same for an endpoint's share. A single endpoint may have all of the
   limit. */
static const char *
delivery_endpoint_full_in(struct delivery_endpoint *dep,
			  const struct amount *limit)
{
	struct delivery *delivery = dep->delivery;
	const struct amount used = delivery_used(delivery);
	const struct amount own = delivery_endpoint_used(dep);
	unsigned int users = delivery->common.backlogged;

	if (array_count(&delivery->endpoints) == 1)
		return NULL;
	return !fair_share_allows(used.number, limit->number, own.number,
				  users) ? "number" :
		!fair_share_allows(used.bytes, limit->bytes, own.bytes,
				   users) ? "bytes" : NULL;
}

static const char *delivery_limit_name(struct delivery *delivery)
{
	return t_strdup_printf("http_notify_queue_limit = %"PRIu64" %"PRIu64,
			       delivery->limit.number, delivery->limit.bytes);
}

/* The limit under which notifications are accepted again. */
static struct amount delivery_low_mark(const struct delivery *delivery)
{
	const struct amount *limit = &delivery->limit;

	return (struct amount){
		limit->number - limit->number / 10,
		limit->bytes - limit->bytes / 10
	};
}

/* Returns why it is full; NULL = it is not. */
static const char *
delivery_full_error(struct delivery *delivery, const struct amount *limit)
{
	const char *what = delivery_full_in(delivery, limit);

	return what == NULL ? NULL :
		t_strdup_printf("the queue is full in %s (%s)", what,
				delivery_limit_name(delivery));
}

bool delivery_has_room(struct delivery *delivery, const char **error_r)
{
	const struct amount low_mark = delivery_low_mark(delivery);

	*error_r = delivery_full_error(delivery, &low_mark);
	return *error_r == NULL;
}

static bool
delivery_is_full(struct delivery *delivery, const char **error_r)
{
	*error_r = delivery_full_error(delivery, &delivery->limit);
	if (*error_r == NULL)
		return FALSE;
	if (delivery->refused++ == 0) {
		e_error(delivery->common.event, "Queue is full in %s, "
			"notifications are refused (%s)",
			delivery_full_in(delivery, &delivery->limit),
			delivery_limit_name(delivery));
	}
	return TRUE;
}

static bool
delivery_endpoint_is_full(struct delivery_endpoint *dep, const char **error_r)
{
	struct delivery *delivery = dep->delivery;
	const char *what = delivery_endpoint_full_in(dep, &delivery->limit);

	if (what == NULL)
		return FALSE;
	if (dep->refused++ == 0) {
		e_error(delivery->common.event, "Endpoint %s has its share of "
			"the queue in %s, notifications for it are refused "
			"(%s)", endpoint_get_label(dep->ep), what,
			delivery_limit_name(delivery));
	}
	*error_r = t_strdup_printf("the endpoint's share of the queue is full "
		"in %s (%s)", what, delivery_limit_name(delivery));
	return TRUE;
}

static void delivery_list_stored(struct delivery_endpoint *dep)
{
	if (!dep->stored)
		array_push_back(&dep->delivery->stored, &dep);
	dep->stored = TRUE;
}

/* Returns NULL if another process sends the item, or this one will only know of
   it by delivery_part_claimed() or delivery_part_grown(). */
static struct part *delivery_part_of(const struct queue_item *item)
{
	return item->part == NULL ? NULL : queue_part_get_context(item->part);
}

/* The caller is told first, since it is waiting. */
static void
delivery_item_stored(struct queue_item *item, const char *error, void *context)
{
	struct delivery_adding *adding = context;
	struct delivery_endpoint *dep = adding->dep;
	struct part *part;
	const struct delivery_stored stored = {
		.error = error, .id = item == NULL ? 0 : item->id,
		.spooled = error == NULL && item != NULL && item->id == 0,
		.elsewhere = item != NULL && item->part == NULL,
		.endpoint = dep->ep
	};

	dep->adding--;
	adding->callback(&stored, adding->context);
	if (item != NULL && error == NULL) {
		history_present(&dep->delivery->common.history)->stored++;
		live_tell(dep->delivery->common.live, LIVE_QUEUED, item,
			  endpoint_get_label(dep->ep), "");
		part = delivery_part_of(item);
		if (part != NULL)
			part_stored(part, item);
		if (!stored.spooled)
			delivery_list_stored(dep);
	}
	i_free(adding);
}

/* Of one that is found again, the identity is that of its message; zero bytes
   follow, which no mail process's session ends with. */
static void
delivery_item_set_mailbox(struct delivery_endpoint *dep,
			  struct queue_item *item, uint32_t uidvalidity)
{
	item->mailbox = mailbox_number(dep->number_endpoint, item->username,
				       item->folder, uidvalidity);
	if (guid_128_is_empty(item->session)) {
		memcpy(item->session, &item->mailbox, sizeof(item->mailbox));
		memcpy(item->session + sizeof(item->mailbox), &item->uid,
		       sizeof(item->uid));
	}
}

bool delivery_session_is_of_message(const guid_128_t session)
{
	static const guid_128_t zero = { 0 };
	size_t pos = sizeof(int64_t) + sizeof(uint32_t);

	return memcmp(session + pos, zero, GUID_128_SIZE - pos) == 0;
}

int delivery_add(struct delivery *delivery,
		 const struct delivery_notification *n,
		 delivery_stored_callback_t *callback, void *context,
		 const char **error_r)
{
	struct delivery_adding *adding;
	struct delivery_endpoint *dep;
	struct queue_item item;
	/* it needs no room, and may be stored by now */
	bool again = queue_has_added(delivery->common.queue, n->session,
				     n->seq);

	if ((!again && delivery_is_full(delivery, error_r)) ||
	    delivery_endpoint_find(delivery,
			options_key_of_words(n->options, n->owner),
			&dep, error_r) < 0 ||
	    (!again && delivery_endpoint_is_full(dep, error_r)))
		return -1;
	dep->last_used = http_notify_monotonic_msecs();
	dep->adding++;

	i_zero(&item);
	item.endpoint = dep->queue_ep;
	guid_128_copy(item.session, n->session);
	item.seq = n->seq;
	item.username = n->username;
	item.folder = n->folder;
	item.uid = n->uid;
	if (n->uidvalidity != 0)
		delivery_item_set_mailbox(dep, &item, n->uidvalidity);
	item.body = n->body;
	item.created = queue_now(delivery->common.queue);
	item.expires = item.created + dep->max_age_secs;

	adding = i_new(struct delivery_adding, 1);
	adding->dep = dep;
	adding->callback = callback;
	adding->context = context;
	if (delivery->spool == NULL) {
		(void)queue_add(delivery->common.queue, &item,
				delivery_item_stored, adding);
	} else if (spool_add(delivery->spool, &item, delivery_item_stored,
			     adding, error_r) < 0) {
		dep->adding--;
		i_free(adding);
		return -1;
	}
	return 0;
}

/* Sending again */

/* A notification being put back. */
struct delivery_resending {
	struct delivery_endpoint *dep;
	delivery_resent_callback_t *callback;
	void *context;
};

static void delivery_look_again(struct delivery *delivery)
{
	struct delivery_endpoint *dep;

	timeout_remove(&delivery->to_resent);
	array_foreach_elem(&delivery->endpoints, dep)
		endpoint_look_again(dep->ep);
}

static void delivery_look_again_later(struct delivery *delivery)
{
	if (delivery->resenders == 0 && delivery->to_resent == NULL) {
		delivery->to_resent = timeout_add_short(RESENT_MSECS,
			delivery_look_again, delivery);
	}
}

void delivery_resend_begin(struct delivery *delivery)
{
	delivery->resenders++;
	timeout_remove(&delivery->to_resent);
}

void delivery_resend_end(struct delivery *delivery)
{
	i_assert(delivery->resenders > 0);

	delivery->resenders--;
	delivery_look_again_later(delivery);
}

static void
delivery_item_resent(struct queue_item *item, const char *error, void *context)
{
	struct delivery_resending *resending = context;
	struct delivery_endpoint *dep = resending->dep;
	bool gone = error == NULL && item->id == 0;
	struct part *part;

	dep->adding--;
	if (error == NULL && !gone) {
		part = delivery_part_of(item);
		if (part != NULL)
			part_put_back(part, item);
		delivery_look_again_later(dep->delivery);
	}
	resending->callback(error, gone, resending->context);
	i_free(resending);
}

int delivery_resend(struct delivery *delivery, const struct queue_item *item,
		    unsigned int to,
		    delivery_resent_callback_t *callback, void *context,
		    const char **error_r)
{
	struct queue *queue = delivery->common.queue;
	struct delivery_endpoint *own =
		queue_endpoint_get_context(item->endpoint);
	struct delivery_endpoint *dep =
		to == 0 ? own : delivery_endpoint_by_number(delivery, to);
	struct queue_item again = *item;
	struct delivery_resending *resending;

	if (dep == NULL) {
		*error_r = "the endpoint has been forgotten";
		return -1;
	}
	if (delivery_is_full(delivery, error_r) ||
	    delivery_endpoint_is_full(dep, error_r))
		return -1;
	dep->adding++;
	again.expires = queue_now(queue) + dep->max_age_secs;
	resending = i_new(struct delivery_resending, 1);
	resending->dep = dep;
	resending->callback = callback;
	resending->context = context;
	if (dep != own) {
		again.id = 0;
		again.endpoint = dep->queue_ep;
	}
	queue_lost_resend(queue, &again, delivery_item_resent, resending);
	return 0;
}

/* What waited for queue_may_send(). */
static void delivery_run_held(struct delivery *delivery)
{
	struct delivery_endpoint *dep;

	if (!delivery->common.held || !queue_may_send(delivery->common.queue))
		return;
	delivery->common.held = FALSE;
	array_foreach_elem(&delivery->endpoints, dep)
		endpoint_run(dep->ep);
}

/* By now all callers have been told whether their notifications are stored. */
static void
delivery_committed(const char *error, void *context)
{
	struct delivery *delivery = context;
	struct delivery_endpoint *dep;

	array_foreach_elem(&delivery->stored, dep) {
		dep->stored = FALSE;
		endpoint_run(dep->ep);
	}
	array_clear(&delivery->stored);
	if (error == NULL)
		delivery_run_held(delivery);
}

/* What others ask for */

struct endpoint *
delivery_next_endpoint(struct delivery *delivery, unsigned int *number)
{
	struct delivery_endpoint *dep;
	unsigned int next = *number + 1, idx;

	(void)array_bsearch_insert_pos(&delivery->endpoints, &next,
				       delivery_endpoint_cmp, &idx);
	if (idx == array_count(&delivery->endpoints))
		return NULL;
	dep = array_idx_elem(&delivery->endpoints, idx);
	*number = dep->number;
	return dep->ep;
}

struct endpoint *
delivery_find_endpoint(const struct queue_endpoint *queue_ep,
		       unsigned int *number_r)
{
	const struct delivery_endpoint *dep = queue_ep == NULL ? NULL :
		queue_endpoint_get_context(queue_ep);

	if (dep == NULL)
		return NULL;
	*number_r = dep->number;
	return dep->ep;
}

unsigned int delivery_queue_percent(const struct delivery *delivery,
				    unsigned int queued, uint64_t bytes)
{
	const struct amount *limit = &delivery->limit;

	return I_MAX((double)queued / limit->number,
		     (double)bytes / limit->bytes) * 100;
}

unsigned int delivery_queued(const struct delivery *delivery)
{
	return delivery->common.queued;
}

struct spool *delivery_get_spool(const struct delivery *delivery)
{
	return delivery->spool;
}

const struct endpoint_counters *delivery_counters(struct delivery *delivery)
{
	return &delivery->common.counters;
}

const struct history *delivery_history(struct delivery *delivery)
{
	unsigned int spooled = delivery->spool == NULL ? 0 :
		spool_get_queued(delivery->spool, NULL).number;

	history_sample(&delivery->common.history, http_notify_monotonic_msecs(),
		       delivery->common.queued + spooled, delivery->down);
	return &delivery->common.history;
}

void delivery_watch(struct delivery *delivery, struct endpoint_watch *watch)
{
	DLLIST_PREPEND(&delivery->common.watches, watch);
}

void delivery_unwatch(struct delivery *delivery, struct endpoint_watch *watch)
{
	DLLIST_REMOVE(&delivery->common.watches, watch);
}

void delivery_live_add(struct delivery *delivery, struct live_watch *watch)
{
	DLLIST_PREPEND(&delivery->common.live, watch);
}

void delivery_live_remove(struct delivery *delivery, struct live_watch *watch)
{
	DLLIST_REMOVE(&delivery->common.live, watch);
}

/* Sweeping */

static void
delivery_sweep_endpoint(struct delivery *delivery, unsigned int idx)
{
	struct delivery_endpoint *dep =
		array_idx_elem(&delivery->endpoints, idx);
	const struct amount low_mark = delivery_low_mark(delivery);
	int64_t idle_since = http_notify_monotonic_msecs() - IDLE_MSECS;
	bool spooled = delivery->spool != NULL &&
		spool_get_queued(delivery->spool, dep->queue_ep).number > 0;
	bool unused = dep->key == NULL ||
		(array_count(&delivery->endpoints) > ENDPOINTS_MIN &&
		 dep->last_used <= idle_since);

	if (endpoint_is_down(dep->ep))
		delivery->sweep_down++;
	endpoint_sweep(dep->ep);
	if (dep->refused > 0 &&
	    delivery_endpoint_full_in(dep, &low_mark) == NULL) {
		e_info(delivery->common.event, "Endpoint %s has room in the "
		       "queue again; %u notifications were refused",
		       endpoint_get_label(dep->ep), dep->refused);
		dep->refused = 0;
	}
	if (unused && dep->adding == 0 && !dep->stored && !spooled &&
	    endpoint_is_idle(dep->ep) && !queue_lost_has(dep->queue_ep)) {
		struct queue_endpoint *queue_ep = dep->queue_ep;

		delivery_endpoint_free(delivery, idx);
		queue_endpoint_forget(delivery->common.queue, &queue_ep);
	}
}

static void delivery_sweep_done(struct delivery *delivery)
{
	const struct amount low_mark = delivery_low_mark(delivery);

	delivery->down = delivery->sweep_down;
	delivery->sweep_down = 0;
	(void)delivery_history(delivery);
	delivery_run_held(delivery);
	if (delivery->refused > 0 &&
	    delivery_full_in(delivery, &low_mark) == NULL) {
		e_info(delivery->common.event, "Queue accepts notifications "
		       "again; %u were refused", delivery->refused);
		delivery->refused = 0;
	}
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
		msecs = SWEEP_INTERVAL_MSECS;
	}
	timeout_remove(&delivery->to_sweep);
	delivery->to_sweep = timeout_add_short(msecs, delivery_sweep, delivery);
}

/* What the queue says */

/* An endpoint that a former process has left in the queue, or another one has
   stored. */
static void
delivery_have_endpoint(struct queue_endpoint *queue_ep, const char *options_key,
		       void *context)
{
	struct delivery *delivery = context;
	struct delivery_endpoint *dep = queue_endpoint_get_context(queue_ep);
	struct http_notify_options options;
	const char *error;

	if (options_key_parse(options_key, &options, &error) < 0) {
		e_error(delivery->common.event, "Queue has an invalid endpoint; "
			"its notifications wait: %s", error);
		return;
	}
	if (dep == NULL) {
		(void)delivery_endpoint_create(delivery, queue_ep,
					       endpoint_key(&options),
					       options_key, &options);
	} else if (dep->key != NULL) {
		endpoint_set_options(dep->ep, &options);
		delivery_endpoint_set_options(delivery, dep, options_key,
					      &options);
	}
}

static void
delivery_part_claimed(struct queue_part *part, void *context ATTR_UNUSED)
{
	struct delivery_endpoint *dep =
		queue_endpoint_get_context(queue_part_get_endpoint(part));

	/* otherwise the endpoint is invalid */
	if (dep != NULL)
		part_claimed(dep->ep, part);
}

static void delivery_part_grown(struct queue_part *queue_part,
				void *context ATTR_UNUSED)
{
	struct part *part = queue_part_get_context(queue_part);

	if (part != NULL)
		part_grown(part);
}

static void delivery_part_look_again(struct queue_part *queue_part,
				     void *context ATTR_UNUSED)
{
	struct part *part = queue_part_get_context(queue_part);

	if (part != NULL)
		part_look_again(part);
}

static void
delivery_part_release(struct queue_part *queue_part, void *context)
{
	struct delivery *delivery = context;
	struct part *part = queue_part_get_context(queue_part);

	if (part != NULL)
		part_release(part);
	else
		queue_part_released(delivery->common.queue, &queue_part);
}

static void delivery_part_revoked(struct queue_part *queue_part,
				  void *context ATTR_UNUSED)
{
	struct part *part = queue_part_get_context(queue_part);

	if (part != NULL)
		part_revoked(part);
}

static const struct queue_part_vfuncs delivery_part_vfuncs = {
	.endpoint = delivery_have_endpoint,
	.claimed = delivery_part_claimed,
	.grown = delivery_part_grown,
	.look_again = delivery_part_look_again,
	.release = delivery_part_release,
	.revoked = delivery_part_revoked,
};

struct delivery *
delivery_init(struct queue *queue, struct sender *sender,
	      unsigned int max_queued, uint64_t max_queued_bytes,
	      unsigned int max_requests)
{
	struct delivery *delivery;

	delivery = i_new(struct delivery, 1);
	delivery->common.queue = queue;
	delivery->common.sender = sender;
	delivery->common.event = event_create(NULL);
	event_add_category(delivery->common.event, &event_category_http_notify);
	delivery->common.lane_budget.max = LANE_BUDGET;
	delivery->common.requests.max = max_requests;
	delivery->limit.number = max_queued;
	delivery->limit.bytes = max_queued_bytes;
	history_init(&delivery->common.history, http_notify_monotonic_msecs());
	i_array_init(&delivery->endpoints, 4);
	i_array_init(&delivery->stored, 4);
	hash_table_create(&delivery->by_options, default_pool, 0,
			  str_hash, strcmp);
	hash_table_create(&delivery->by_key, default_pool, 0,
			  str_hash, strcmp);
	queue_set_committed_callback(queue, delivery_committed, delivery);
	queue_claim(queue, &delivery_part_vfuncs, delivery);
	delivery->to_sweep = timeout_add_short(SWEEP_INTERVAL_MSECS,
					       delivery_sweep, delivery);
	return delivery;
}

void delivery_set_spool(struct delivery *delivery, struct spool *spool)
{
	delivery->spool = spool;
}

void delivery_stop(struct delivery *delivery)
{
	delivery->common.stopped = TRUE;
}

unsigned int delivery_in_flight(const struct delivery *delivery)
{
	return delivery->common.in_flight;
}

void delivery_deinit(struct delivery **_delivery)
{
	struct delivery *delivery = *_delivery;
	unsigned int i;

	*_delivery = NULL;
	timeout_remove(&delivery->to_sweep);
	/* callers are told what is stored, but nothing is sent any more */
	queue_set_committed_callback(delivery->common.queue, NULL, NULL);
	queue_unclaim(delivery->common.queue);
	if (delivery->spool != NULL)
		spool_finish(delivery->spool);
	else
		queue_finish(delivery->common.queue);
	endpoint_watches_end(&delivery->common.watches,
			     "the service is being stopped");
	timeout_remove(&delivery->to_resent);
	for (i = array_count(&delivery->endpoints); i > 0; i--)
		delivery_endpoint_free(delivery, i - 1);
	hash_table_destroy(&delivery->by_options);
	hash_table_destroy(&delivery->by_key);
	array_free(&delivery->endpoints);
	array_free(&delivery->stored);
	event_unref(&delivery->common.event);
	i_free(delivery);
}
