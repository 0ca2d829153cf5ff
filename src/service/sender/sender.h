/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_H
#define HTTP_NOTIFY_SENDER_H

#include "sender-answer.h"
#include "sender-target.h"

struct tls_settings;

/* Sends HTTP requests, by libcurl on the ioloop. It knows no queue and does
   not try again. Connections are kept alive and shared by all requests to the
   same server; over TLS HTTP/2 is used where the server offers it. */
struct sender;

/* answer lives until the callback returns. */
typedef void sender_callback_t(const struct answer *answer, void *context);

/* tls must outlive the sender. user_agent goes into each request. Connections
   use at most max_fds file descriptors; requests wait for one. */
struct sender *sender_init(const struct tls_settings *tls,
			   const char *user_agent, unsigned int max_fds);
/* Requests under way are given up without calling back. */
void sender_deinit(struct sender **sender);

/* PUT a JSON body. The callback is never called from inside this function. */
void sender_put(struct sender *sender, const struct sender_target *target,
		const char *body, const char *idempotency_key,
		sender_callback_t *callback, void *context);

#endif
