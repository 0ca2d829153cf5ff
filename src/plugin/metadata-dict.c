/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "mail-storage-settings.h"

#include "attribute-dict.h"
#include "log-spells.h"
#include "metadata-dict.h"
#include "monotonic.h"
#include "slow-mark.h"

/* A dictionary may take this long each time. */
#define FAIR_MSECS 100
/* In the background it has no more than this, if it can only be asked by waiting
   for it: Dovecot's client for Redis has no other way, and somebody is using the
   process. */
#define SYNC_BACKGROUND_MSECS 100
/* It has this long if another process has found that the dict service hangs. */
#define MARKED_MSECS 50
/* More than that are forgotten, the oldest first. */
#define SLOW_DICTS_MAX 16

/* A dictionary that takes its time. */
struct slow_dict {
	char *name;
	/* it did not answer in time */
	bool hung;
	/* how long it was waited for beyond FAIR_MSECS */
	unsigned int spent_msecs;
	/* when this is forgotten (monotonic) */
	int64_t until;
};

struct metadata_dict_lookup {
	struct mail_user *user;
	/* a name of the dictionary's, and the key */
	char *name, *key;
	/* an asynchronous look-up, whose connection is in this loop; NULL = the
	   dictionary is asked at the end */
	struct dict *dict;
	struct ioloop *ioloop;

	/* in the background; NULL = not, or no longer */
	metadata_dict_callback_t *callback;
	void *context;
	/* when it is called */
	struct timeout *to;

	/* how long it took to begin: Dovecot's client waits for a second for a
	   dict service that is busy */
	unsigned int begin_msecs;
	/* it has been too slow before; or for another process */
	bool not_asked, marked;
	bool timed_out, answered;
	/* it is being left, and the dictionary says so */
	bool left;
	int ret;
	char *value, *error;
};

static ARRAY(struct slow_dict) slow_dicts;
/* the process's */
static struct ioloop *background_ioloop = NULL;

static void slow_dict_delete(unsigned int idx)
{
	struct slow_dict *slow = array_idx_modifiable(&slow_dicts, idx);

	i_free(slow->name);
	array_delete(&slow_dicts, idx, 1);
}

/* Returns NULL if it is not known to be slow. */
static struct slow_dict *slow_dict_find(const char *name)
{
	int64_t now = http_notify_monotonic_msecs();
	unsigned int i;

	if (!array_is_created(&slow_dicts))
		return NULL;
	for (i = array_count(&slow_dicts); i > 0; i--) {
		struct slow_dict *slow =
			array_idx_modifiable(&slow_dicts, i - 1);

		if (now >= slow->until)
			slow_dict_delete(i - 1);
		else if (strcmp(slow->name, name) == 0)
			return slow;
	}
	return NULL;
}

static struct slow_dict *slow_dict_get(const char *name)
{
	struct slow_dict *slow = slow_dict_find(name);

	if (slow != NULL)
		return slow;
	if (!array_is_created(&slow_dicts))
		i_array_init(&slow_dicts, 1);
	if (array_count(&slow_dicts) == SLOW_DICTS_MAX)
		slow_dict_delete(0);
	slow = array_append_space(&slow_dicts);
	slow->name = i_strdup(name);
	slow->until = http_notify_monotonic_msecs() + METADATA_DICT_SPELL_MSECS;
	return slow;
}

/* Returns how much of timeout_msecs is left, 0 = it is not to be asked. */
static unsigned int slow_dict_left(const char *name, unsigned int timeout_msecs)
{
	const struct slow_dict *slow = slow_dict_find(name);

	if (slow == NULL)
		return timeout_msecs;
	if (slow->hung || slow->spent_msecs + FAIR_MSECS >= timeout_msecs)
		return 0;
	return timeout_msecs - slow->spent_msecs;
}

static void
metadata_dict_lookup_answer(struct metadata_dict_lookup *lookup, int ret,
			    const char *value, const char *error)
{
	lookup->answered = TRUE;
	lookup->ret = ret;
	if (ret > 0)
		lookup->value = i_strdup(value);
	else if (ret < 0)
		lookup->error = i_strdup(error);
}

static void metadata_dict_lookup_call(struct metadata_dict_lookup *lookup)
{
	timeout_remove(&lookup->to);
	if (!lookup->answered && lookup->dict != NULL)
		lookup->timed_out = TRUE;
	lookup->callback(lookup->context);
}

