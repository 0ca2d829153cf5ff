/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "hash.h"

#include "queue-sessions.h"

struct session {
	struct queue_session s;
	/* the seq and added that are stored */
	uint64_t stored_seq, stored_added;
	/* it has added something since the last commit began */
	bool changed;
};

struct queue_sessions {
	HASH_TABLE(const uint8_t *, struct session *) by_id;
	/* to be stored with the next commit, and being stored */
	ARRAY(struct session *) changed, committing;
};

static struct session *
session_init(struct queue_sessions *sessions, const guid_128_t id)
{
	struct session *session = i_new(struct session, 1);

	guid_128_copy(session->s.id, id);
	hash_table_insert(sessions->by_id, (const uint8_t *)session->s.id,
			  session);
	return session;
}

void queue_sessions_have(struct queue_sessions *sessions,
			 const struct queue_session *s)
{
	struct session *session;

	session = hash_table_lookup(sessions->by_id, (const uint8_t *)s->id);
	if (session == NULL)
		session = session_init(sessions, s->id);
	session->s = *s;
	session->stored_seq = s->seq;
	session->stored_added = session->s.added;
}

/* Has seq been added, or is it too low to tell (then returns low)? Numbers may
   come out of order: a mail process that gave up waiting makes another
   connection, and what it sent on the former one may be read later. */
static bool
session_has_seq(const struct queue_session *s, uint64_t seq, bool low)
{
	uint64_t diff = s->seq - seq;

	if (seq > s->seq)
		return FALSE;
	return diff >= 64 ? low : (s->added & (UINT64_C(1) << diff)) != 0;
}

static void session_add_seq(struct queue_session *s, uint64_t seq)
{
	uint64_t diff;

	if (seq > s->seq) {
		diff = seq - s->seq;
		s->added = (diff < 64 ? s->added << diff : 0) | 1;
		s->seq = seq;
	} else if (s->seq - seq < 64)
		s->added |= UINT64_C(1) << (s->seq - seq);
}

bool queue_sessions_has(const struct queue_sessions *sessions,
			const guid_128_t id, uint64_t seq)
{
	const struct session *session =
		hash_table_lookup(sessions->by_id, (const uint8_t *)id);

	return session != NULL && session_has_seq(&session->s, seq, TRUE);
}

bool queue_sessions_add(struct queue_sessions *sessions, const guid_128_t id,
			uint64_t seq, bool moved, int64_t now)
{
	struct session *session;

	session = hash_table_lookup(sessions->by_id, (const uint8_t *)id);
	if (session == NULL)
		session = session_init(sessions, id);
	if (session_has_seq(&session->s, seq, !moved))
		return FALSE;
	session_add_seq(&session->s, seq);
	session->s.used = now;
	if (!session->changed)
		array_push_back(&sessions->changed, &session);
	session->changed = TRUE;
	return TRUE;
}

void queue_sessions_begin(struct queue_sessions *sessions,
			  ARRAY_TYPE(queue_session) *changed)
{
	struct session *session;

	array_foreach_elem(&sessions->changed, session) {
		session->changed = FALSE;
		array_push_back(changed, &session->s);
	}
	array_append_array(&sessions->committing, &sessions->changed);
	array_clear(&sessions->changed);
}

void queue_sessions_succeeded(struct queue_sessions *sessions,
			      const ARRAY_TYPE(queue_session) *changed)
{
	const struct queue_session *stored;
	struct session *session;

	i_assert(array_count(changed) == array_count(&sessions->committing));

	array_foreach(changed, stored) {
		session = array_idx_elem(&sessions->committing,
					 array_foreach_idx(changed, stored));
		session->stored_seq = stored->seq;
		session->stored_added = stored->added;
	}
	array_clear(&sessions->committing);
}

void queue_sessions_failed(struct queue_sessions *sessions)
{
	struct session *session;

	array_append_array(&sessions->committing, &sessions->changed);
	array_clear(&sessions->changed);
	array_foreach_elem(&sessions->committing, session) {
		session->changed = FALSE;
		session->s.seq = session->stored_seq;
		session->s.added = session->stored_added;
	}
	array_clear(&sessions->committing);
}

bool queue_sessions_forget(struct queue_sessions *sessions, int64_t before)
{
	struct hash_iterate_context *iter;
	struct session *session;
	const uint8_t *id;
	bool forgotten = FALSE;

	if (!array_is_empty(&sessions->committing)) {
		/* that is left for the next time */
		return FALSE;
	}
	iter = hash_table_iterate_init(sessions->by_id);
	while (hash_table_iterate(iter, sessions->by_id, &id, &session)) {
		if (session->s.used < before && !session->changed &&
		    session->s.seq == session->stored_seq) {
			hash_table_remove(sessions->by_id, id);
			i_free(session);
			forgotten = TRUE;
		}
	}
	hash_table_iterate_deinit(&iter);
	return forgotten;
}

struct queue_sessions *queue_sessions_init(void)
{
	struct queue_sessions *sessions = i_new(struct queue_sessions, 1);

	hash_table_create(&sessions->by_id, default_pool, 0,
			  guid_128_hash, guid_128_cmp);
	i_array_init(&sessions->changed, 16);
	i_array_init(&sessions->committing, 16);
	return sessions;
}

void queue_sessions_deinit(struct queue_sessions **_sessions)
{
	struct queue_sessions *sessions = *_sessions;
	struct hash_iterate_context *iter;
	struct session *session;
	const uint8_t *id;

	*_sessions = NULL;
	iter = hash_table_iterate_init(sessions->by_id);
	while (hash_table_iterate(iter, sessions->by_id, &id, &session))
		i_free(session);
	hash_table_iterate_deinit(&iter);
	hash_table_destroy(&sessions->by_id);
	array_free(&sessions->changed);
	array_free(&sessions->committing);
	i_free(sessions);
}
