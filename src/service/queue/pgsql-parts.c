/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "crc32.h"
#include "hash.h"
#include "ioloop.h"
#include "str.h"

#include "monotonic.h"
#include "pgsql-commit.h"
#include "pgsql-messages.h"
#include "pgsql-parts.h"

/* What others are told is gathered for this long. */
#define TELL_MSECS 10
/* PostgreSQL's limit for what is said by NOTIFY is 8000 bytes. */
#define PAYLOAD_MAX 7800
#define LOOK_MSECS (20*1000)
/* The database deletes parts only if nothing was stored in them for far longer. */
#define UNUSED_MSECS (24*60*60*1000)
/* Forget parts that this host had nothing to do with for this long: in a slot at
   a time, in each as often. */
#define FORGET_MSECS (60*60*1000)
/* How many parts to look at in one go: commits wait for it. */
#define LOOK_BATCH 256

/* A look at parts with a higher number than this, in these slots. */
struct pgsql_look {
	/* INT64_MAX = at none */
	int64_t after;
	bool slots[PGSQL_SLOTS];
};

struct pgsql_parts {
	struct pgsql_queue *queue;
	struct pgsql_slots *slots;
	/* what slots knows this host by; and the server that they are of, 0 =
	   not known yet */
	int64_t host, server;
	bool claimed;
	/* why there are no slots, which is logged; NULL = there are, or it is
	   not known yet */
	char *failing;

	HASH_TABLE(struct pgsql_part *, struct pgsql_part *) by_key;
	HASH_TABLE(void *, struct pgsql_part *) by_number;
	struct pgsql_part *by_slot[PGSQL_SLOTS];
	/* This host sends it, and has looked what is in it. What it stores until
	   then may have been sent by the former host. */
	bool looked[PGSQL_SLOTS];
	/* the one that is under way, by batches, and what to look at then */
	struct pgsql_look look, next_look;

	/* those that others are to be told of */
	ARRAY(struct pgsql_part *) telling;
	struct timeout *to_tell;

	struct timeout *to_forget;
	/* the slot whose turn it is */
	unsigned int forget_slot;
};

static void pgsql_look_init(struct pgsql_look *look)
{
	i_zero(look);
	look->after = INT64_MAX;
}

/* Which parts there are */

static unsigned int part_hash(const struct pgsql_part *part)
{
	return part->endpoint * PGSQL_SLOTS + part->slot;
}

static int
part_cmp(const struct pgsql_part *part1, const struct pgsql_part *part2)
{
	return part1->endpoint == part2->endpoint &&
		part1->slot == part2->slot ? 0 : 1;
}

struct pgsql_part *
pgsql_parts_find(struct pgsql_parts *parts, int64_t endpoint, int64_t slot)
{
	struct pgsql_part key = { .endpoint = endpoint, .slot = slot };

	return hash_table_lookup(parts->by_key, &key);
}

struct pgsql_part *
pgsql_parts_find_number(struct pgsql_parts *parts, int64_t number)
{
	return hash_table_lookup(parts->by_number, POINTER_CAST(number));
}

/* Nothing was in it for long, so that it was deleted, and then made again. A
   commit under way may have it. */
static void
pgsql_parts_renumber(struct pgsql_parts *parts, struct pgsql_part *part,
		     int64_t number)
{
	struct queue *queue = parts->queue->engine.queue;
	struct queue_part *qp = queue_engine_find_part(queue, part->number);

	if (qp != NULL)
		queue_engine_part_revoked(queue, qp);
	hash_table_remove(parts->by_number, POINTER_CAST(part->number));
	part->number = number;
	part->last_id = part->former_last_id = part->stored = 0;
	hash_table_insert(parts->by_number, POINTER_CAST(number), part);
}

