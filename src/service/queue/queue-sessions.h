/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_SESSIONS_H
#define HTTP_NOTIFY_QUEUE_SESSIONS_H

#include "queue-engine.h"

/* The mail processes that were heard of lately, and which of their hand-offs
   have been added: what comes again is recognised. */
struct queue_sessions;

struct queue_sessions *queue_sessions_init(void);
void queue_sessions_deinit(struct queue_sessions **sessions);

/* This one is stored. */
void queue_sessions_have(struct queue_sessions *sessions,
			 const struct queue_session *session);

/* This hand-off is added, unless it has been: then returns FALSE. */
bool queue_sessions_add(struct queue_sessions *sessions, const guid_128_t id,
			uint64_t seq, int64_t now);

/* A commit begins: append what is to be stored. */
void queue_sessions_begin(struct queue_sessions *sessions,
			  ARRAY_TYPE(queue_session) *changed);
/* It has ended. If it failed, what was added since the last one that succeeded
   has not been. */
void queue_sessions_succeeded(struct queue_sessions *sessions,
			      const ARRAY_TYPE(queue_session) *changed);
void queue_sessions_failed(struct queue_sessions *sessions);

/* Forget those that were last heard of before this time. Returns FALSE if there
   are none. */
bool queue_sessions_forget(struct queue_sessions *sessions, int64_t before);

#endif
