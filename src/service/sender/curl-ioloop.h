/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CURL_IOLOOP_H
#define HTTP_NOTIFY_CURL_IOLOOP_H

#include <curl/curl.h>

/* libcurl's multi interface on Dovecot's ioloop: it is called when a socket or
   a time of its own asks for it, and nothing is polled. */
struct curl_ioloop;

/* A transfer has ended; this is to remove it. */
typedef void
curl_ioloop_finished_t(CURL *easy, CURLcode result);

/* Not more than max_fds file descriptors are used at a time. */
struct curl_ioloop *
curl_ioloop_init(unsigned int max_fds, curl_ioloop_finished_t *finished);
/* All transfers must have been removed. */
void curl_ioloop_deinit(struct curl_ioloop **loop);

/* Begin a transfer, and forget it, be it under way or ended. */
void curl_ioloop_add(struct curl_ioloop *loop, CURL *easy);
void curl_ioloop_remove(struct curl_ioloop *loop, CURL *easy);

#endif