struct pgsql_part *
pgsql_parts_have(struct pgsql_parts *parts, int64_t endpoint, int64_t slot,
		 int64_t number)
{
	struct pgsql_part *part = pgsql_parts_find(parts, endpoint, slot);

	if (part != NULL) {
		if (part->number != number)
			pgsql_parts_renumber(parts, part, number);
		part->used = http_notify_monotonic_msecs();
		return part;
	}
	part = i_new(struct pgsql_part, 1);
	part->used = http_notify_monotonic_msecs();
	part->endpoint = endpoint;
	part->slot = slot;
	part->number = number;
	part->next_in_slot = parts->by_slot[slot];
	parts->by_slot[slot] = part;
	hash_table_insert(parts->by_key, part, part);
	hash_table_insert(parts->by_number, POINTER_CAST(number), part);
	return part;
}

int64_t pgsql_parts_slot(const struct queue_item *item)
{
	/* all hosts and versions have to reckon in the same way */
	return crc32_str_more(crc32_str(item->endpoint->key),
			      item->username) % PGSQL_SLOTS;
}

/* Telling others */

static void
told(const struct pgsql_answer *answer ATTR_UNUSED, void *context ATTR_UNUSED)
{
	/* they look by themselves, too */
}

static void
pgsql_parts_send(struct pgsql_parts *parts, int64_t host, string_t *payload)
{
	struct pgsql_params params = { .count = 0 };

	if (str_len(payload) == 0)
		return;
	pgsql_params_add_text(&params, pgsql_slots_channel(host));
	pgsql_params_add_text(&params, str_c(payload));
	pgsql_conn_add(parts->queue->conn, PGSQL_NOTIFY, &params);
	pgsql_conn_send(parts->queue->conn, LOOK_MSECS, told, NULL);
	str_truncate(payload, 0);
}

/* Whom to tell of the part. All of them, if its owner is not known: while this
   host has no connection for slots, or the owner is changing. */
static int64_t
pgsql_parts_whom(const struct pgsql_parts *parts, const struct pgsql_part *part)
{
	return part->again ? PGSQL_ALL_HOSTS :
		I_MAX(pgsql_slots_owner(parts->slots, part->slot),
		      PGSQL_ALL_HOSTS);
}

/* Tell the host of its parts, or all hosts, and take them out. */
static void pgsql_parts_tell_host(struct pgsql_parts *parts, int64_t host)
{
	string_t *payload = t_str_new(512);
	struct pgsql_part *part;
	unsigned int i;

	for (i = array_count(&parts->telling); i > 0; i--) {
		part = array_idx_elem(&parts->telling, i - 1);
		if (pgsql_parts_whom(parts, part) != host)
			continue;
		if (host != parts->queue->host) {
			str_printfa(payload, "%s%s%"PRId64":%"PRId64":%"PRId64,
				    str_len(payload) == 0 ? "" : " ",
				    part->again ? "again:" : "",
				    part->number, part->slot,
				    I_MAX(part->last_id, part->former_last_id));
		}
		/* else this host has got it lately, and has looked */
		part->tell = part->again = FALSE;
		array_delete(&parts->telling, i - 1, 1);
		if (str_len(payload) > PAYLOAD_MAX - 100)
			pgsql_parts_send(parts, host, payload);
	}
	pgsql_parts_send(parts, host, payload);
}

static void pgsql_parts_tell_all(struct pgsql_parts *parts)
{
	timeout_remove(&parts->to_tell);
	if (parts->slots == NULL || !pgsql_queue_is_ready(parts->queue)) {
		/* see pgsql_parts_ready() */
		return;
	}
	while (!array_is_empty(&parts->telling)) T_BEGIN {
		pgsql_parts_tell_host(parts, pgsql_parts_whom(parts,
			array_idx_elem(&parts->telling, 0)));
	} T_END;
}

static void
pgsql_parts_tell(struct pgsql_parts *parts, struct pgsql_part *part)
{
	if (!part->tell)
		array_push_back(&parts->telling, &part);
	part->tell = TRUE;
	if (parts->to_tell == NULL) {
		parts->to_tell = timeout_add_short(TELL_MSECS,
			pgsql_parts_tell_all, parts);
	}
}

/* What this host sends */

