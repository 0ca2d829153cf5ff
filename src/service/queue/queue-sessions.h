/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_SESSIONS_H
#define HTTP_NOTIFY_QUEUE_SESSIONS_H

#include "queue-engine.h"

/* The mail processes heard from lately, and which of their hand-offs have been
   added, so that those that come again are recognised. */
struct queue_sessions;

struct queue_sessions *queue_sessions_init(void);
void queue_sessions_deinit(struct queue_sessions **sessions);

/* A session that the engine has found stored, also one that is known. */
void queue_sessions_have(struct queue_sessions *sessions,
			 const struct queue_session *session);

/* Has a hand-off been added before, or is its seq 64 or more below the
   session's highest? */
bool queue_sessions_has(const struct queue_sessions *sessions,
			const guid_128_t id, uint64_t seq);
/* Note that one is added. Returns FALSE if queue_sessions_has() it; moved: but
   not because of a seq that is that low (queue_add_moved()). */
bool queue_sessions_add(struct queue_sessions *sessions, const guid_128_t id,
			uint64_t seq, bool moved, int64_t now);

/* A commit begins: append the sessions that it is to store to changed. */
void queue_sessions_begin(struct queue_sessions *sessions,
			  ARRAY_TYPE(queue_session) *changed);
/* The commit has ended; changed is what queue_sessions_begin() has appended. If
   it failed, everything added since the last one that succeeded, also after
   this one began, counts as not added. */
void queue_sessions_succeeded(struct queue_sessions *sessions,
			      const ARRAY_TYPE(queue_session) *changed);
void queue_sessions_failed(struct queue_sessions *sessions);

/* Forget sessions last used before this time. Returns FALSE if none was
   forgotten; while a commit stores sessions, none is. */
bool queue_sessions_forget(struct queue_sessions *sessions, int64_t before);

#endif
