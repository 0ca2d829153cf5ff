/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ioloop and the thread have a list each for what they give each other, and
   an eventfd to say so to one that may be waiting. */
#include "lib.h"
#include "ioloop.h"
#include "llist.h"

#include "curl-sockets.h"
#include "curl-thread.h"
#include "lookups.h"
#include "monotonic.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Far more than the number of names whose look-ups can be expected to take long
   at the same time, and few enough for what limits the number of Dovecot's
   processes and threads, such as systemd. */
#define RESOLVE_THREADS_MAX 1000L

#if LIBCURL_VERSION_NUM >= 0x075800 && LIBCURL_VERSION_NUM < 0x080400
/* How often to make libcurl look after all transfers. If it can't connect to
   one address of a host, libcurl 7.88 to 8.3 chooses another, but waits for
   something else to happen before it connects to that. */
# define LOOK_AFTER_ALL_MSECS 100
#endif

/* How many idle connections to keep for later requests, i.e. how many endpoints
   may have one each. With TLS, one takes tens of kilobytes. */
#define IDLE_CONNECTIONS_MAX 1000L

/* A transfer needs up to four file descriptors at a time: while its host name is
   looked up, libcurl's two and the resolver's two. An idle connection needs one.
   So half of all are enough for connections, and the other half for four more
   for each transfer. */
#define CONNECTION_FDS 2
#define TRANSFER_FDS 8
/* More do not make it faster, and each takes memory, and may take a thread. */
#define TRANSFERS_MAX 1000

/* How many ended transfers to report before the ioloop goes on with other
   things. */
#define FINISHED_BATCH 32

#define NEVER INT64_MAX

struct transfers {
	struct curl_transfer *head, *tail;
};

struct curl_thread {
	CURLM *multi;
	struct curl_sockets *sockets;
	unsigned int max_transfers;
	pthread_t thread;

	/* the ioloop's */
	curl_thread_finished_t *finished;
	struct io *io;
	struct timeout *to_more;
	struct transfers ended;

	/* the thread's */
	struct curl_transfer *running;
	struct lookups lookups;
	/* when libcurl wants to be called, by http_notify_monotonic_msecs() */
	int64_t next_call, next_call_all;
	bool too_many_lookups;

	/* what both use, and the eventfds that say it has changed */
	pthread_mutex_t mutex;
	struct transfers to_start, to_report;
	bool woken, stop;
	/* to be logged: look-ups, a call; 0 and NULL = nothing */
	unsigned int too_many;
	const char *failed_call;
	int failed_errno;
	int thread_fd, ioloop_fd;
};

static void transfers_append(struct transfers *list,
			     struct curl_transfer *transfer)
{
	DLLIST2_APPEND(&list->head, &list->tail, transfer);
}

static struct transfers transfers_take(struct transfers *list)
{
	struct transfers taken = *list;

	i_zero(list);
	return taken;
}

static struct curl_transfer *transfers_pop(struct transfers *list)
{
	struct curl_transfer *transfer = list->head;

	if (transfer != NULL)
		DLLIST2_REMOVE(&list->head, &list->tail, transfer);
	return transfer;
}

static int wakeup_create(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd == -1)
		i_fatal("eventfd() failed: %m");
	return fd;
}

/* An eventfd that is full has something to say already. */
static void wakeup_send(int fd)
{
	(void)eventfd_write(fd, 1);
}

/* In the thread. Nothing of Dovecot's is called here but what works on its
   arguments alone: neither events nor the data stack. */

/* Of this process; 0 = unknown. */
static unsigned int threads_count(void)
{
	struct stat st;

	/* the directory has a directory for each, beside its usual two links */
	return stat("/proc/self/task", &st) < 0 || st.st_nlink < 2 ? 0 :
		st.st_nlink - 2;
}

/* libcurl is about to look a name up, in a thread. When the time is up it leaves
   the thread to itself, which goes on for as long as the resolver likes. If no
   name server answers, each attempt would add another one. */
