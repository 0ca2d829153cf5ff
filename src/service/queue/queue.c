/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all engines share: a turn's changes are gathered and committed together;
   callers are told whether what they added is stored; hand-offs that come again
   are recognised; and what was removed is not read any more. */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "llist.h"

#include "events.h"
#include "monotonic.h"
#include "queue.h"
#include "queue-private.h"
#include "queue-sessions.h"

/* How long to wait after a commit that failed; doubled each time. */
#define RETRY_MIN_MSECS 250
#define RETRY_MAX_MSECS (16*1000)
/* How large what one commit removes may be, in bytes, if it is more than one
   notification: SQLite takes 3 ms for a megabyte, in the ioloop. */
#define REMOVALS_MAX_SIZE (1024*1024)
/* After a commit that failed, there are fewer removals in the next one: there
   may be less than little space. */
#define REMOVALS_FEWER 4
/* A session is forgotten when it has not been used for this long, which is far
   more than a mail process ever waits before it sends again. */
#define SESSION_LIFETIME_SECS 60
/* For how long removals may be uncommitted, where processes share the queue. */
#define UNREMOVED_MSECS 1000
/* How long a process that ends waits for what an engine commits elsewhere. */
#define FINISH_MSECS 2000

static void queue_commit(struct queue *queue);

static void changes_init(struct queue_changes *changes)
{
	i_array_init(&changes->given_up, 4);
	i_array_init(&changes->removed, 64);
	i_array_init(&changes->dropped, 4);
	i_array_init(&changes->resent, 4);
	i_array_init(&changes->lost_gone, 4);
	i_array_init(&changes->attempts, 16);
	i_array_init(&changes->endpoints, 4);
	i_array_init(&changes->forgotten, 4);
	i_array_init(&changes->sessions, 16);
	i_array_init(&changes->added, 64);
}

static void changes_clear(struct queue_changes *changes)
{
	array_clear(&changes->given_up);
	array_clear(&changes->removed);
	array_clear(&changes->dropped);
	changes->forget_lost_max = 0;
	array_clear(&changes->resent);
	array_clear(&changes->lost_gone);
	array_clear(&changes->attempts);
	array_clear(&changes->endpoints);
	array_clear(&changes->forgotten);
	array_clear(&changes->sessions);
	array_clear(&changes->added);
	changes->forget_sessions_before = 0;
	changes->awaited = FALSE;
}

static void changes_deinit(struct queue_changes *changes)
{
	array_free(&changes->given_up);
	array_free(&changes->removed);
	array_free(&changes->dropped);
	array_free(&changes->resent);
	array_free(&changes->lost_gone);
	array_free(&changes->attempts);
	array_free(&changes->endpoints);
	array_free(&changes->forgotten);
	array_free(&changes->sessions);
	array_free(&changes->added);
}

/* Committing */

/* Others than removals. */
static bool queue_has_other_changes(const struct queue *queue)
{
	return !array_is_empty(&queue->pending) ||
		!array_is_empty(&queue->changed_endpoints) ||
		!array_is_empty(&queue->next.attempts) ||
		!array_is_empty(&queue->next.forgotten) ||
		queue_lost_has_changes(queue->lost) ||
		queue->next.forget_sessions_before != 0;
}

static bool queue_has_changes(const struct queue *queue)
{
	return !array_is_empty(&queue->removed.ids) ||
		queue_has_other_changes(queue);
}

static void queue_commit_after(struct queue *queue, unsigned int msecs)
{
	queue->to_commit = timeout_add_short(msecs, queue_commit, queue);
	queue->gathering = msecs > 0;
}

void queue_commit_soon(struct queue *queue)
{
	if (queue->gathering)
		timeout_remove(&queue->to_commit);
	if (queue->to_commit == NULL && !queue->committing)
		queue_commit_after(queue, 0);
}

/* While the queue can't be written, the change waits for the next retry: each
   may take a while. While the space of earlier ones is reclaimed, it waits
   rather than take what others need. */
void queue_commit_some_time(struct queue *queue)
{
	if (queue->to_retry == NULL && !queue->reclaiming)
		queue_commit_soon(queue);
}

