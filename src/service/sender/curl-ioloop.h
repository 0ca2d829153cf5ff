/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CURL_IOLOOP_H
#define HTTP_NOTIFY_CURL_IOLOOP_H

#include <curl/curl.h>

/* libcurl's multi interface on Dovecot's ioloop: libcurl is called when one of
   its sockets is ready or one of its timeouts is over. Nothing is polled.
   After a timeout, connections that may be dead are shut down. */
struct curl_ioloop;

/* Called when a transfer has ended. It must call curl_ioloop_remove(). */
typedef void
curl_ioloop_finished_t(CURL *easy, CURLcode result);

/* max_fds: how many file descriptors may be used. There may be half as many
   connections; transfers beyond that wait. If the system has no file descriptor
   left, those that need one fail or wait, too. */
struct curl_ioloop *
curl_ioloop_init(unsigned int max_fds, curl_ioloop_finished_t *finished);
/* All transfers must have been removed. */
void curl_ioloop_deinit(struct curl_ioloop **loop);

/* How many transfers max_fds is enough for, whatever they do. */
unsigned int curl_ioloop_max_transfers(const struct curl_ioloop *loop);

/* Start a transfer of an easy handle, and remove it again, whether it is under
   way or has ended. by_name: the host is a name. If too many look-ups of names
   go on, the transfer fails unless libcurl knows the name. _add() sets
   CURLOPT_OPENSOCKETFUNCTION, CURLOPT_RESOLVER_START_FUNCTION and their data. */
void curl_ioloop_add(struct curl_ioloop *loop, CURL *easy, bool by_name);
void curl_ioloop_remove(struct curl_ioloop *loop, CURL *easy);

#endif
