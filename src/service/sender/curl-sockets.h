/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CURL_SOCKETS_H
#define HTTP_NOTIFY_CURL_SOCKETS_H

#include <curl/curl.h>

/* The sockets of a libcurl multi handle, watched with epoll(7). All functions
   are called in one thread, which is not the ioloop's: they use nothing of
   Dovecot's but what works on its arguments alone. */
struct curl_sockets;

/* Sets CURLMOPT_SOCKETFUNCTION. wakeup_fd: an eventfd; a wait ends when it is
   written to. */
struct curl_sockets *curl_sockets_init(CURLM *multi, int wakeup_fd);
/* After the multi handle is gone. */
void curl_sockets_deinit(struct curl_sockets **sockets);

/* Sets CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION. */
void curl_sockets_set(struct curl_sockets *sockets, CURL *easy);

/* Wait for sockets (msecs as for epoll_wait(2)), and let libcurl use those that
   are ready. */
void curl_sockets_wait(struct curl_sockets *sockets, int msecs);

/* Which system call has failed, and its errno, so that transfers fail or wait
   for their timeout; NULL = none since it was last asked for. Returned once for
   all failures that go on. */
const char *
curl_sockets_get_error(struct curl_sockets *sockets, int *errno_r);

/* A transfer took too long. Its connection may be dead, as when a firewall has
   forgotten it, and if so the others to this peer are dead, too. libcurl would
   wait for an answer on each, and keeps one of HTTP/2 even then. Shut down the
   unused ones, and the transfer's own unless others are answered on it. */
void curl_sockets_timed_out(struct curl_sockets *sockets, CURL *easy);

#endif