/* If there are only a few removals, they wait for more. */
static void queue_commit_rest(struct queue *queue)
{
	if (!array_is_empty(&queue->pending)) {
		/* a caller waits, even if removals are tried again later */
		queue_commit_soon(queue);
	} else if (queue_has_other_changes(queue) ||
	    array_count(&queue->removed.ids) >= queue->removals_max)
		queue_commit_some_time(queue);
	else if (!array_is_empty(&queue->removed.ids) &&
		 queue->to_retry == NULL && !queue->reclaiming &&
		 queue->to_commit == NULL && !queue->committing)
		queue_commit_after(queue, queue->engine->v->gather_msecs);
}

static void queue_prepare_endpoints(struct queue *queue)
{
	struct queue_changes *changes = &queue->changes;
	struct queue_endpoint *ep;

	array_foreach_elem(&queue->changed_endpoints, ep) {
		/* it may have been forgotten before it was ever stored */
		if (!ep->forgotten)
			array_push_back(&changes->endpoints, &ep);
		ep->changed = FALSE;
	}
	array_clear(&queue->changed_endpoints);
	if (!array_is_empty(&queue->removed.ids)) {
		/* what is queued for them may be among these */
		return;
	}
	array_foreach_elem(&queue->next.forgotten, ep) {
		ep->listed = FALSE;
		if (!ep->forgotten)
			continue;
		array_push_back(&changes->forgotten, &ep);
		if (ep->stored) {
			hash_table_remove(queue->endpoints_by_number,
					  POINTER_CAST(ep->number));
		}
	}
	array_clear(&queue->next.forgotten);
}

static void queue_prepare(struct queue *queue)
{
	struct queue_changes *changes = &queue->changes;
	const struct queue_pending *pending;
	const struct id_set_id *removed;

	changes_clear(changes);
	if (!queue->left_out) {
		id_set_take(&queue->removing, &queue->removed,
			    queue->removals_max, REMOVALS_MAX_SIZE);
		array_foreach(&queue->removing.ids, removed)
			array_push_back(&changes->removed, &removed->id);
		queue_lost_begin(queue);
	}
	array_append_array(&changes->attempts, &queue->next.attempts);
	array_clear(&queue->next.attempts);
	queue_prepare_endpoints(queue);
	queue_sessions_begin(queue->sessions, &changes->sessions);
	array_foreach(&queue->pending, pending) {
		if (pending->item != NULL && pending->item->lost_id != 0)
			array_push_back(&changes->resent, &pending->item);
		else if (pending->item != NULL)
			array_push_back(&changes->added, &pending->item);
		changes->awaited = changes->awaited || pending->awaited;
	}
	changes->forget_sessions_before = queue->next.forget_sessions_before;
	queue->next.forget_sessions_before = 0;

	array_append_array(&queue->committing_pending, &queue->pending);
	array_clear(&queue->pending);
}

static void queue_commit(struct queue *queue)
{
	timeout_remove(&queue->to_commit);
	queue->gathering = FALSE;

	i_assert(!queue->committing);
	queue->committing = TRUE;
	/* What somebody waits for needs the least space if it goes alone, and
	   is not refused because of removals. If it would only be stored
	   elsewhere, removals wait no longer than until they are tried
	   again. */
	queue->left_out = queue->in_trouble &&
		(queue->to_retry != NULL || !queue->engine->v->spooled) &&
		!array_is_empty(&queue->pending) &&
		(!array_is_empty(&queue->removed.ids) ||
		 queue_lost_has_changes(queue->lost));
	if (!queue->left_out)
		timeout_remove(&queue->to_retry);
	queue_prepare(queue);
	queue->engine->v->commit(queue->engine, &queue->changes);
}

static struct queue_endpoint *
queue_endpoint_init(struct queue *queue, const char *key, const char *options)
{
	struct queue_endpoint *ep;

	ep = i_new(struct queue_endpoint, 1);
	ep->key = i_strdup(key);
	ep->options = i_strdup(options);
	hash_table_insert(queue->endpoints, (const char *)ep->key, ep);
	DLLIST2_APPEND(&queue->endpoints_head, &queue->endpoints_tail, ep);
	return ep;
}

