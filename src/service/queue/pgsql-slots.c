/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "ioloop.h"

#include "monotonic.h"
#include "pgsql-conn.h"
#include "pgsql-slots.h"
#include "pgsql-statements.h"

#include <time.h>

/* How often to send a heartbeat and to look who has what. */
#define BEAT_MSECS 2000
/* When the last heartbeat that was answered was sent this long ago, all slots
   are lost. The server gives up a session after 7 seconds at the earliest
   (PGSQL_SET_SESSION). */
#define LEASE_MSECS 6000
/* Others find out within a heartbeat who has a slot now, and a little more if
   they are slow. Until then it is looked after at each of this host's. */
#define LOOK_BEATS 3
/* After so many failures to connect, which take three seconds or more, it is not
   for a moment only. */
#define FAILURES_MAX 5
/* Without NOTIFY, what others have stored is found this often. */
#define LOOK_ALL_BEATS 10

enum statement {
	STATEMENT_INSTANCE,
	STATEMENT_LISTEN,
	STATEMENT_LISTEN_ALL,
	STATEMENT_PRESENT,
	STATEMENT_REPLACE,
	STATEMENT_CLOCK,
	STATEMENT_LOCKS,
	STATEMENT_LOCK,
	STATEMENT_UNLOCK,

	STATEMENT_COUNT
};

static const char *const statements[STATEMENT_COUNT] = {
	[STATEMENT_INSTANCE] = PGSQL_INSTANCE_LOCK("$1"),
	[STATEMENT_PRESENT] =
		"SELECT pg_advisory_lock_shared("PGSQL_LOCK_HOST", "
		"$1::bigint::int)",
	/* this process's former session, which the server may not have given
	   up yet */
	[STATEMENT_REPLACE] =
		"SELECT pg_terminate_backend(pid) FROM pg_locks "
		"WHERE "PGSQL_LOCKS_HERE" AND classid = "PGSQL_LOCK_HOST" AND "
		"objid = $1::bigint AND pid <> pg_backend_pid() AND "
		"pid IN ("PGSQL_INSTANCE_PIDS("$2")")",
	[STATEMENT_CLOCK] = PGSQL_SERVER,
	/* is it a host's presence, its number, and the host whose it is. In
	   one pass: each host asks this at each heartbeat. */
	[STATEMENT_LOCKS] =
		"SELECT (classid = "PGSQL_LOCK_HOST")::int::bigint, "
		"objid::bigint, coalesce(max(objid::bigint) FILTER ("
		"WHERE classid = "PGSQL_LOCK_HOST") OVER (PARTITION BY pid), "
		"-1) FROM pg_locks WHERE "PGSQL_LOCKS_HERE" AND "
		"classid IN ("PGSQL_LOCK_HOST", "PGSQL_LOCK_SLOT") "
		"AND granted ORDER BY 1, 2",
	/* a session gets a lock again that it has: it must not be another
	   connection's */
	[STATEMENT_LOCK] =
		"SELECT slot FROM unnest($1::bigint[]) AS slot "
		"WHERE CASE WHEN "PGSQL_SESSION_MARK" = $2::text THEN "
		"pg_try_advisory_lock("PGSQL_LOCK_SLOT", slot::int) END",
	[STATEMENT_UNLOCK] =
		"SELECT pg_advisory_unlock("PGSQL_LOCK_SLOT", $1::bigint::int)",
};

enum slot_state {
	/* another host's, or nobody's */
	SLOT_OTHER,
	SLOT_OWN,
	SLOT_RELEASING,
	/* its lock is being given back */
	SLOT_UNLOCKING
};

struct slot {
	enum slot_state state;
	int64_t owner;
	/* heartbeats for which to look */
	unsigned int looks;
};

struct pgsql_slots {
	struct pgsql_conn *conn;
	int64_t host, instance;
	struct pgsql_slots_vfuncs v;
	void *context;

	struct slot slots[PGSQL_SLOTS];
	unsigned int own_count, beats;
	/* monotonic: when the latest heartbeat was sent */
	int64_t sent;
	/* by lease_msecs(): then, and when the lease ends */
	int64_t lease_sent, lease_end;
	struct timeout *to_beat, *to_lease;
	/* connections lost since a heartbeat was answered */
	unsigned int failures;
	/* a heartbeat has not been answered; the next one is due, too. What
	   follows from one is answered before the next one. */
	bool beating, due;
	/* with the channels */
	const char *statements[STATEMENT_COUNT];
	char *listen, *listen_all;
};

