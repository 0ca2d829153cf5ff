/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "strnum.h"

#include "admin-protocol.h"
#include "status-merge.h"

struct event_count {
	const char *event;
	uint64_t count;
};

struct status_row {
	/* with the number, and without; another one has the same URL */
	const char *name, *url;
	bool needs_number;
	const char *state, *standby_state, *queue, *last_error;
	int64_t nums[HTTP_NOTIFY_ADMIN_STATUS_COUNT];
	ARRAY(struct event_count) events;
};

struct status_merge {
	pool_t pool;
	bool several;
	HASH_TABLE(const char *, struct status_row *) by_name;
	/* the first one with this URL */
	HASH_TABLE(const char *, struct status_row *) by_url;
	ARRAY(struct status_row *) rows;
	/* NULL = none has come */
	struct status_row *total;
	/* status_merge_next(): the next one, and the row that it returns */
	unsigned int next;
	const char *fields[HTTP_NOTIFY_ADMIN_STATUS_COUNT];
};

/* How to put a field together. */
enum rule {
	RULE_SUM,
	RULE_MAX,
	RULE_FIRST,
	/* as the one with the worst state has it */
	RULE_OTHER
};

static const enum rule rules[HTTP_NOTIFY_ADMIN_STATUS_COUNT] = {
	[HTTP_NOTIFY_ADMIN_STATUS_STATE] = RULE_OTHER,
	[HTTP_NOTIFY_ADMIN_STATUS_SINCE] = RULE_OTHER,
	[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE] = RULE_OTHER,
	/* each host has a limit of its own */
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUED_PERCENT] = RULE_MAX,
	[HTTP_NOTIFY_ADMIN_STATUS_OLDEST] = RULE_MAX,
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_REFUSED] = RULE_FIRST,
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_DROPPED] = RULE_FIRST,
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_EXPIRED] = RULE_FIRST,
	[HTTP_NOTIFY_ADMIN_STATUS_KEPT_OLDEST] = RULE_FIRST,
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUE] = RULE_OTHER,
	[HTTP_NOTIFY_ADMIN_STATUS_QUEUE_SINCE] = RULE_OTHER,
	[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = RULE_OTHER,
	[HTTP_NOTIFY_ADMIN_STATUS_EVENTS] = RULE_OTHER,
	[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] = RULE_OTHER,
};

struct status_merge *status_merge_init(bool several)
{
	pool_t pool = pool_alloconly_create("status", 4096);
	struct status_merge *merge = p_new(pool, struct status_merge, 1);

	merge->pool = pool;
	merge->several = several;
	hash_table_create(&merge->by_name, default_pool, 0, str_hash, strcmp);
	hash_table_create(&merge->by_url, default_pool, 0, str_hash, strcmp);
	i_array_init(&merge->rows, 16);
	return merge;
}

void status_merge_deinit(struct status_merge **_merge)
{
	struct status_merge *merge = *_merge;

	*_merge = NULL;
	hash_table_destroy(&merge->by_name);
	hash_table_destroy(&merge->by_url);
	array_free(&merge->rows);
	pool_unref(&merge->pool);
}

/* Adding */

/* Of an endpoint, or of the queue. */
static int badness(const char *state)
{
	static const char *const states[] = {
		"", "up", HTTP_NOTIFY_ADMIN_QUEUE_MOVING,
		HTTP_NOTIFY_ADMIN_QUEUE_SPOOLING, "down"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(states); i++) {
		if (strcmp(state, states[i]) == 0)
			break;
	}
	return i;
}

static int64_t num(const char *text)
{
	int64_t value;

	return str_to_int64(text, &value) < 0 ? 0 : value;
}

/* Without the number that follows a URL: "... #2" */
static const char *url_of(pool_t pool, const char *name)
{
	const char *number = strrchr(name, '#');

	return number == NULL || number == name || number[-1] != ' ' ?
		p_strdup(pool, name) : p_strdup_until(pool, name, number - 1);
}

static struct status_row *
status_merge_new(struct status_merge *merge, const char *name)
{
	struct status_row *row = p_new(merge->pool, struct status_row, 1);

	row->name = p_strdup(merge->pool, name);
	row->url = url_of(merge->pool, name);
	row->state = row->standby_state = row->queue = "";
	row->last_error = "";
	p_array_init(&row->events, merge->pool, 4);
	return row;
}

/* Returns the row for the name; new_r = it is empty. */
static struct status_row *
status_merge_get(struct status_merge *merge, const char *name, bool *new_r)
{
	bool total = strcmp(name, HTTP_NOTIFY_ADMIN_TOTAL) == 0;
	struct status_row *row = total ? merge->total :
		hash_table_lookup(merge->by_name, name);
	struct status_row *same;

	*new_r = row == NULL;
	if (row != NULL)
		return row;
	row = status_merge_new(merge, name);
	if (total) {
		merge->total = row;
		return row;
	}
	same = hash_table_lookup(merge->by_url, row->url);
	if (same == NULL)
		hash_table_insert(merge->by_url, row->url, row);
	else
		same->needs_number = row->needs_number = TRUE;
	hash_table_insert(merge->by_name, row->name, row);
	array_push_back(&merge->rows, &row);
	return row;
}