static void queue_endpoint_deinit(struct queue *queue,
				  struct queue_endpoint *ep)
{
	i_assert(ep->parts == NULL);
	queue_announced_endpoint_gone(queue, ep);
	queue_reads_endpoint_gone(queue, ep);
	hash_table_remove(queue->endpoints, (const char *)ep->key);
	DLLIST2_REMOVE(&queue->endpoints_head, &queue->endpoints_tail, ep);
	i_free(ep->key);
	i_free(ep->options);
	i_free(ep);
}

struct queue_endpoint *
queue_find_endpoint(struct queue *queue, int64_t number)
{
	return hash_table_lookup(queue->endpoints_by_number,
				 POINTER_CAST(number));
}

static void queue_endpoint_stored(struct queue *queue,
				  struct queue_endpoint *ep)
{
	ep->stored = TRUE;
	hash_table_update(queue->endpoints_by_number,
			  POINTER_CAST(ep->number), ep);
}

static void queue_change_endpoint(struct queue *queue,
				  struct queue_endpoint *ep)
{
	if (!ep->changed)
		array_push_back(&queue->changed_endpoints, &ep);
	ep->changed = TRUE;
}

static void queue_list_forgotten(struct queue *queue,
				 struct queue_endpoint *ep)
{
	if (!ep->listed)
		array_push_back(&queue->next.forgotten, &ep);
	ep->listed = TRUE;
}

static void queue_succeeded(struct queue *queue)
{
	struct queue_changes *changes = &queue->changes;
	struct queue_endpoint *ep;
	struct queue_item *item;

	if (!array_is_empty(&changes->removed)) {
		queue->removals_max = I_MIN(queue->removals_max * 2,
					    QUEUE_REMOVALS_MAX);
		queue->unremoved_since = array_is_empty(&queue->removed.ids) ?
			0 : http_notify_monotonic_msecs();
	}
	array_clear(&queue->removing.ids);
	queue->removing.sorted = 0;
	array_foreach_elem(&changes->endpoints, ep)
		queue_endpoint_stored(queue, ep);
	array_foreach_elem(&changes->resent, item)
		queue_part_stored(item);
	array_foreach_elem(&changes->added, item)
		queue_part_stored(item);
	queue_parts_removed(queue);
	queue_sessions_succeeded(queue->sessions, &changes->sessions);
	array_foreach_elem(&changes->forgotten, ep) {
		ep->stored = ep->number != 0;
		if (ep->stored)
			queue_endpoint_stored(queue, ep);
	}
	queue_lost_succeeded(queue);
	array_foreach_elem(&changes->forgotten, ep) {
		if (ep->stored)
			continue;
		if (!ep->forgotten) {
			/* it is needed again */
			queue_change_endpoint(queue, ep);
		} else if (!ep->listed && !ep->changed) {
			queue_endpoint_deinit(queue, ep);
		}
	}
}

static void queue_commit_again(struct queue *queue)
{
	if (queue->engine->v->spooled)
		timeout_remove(&queue->to_retry);
	/* else the commit under way has left out what is to be tried again, and
	   the next one does not */
	if (!queue->committing)
		queue_commit(queue);
}

static void queue_retry(struct queue *queue)
{
	if (queue->to_retry != NULL)
		return;
	queue->to_retry = timeout_add(queue->retry_msecs, queue_commit_again,
				      queue);
	queue->retry_msecs = I_MIN(queue->retry_msecs * 2, RETRY_MAX_MSECS);
}

/* Nothing of the commit is stored. What was added meanwhile fails with it,
   since a session's hand-offs are stored in their order or not at all. */