static void
metadata_dict_lookup_call_after(struct metadata_dict_lookup *lookup,
				unsigned int msecs)
{
	timeout_remove(&lookup->to);
	lookup->to = timeout_add_to(background_ioloop, msecs,
				    metadata_dict_lookup_call, lookup);
}

static void
metadata_dict_lookup_callback(const struct dict_lookup_result *result,
			      struct metadata_dict_lookup *lookup)
{
	if (lookup->left)
		return;
	metadata_dict_lookup_answer(lookup, result->ret, result->value,
				    result->error);
	if (lookup->callback == NULL)
		io_loop_stop(lookup->ioloop);
	else {
		/* not now: it is going to leave the dictionary */
		metadata_dict_lookup_call_after(lookup, 0);
	}
}

struct metadata_dict_lookup *
metadata_dict_lookup_begin(struct mail_user *user, const char *key,
			   unsigned int timeout_msecs,
			   metadata_dict_callback_t *callback, void *context)
{
	int64_t start = http_notify_monotonic_msecs();
	struct ioloop *prev_ioloop = current_ioloop;
	struct metadata_dict_lookup *lookup;
	enum attribute_dict_kind kind;
	struct dict *dict;
	const char *name;

	if (http_notify_attribute_dict_init(user, 0, &dict, &kind, &name) < 0)
		return NULL;
	if (kind == ATTRIBUTE_DICT_BLOCKS) {
		dict_deinit(&dict);
		return NULL;
	}
	lookup = i_new(struct metadata_dict_lookup, 1);
	lookup->user = user;
	lookup->name = i_strdup(name);
	lookup->key = i_strdup(key);
	lookup->callback = callback;
	lookup->context = context;
	if (kind == ATTRIBUTE_DICT_GIVES_UP ||
	    slow_dict_left(name, timeout_msecs) == 0) {
		dict_deinit(&dict);
		lookup->not_asked = kind == ATTRIBUTE_DICT_ASYNC;
		if (callback != NULL)
			metadata_dict_lookup_call_after(lookup, 0);
		return lookup;
	}
	lookup->dict = dict;
	if (callback == NULL)
		lookup->ioloop = io_loop_create();
	else {
		lookup->ioloop = background_ioloop;
		io_loop_set_current(background_ioloop);
		metadata_dict_lookup_call_after(lookup,
			METADATA_DICT_BACKGROUND_MSECS);
	}
	dict_switch_ioloop(dict);
	http_notify_attribute_dict_lookup_async(dict, user, key,
						metadata_dict_lookup_callback,
						lookup);
	io_loop_set_current(prev_ioloop);
	lookup->begin_msecs = http_notify_monotonic_msecs() - start;
	return lookup;
}

static void metadata_dict_lookup_timeout(struct metadata_dict_lookup *lookup)
{
	lookup->timed_out = TRUE;
	io_loop_stop(lookup->ioloop);
}

/* Returns the socket that is marked if the dict service hangs; NULL = that is
   not asked. A site may use another socket for its dictionary, but this one is
   as good for a mark. */
static const char *
metadata_dict_lookup_service(const struct metadata_dict_lookup *lookup)
{
	return lookup->ioloop == NULL ? NULL :
		t_strconcat(lookup->user->set->base_dir, "/dict", NULL);
}

static void
metadata_dict_lookup_wait(struct metadata_dict_lookup *lookup,
			  unsigned int timeout_msecs)
{
	struct ioloop *prev_ioloop = current_ioloop;
	struct timeout *to;

	if (lookup->callback == NULL)
		io_loop_set_current(lookup->ioloop);
	else {
		/* no longer in the background */
		lookup->callback = NULL;
		lookup->ioloop = io_loop_create();
		dict_switch_ioloop(lookup->dict);
	}
	to = timeout_add_short(timeout_msecs, metadata_dict_lookup_timeout,
			       lookup);
	while (!lookup->answered && !lookup->timed_out)
		io_loop_run(lookup->ioloop);
	/* both may happen at once */
	lookup->timed_out = !lookup->answered;
	timeout_remove(&to);
	io_loop_set_current(prev_ioloop);
}

/* Of a dictionary that gives up by itself. */
static void
metadata_dict_lookup_sync(struct metadata_dict_lookup *lookup,
			  unsigned int timeout_msecs)
{
	enum attribute_dict_kind kind;
	const char *name, *value, *error;
	struct dict *dict;
	int ret;

	if (http_notify_attribute_dict_init(lookup->user, timeout_msecs, &dict,
					    &kind, &name) < 0) {
		metadata_dict_lookup_answer(lookup, -1, NULL,
					    "it can't be opened");
		return;
	}
	ret = http_notify_attribute_dict_lookup(
		dict, lookup->user, pool_datastack_create(), lookup->key,
		&value, &error);
	metadata_dict_lookup_answer(lookup, ret, value, error);
	dict_deinit(&dict);
}