static void
add_event(struct status_merge *merge, struct status_row *row,
	  const char *event, uint64_t count)
{
	struct event_count *old, new;

	array_foreach_modifiable(&row->events, old) {
		if (strcmp(old->event, event) == 0) {
			old->count += count;
			return;
		}
	}
	new.event = p_strdup(merge->pool, event);
	new.count = count;
	array_push_back(&row->events, &new);
}

static void
add_events(struct status_merge *merge, struct status_row *row,
	   const char *events)
{
	const char *const *words, *equals;
	uint64_t count;

	for (words = t_strsplit_spaces(events, " "); *words != NULL; words++) {
		equals = strchr(*words, '=');
		if (equals != NULL && str_to_uint64(equals + 1, &count) == 0) {
			add_event(merge, row, t_strdup_until(*words, equals),
				  count);
		}
	}
}

/* Returns above 0 if this state is worse than that of the hosts before. */
static int
add_worst(struct status_merge *merge, const char **worst, int64_t *since,
	  const char *state, const char *secs, bool new)
{
	int worse = new ? 1 : badness(state) - badness(*worst);

	if (worse > 0) {
		*worst = p_strdup(merge->pool, state);
		*since = num(secs);
	} else if (worse == 0)
		*since = I_MAX(*since, num(secs));
	return worse;
}

/* The state, since when, and why. */
static void
add_state(struct status_merge *merge, struct status_row *row, const char *host,
	  const char *const *fields, bool new)
{
	const char *secs = fields[HTTP_NOTIFY_ADMIN_STATUS_SINCE];
	const char *error = fields[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR];
	int64_t *since = &row->nums[HTTP_NOTIFY_ADMIN_STATUS_SINCE];
	int64_t before = *since;
	int worse, queue_worse;

	worse = add_worst(merge, &row->state, since,
			  fields[HTTP_NOTIFY_ADMIN_STATUS_STATE], secs, new);
	queue_worse = add_worst(merge, &row->queue,
		&row->nums[HTTP_NOTIFY_ADMIN_STATUS_QUEUE_SINCE],
		fields[HTTP_NOTIFY_ADMIN_STATUS_QUEUE],
		fields[HTTP_NOTIFY_ADMIN_STATUS_QUEUE_SINCE], new);
	if (row == merge->total) {
		/* their counters begin with that */
		if (!new)
			*since = I_MIN(before, num(secs));
		worse = queue_worse;
	}
	if (*error != '\0' && (worse > 0 || *row->last_error == '\0')) {
		row->last_error = !merge->several ?
			p_strdup(merge->pool, error) :
			p_strconcat(merge->pool, host, ": ", error, NULL);
	}
}

void status_merge_add(struct status_merge *merge, const char *host,
		      const char *const *fields)
{
	const char *standby = fields[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE];
	struct status_row *row;
	unsigned int i;
	bool new;

	row = status_merge_get(merge, fields[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT],
			       &new);
	add_state(merge, row, host, fields, new);
	if (badness(standby) > badness(row->standby_state))
		row->standby_state = p_strdup(merge->pool, standby);
	add_events(merge, row, fields[HTTP_NOTIFY_ADMIN_STATUS_EVENTS]);
	for (i = 0; i < HTTP_NOTIFY_ADMIN_STATUS_COUNT; i++) {
		int64_t value = num(fields[i]);

		if (rules[i] == RULE_SUM)
			row->nums[i] += value;
		else if (rules[i] == RULE_MAX)
			row->nums[i] = I_MAX(row->nums[i], value);
		else if (rules[i] == RULE_FIRST && new)
			row->nums[i] = value;
	}
}

/* Giving back */

static const char *
events_str(struct status_merge *merge, const struct status_row *row)
{
	string_t *str = str_new(merge->pool, 64);
	const struct event_count *count;

	array_foreach(&row->events, count) {
		str_printfa(str, "%s%s=%"PRIu64, str_len(str) == 0 ? "" : " ",
			    count->event, count->count);
	}
	return str_c(str);
}

const char *const *status_merge_next(struct status_merge *merge)
{
	struct status_row *row = NULL;
	unsigned int i;

	if (merge->next < array_count(&merge->rows))
		row = array_idx_elem(&merge->rows, merge->next);
	else if (merge->next == array_count(&merge->rows))
		row = merge->total;
	merge->next++;
	if (row == NULL)
		return NULL;
	for (i = 0; i < HTTP_NOTIFY_ADMIN_STATUS_COUNT; i++) {
		merge->fields[i] = p_strdup_printf(merge->pool, "%"PRId64,
						   row->nums[i]);
	}
	merge->fields[HTTP_NOTIFY_ADMIN_STATUS_STATE] = row->state;
	merge->fields[HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE] =
		row->standby_state;
	merge->fields[HTTP_NOTIFY_ADMIN_STATUS_QUEUE] = row->queue;
	merge->fields[HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT] = row->needs_number ?
		row->name : row->url;
	merge->fields[HTTP_NOTIFY_ADMIN_STATUS_EVENTS] = events_str(merge, row);
	merge->fields[HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR] = row->last_error;
	return merge->fields;
}