static void queue_failed(struct queue *queue)
{
	struct queue_changes *changes = &queue->changes;
	struct queue_endpoint *ep;

	if (!array_is_empty(&changes->removed) ||
	    changes->forget_lost_max > 0) {
		queue->removals_max = I_MAX(queue->removals_max /
					    REMOVALS_FEWER, 1);
	}
	queue_lost_failed(queue);
	id_set_merge(&queue->removed, &queue->removing);
	array_foreach_elem(&changes->endpoints, ep)
		queue_change_endpoint(queue, ep);
	array_foreach_elem(&changes->forgotten, ep) {
		if (ep->stored)
			queue_endpoint_stored(queue, ep);
		queue_list_forgotten(queue, ep);
	}
	queue->next.forget_sessions_before =
		I_MAX(queue->next.forget_sessions_before,
		      changes->forget_sessions_before);
	queue_sessions_failed(queue->sessions);
	array_append_array(&queue->committing_pending, &queue->pending);
	array_clear(&queue->pending);

	if (queue_has_changes(queue)) {
		timeout_remove(&queue->to_commit);
		queue_retry(queue);
	}
}

static void
queue_tell_pending(struct queue *queue, const char *error)
{
	ARRAY_TYPE(queue_pending) told = queue->committing_pending;
	struct queue_pending *pending;

	/* what is added from now on is for the next commit */
	i_array_init(&queue->committing_pending, 64);
	array_foreach_modifiable(&told, pending) {
		if (pending->item != NULL && error == NULL)
			queue_announced_added(queue, pending->item);
		pending->callback(pending->item, error, pending->context);
		queue_item_unref(&pending->item);
	}
	array_free(&told);
}

static void
queue_set_error(struct queue *queue, char **errorp, const char *error)
{
	struct queue_state old, new;

	queue_get_state(queue, &old);
	/* what is set again may be the same string */
	error = i_strdup(error);
	i_free(*errorp);
	*errorp = (char *)error;
	queue_get_state(queue, &new);
	if ((old.error == NULL) != (new.error == NULL))
		queue->state_since = http_notify_monotonic_msecs();
}

void queue_get_state(const struct queue *queue, struct queue_state *state_r)
{
	state_r->error = queue->engine_error != NULL ? queue->engine_error :
		queue->commit_error;
	state_r->since = queue->state_since;
}

bool queue_is_absent(const struct queue *queue)
{
	return queue->engine->v == &queue_engine_absent;
}

void queue_engine_state(struct queue *queue, const char *error)
{
	queue_set_error(queue, &queue->engine_error, error);
	if (error == NULL)
		queue_set_error(queue, &queue->commit_error, NULL);
}

struct event *queue_engine_down_event(struct queue *queue, const char *error)
{
	queue->down_since = http_notify_monotonic_msecs();
	return event_create_passthrough(queue->event)->
		set_name("http_notify_queue_down")->
		add_str("error", error)->event();
}

struct event *queue_engine_up_event(struct queue *queue)
{
	int64_t msecs = http_notify_monotonic_msecs() - queue->down_since;

	return event_create_passthrough(queue->event)->
		set_name("http_notify_queue_up")->
		add_int("down_secs", msecs / 1000)->event();
}

/* Log it once when the trouble begins, and once when it ends: when all that
   waited has been done. */
static void queue_update_trouble(struct queue *queue, const char *error)
{
	queue_set_error(queue, &queue->commit_error, error);
	if (error != NULL) {
		if (!queue->in_trouble && !queue->engine->v->spooled) {
			e_error(queue_engine_down_event(queue, error),
				queue->beside ?
				"Queue of this host can't be written; storing "
				"nothing in place of PostgreSQL: %s" :
				"Queue can't be written; refusing "
				"notifications: %s", error);
		}
		queue->in_trouble = TRUE;
		return;
	}
	if (!queue->left_out) {
		queue->retry_msecs = RETRY_MIN_MSECS;
		timeout_remove(&queue->to_retry);
	}
	if (queue->in_trouble && array_is_empty(&queue->removed.ids) &&
	    !queue_lost_has_changes(queue->lost)) {
		if (!queue->engine->v->spooled) {
			e_info(queue_engine_up_event(queue),
			       "Queue can be written again");
		}
		queue->in_trouble = FALSE;
	}
}

static void queue_reclaim(struct queue *queue)
{
	if (queue->reclaiming)
		return;
	queue->reclaiming = TRUE;
	queue->engine->v->reclaim(queue->engine, queue->in_trouble);
}

void queue_engine_reclaimed(struct queue *queue)
{
	queue->reclaiming = FALSE;
	queue_commit_rest(queue);
}