static int
curl_thread_resolver_start(void *resolver_state ATTR_UNUSED,
			   void *reserved ATTR_UNUSED, void *context)
{
	struct curl_transfer *transfer = context;
	struct curl_thread *thread = transfer->thread;
	unsigned int count = threads_count();

	if (count < RESOLVE_THREADS_MAX / 2)
		thread->too_many_lookups = FALSE;
	if (count < RESOLVE_THREADS_MAX) {
		return lookups_begin(&thread->lookups, transfer,
				     http_notify_monotonic_msecs()) ? 0 : 1;
	}
	if (!thread->too_many_lookups) {
		(void)pthread_mutex_lock(&thread->mutex);
		thread->too_many = count;
		(void)pthread_mutex_unlock(&thread->mutex);
	}
	thread->too_many_lookups = TRUE;
	return 1;
}

/* libcurl has opened a socket, so it knows where to connect to. */
static int
curl_thread_socket_opened(void *context, curl_socket_t fd ATTR_UNUSED,
			  curlsocktype purpose ATTR_UNUSED)
{
	struct curl_transfer *transfer = context;

	lookups_found(&transfer->thread->lookups, transfer);
	return CURL_SOCKOPT_OK;
}

/* libcurl says when it wants to be called even if no socket is ready. */
static int
curl_thread_timer_callback(CURLM *multi ATTR_UNUSED, long msecs, void *context)
{
	struct curl_thread *thread = context;

	thread->next_call = msecs < 0 ? NEVER :
		http_notify_monotonic_msecs() + msecs;
	return 0;
}

static void
curl_thread_start(struct curl_thread *thread, struct curl_transfer *transfer)
{
	CURL *easy = transfer->easy;
	CURLMcode ret;

	DLLIST_PREPEND(&thread->running, transfer);
	transfer->error[0] = '\0';
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	(void)curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION,
			       transfer->name != NULL ?
			       curl_thread_resolver_start : NULL);
	(void)curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION,
			       curl_thread_socket_opened);
	(void)curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, transfer);
	curl_sockets_set(thread->sockets, easy);
	ret = curl_multi_add_handle(thread->multi, easy);
	if (ret != CURLM_OK)
		i_fatal("libcurl: %s", curl_multi_strerror(ret));
}

static void
curl_thread_end(struct curl_thread *thread, struct curl_transfer *transfer)
{
	(void)curl_multi_remove_handle(thread->multi, transfer->easy);
	DLLIST_REMOVE(&thread->running, transfer);
}

/* Take those that have ended from libcurl. */
static struct transfers curl_thread_ended(struct curl_thread *thread)
{
	struct transfers ended = { NULL, NULL };
	struct curl_transfer *transfer;
	CURLMsg *msg;
	char *private;
	int left;

	while ((msg = curl_multi_info_read(thread->multi, &left)) != NULL) {
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
					&private);
		transfer = (struct curl_transfer *)private;
		transfer->result = msg->data.result;
		if (transfer->result == CURLE_OPERATION_TIMEDOUT) {
			curl_sockets_timed_out(thread->sockets,
					       transfer->easy);
		}
		curl_thread_end(thread, transfer);
		if (transfer->waits)
			lookups_wait(&thread->lookups, transfer);
		else {
			lookups_ended(&thread->lookups, transfer);
			transfers_append(&ended, transfer);
		}
	}
	return ended;
}

/* Those that have waited for look-ups go on, or end as well. */
static void
curl_thread_end_waits(struct curl_thread *thread, int64_t now,
		      struct transfers *ended)
{
	struct curl_transfer *transfer;

	while ((transfer = lookups_next(&thread->lookups, now)) != NULL) {
		if (transfer->result == CURLE_OK)
			curl_thread_start(thread, transfer);
		else
			transfers_append(ended, transfer);
	}
}

static void
curl_thread_report(struct curl_thread *thread, struct transfers *ended)
{
	struct curl_transfer *transfer;
	const char *failed_call;
	int failed_errno;
	bool wake;

	failed_call = curl_sockets_get_error(thread->sockets, &failed_errno);
	if (ended->head == NULL && failed_call == NULL)
		return;
	(void)pthread_mutex_lock(&thread->mutex);
	/* otherwise it has been told and has not come for them yet */
	wake = thread->to_report.head == NULL;
	while ((transfer = transfers_pop(ended)) != NULL)
		transfers_append(&thread->to_report, transfer);
	if (failed_call != NULL) {
		thread->failed_call = failed_call;
		thread->failed_errno = failed_errno;
	}
	(void)pthread_mutex_unlock(&thread->mutex);
	if (wake)
		wakeup_send(thread->ioloop_fd);
}