bool pgsql_parts_sends_first(const struct pgsql_parts *parts)
{
	return parts->slots != NULL && pgsql_slots_is_own(parts->slots, 0);
}

/* Something is queued in the part, up to this id; or was put back into it. */
static void
pgsql_parts_grown(struct pgsql_parts *parts, struct pgsql_part *part,
		  struct queue_endpoint *ep, int64_t last_id, bool again)
{
	struct queue *queue = parts->queue->engine.queue;
	struct queue_part *qp = queue_engine_find_part(queue, part->number);

	part->used = http_notify_monotonic_msecs();
	part->last_id = I_MAX(part->last_id, last_id);
	if (qp != NULL) {
		queue_engine_part_grown(queue, qp, part->last_id);
		if (again)
			queue_engine_part_look_again(queue, qp);
	} else {
		(void)queue_engine_have_part(queue, ep, part->number,
					     part->last_id);
	}
}

static void
pgsql_parts_looked(struct pgsql_parts *parts, const PGresult *rows)
{
	struct queue *queue = parts->queue->engine.queue;
	struct queue_endpoint *ep;
	struct pgsql_part *part;
	int64_t endpoint, slot;
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		if (PQgetisnull(rows, i, 1) != 0)
			continue;
		endpoint = pgsql_get_int(rows, i, 1);
		slot = pgsql_get_int(rows, i, 2);
		if (!pgsql_slots_is_own(parts->slots, slot))
			continue;
		ep = queue_engine_get_endpoint(queue, endpoint);
		if (ep == NULL) {
			ep = queue_engine_have_endpoint(queue, endpoint,
				pgsql_get_str(rows, i, 4),
				pgsql_get_str(rows, i, 5));
		}
		part = pgsql_parts_have(parts, endpoint, slot,
					pgsql_get_int(rows, i, 0));
		pgsql_parts_grown(parts, part, ep, pgsql_get_int(rows, i, 3),
				  FALSE);
	}
}

static void pgsql_parts_look_on(struct pgsql_parts *parts);

/* There is one at a time, whatever asks for it: commits wait for looks. */
static void pgsql_parts_look_begin(struct pgsql_parts *parts)
{
	if (parts->look.after != INT64_MAX ||
	    parts->next_look.after == INT64_MAX ||
	    !pgsql_queue_is_ready(parts->queue))
		return;
	parts->look = parts->next_look;
	pgsql_look_init(&parts->next_look);
	pgsql_parts_look_on(parts);
}

static void pgsql_parts_look_end(struct pgsql_parts *parts)
{
	unsigned int i;

	for (i = 0; i < PGSQL_SLOTS; i++) {
		if (parts->look.slots[i])
			parts->looked[i] = TRUE;
	}
	pgsql_look_init(&parts->look);
	pgsql_parts_look_begin(parts);
}

static void
pgsql_parts_look_answered(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_parts *parts = context;
	const PGresult *rows;

	if (answer->error != NULL) {
		/* see pgsql_parts_ready() */
		pgsql_look_init(&parts->look);
		if (!answer->unknown)
			pgsql_conn_fail(parts->queue->conn, answer->error);
		return;
	}
	rows = answer->results[0];
	pgsql_parts_looked(parts, rows);
	if (PQntuples(rows) < LOOK_BATCH)
		pgsql_parts_look_end(parts);
	else {
		parts->look.after = pgsql_get_int(rows, LOOK_BATCH - 1, 0);
		pgsql_parts_look_on(parts);
	}
}

static void pgsql_parts_look_on(struct pgsql_parts *parts)
{
	struct pgsql_conn *conn = parts->queue->conn;
	struct pgsql_params params = { .count = 0 };
	int64_t slots[PGSQL_SLOTS];
	unsigned int i, count = 0;

	for (i = 0; i < PGSQL_SLOTS; i++) {
		if (parts->look.slots[i])
			slots[count++] = i;
	}
	pgsql_params_add_ints(&params, slots, count);
	pgsql_params_add_int(&params, parts->look.after);
	pgsql_params_add_int(&params, LOOK_BATCH);
	pgsql_conn_add(conn, PGSQL_LOOK, &params);
	pgsql_conn_send(conn, LOOK_MSECS, pgsql_parts_look_answered, parts);
}

