/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PGSQL_SLOTS_H
#define HTTP_NOTIFY_PGSQL_SLOTS_H

#include <libpq-fe.h>

/* Who sends what. Users are spread over slots. A host sends those of a slot
   while it holds PostgreSQL's session-level advisory lock for it, on a
   connection of its own, by which it also sees which others there are. They
   share the slots evenly. When the connection is lost, or has not been answered
   for a while, all slots are lost at once, before the server can give them to
   others. */
struct pgsql_slots;
struct pgsql_conn_settings;

#define PGSQL_SLOTS 256
/* The database's key of the lock that only one connection of a host holds, by
   which the host stores. */
#define PGSQL_LOCK_WRITER "1752460033"
/* That of a slot. */
#define PGSQL_LOCK_SLOT "1752460034"
/* That which shows that a host is there, by the connection for its slots; and
   that of all connections of a process. */
#define PGSQL_LOCK_HOST "1752460035"
#define PGSQL_LOCK_INSTANCE "1752460036"
#define PGSQL_LOCKS_HERE \
	"locktype = 'advisory' AND objsubid = 2 AND database = " \
	"(SELECT oid FROM pg_database WHERE datname = current_database())"
/* (instance) */
#define PGSQL_INSTANCE_LOCK(instance) \
	"SELECT pg_advisory_lock_shared("PGSQL_LOCK_INSTANCE", " \
	instance"::bigint::int)"
#define PGSQL_INSTANCE_PIDS(instance) \
	"SELECT pid FROM pg_locks WHERE "PGSQL_LOCKS_HERE" AND " \
	"classid = "PGSQL_LOCK_INSTANCE" AND objid = "instance"::bigint"

struct pgsql_slots_vfuncs {
	/* This host sends them now. */
	void (*claimed)(const int64_t *slots, unsigned int count,
			void *context);
	/* Others may have stored something in them without knowing that they
	   are this host's. */
	void (*look)(const int64_t *slots, unsigned int count, void *context);
	/* Stop sending it, and call pgsql_slots_released(), possibly from
	   inside. Until then, this is called at each heartbeat. */
	void (*release)(int64_t slot, void *context);
	/* Another host may send them already. */
	void (*revoked)(void *context);
	/* It has failed again and again to connect. */
	void (*failing)(const char *error, void *context);
	/* Its session is another connection's, too. */
	void (*shared)(void *context);
	/* What another host has said by pgsql_slots_channel(). */
	void (*notified)(const char *payload, void *context);
	/* A heartbeat was answered. The database's clock, in msecs, was ahead of
	   the monotonic one by this. */
	void (*clock)(int64_t msecs, void *context);
	/* And the server and its tables were as rows say, which are PGSQL_VERSION's.
	   This comes before all that follows from the answer. */
	void (*server)(const PGresult *rows, void *context);
};

/* set: without session and statements; instance: the process's. The functions are
   never called from inside. */
struct pgsql_slots *
pgsql_slots_init(const struct pgsql_conn_settings *set, int64_t host,
		 int64_t instance, const struct pgsql_slots_vfuncs *v,
		 void *context);
/* No functions are called. */
void pgsql_slots_deinit(struct pgsql_slots **slots);

/* See release(). */
void pgsql_slots_released(struct pgsql_slots *slots, int64_t slot);
/* Are they this host's for certain? If not, revoked() will be called. Timeouts
   do not tell: when the process was stopped for a while, the ioloop takes that
   for a step of the wall clock, and runs them later by as much. */
bool pgsql_slots_hold(struct pgsql_slots *slots);
/* Does this host send it, and has not been told to release it? */
bool pgsql_slots_is_own(const struct pgsql_slots *slots, int64_t slot);
/* The host that sends it, as far as this one knows; 0 = none, or not known while
   the connection is lost; -1 = one that is just ending. */
int64_t pgsql_slots_owner(const struct pgsql_slots *slots, int64_t slot);
/* Where to NOTIFY a host, or all of them. */
#define PGSQL_ALL_HOSTS 0
const char *pgsql_slots_channel(int64_t host);

#endif
