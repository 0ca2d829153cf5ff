/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libcurl's multi socket interface gets out of an endpoint when nothing
   else is done: the same requests as the service's, without queue, order or
   retries.

   usage: bare-loop URL REQUESTS CONCURRENCY BODY
   Prints the seconds it took. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

static CURLM *multi;
static int epoll_fd;
static long timeout_msecs = -1;
static const char *url, *body;
static struct curl_slist *headers;
static long started, finished, failed, total;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int
socket_callback(CURL *easy, curl_socket_t fd, int what, void *context,
		void *socket_context)
{
	struct epoll_event event = { .data.fd = fd };

	(void)easy;
	(void)context;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	epoll_ctl(epoll_fd, socket_context == NULL ? EPOLL_CTL_ADD :
		  EPOLL_CTL_MOD, fd, &event);
	curl_multi_assign(multi, fd, &epoll_fd);
	return 0;
}

static int timer_callback(CURLM *m, long msecs, void *context)
{
	(void)m;
	(void)context;
	timeout_msecs = msecs;
	return 0;
}

static size_t write_callback(char *data, size_t size, size_t n, void *context)
{
	(void)data;
	(void)context;
	return size * n;
}

static void start(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_callback);
	curl_multi_add_handle(multi, easy);
	started++;
}

static void finish(void)
{
	CURLMsg *msg;
	CURL *easy;
	long status;
	int left;

	while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
		easy = msg->easy_handle;
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		if (msg->data.result != CURLE_OK || status != 200)
			failed++;
		finished++;
		curl_multi_remove_handle(multi, easy);
		if (started < total)
			start(easy);
		else
			curl_easy_cleanup(easy);
	}
}

int main(int argc, char *argv[])
{
	struct epoll_event events[64];
	double begin;
	int i, count, running, concurrency;

	if (argc != 5) {
		fprintf(stderr, "usage: bare-loop URL REQUESTS CONCURRENCY BODY\n");
		return 2;
	}
	url = argv[1];
	total = atol(argv[2]);
	concurrency = atoi(argv[3]);
	body = argv[4];

	curl_global_init(CURL_GLOBAL_DEFAULT);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Expect:");
	headers = curl_slist_append(headers, "Idempotency-Key: "
		"\"0123456789abcdef0123456789abcdef-12345\"");
	epoll_fd = epoll_create1(0);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_callback);

	begin = now();
	for (i = 0; i < concurrency && started < total; i++)
		start(curl_easy_init());
	while (finished < total) {
		count = timeout_msecs == 0 ? 0 :
			epoll_wait(epoll_fd, events, 64, (int)timeout_msecs);
		if (count == 0) {
			timeout_msecs = -1;
			curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0,
						 &running);
		}
		for (i = 0; i < count; i++) {
			int mask = (events[i].events & EPOLLIN ?
				    CURL_CSELECT_IN : 0) |
				   (events[i].events & EPOLLOUT ?
				    CURL_CSELECT_OUT : 0) |
				   (events[i].events & (EPOLLERR | EPOLLHUP) ?
				    CURL_CSELECT_ERR : 0);
			curl_multi_socket_action(multi, events[i].data.fd,
						 mask, &running);
		}
		finish();
	}
	printf("%.6f\n", now() - begin);
	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	return failed == 0 ? 0 : 1;
}