/* Take those that are to be started. Returns FALSE if told to stop. */
static bool
curl_thread_take(struct curl_thread *thread, struct transfers *to_start_r)
{
	bool stop;

	(void)pthread_mutex_lock(&thread->mutex);
	*to_start_r = transfers_take(&thread->to_start);
	thread->woken = FALSE;
	stop = thread->stop;
	(void)pthread_mutex_unlock(&thread->mutex);
	return !stop;
}

/* Let libcurl do what it wanted to do by now. */
static void curl_thread_call_libcurl(struct curl_thread *thread, int64_t now)
{
	int running;

	if (now >= thread->next_call) {
		thread->next_call = NEVER;
		(void)curl_multi_socket_action(thread->multi,
					       CURL_SOCKET_TIMEOUT, 0,
					       &running);
	}
#ifdef LOOK_AFTER_ALL_MSECS
	if (now >= thread->next_call_all) {
		thread->next_call_all = now + LOOK_AFTER_ALL_MSECS;
		CURL_IGNORE_DEPRECATION(
			(void)curl_multi_socket_all(thread->multi, &running);
		)
	}
#endif
}

/* As for epoll_wait(). */
static int curl_thread_wait_msecs(struct curl_thread *thread, int64_t now)
{
	int64_t next = I_MIN(thread->next_call,
			     lookups_next_time(&thread->lookups));

#ifdef LOOK_AFTER_ALL_MSECS
	if (thread->running != NULL)
		next = I_MIN(next, thread->next_call_all);
#endif
	if (next == NEVER)
		return -1;
	return I_MIN(I_MAX(next - now, 0), INT_MAX);
}

static void *curl_thread_run(void *context)
{
	struct curl_thread *thread = context;
	struct transfers to_start, ended;
	struct curl_transfer *transfer;
	int64_t now;

	while (curl_thread_take(thread, &to_start)) {
		now = http_notify_monotonic_msecs();
		while ((transfer = transfers_pop(&to_start)) != NULL) {
			transfer->wait_end = now + transfer->timeout_msecs;
			curl_thread_start(thread, transfer);
		}
		curl_thread_call_libcurl(thread, now);
		ended = curl_thread_ended(thread);
		curl_thread_end_waits(thread, now, &ended);
		curl_thread_report(thread, &ended);
		curl_sockets_wait(thread->sockets,
				  curl_thread_wait_msecs(thread, now));
	}
	while (thread->running != NULL)
		curl_thread_end(thread, thread->running);
	return NULL;
}

/* On the ioloop */

static void
curl_thread_log(unsigned int lookups, const char *failed_call, int failed_errno)
{
	if (lookups != 0) {
		i_error("%u look-ups of endpoints' names have not ended; "
			"starting no more (do the name servers answer?)",
			lookups);
	}
	if (failed_call != NULL) {
		i_error("Connections to endpoints fail: %s failed: %s",
			failed_call, strerror(failed_errno));
	}
}

static void curl_thread_finish_some(struct curl_thread *thread)
{
	struct curl_transfer *transfer;
	unsigned int i;

	timeout_remove(&thread->to_more);
	for (i = 0; i < FINISHED_BATCH; i++) {
		transfer = transfers_pop(&thread->ended);
		if (transfer == NULL)
			return;
		T_BEGIN {
			thread->finished(transfer);
		} T_END;
	}
	thread->to_more = timeout_add_short(0, curl_thread_finish_some,
					    thread);
}

/* The thread has something to report. */
static void curl_thread_input(struct curl_thread *thread)
{
	struct transfers reported;
	struct curl_transfer *transfer;
	const char *failed_call;
	unsigned int lookups;
	int failed_errno;
	eventfd_t value;

	(void)eventfd_read(thread->ioloop_fd, &value);
	(void)pthread_mutex_lock(&thread->mutex);
	reported = transfers_take(&thread->to_report);
	lookups = thread->too_many;
	failed_call = thread->failed_call;
	failed_errno = thread->failed_errno;
	thread->too_many = 0;
	thread->failed_call = NULL;
	(void)pthread_mutex_unlock(&thread->mutex);

	while ((transfer = transfers_pop(&reported)) != NULL)
		transfers_append(&thread->ended, transfer);
	curl_thread_log(lookups, failed_call, failed_errno);
	curl_thread_finish_some(thread);
}

