/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "crc32.h"
#include "hash.h"
#include "ioloop.h"
#include "str.h"

#include "pgsql-parts.h"

/* What others are told is gathered for this long. */
#define TELL_MSECS 10
/* If it is not known whom to tell of what was put back, try again after this. */
#define TELL_AGAIN_MSECS 200
/* PostgreSQL's limit for what is said by NOTIFY is 8000 bytes. */
#define PAYLOAD_MAX 7800
#define LOOK_MSECS (20*1000)

struct pgsql_parts {
	struct pgsql_queue *queue;
	struct pgsql_slots *slots;
	/* what slots knows this host by */
	int64_t host;
	bool claimed;

	HASH_TABLE(struct pgsql_part *, struct pgsql_part *) by_key;
	HASH_TABLE(void *, struct pgsql_part *) by_number;
	struct pgsql_part *by_slot[PGSQL_SLOTS];
	/* this host sends it, and has looked what is in it */
	bool looked[PGSQL_SLOTS];

	/* those that others are to be told of */
	ARRAY(struct pgsql_part *) telling;
	struct timeout *to_tell;
};

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

struct pgsql_part *
pgsql_parts_have(struct pgsql_parts *parts, int64_t endpoint, int64_t slot,
		 int64_t number)
{
	struct pgsql_part *part = pgsql_parts_find(parts, endpoint, slot);

	if (part != NULL)
		return part;
	part = i_new(struct pgsql_part, 1);
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

/* Tell the host of the parts that it sends, and take them out. */
static void pgsql_parts_tell_host(struct pgsql_parts *parts, int64_t host)
{
	string_t *payload = t_str_new(512);
	struct pgsql_part *part;
	unsigned int i;

	for (i = array_count(&parts->telling); i > 0; i--) {
		part = array_idx_elem(&parts->telling, i - 1);
		if (pgsql_slots_owner(parts->slots, part->slot) != host)
			continue;
		str_printfa(payload, "%s%s%"PRId64":%"PRId64":%"PRId64,
			    str_len(payload) == 0 ? "" : " ",
			    part->again ? "again:" : "",
			    part->number, part->slot, part->last_id);
		part->tell = part->again = FALSE;
		array_delete(&parts->telling, i - 1, 1);
		if (str_len(payload) > PAYLOAD_MAX - 100)
			pgsql_parts_send(parts, host, payload);
	}
	pgsql_parts_send(parts, host, payload);
}

static void pgsql_parts_tell_all(struct pgsql_parts *parts)
{
	struct pgsql_part *part;
	unsigned int i = 0;
	int64_t host;

	timeout_remove(&parts->to_tell);
	while (i < array_count(&parts->telling)) T_BEGIN {
		part = array_idx_elem(&parts->telling, i);
		host = pgsql_slots_owner(parts->slots, part->slot);
		if (host > 0 && host != parts->queue->host &&
		    pgsql_queue_is_ready(parts->queue))
			pgsql_parts_tell_host(parts, host);
		else if (part->again && host != parts->queue->host) {
			/* whoever has got it may have looked already */
			i++;
		} else {
			/* whoever gets it looks */
			part->tell = part->again = FALSE;
			array_delete(&parts->telling, i, 1);
		}
	} T_END;
	if (i > 0) {
		parts->to_tell = timeout_add_short(TELL_AGAIN_MSECS,
			pgsql_parts_tell_all, parts);
	}
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

static bool
pgsql_parts_is_own(const struct pgsql_parts *parts, int64_t slot)
{
	return parts->looked[slot] &&
		pgsql_slots_is_own(parts->slots, slot);
}

/* Something is queued in the part, up to this id. */
static void
pgsql_parts_grown(struct pgsql_parts *parts, struct pgsql_part *part,
		  int64_t last_id)
{
	struct queue *queue = parts->queue->engine.queue;
	struct queue_part *qp = queue_engine_find_part(queue, part->number);
	struct queue_endpoint *ep =
		queue_engine_get_endpoint(queue, part->endpoint);

	part->last_id = I_MAX(part->last_id, last_id);
	if (qp != NULL)
		queue_engine_part_grown(queue, qp, part->last_id);
	else if (ep != NULL) {
		(void)queue_engine_have_part(queue, ep, part->number,
					     part->last_id);
	}
}

/* Rows of PGSQL_LOOK. */
static void
pgsql_parts_looked(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_parts *parts = context;
	struct queue *queue = parts->queue->engine.queue;
	const PGresult *rows;
	struct pgsql_part *part;
	int64_t endpoint, slot;
	int i;

	if (answer->error != NULL) {
		if (!answer->unknown)
			pgsql_conn_fail(parts->queue->conn, answer->error);
		return;
	}
	rows = answer->results[0];
	for (i = 0; i < PQntuples(rows); i++) {
		endpoint = pgsql_get_int(rows, i, 1);
		slot = pgsql_get_int(rows, i, 2);
		if (!pgsql_slots_is_own(parts->slots, slot))
			continue;
		if (queue_engine_get_endpoint(queue, endpoint) == NULL) {
			(void)queue_engine_have_endpoint(queue, endpoint,
				pgsql_get_str(rows, i, 4),
				pgsql_get_str(rows, i, 5));
		}
		part = pgsql_parts_have(parts, endpoint, slot,
					pgsql_get_int(rows, i, 0));
		pgsql_parts_grown(parts, part, pgsql_get_int(rows, i, 3));
	}
}

/* The slots that were looked at, for those with nothing in them. */
struct pgsql_look {
	struct pgsql_parts *parts;
	unsigned int count;
	int64_t slots[];
};

static void
pgsql_parts_look_done(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_look *look = context;
	unsigned int i;

	if (answer->error == NULL) {
		for (i = 0; i < look->count; i++) {
			look->parts->looked[look->slots[i]] =
				pgsql_slots_is_own(look->parts->slots,
						   look->slots[i]);
		}
	}
	pgsql_parts_looked(answer, look->parts);
	i_free(look);
}

static void
pgsql_parts_look(const int64_t *slots, unsigned int count, void *context)
{
	struct pgsql_parts *parts = context;
	struct pgsql_params params = { .count = 0 };
	struct pgsql_look *look;

	if (!pgsql_queue_is_ready(parts->queue)) {
		/* see pgsql_parts_ready() */
		return;
	}
	look = i_malloc(sizeof(*look) + count * sizeof(*slots));
	look->parts = parts;
	look->count = count;
	memcpy(look->slots, slots, count * sizeof(*slots));
	pgsql_params_add_ints(&params, slots, count);
	pgsql_conn_add(parts->queue->conn, PGSQL_LOOK, &params);
	pgsql_conn_send(parts->queue->conn, LOOK_MSECS, pgsql_parts_look_done,
			look);
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
	if (parts->slots == NULL)
		return;
	if (!pgsql_parts_is_own(parts, part->slot)) {
		part->again = part->again || before_id == 0;
		part->last_id = I_MAX(part->last_id, item->id);
		pgsql_parts_tell(parts, part);
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
	struct pgsql_part *part;
	struct queue_part *qp;
	bool again;

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
		qp = queue_engine_find_part(queue, number);
		if (part == NULL || (again && qp == NULL) ||
		    queue_engine_get_endpoint(queue, part->endpoint) == NULL)
			pgsql_parts_look(&slot, 1, parts);
		else if (again)
			queue_engine_part_look_again(queue, qp);
		else if (parts->looked[slot])
			pgsql_parts_grown(parts, part, last_id);
	}
}

/* Losing slots */

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
		if (parts->looked[slot] && qp != NULL)
			queue_engine_part_release(queue, qp);
	}
	parts->looked[slot] = FALSE;
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
		parts->looked[slot] = FALSE;
		for (part = parts->by_slot[slot]; part != NULL;
		     part = part->next_in_slot) {
			part_forget_last(part);
			qp = queue_engine_find_part(queue, part->number);
			if (qp != NULL)
				queue_engine_part_revoked(queue, qp);
		}
	}
}