/* At parts of the slot with a higher number, when it is begun. */
static void
pgsql_parts_look_after(struct pgsql_parts *parts, int64_t slot, int64_t number)
{
	parts->next_look.slots[slot] = TRUE;
	parts->next_look.after = I_MIN(parts->next_look.after, number);
}

static void
pgsql_parts_look(const int64_t *slots, unsigned int count, void *context)
{
	struct pgsql_parts *parts = context;
	unsigned int i;

	for (i = 0; i < count; i++)
		pgsql_parts_look_after(parts, slots[i], 0);
	pgsql_parts_look_begin(parts);
}

/* After a notification was stored by this host. */
static void
pgsql_parts_stored_here(struct pgsql_parts *parts, struct pgsql_part *part,
			struct queue_item *item, int64_t before_id)
{
	struct queue *queue = parts->queue->engine.queue;
	struct queue_part *qp = queue_engine_find_part(queue, part->number);
	bool known = part->last_id >= before_id;

	if (qp == NULL) {
		qp = queue_engine_have_part(queue, item->endpoint,
					    part->number,
					    known ? 0 : before_id);
		known = TRUE;
	}
	part->last_id = item->id;
	if (known)
		item->part = qp;
	else
		queue_engine_part_grown(queue, qp, item->id);
}

void pgsql_parts_stored(struct pgsql_parts *parts, struct pgsql_part *part,
			struct queue_item *item, int64_t before_id)
{
	struct queue *queue = parts->queue->engine.queue;
	struct queue_part *qp;

	item->part = NULL;
	part->used = part->stored = http_notify_monotonic_msecs();
	if (parts->slots == NULL)
		return;
	if (!pgsql_slots_is_own(parts->slots, part->slot)) {
		part->again = part->again || before_id == 0;
		part->former_last_id = I_MAX(part->former_last_id, item->id);
		pgsql_parts_tell(parts, part);
	} else if (!parts->looked[part->slot]) {
		pgsql_parts_grown(parts, part, item->endpoint, item->id,
				  before_id == 0);
	} else if (before_id != 0)
		pgsql_parts_stored_here(parts, part, item, before_id);
	else {
		qp = queue_engine_find_part(queue, part->number);
		part->last_id = I_MAX(part->last_id, item->id);
		item->part = qp != NULL ? qp :
			queue_engine_have_part(queue, item->endpoint,
					       part->number, part->last_id);
	}
}

/* "[again:]<part>:<slot>:<highest id> ..." */
static void pgsql_parts_notified(const char *payload, void *context)
{
	struct pgsql_parts *parts = context;
	struct queue *queue = parts->queue->engine.queue;
	const char *const *words, *const *args;
	int64_t number, slot, last_id;
	struct queue_endpoint *ep;
	struct pgsql_part *part;
	bool again;

	if (strcmp(payload, PGSQL_MESSAGE_PAYLOAD) == 0) {
		pgsql_messages_take(parts->queue);
		return;
	}
	for (words = t_strsplit_spaces(payload, " "); *words != NULL; words++) {
		args = t_strsplit(*words, ":");
		again = strcmp(args[0], "again") == 0;
		if (again)
			args++;
		if (str_array_length(args) != 3 ||
		    str_to_int64(args[0], &number) < 0 ||
		    str_to_int64(args[1], &slot) < 0 ||
		    str_to_int64(args[2], &last_id) < 0 ||
		    slot < 0 || slot >= PGSQL_SLOTS ||
		    !pgsql_slots_is_own(parts->slots, slot))
			continue;
		part = pgsql_parts_find_number(parts, number);
		ep = part == NULL ? NULL :
			queue_engine_get_endpoint(queue, part->endpoint);
		if (ep == NULL)
			pgsql_parts_look_after(parts, slot, number - 1);
		else
			pgsql_parts_grown(parts, part, ep, last_id, again);
	}
	pgsql_parts_look_begin(parts);
}