void queue_engine_committed(struct queue *queue, const char *error)
{
	queue->failed = error != NULL;
	queue_update_trouble(queue, error);
	if (error == NULL)
		queue_succeeded(queue);
	else
		queue_failed(queue);
	queue->committing = FALSE;
	if (error == NULL)
		queue_reclaim(queue);
	queue_commit_rest(queue);

	queue_tell_pending(queue, error);
	if (queue->callback != NULL)
		queue->callback(error, queue->context);
}

/* Checking */

struct queue_check *
queue_check(struct queue *queue, queue_check_callback_t *callback,
	    void *context)
{
	struct queue_check *check;

	if (queue->engine->v->check == NULL) {
		callback(NULL, context);
		return NULL;
	}
	check = i_new(struct queue_check, 1);
	check->callback = callback;
	check->context = context;
	queue->engine->v->check(queue->engine, check);
	return check;
}

void queue_check_cancel(struct queue_check **_check)
{
	struct queue_check *check = *_check;

	*_check = NULL;
	if (check != NULL)
		check->callback = NULL;
}

void queue_engine_checked(struct queue_check *check, const char *link,
			  const char *error, const char *note)
{
	const struct queue_check_row row = {
		.link = link, .error = error, .note = note
	};

	if (check->callback != NULL)
		check->callback(&row, check->context);
}

void queue_engine_check_done(struct queue_check *check)
{
	if (check->callback != NULL)
		check->callback(NULL, check->context);
	i_free(check);
}

/* Endpoints */

void queue_endpoint_set_options(struct queue *queue, struct queue_endpoint *ep,
				const char *options)
{
	ep->forgotten = FALSE;
	if (strcmp(ep->options, options) == 0)
		return;
	i_free(ep->options);
	ep->options = i_strdup(options);
	queue_change_endpoint(queue, ep);
	queue_commit_some_time(queue);
}

struct queue_endpoint *
queue_endpoint_set(struct queue *queue, const char *key, const char *options)
{
	struct queue_endpoint *ep;

	ep = hash_table_lookup(queue->endpoints, key);
	if (ep != NULL)
		queue_endpoint_set_options(queue, ep, options);
	else {
		ep = queue_endpoint_init(queue, key, options);
		queue_change_endpoint(queue, ep);
		queue_commit_some_time(queue);
	}
	return ep;
}

void queue_endpoint_forget(struct queue *queue, struct queue_endpoint **_ep)
{
	struct queue_endpoint *ep = *_ep;

	*_ep = NULL;
	queue_parts_forget(queue, ep);
	ep->forgotten = TRUE;
	queue_list_forgotten(queue, ep);
	queue_commit_some_time(queue);
}

int64_t queue_endpoint_number(const struct queue_endpoint *ep)
{
	return ep->number;
}

void queue_endpoint_set_context(struct queue_endpoint *ep, void *context)
{
	ep->context = context;
}

void *queue_endpoint_get_context(const struct queue_endpoint *ep)
{
	return ep->context;
}

struct queue_endpoint *
queue_engine_have_endpoint(struct queue *queue, int64_t number,
			   const char *key, const char *options)
{
	struct queue_endpoint *ep;
	bool changed;

	ep = hash_table_lookup(queue->endpoints, key);
	changed = ep == NULL;
	if (ep == NULL)
		ep = queue_endpoint_init(queue, key, options);
	else if (!ep->changed && strcmp(ep->options, options) != 0) {
		i_free(ep->options);
		ep->options = i_strdup(options);
		changed = TRUE;
	}
	if (ep->forgotten) {
		/* another process needs it */
		ep->forgotten = FALSE;
		changed = TRUE;
	}
	ep->number = number;
	queue_endpoint_stored(queue, ep);
	if (changed)
		queue_tell_endpoint(queue, ep);
	return ep;
}

void queue_engine_endpoint_gone(struct queue *queue, struct queue_endpoint *ep)
{
	(void)hash_table_try_remove(queue->endpoints_by_number,
				    POINTER_CAST(ep->number));
	ep->number = 0;
	ep->stored = FALSE;
}

const struct queue_endpoint *queue_engine_endpoints(const struct queue *queue)
{
	return queue->endpoints_head;
}