static void pgsql_parts_clock(int64_t msecs, void *context)
{
	struct pgsql_parts *parts = context;

	parts->queue->clock_offset = msecs;
}

void pgsql_parts_claim(struct pgsql_parts *parts)
{
	static const struct pgsql_slots_vfuncs vfuncs = {
		.claimed = pgsql_parts_look,
		.look = pgsql_parts_look,
		.release = pgsql_parts_release,
		.revoked = pgsql_parts_revoked,
		.notified = pgsql_parts_notified,
		.clock = pgsql_parts_clock
	};

	parts->claimed = TRUE;
	if (parts->slots == NULL && parts->queue->host != 0) {
		parts->host = parts->queue->host;
		parts->slots = pgsql_slots_init(&parts->queue->conn_set,
						parts->queue->host,
						&vfuncs, parts);
	}
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

void pgsql_parts_ready(struct pgsql_parts *parts)
{
	int64_t slots[PGSQL_SLOTS];
	unsigned int i, count = 0;

	if (parts->slots != NULL && parts->host != parts->queue->host) {
		pgsql_parts_revoked(parts);
		pgsql_slots_deinit(&parts->slots);
	}
	if (parts->claimed && parts->slots == NULL)
		pgsql_parts_claim(parts);
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
	return parts;
}

void pgsql_parts_deinit(struct pgsql_parts **_parts)
{
	struct pgsql_parts *parts = *_parts;
	struct pgsql_part *part, *next;
	unsigned int slot;

	*_parts = NULL;
	pgsql_slots_deinit(&parts->slots);
	timeout_remove(&parts->to_tell);
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