/* Losing slots */

static void pgsql_parts_unlook(struct pgsql_parts *parts, unsigned int slot)
{
	/* also if it is got again before a look has ended */
	parts->looked[slot] = parts->look.slots[slot] =
		parts->next_look.slots[slot] = FALSE;
}

static void part_forget_last(struct pgsql_part *part)
{
	part->former_last_id = I_MAX(part->former_last_id, part->last_id);
	part->last_id = 0;
}

static void
pgsql_parts_slot_released(struct pgsql_parts *parts, int64_t slot,
			  const struct queue_part *except)
{
	struct queue *queue = parts->queue->engine.queue;
	struct pgsql_part *part;
	struct queue_part *qp;

	for (part = parts->by_slot[slot]; part != NULL;
	     part = part->next_in_slot) {
		qp = queue_engine_find_part(queue, part->number);
		if (qp != NULL && qp != except)
			return;
	}
	for (part = parts->by_slot[slot]; part != NULL;
	     part = part->next_in_slot)
		part_forget_last(part);
	pgsql_slots_released(parts->slots, slot);
}

void pgsql_parts_part_released(struct pgsql_parts *parts,
			       struct queue_part *part)
{
	struct pgsql_part *pp = pgsql_parts_find_number(parts, part->number);

	pgsql_parts_slot_released(parts, pp->slot, part);
}

/* Called again and again until it is released: parts may be forgotten. */
static void pgsql_parts_release(int64_t slot, void *context)
{
	struct pgsql_parts *parts = context;
	struct queue *queue = parts->queue->engine.queue;
	struct pgsql_part *part;
	struct queue_part *qp;

	for (part = parts->by_slot[slot]; part != NULL;
	     part = part->next_in_slot) {
		qp = queue_engine_find_part(queue, part->number);
		if (qp != NULL)
			queue_engine_part_release(queue, qp);
	}
	pgsql_parts_unlook(parts, slot);
	pgsql_parts_slot_released(parts, slot, NULL);
}

static void pgsql_parts_revoked(void *context)
{
	struct pgsql_parts *parts = context;
	struct queue *queue = parts->queue->engine.queue;
	struct pgsql_part *part;
	struct queue_part *qp;
	unsigned int slot;

	for (slot = 0; slot < PGSQL_SLOTS; slot++) {
		pgsql_parts_unlook(parts, slot);
		for (part = parts->by_slot[slot]; part != NULL;
		     part = part->next_in_slot) {
			part_forget_last(part);
			qp = queue_engine_find_part(queue, part->number);
			if (qp != NULL)
				queue_engine_part_revoked(queue, qp);
		}
	}
}

/* If PostgreSQL can't be used at all, that is logged by others. */
static void pgsql_parts_failing(const char *error, void *context)
{
	struct pgsql_parts *parts = context;

	if (!pgsql_queue_is_ready(parts->queue) || parts->failing != NULL)
		return;
	i_error("This host stores in PostgreSQL, but can't send what is there: "
		"%s", error);
	parts->failing = i_strdup(error);
}

const char *pgsql_parts_failing_reason(const struct pgsql_parts *parts)
{
	return parts->failing;
}

/* Nor can it be relied on that what is stored by the other connection is. */
static void pgsql_parts_shared(void *context)
{
	struct pgsql_parts *parts = context;

	pgsql_conn_fail(parts->queue->conn, PGSQL_SESSION_SHARED);
}

static void
pgsql_parts_claimed(const int64_t *slots, unsigned int count, void *context)
{
	struct pgsql_parts *parts = context;

	if (parts->failing != NULL)
		i_info("This host sends what is in PostgreSQL again");
	i_free(parts->failing);
	pgsql_parts_look(slots, count, context);
}

static void pgsql_parts_clock(int64_t msecs, void *context)
{
	struct pgsql_parts *parts = context;

	parts->queue->clock_offset = msecs;
}