/* Sessions */

void queue_engine_have_session(struct queue *queue,
			       const struct queue_session *session)
{
	queue_sessions_have(queue->sessions, session);
}

static void queue_forget_sessions(struct queue *queue)
{
	int64_t before = queue_now(queue) - SESSION_LIFETIME_SECS;

	if (queue_sessions_forget(queue->sessions, before)) {
		queue->next.forget_sessions_before = before;
		queue_commit_some_time(queue);
	}
	queue_lost_age(queue);
}

/* Items */

bool queue_has_added(struct queue *queue, const guid_128_t session,
		     uint64_t seq)
{
	return queue_sessions_has(queue->sessions, session, seq);
}

static bool
queue_add_any(struct queue *queue, const struct queue_item *item, bool moved,
	      queue_stored_callback_t *callback, void *context)
{
	struct queue_pending *pending;
	bool added = (moved && !queue->engine->v->exact_sessions) ||
		queue_sessions_add(queue->sessions, item->session,
				   item->seq, moved, queue_now(queue));

	/* also if it was added before: the transaction that stores it may not
	   have been committed yet */
	pending = array_append_space(&queue->pending);
	pending->awaited = !moved;
	pending->callback = callback;
	pending->context = context;
	if (!moved && queue->committing && queue->engine->v->hurry != NULL)
		queue->engine->v->hurry(queue->engine);
	if (added) {
		item->endpoint->forgotten = FALSE;
		pending->item = queue_item_dup(item);
	}
	queue_commit_soon(queue);
	return added;
}

bool queue_add(struct queue *queue, const struct queue_item *item,
	       queue_stored_callback_t *callback, void *context)
{
	return queue_add_any(queue, item, FALSE, callback, context);
}

bool queue_add_moved(struct queue *queue, const struct queue_item *item,
		     queue_stored_callback_t *callback, void *context)
{
	return queue_add_any(queue, item, TRUE, callback, context);
}

void queue_forget_added(struct queue *queue)
{
	queue->next.forget_sessions_before = INT64_MAX;
	queue_commit_some_time(queue);
}

void queue_remove(struct queue *queue, int64_t id, size_t body_size)
{
	if (queue->unremoved_since == 0)
		queue->unremoved_since = http_notify_monotonic_msecs();
	id_set_add(&queue->removed, id, body_size);
	queue->removals++;
	queue_commit_rest(queue);
}

void queue_set_attempts(struct queue *queue, int64_t id, unsigned int attempts)
{
	const struct queue_attempts change = {
		.id = id, .attempts = attempts
	};

	/* dropped if the queue can't be written: one more attempt is no harm */
	if (queue->to_retry != NULL)
		return;
	array_push_back(&queue->next.attempts, &change);
	queue_commit_some_time(queue);
}

bool queue_may_send(struct queue *queue)
{
	if (queue->engine->v->may_send == NULL)
		return TRUE;
	return (queue->unremoved_since == 0 ||
		http_notify_monotonic_msecs() <
		queue->unremoved_since + UNREMOVED_MSECS) &&
		queue->engine->v->may_send(queue->engine);
}

bool queue_is_removed(struct queue *queue, int64_t id)
{
	return id_set_has(&queue->removed, id) ||
		id_set_has(&queue->removing, id);
}

bool queue_has_removals(struct queue *queue, int64_t after_id, int64_t last_id)
{
	return id_set_has_between(&queue->removed, after_id, last_id) ||
		id_set_has_between(&queue->removing, after_id, last_id);
}

/* The rest */

void queue_count(struct queue *queue, queue_counts_callback_t *callback,
		 void *context)
{
	i_assert(queue->counts_callback == NULL);

	queue->counts_callback = callback;
	queue->counts_context = context;
	queue->engine->v->count(queue->engine);
}

void queue_engine_counted(struct queue *queue, const struct queue_counts *counts,
			  const char *error)
{
	queue_counts_callback_t *callback = queue->counts_callback;

	queue->counts_callback = NULL;
	callback(counts, error, queue->counts_context);
}

int64_t queue_now(struct queue *queue)
{
	return queue->engine->v->now(queue->engine);
}