static void
no_answer(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_slots *slots = context;

	if (answer->error != NULL && !answer->unknown)
		pgsql_conn_fail(slots->conn, answer->error);
}

/* Losing */

static void pgsql_slots_revoke(struct pgsql_slots *slots)
{
	unsigned int i;
	bool had = FALSE;

	timeout_remove(&slots->to_lease);
	timeout_remove(&slots->to_beat);
	slots->beating = slots->due = FALSE;
	for (i = 0; i < PGSQL_SLOTS; i++) {
		had = had || slots->slots[i].state != SLOT_OTHER;
		i_zero(&slots->slots[i]);
	}
	slots->own_count = 0;
	if (had)
		slots->v.revoked(slots->context);
}

static void pgsql_slots_lease_ended(struct pgsql_slots *slots)
{
	pgsql_slots_revoke(slots);
	pgsql_conn_fail(slots->conn, "no heartbeat was answered in time");
}

/* A clock that goes on while the host is suspended, as the server's does. */
static int64_t lease_msecs(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
		i_fatal("clock_gettime() failed: %m");
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pgsql_slots_set_lease_timeout(struct pgsql_slots *slots)
{
	int64_t left = slots->lease_end - lease_msecs();

	timeout_remove(&slots->to_lease);
	slots->to_lease = timeout_add_short(I_MAX(left, 0),
					    pgsql_slots_lease_ended, slots);
}

static void pgsql_slots_extend_lease(struct pgsql_slots *slots)
{
	slots->lease_end = slots->lease_sent + LEASE_MSECS;
	pgsql_slots_set_lease_timeout(slots);
}

bool pgsql_slots_hold(struct pgsql_slots *slots)
{
	if (slots->to_lease == NULL)
		return FALSE;
	if (lease_msecs() < slots->lease_end)
		return TRUE;
	pgsql_slots_set_lease_timeout(slots);
	return FALSE;
}

/* Sharing */

static void
pgsql_slots_locked(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_slots *slots = context;
	int64_t own[PGSQL_SLOTS];
	struct slot *slot;
	int i, count;

	no_answer(answer, context);
	if (answer->error != NULL)
		return;
	count = PQntuples(answer->results[0]);
	for (i = 0; i < count; i++) {
		own[i] = pgsql_get_int(answer->results[0], i, 0);
		slot = &slots->slots[own[i]];
		slot->state = SLOT_OWN;
		slot->owner = slots->host;
		slot->looks = LOOK_BEATS;
		slots->own_count++;
	}
	if (count > 0)
		slots->v.claimed(own, count, slots->context);
}

/* Hosts begin at different slots, so that they do not try the same ones. */
static void pgsql_slots_lock(struct pgsql_slots *slots, unsigned int count)
{
	unsigned int i, first = slots->host * 97, found = 0;
	struct pgsql_params params = { .count = 0 };
	int64_t unowned[PGSQL_SLOTS];

	for (i = 0; i < PGSQL_SLOTS && found < count; i++) {
		unsigned int slot = (first + i) % PGSQL_SLOTS;

		if (slots->slots[slot].state == SLOT_OTHER &&
		    slots->slots[slot].owner == 0)
			unowned[found++] = slot;
	}
	if (found == 0)
		return;
	pgsql_params_add_ints(&params, unowned, found);
	pgsql_params_add_text(&params, pgsql_conn_mark(slots->conn));
	pgsql_conn_add(slots->conn, STATEMENT_LOCK, &params);
	pgsql_conn_send(slots->conn, LEASE_MSECS, pgsql_slots_locked, slots);
}

static void pgsql_slots_release(struct pgsql_slots *slots, unsigned int count)
{
	unsigned int i;

	for (i = PGSQL_SLOTS; i > 0 && count > 0; i--) {
		struct slot *slot = &slots->slots[i - 1];

		if (slot->state != SLOT_OWN)
			continue;
		slot->state = SLOT_RELEASING;
		slots->own_count--;
		count--;
		slots->v.release(i - 1, slots->context);
	}
}

/* Rows of STATEMENT_LOCKS. */
static bool lock_is_host(const PGresult *locks, int row)
{
	return pgsql_get_int(locks, row, 0) == 1;
}

/* All hosts reckon in the same way how many each one is to have: the first ones
   have one more if they can't all have the same. */
static unsigned int
pgsql_slots_share(const struct pgsql_slots *slots, const PGresult *locks)
{
	unsigned int count = 0, own = UINT_MAX;
	int64_t host, former = -1;
	int i;

	for (i = 0; i < PQntuples(locks); i++) {
		host = pgsql_get_int(locks, i, 1);
		if (!lock_is_host(locks, i) || host == former)
			continue;
		if (host == slots->host)
			own = count;
		former = host;
		count++;
	}
	if (own == UINT_MAX)
		return 0;
	return PGSQL_SLOTS / count + (own < PGSQL_SLOTS % count ? 1 : 0);
}

static void
pgsql_slots_look(struct pgsql_slots *slots)
{
	int64_t look[PGSQL_SLOTS];
	unsigned int i, count = 0;
	bool all = slots->beats % LOOK_ALL_BEATS == 0;

	for (i = 0; i < PGSQL_SLOTS; i++) {
		struct slot *slot = &slots->slots[i];

		if (slot->state == SLOT_RELEASING)
			slots->v.release(i, slots->context);
		if (slot->state != SLOT_OWN || (!all && slot->looks == 0))
			continue;
		if (slot->looks > 0)
			slot->looks--;
		look[count++] = i;
	}
	if (count > 0)
		slots->v.look(look, count, slots->context);
}

static void
pgsql_slots_set_owners(struct pgsql_slots *slots, const PGresult *locks)
{
	int64_t slot;
	int i;

	for (i = 0; i < PGSQL_SLOTS; i++)
		slots->slots[i].owner = 0;
	for (i = 0; i < PQntuples(locks); i++) {
		slot = pgsql_get_int(locks, i, 1);
		if (!lock_is_host(locks, i) && slot < PGSQL_SLOTS) {
			slots->slots[slot].owner =
				pgsql_get_int(locks, i, 2);
		}
	}
}

static void pgsql_slots_beat(struct pgsql_slots *slots);

static void
pgsql_slots_beaten(const struct pgsql_answer *answer, void *context)
{
	struct pgsql_slots *slots = context;
	unsigned int share;
	int64_t now = http_notify_monotonic_msecs();

	no_answer(answer, context);
	slots->beating = FALSE;
	if (answer->error != NULL ||
	    !pgsql_conn_check_mark(slots->conn, answer->results[0],
				   PGSQL_SERVER_MARK))
		return;
	slots->failures = 0;
	pgsql_slots_extend_lease(slots);
	if (PQntuples(answer->results[0]) > 0) {
		slots->v.clock(pgsql_get_int(answer->results[0], 0, 2) -
			       (slots->sent + now) / 2, slots->context);
	}
	slots->v.server(answer->results[0], slots->context);
	pgsql_slots_set_owners(slots, answer->results[1]);
	share = pgsql_slots_share(slots, answer->results[1]);
	if (slots->own_count > share)
		pgsql_slots_release(slots, slots->own_count - share);
	else if (slots->own_count < share)
		pgsql_slots_lock(slots, share - slots->own_count);
	pgsql_slots_look(slots);
	if (slots->due)
		pgsql_slots_beat(slots);
}

static void pgsql_slots_beat(struct pgsql_slots *slots)
{
	const struct pgsql_params params = { .count = 0 };

	slots->due = slots->beating;
	if (slots->beating || !pgsql_conn_is_connected(slots->conn))
		return;
	slots->beating = TRUE;
	slots->beats++;
	slots->sent = http_notify_monotonic_msecs();
	slots->lease_sent = lease_msecs();
	pgsql_conn_add(slots->conn, STATEMENT_CLOCK, &params);
	pgsql_conn_add(slots->conn, STATEMENT_LOCKS, &params);
	pgsql_conn_send(slots->conn, LEASE_MSECS, pgsql_slots_beaten, slots);
}

/* The connection */

static void pgsql_slots_connected(void *context)
{
	struct pgsql_slots *slots = context;
	const struct pgsql_params none = { .count = 0 };
	struct pgsql_params instance = none, host = none, both = none;

	pgsql_params_add_int(&instance, slots->instance);
	pgsql_params_add_int(&host, slots->host);
	pgsql_params_add_int(&both, slots->host);
	pgsql_params_add_int(&both, slots->instance);
	pgsql_conn_add(slots->conn, STATEMENT_INSTANCE, &instance);
	pgsql_conn_add(slots->conn, STATEMENT_LISTEN, &none);
	pgsql_conn_add(slots->conn, STATEMENT_LISTEN_ALL, &none);
	pgsql_conn_add(slots->conn, STATEMENT_REPLACE, &both);
	pgsql_conn_add(slots->conn, STATEMENT_PRESENT, &host);
	pgsql_conn_send(slots->conn, LEASE_MSECS, no_answer, slots);
	slots->to_beat = timeout_add(BEAT_MSECS, pgsql_slots_beat, slots);
	pgsql_slots_beat(slots);
}

static void
pgsql_slots_disconnected(const char *error, void *context)
{
	struct pgsql_slots *slots = context;

	pgsql_slots_revoke(slots);
	if (strcmp(error, PGSQL_SESSION_SHARED) == 0)
		slots->v.shared(slots->context);
	else if (++slots->failures >= FAILURES_MAX)
		slots->v.failing(error, slots->context);
}

static void pgsql_slots_notified(const char *payload, void *context)
{
	struct pgsql_slots *slots = context;

	slots->v.notified(payload, slots->context);
}

static void
pgsql_slots_unlocked(const struct pgsql_answer *answer, void *context)
{
	struct slot *slot = context;

	if (answer->error == NULL && slot->state == SLOT_UNLOCKING)
		slot->state = SLOT_OTHER;
}

void pgsql_slots_released(struct pgsql_slots *slots, int64_t slot)
{
	struct pgsql_params params = { .count = 0 };

	if (slots->slots[slot].state != SLOT_RELEASING)
		return;
	slots->slots[slot].state = SLOT_UNLOCKING;
	if (!pgsql_conn_is_connected(slots->conn))
		return;
	pgsql_params_add_int(&params, slot);
	pgsql_conn_add(slots->conn, STATEMENT_UNLOCK, &params);
	pgsql_conn_send(slots->conn, LEASE_MSECS, pgsql_slots_unlocked,
			&slots->slots[slot]);
}

bool pgsql_slots_is_own(const struct pgsql_slots *slots, int64_t slot)
{
	return slots->slots[slot].state == SLOT_OWN;
}

int64_t pgsql_slots_owner(const struct pgsql_slots *slots, int64_t slot)
{
	return slots->slots[slot].owner;
}

const char *pgsql_slots_channel(int64_t host)
{
	return t_strdup_printf("http_notify_%"PRId64, host);
}

struct pgsql_slots *
pgsql_slots_init(const struct pgsql_conn_settings *set, int64_t host,
		 int64_t instance, const struct pgsql_slots_vfuncs *v,
		 void *context)
{
	static const struct pgsql_conn_vfuncs conn_vfuncs = {
		.connected = pgsql_slots_connected,
		.disconnected = pgsql_slots_disconnected,
		.notified = pgsql_slots_notified
	};
	struct pgsql_conn_settings conn_set = *set;
	struct pgsql_slots *slots;

	slots = i_new(struct pgsql_slots, 1);
	slots->host = host;
	slots->instance = instance;
	slots->v = *v;
	slots->context = context;
	memcpy(slots->statements, statements, sizeof(statements));
	slots->statements[STATEMENT_LISTEN] = slots->listen =
		i_strconcat("LISTEN ", pgsql_slots_channel(host), NULL);
	slots->statements[STATEMENT_LISTEN_ALL] = slots->listen_all =
		i_strconcat("LISTEN ", pgsql_slots_channel(PGSQL_ALL_HOSTS),
			    NULL);
	conn_set.session =
		PGSQL_SET_SESSION(", ('synchronous_commit', 'off')");
	conn_set.statements = slots->statements;
	conn_set.statements_count = N_ELEMENTS(statements);
	slots->conn = pgsql_conn_init(&conn_set, &conn_vfuncs, slots);
	return slots;
}

void pgsql_slots_deinit(struct pgsql_slots **_slots)
{
	struct pgsql_slots *slots = *_slots;

	*_slots = NULL;
	if (slots == NULL)
		return;
	i_zero(&slots->v);
	timeout_remove(&slots->to_beat);
	timeout_remove(&slots->to_lease);
	pgsql_conn_deinit(&slots->conn);
	i_free(slots->listen);
	i_free(slots->listen_all);
	i_free(slots);
}