/* Wait for the answer. */
static void
metadata_dict_lookup_ask(struct metadata_dict_lookup *lookup,
			 unsigned int timeout_msecs)
{
	const char *service = metadata_dict_lookup_service(lookup);
	int64_t start = http_notify_monotonic_msecs();
	struct slow_dict *slow;
	unsigned int msecs;

	if (lookup->answered || lookup->timed_out)
		;
	else if (lookup->ioloop != NULL)
		metadata_dict_lookup_wait(lookup, timeout_msecs);
	else
		metadata_dict_lookup_sync(lookup, timeout_msecs);
	msecs = lookup->begin_msecs + http_notify_monotonic_msecs() - start;
	if (lookup->ret < 0 && msecs + 1 >= timeout_msecs) {
		/* Dovecot's client has given up; parts of milliseconds are not
		   counted */
		lookup->timed_out = TRUE;
	}
	if (!lookup->timed_out && msecs <= FAIR_MSECS)
		return;
	slow = slow_dict_get(lookup->name);
	if (lookup->timed_out) {
		slow->hung = TRUE;
		slow->until = http_notify_monotonic_msecs() +
			METADATA_DICT_SPELL_MSECS;
		if (service != NULL && !lookup->marked)
			slow_mark_set(service);
	} else
		slow->spent_msecs += msecs - FAIR_MSECS;
}

int metadata_dict_lookup_finish(struct metadata_dict_lookup **_lookup,
				unsigned int timeout_msecs,
				const char **value_r, const char **error_r,
				bool *said_r)
{
	struct metadata_dict_lookup *lookup = *_lookup;
	unsigned int msecs = slow_dict_left(lookup->name, timeout_msecs);
	int ret;

	if (lookup->callback != NULL && lookup->dict == NULL)
		msecs = I_MIN(msecs, SYNC_BACKGROUND_MSECS);
	if (msecs > 0 && !lookup->not_asked) {
		const char *service = metadata_dict_lookup_service(lookup);

		lookup->marked = service != NULL && slow_mark_is_set(service);
		if (lookup->marked)
			msecs = I_MIN(msecs, MARKED_MSECS);
		metadata_dict_lookup_ask(lookup, msecs);
	} else if (!lookup->answered)
		lookup->not_asked = TRUE;

	*said_r = FALSE;
	if (lookup->not_asked || lookup->timed_out) {
		*error_r = lookup->not_asked ?
			"the dictionary was too slow just before" :
			t_strdup_printf("the dictionary did not answer within "
				"%u ms; it is asked again after %u s", msecs,
				METADATA_DICT_SPELL_MSECS / 1000);
		*said_r = !log_spell_begins("", lookup->name, "");
		ret = -2;
	} else {
		log_spell_over("", lookup->name);
		ret = lookup->ret;
		*value_r = t_strdup(lookup->value);
		*error_r = t_strdup(lookup->error);
	}
	metadata_dict_lookup_abort(_lookup);
	return ret;
}

/* dict_deinit() would wait for the answer. */
static void metadata_dict_leave(struct dict *dict)
{
	struct event *event = dict->event;

	dict->v.deinit(dict);
	event_unref(&event);
}

void metadata_dict_lookup_abort(struct metadata_dict_lookup **_lookup)
{
	struct metadata_dict_lookup *lookup = *_lookup;
	struct ioloop *prev_ioloop = current_ioloop;

	*_lookup = NULL;
	lookup->left = TRUE;
	timeout_remove(&lookup->to);
	if (lookup->ioloop != NULL) {
		io_loop_set_current(lookup->ioloop);
		metadata_dict_leave(lookup->dict);
		io_loop_set_current(lookup->ioloop);
		if (lookup->callback == NULL)
			io_loop_destroy(&lookup->ioloop);
		io_loop_set_current(prev_ioloop);
	}
	i_free(lookup->name);
	i_free(lookup->key);
	i_free(lookup->value);
	i_free(lookup->error);
	i_free(lookup);
}

void metadata_dicts_init(void)
{
	background_ioloop = current_ioloop;
}

void metadata_dicts_deinit(void)
{
	if (!array_is_created(&slow_dicts))
		return;
	while (!array_is_empty(&slow_dicts))
		slow_dict_delete(0);
	array_free(&slow_dicts);
}