unsigned int curl_thread_max_transfers(const struct curl_thread *thread)
{
	return thread->max_transfers;
}

void curl_thread_add(struct curl_thread *thread,
		     struct curl_transfer *transfer)
{
	bool wake;

	transfer->thread = thread;
	(void)pthread_mutex_lock(&thread->mutex);
	transfers_append(&thread->to_start, transfer);
	/* otherwise it has been woken, and has not come yet */
	wake = !thread->woken;
	thread->woken = TRUE;
	(void)pthread_mutex_unlock(&thread->mutex);
	if (wake)
		wakeup_send(thread->thread_fd);
}

static CURLM *
curl_multi_create(struct curl_thread *thread, unsigned int max_fds)
{
	long connections_max = I_MAX(max_fds / CONNECTION_FDS, 1);
	CURLM *multi = curl_multi_init();

	if (multi == NULL)
		i_fatal_status(FATAL_OUTOFMEM, "libcurl: out of memory");
	(void)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION,
				curl_thread_timer_callback);
	(void)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, thread);
	/* Transfers beyond this number of connections wait. If too many idle
	   connections are kept, the one that has not been used for the longest
	   time is closed. By default libcurl keeps four for each transfer under
	   way. So if one transfer at a time goes to more than four endpoints in
	   turn, no connection would ever be used again. */
	(void)curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
				connections_max);
	(void)curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
				I_MIN(connections_max, IDLE_CONNECTIONS_MAX));
#if LIBCURL_VERSION_NUM >= 0x081400
	/* Since libcurl 8.20, look-ups share threads. One that takes long must
	   not delay others, nor the end of the service. */
	(void)curl_multi_setopt(multi, CURLMOPT_RESOLVE_THREADS_MAX,
				RESOLVE_THREADS_MAX);
	(void)curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
	return multi;
}

static void curl_thread_create(struct curl_thread *thread)
{
	sigset_t all, old;
	int ret;

	/* signals are for the ioloop's */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&thread->thread, NULL, curl_thread_run, thread);
	if (ret != 0)
		i_fatal("pthread_create() failed: %s", strerror(ret));
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct curl_thread *
curl_thread_init(unsigned int max_fds, curl_thread_finished_t *finished)
{
	struct curl_thread *thread;

	thread = i_new(struct curl_thread, 1);
	thread->finished = finished;
	thread->max_transfers = I_MIN(I_MAX(max_fds / TRANSFER_FDS, 1),
				      TRANSFERS_MAX);
	thread->next_call = NEVER;
	lookups_init(&thread->lookups);
	thread->multi = curl_multi_create(thread, max_fds);
	thread->thread_fd = wakeup_create();
	thread->ioloop_fd = wakeup_create();
	thread->io = io_add(thread->ioloop_fd, IO_READ, curl_thread_input,
			    thread);
	thread->sockets = curl_sockets_init(thread->multi, thread->thread_fd);
	(void)pthread_mutex_init(&thread->mutex, NULL);
	curl_thread_create(thread);
	return thread;
}

void curl_thread_deinit(struct curl_thread **_thread)
{
	struct curl_thread *thread = *_thread;

	*_thread = NULL;
	(void)pthread_mutex_lock(&thread->mutex);
	thread->stop = TRUE;
	(void)pthread_mutex_unlock(&thread->mutex);
	wakeup_send(thread->thread_fd);
	(void)pthread_join(thread->thread, NULL);

	(void)curl_multi_cleanup(thread->multi);
	curl_sockets_deinit(&thread->sockets);
	(void)pthread_mutex_destroy(&thread->mutex);
	io_remove(&thread->io);
	timeout_remove(&thread->to_more);
	i_close_fd(&thread->thread_fd);
	i_close_fd(&thread->ioloop_fd);
	i_free(thread);
}
