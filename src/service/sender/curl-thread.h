/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CURL_THREAD_H
#define HTTP_NOTIFY_CURL_THREAD_H

#include <curl/curl.h>

/* libcurl's multi interface in a thread of its own, so that the ioloop waits
   neither for the handshakes of a thousand TLS connections nor for anything
   else in libcurl. Nothing is polled. After a timeout, connections that may be
   dead are shut down. */
struct curl_thread;

/* What it does with an easy handle. */
struct curl_transfer {
	/* set by the caller */
	CURL *easy;
	/* what is looked up, see sender-target.h; NULL = nothing */
	const char *name;
	/* CURLOPT_TIMEOUT_MS */
	unsigned int timeout_msecs;

	/* how it has ended */
	CURLcode result;
	/* CURLOPT_ERRORBUFFER */
	char error[CURL_ERROR_SIZE];

	/* the thread's */
	struct curl_thread *thread;
	struct curl_transfer *prev, *next;
	/* For lookups.c: in one of its lists; since when its name is being
	   looked up, or until when it waits for another one, and at most. */
	struct curl_transfer *lookup_prev, *lookup_next;
	bool looking_up, waits;
	int64_t lookup_began, wait_until, wait_end;
};

/* The transfer has ended; handle and transfer are the caller's again. Called
   from the ioloop. */
typedef void curl_thread_finished_t(struct curl_transfer *transfer);

/* max_fds: how many file descriptors may be used. There may be half as many
   connections; transfers beyond that wait. If the system has no file descriptor
   left, those that need one fail or wait, too. */
struct curl_thread *
curl_thread_init(unsigned int max_fds, curl_thread_finished_t *finished);
/* Drops the transfers that have not ended, without calling back, and gives
   their handles back to the caller. */
void curl_thread_deinit(struct curl_thread **thread);

/* How many transfers max_fds is enough for, whatever they do. */
unsigned int curl_thread_max_transfers(const struct curl_thread *thread);

/* Start a transfer. Until it has ended, the handle, what its options point to,
   and what its callbacks use are the thread's, in which these are called. A
   transfer waits while another one looks the same name up, for as long as its
   timeout, which begins after that. If too many look-ups go on, it fails unless
   libcurl knows the name. Sets CURLOPT_PRIVATE, CURLOPT_ERRORBUFFER, and the
   functions for opening and closing sockets, for their options and for the
   resolver's start, with their data. */
void curl_thread_add(struct curl_thread *thread,
		     struct curl_transfer *transfer);

#endif