/* After a failover, one connection may still be to the former server, which is
   not aware of that or can't be heard. */
static void pgsql_parts_server(const PGresult *rows, void *context)
{
	struct pgsql_parts *parts = context;
	struct pgsql_queue *queue = parts->queue;

	if (!pgsql_queue_check_version(queue, rows))
		return;
	parts->server = pgsql_get_int(rows, 0, 3);
	if (pgsql_queue_is_ready(queue) && parts->server != queue->server) {
		pgsql_conn_fail(queue->conn,
				"new connections are to another server");
	}
}

void pgsql_parts_claim(struct pgsql_parts *parts)
{
	static const struct pgsql_slots_vfuncs vfuncs = {
		.claimed = pgsql_parts_claimed,
		.failing = pgsql_parts_failing,
		.shared = pgsql_parts_shared,
		.look = pgsql_parts_look,
		.release = pgsql_parts_release,
		.revoked = pgsql_parts_revoked,
		.notified = pgsql_parts_notified,
		.clock = pgsql_parts_clock,
		.server = pgsql_parts_server
	};

	parts->claimed = TRUE;
	if (parts->slots == NULL && parts->queue->host != 0) {
		parts->host = parts->queue->host;
		parts->server = 0;
		parts->slots = pgsql_slots_init(&parts->queue->conn_set,
						parts->queue->host,
						parts->queue->instance,
						&vfuncs, parts);
	}
}

bool pgsql_parts_may_send(struct pgsql_parts *parts)
{
	return parts->slots != NULL && pgsql_slots_hold(parts->slots);
}

void pgsql_parts_check(struct pgsql_parts *parts)
{
	struct pgsql_array numbers, endpoints, slots, last_ids;
	struct pgsql_params params = { .count = 0 };
	const struct pgsql_part *part;
	unsigned int slot;

	pgsql_array_init_ints(&numbers);
	pgsql_array_init_ints(&endpoints);
	pgsql_array_init_ints(&slots);
	pgsql_array_init_ints(&last_ids);
	for (slot = 0; slot < PGSQL_SLOTS; slot++) {
		for (part = parts->by_slot[slot]; part != NULL;
		     part = part->next_in_slot) {
			pgsql_array_add_int(&numbers, part->number);
			pgsql_array_add_int(&endpoints, part->endpoint);
			pgsql_array_add_int(&slots, part->slot);
			pgsql_array_add_int(&last_ids,
				I_MAX(part->last_id, part->former_last_id));
		}
	}
	pgsql_params_add_array(&params, &numbers);
	pgsql_params_add_array(&params, &endpoints);
	pgsql_params_add_array(&params, &slots);
	pgsql_params_add_array(&params, &last_ids);
	pgsql_conn_add(parts->queue->conn, PGSQL_PARTS_CHECK, &params);
}

void pgsql_parts_gone(struct pgsql_parts *parts, struct pgsql_part *part)
{
	struct queue *queue = parts->queue->engine.queue;
	struct queue_part *qp = queue_engine_find_part(queue, part->number);
	struct pgsql_part **pos = &parts->by_slot[part->slot];
	unsigned int i;

	if (qp != NULL)
		queue_engine_part_revoked(queue, qp);
	hash_table_remove(parts->by_key, part);
	hash_table_remove(parts->by_number, POINTER_CAST(part->number));
	while (*pos != part)
		pos = &(*pos)->next_in_slot;
	*pos = part->next_in_slot;
	for (i = array_count(&parts->telling); i > 0; i--) {
		if (array_idx_elem(&parts->telling, i - 1) == part)
			array_delete(&parts->telling, i - 1, 1);
	}
	i_free(part);
}

/* With an endpoint for each user there would be ever more of them, in memory and
   to be checked. */
