/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_H
#define HTTP_NOTIFY_SENDER_H

#include "sender-answer.h"
#include "sender-target.h"

struct tls_settings;

/* Sends HTTP requests, using libcurl in a thread. It knows nothing about the
   queue and does not retry. Connections are kept alive and shared by all
   requests to the same server. Over TLS, HTTP/2 is used if the server offers
   it. */
struct sender;

/* answer and its reason live until the callback returns. */
typedef void sender_callback_t(const struct answer *answer, void *context);

/* tls must outlive the sender. user_agent is sent with each request. max_fds:
   how many file descriptors the sender may use. */
struct sender *sender_init(const struct tls_settings *tls,
			   const char *user_agent, unsigned int max_fds);
/* Requests under way are dropped without calling back. */
void sender_deinit(struct sender **sender);

/* For how many requests at a time the file descriptors are enough. The caller
   starts no more. */
unsigned int sender_max_requests(const struct sender *sender);

/* Send a JSON body, and idempotency_key as Idempotency-Key and, if it is signed,
   as webhook-id. All arguments are copied. The callback is called once,
   unless the sender is deinitialised before, but never from inside this
   function. */
void sender_put(struct sender *sender, const struct sender_target *target,
		const char *body, const char *idempotency_key,
		sender_callback_t *callback, void *context);

#endif