void queue_set_committed_callback(struct queue *queue,
				  queue_committed_callback_t *callback,
				  void *context)
{
	queue->callback = callback;
	queue->context = context;
}

static void queue_free(struct queue **_queue)
{
	struct queue *queue = *_queue;

	*_queue = NULL;
	timeout_remove(&queue->to_commit);
	timeout_remove(&queue->to_retry);
	timeout_remove(&queue->to_forget);
	timeout_remove(&queue->to_read);
	queue_parts_deinit(queue);
	while (queue->endpoints_head != NULL)
		queue_endpoint_deinit(queue, queue->endpoints_head);
	hash_table_destroy(&queue->endpoints);
	hash_table_destroy(&queue->endpoints_by_number);
	event_unref(&queue->event);
	i_free(queue->commit_error);
	i_free(queue->engine_error);
	queue_lost_deinit(&queue->lost);
	queue_sessions_deinit(&queue->sessions);
	array_free(&queue->pending);
	array_free(&queue->changed_endpoints);
	array_free(&queue->committing_pending);
	id_set_deinit(&queue->removed);
	id_set_deinit(&queue->removing);
	changes_deinit(&queue->next);
	changes_deinit(&queue->changes);
	i_free(queue);
}

int queue_init(const struct queue_engine_vfuncs *engine,
	       const struct queue_settings *set,
	       struct queue **queue_r, const char **error_r)
{
	struct queue *queue;

	queue = i_new(struct queue, 1);
	queue->event = event_create(NULL);
	event_add_category(queue->event, &event_category_http_notify);
	queue->beside = set->beside;
	queue->state_since = http_notify_monotonic_msecs();
	queue->part_shift = engine->part_shift;
	hash_table_create(&queue->endpoints, default_pool, 0,
			  str_hash, strcmp);
	hash_table_create_direct(&queue->endpoints_by_number, default_pool, 0);
	queue_parts_init(queue);
	queue->sessions = queue_sessions_init();
	queue->lost = queue_lost_init(set);
	queue->retry_msecs = RETRY_MIN_MSECS;
	queue->removals_max = QUEUE_REMOVALS_MAX;
	i_array_init(&queue->pending, 64);
	i_array_init(&queue->changed_endpoints, 4);
	i_array_init(&queue->committing_pending, 64);
	id_set_init(&queue->removed);
	id_set_init(&queue->removing);
	changes_init(&queue->next);
	changes_init(&queue->changes);

	if (engine->init(queue, set, &queue->engine, error_r) < 0) {
		queue_free(&queue);
		return -1;
	}
	queue->to_forget = timeout_add(SESSION_LIFETIME_SECS * 1000,
				       queue_forget_sessions, queue);
	queue_forget_sessions(queue);
	*queue_r = queue;
	return 0;
}

void queue_flush(struct queue *queue)
{
	if (!queue->committing && queue_has_changes(queue))
		queue_commit(queue);
}

unsigned int queue_removals(const struct queue *queue)
{
	return array_count(&queue->removed.ids) +
		array_count(&queue->removing.ids);
}

bool queue_is_settled(const struct queue *queue)
{
	return !queue->committing && !queue_has_changes(queue);
}

void queue_finish(struct queue *queue)
{
	int64_t now, end = http_notify_monotonic_msecs() + FINISH_MSECS;
	bool in_time = TRUE;

	/* there may be more removals than go into one */
	do {
		queue_flush(queue);
		if (queue->engine->v->wait != NULL) {
			now = http_notify_monotonic_msecs();
			in_time = now < end;
			if (queue->committing) {
				queue->engine->v->wait(queue->engine,
						       I_MAX(end - now, 1));
			}
		}
	} while (in_time && !queue->failed && queue_has_changes(queue));
}

void queue_abandon(struct queue **queue)
{
	if ((*queue)->committing)
		(*queue)->engine->v->wait((*queue)->engine, 1);
	(*queue)->engine->v->deinit((*queue)->engine);
	queue_free(queue);
}

void queue_deinit(struct queue **queue)
{
	queue_finish(*queue);
	(*queue)->engine->v->deinit((*queue)->engine);
	queue_free(queue);
}