static void pgsql_parts_forget(struct pgsql_parts *parts)
{
	struct queue *queue = parts->queue->engine.queue;
	int64_t unused = http_notify_monotonic_msecs() - FORGET_MSECS;
	struct pgsql_part *part, *next;

	if (pgsql_commit_is_busy(parts->queue->commit) ||
	    !pgsql_queue_is_ready(parts->queue)) {
		/* they may be in the commit, or be being checked */
		return;
	}
	for (part = parts->by_slot[parts->forget_slot]; part != NULL;
	     part = next) {
		next = part->next_in_slot;
		if (part->used < unused && !part->tell &&
		    queue_engine_find_part(queue, part->number) == NULL)
			pgsql_parts_gone(parts, part);
	}
	parts->forget_slot = (parts->forget_slot + 1) % PGSQL_SLOTS;
}

void pgsql_parts_checked(struct pgsql_parts *parts, const PGresult *rows)
{
	int64_t now = http_notify_monotonic_msecs();
	struct pgsql_part *part;
	int i;

	for (i = 0; i < PQntuples(rows); i++) {
		part = pgsql_parts_find_number(parts,
					       pgsql_get_int(rows, i, 0));
		if (pgsql_get_int(rows, i, 1) != 0 ||
		    (part->stored != 0 && part->stored > now - UNUSED_MSECS))
			pgsql_queue_other_tables();
		pgsql_parts_gone(parts, part);
	}
}

void pgsql_parts_stop(struct pgsql_parts *parts)
{
	struct pgsql_part *part;

	if (parts->slots == NULL)
		return;
	timeout_remove(&parts->to_tell);
	array_foreach_elem(&parts->telling, part)
		part->tell = part->again = FALSE;
	array_clear(&parts->telling);
	pgsql_parts_revoked(parts);
	pgsql_slots_deinit(&parts->slots);
}

void pgsql_parts_ready(struct pgsql_parts *parts)
{
	int64_t slots[PGSQL_SLOTS];
	unsigned int i, count = 0;

	if (parts->host != parts->queue->host ||
	    (parts->server != 0 && parts->server != parts->queue->server)) {
		/* what it sends is another database's */
		pgsql_parts_stop(parts);
	}
	if (parts->claimed && parts->slots == NULL)
		pgsql_parts_claim(parts);
	if (!array_is_empty(&parts->telling) && parts->to_tell == NULL) {
		parts->to_tell = timeout_add_short(TELL_MSECS,
			pgsql_parts_tell_all, parts);
	}
	for (i = 0; parts->slots != NULL && i < PGSQL_SLOTS; i++) {
		if (pgsql_slots_is_own(parts->slots, i))
			slots[count++] = i;
	}
	if (count > 0)
		pgsql_parts_look(slots, count, parts);
}

struct pgsql_parts *pgsql_parts_init(struct pgsql_queue *queue)
{
	struct pgsql_parts *parts = i_new(struct pgsql_parts, 1);

	parts->queue = queue;
	hash_table_create(&parts->by_key, default_pool, 0, part_hash, part_cmp);
	hash_table_create_direct(&parts->by_number, default_pool, 0);
	i_array_init(&parts->telling, 16);
	pgsql_look_init(&parts->look);
	pgsql_look_init(&parts->next_look);
	parts->to_forget = timeout_add(FORGET_MSECS / PGSQL_SLOTS,
				       pgsql_parts_forget, parts);
	return parts;
}

void pgsql_parts_deinit(struct pgsql_parts **_parts)
{
	struct pgsql_parts *parts = *_parts;
	struct pgsql_part *part, *next;
	unsigned int slot;

	*_parts = NULL;
	pgsql_slots_deinit(&parts->slots);
	i_free(parts->failing);
	timeout_remove(&parts->to_tell);
	timeout_remove(&parts->to_forget);
	for (slot = 0; slot < PGSQL_SLOTS; slot++) {
		for (part = parts->by_slot[slot]; part != NULL; part = next) {
			next = part->next_in_slot;
			i_free(part);
		}
	}
	hash_table_destroy(&parts->by_key);
	hash_table_destroy(&parts->by_number);
	array_free(&parts->telling);
	i_free(parts);
}
