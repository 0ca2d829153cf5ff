/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libcurl closes some sockets, such as one whose connection took too long,
   before it tells us, and by then another socket may have the number. So the
   ioloop watches a duplicate of each socket, which only we close. */
#include "lib.h"
#include "array.h"
#include "fd-util.h"
#include "ioloop.h"
#include "llist.h"
#include "net.h"

#include "curl-ioloop.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
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

/* A transfer needs up to five file descriptors at a time: while its host name is
   looked up, for libcurl's two and the resolver's two, and the duplicate of one.
   While it connects by IPv4 and IPv6 it needs four. An idle connection needs
   one. So half of all are enough for connections, and the other half for four
   more for each transfer. */
#define CONNECTION_FDS 2
#define TRANSFER_FDS 8
/* More do not make it faster, and each takes memory, and may take a thread. */
#define TRANSFERS_MAX 1000

/* When to try again to watch sockets for which there was no file descriptor. */
#define WATCH_RETRY_MSECS 100

struct curl_ioloop_socket {
	struct curl_ioloop_socket *prev, *next;
	struct curl_ioloop *loop;
	/* libcurl's, and our duplicate of it, which is watched (-1 = none) */
	curl_socket_t fd;
	int watched_fd;
	/* what to watch it for */
	bool read, write;
	struct io *io_read, *io_write;
};

struct curl_ioloop_peer {
	struct ip_addr ip;
	in_port_t port;
};

struct curl_ioloop {
	CURLM *multi;
	curl_ioloop_finished_t *finished;
	struct timeout *to_multi, *to_all;
	unsigned int max_transfers;
	struct curl_ioloop_socket *sockets;
	/* some can't be watched yet */
	struct timeout *to_watch;
	/* some names could not be looked up, which has been logged */
	bool too_many_lookups;
	/* by file descriptor: where libcurl was going to connect to when it
	   opened a socket with that number. It may have closed that since. */
	ARRAY(struct curl_ioloop_peer) peers;
};

/* Connections that are dead and do not say so */

static bool peers_equal(const struct curl_ioloop_peer *peer1,
			const struct curl_ioloop_peer *peer2)
{
	return peer1->port == peer2->port &&
		net_ip_compare(&peer1->ip, &peer2->ip);
}

/* One of the addresses of the transfer's connection. */
static bool
transfer_address(CURL *easy, CURLINFO ip_info, CURLINFO port_info,
		 struct curl_ioloop_peer *address_r)
{
	const char *ip = NULL;
	long port = 0;

	(void)curl_easy_getinfo(easy, ip_info, &ip);
	(void)curl_easy_getinfo(easy, port_info, &port);
	address_r->port = port;
	return port > 0 && ip != NULL && net_addr2ip(ip, &address_r->ip) == 0;
}

static bool
is_connected_to(int fd, const struct curl_ioloop_peer *peer)
{
	struct curl_ioloop_peer real;

	return net_getpeername(fd, &real.ip, &real.port) == 0 &&
		peers_equal(&real, peer);
}

static bool is_connection_of(int fd, CURL *easy)
{
	struct curl_ioloop_peer real, local;

	return transfer_address(easy, CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT,
				&local) &&
		net_getsockname(fd, &real.ip, &real.port) == 0 &&
		peers_equal(&real, &local);
}

/* Has nothing come since the transfer has sent its request? */
static bool is_silent(int fd, CURL *easy)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	curl_off_t total = 0, before_request = 0;

	i_zero(&info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return FALSE;
	(void)curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total);
	(void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T,
				&before_request);
	return info.tcpi_last_data_recv >= (total - before_request) / 1000;
}

/* Does a transfer use it? libcurl has those watched, and no others. */
static bool is_in_use(struct curl_ioloop *loop, curl_socket_t fd)
{
	struct curl_ioloop_socket *sock;

	for (sock = loop->sockets; sock != NULL; sock = sock->next) {
		if (sock->fd == fd)
			return sock->read || sock->write;
	}
	return FALSE;
}

/* A transfer took too long. Its connection may be dead, as when a firewall has
   forgotten it, and if so the others to this peer are dead, too. libcurl would
   wait for an answer on each, and keeps one of HTTP/2 even then. Shut down the
   unused ones, and the transfer's own unless others are answered on it. */
static void curl_ioloop_timed_out(struct curl_ioloop *loop, CURL *easy)
{
	struct curl_ioloop_peer peer;
	unsigned int fd;

	if (!transfer_address(easy, CURLINFO_PRIMARY_IP, CURLINFO_PRIMARY_PORT,
			      &peer))
		return;
	for (fd = 0; fd < array_count(&loop->peers); fd++) {
		if (!peers_equal(array_idx(&loop->peers, fd), &peer) ||
		    !is_connected_to(fd, &peer))
			continue;
		if (!is_in_use(loop, fd) ||
		    (is_connection_of(fd, easy) && is_silent(fd, easy)))
			(void)shutdown(fd, SHUT_RDWR);
	}
}

/* libcurl and the ioloop */

static void curl_ioloop_acted(struct curl_ioloop *loop, int running);

static void
curl_ioloop_action(struct curl_ioloop *loop, curl_socket_t fd, int events)
{
	int running;

	(void)curl_multi_socket_action(loop->multi, fd, events, &running);
	curl_ioloop_acted(loop, running);
}

#ifdef LOOK_AFTER_ALL_MSECS
static void curl_ioloop_all(struct curl_ioloop *loop)
{
	int running;

	timeout_remove(&loop->to_all);
	CURL_IGNORE_DEPRECATION(
		(void)curl_multi_socket_all(loop->multi, &running);
	)
	curl_ioloop_acted(loop, running);
}
#endif

/* running: how many transfers go on */
static void curl_ioloop_acted(struct curl_ioloop *loop, int running)
{
	CURLMsg *msg;
	int left;

#ifdef LOOK_AFTER_ALL_MSECS
	if (running > 0 && loop->to_all == NULL) {
		loop->to_all = timeout_add_short(LOOK_AFTER_ALL_MSECS,
						 curl_ioloop_all, loop);
	}
#else
	(void)running;
#endif
	while ((msg = curl_multi_info_read(loop->multi, &left)) != NULL) {
		T_BEGIN {
			if (msg->data.result == CURLE_OPERATION_TIMEDOUT)
				curl_ioloop_timed_out(loop, msg->easy_handle);
			loop->finished(msg->easy_handle, msg->data.result);
		} T_END;
	}
}

static void curl_ioloop_readable(struct curl_ioloop_socket *sock)
{
	curl_ioloop_action(sock->loop, sock->fd, CURL_CSELECT_IN);
}

static void curl_ioloop_writable(struct curl_ioloop_socket *sock)
{
	curl_ioloop_action(sock->loop, sock->fd, CURL_CSELECT_OUT);
}

static void curl_ioloop_watch_all(struct curl_ioloop *loop);

/* If there is no file descriptor left, its transfer waits, until its timeout
   ends it. */
static bool curl_ioloop_dup(struct curl_ioloop_socket *sock)
{
	struct curl_ioloop *loop = sock->loop;

	if (sock->watched_fd != -1)
		return TRUE;
	sock->watched_fd = fcntl(sock->fd, F_DUPFD_CLOEXEC, 0);
	if (sock->watched_fd != -1)
		return TRUE;
	if (loop->to_watch == NULL) {
		i_error("Connections to endpoints wait: "
			"fcntl(F_DUPFD_CLOEXEC) failed: %m");
		loop->to_watch = timeout_add_short(WATCH_RETRY_MSECS,
						   curl_ioloop_watch_all, loop);
	}
	return FALSE;
}

static void curl_ioloop_watch(struct curl_ioloop_socket *sock)
{
	bool read = sock->read, write = sock->write;

	if ((read || write) && !curl_ioloop_dup(sock))
		return;
	if (!read)
		io_remove(&sock->io_read);
	else if (sock->io_read == NULL) {
		sock->io_read = io_add(sock->watched_fd, IO_READ,
				       curl_ioloop_readable, sock);
	}
	if (!write)
		io_remove(&sock->io_write);
	else if (sock->io_write == NULL) {
		sock->io_write = io_add(sock->watched_fd, IO_WRITE,
					curl_ioloop_writable, sock);
	}
}

static void curl_ioloop_watch_all(struct curl_ioloop *loop)
{
	struct curl_ioloop_socket *sock;
	bool all = TRUE;

	for (sock = loop->sockets; sock != NULL && all; sock = sock->next) {
		curl_ioloop_watch(sock);
		all = sock->watched_fd != -1 || (!sock->read && !sock->write);
	}
	if (all)
		timeout_remove(&loop->to_watch);
}

static void curl_ioloop_unwatch(struct curl_ioloop_socket *sock)
{
	io_remove(&sock->io_read);
	io_remove(&sock->io_write);
	i_close_fd(&sock->watched_fd);
}

static void curl_ioloop_socket_free(struct curl_ioloop_socket **_sock)
{
	struct curl_ioloop_socket *sock = *_sock;

	*_sock = NULL;
	DLLIST_REMOVE(&sock->loop->sockets, sock);
	curl_ioloop_unwatch(sock);
	i_free(sock);
}

/* libcurl says which events to watch a socket for. */
static int
curl_ioloop_socket_callback(CURL *easy ATTR_UNUSED, curl_socket_t fd, int what,
			    void *context, void *socket_context)
{
	struct curl_ioloop *loop = context;
	struct curl_ioloop_socket *sock = socket_context;

	if (what == CURL_POLL_REMOVE) {
		if (sock != NULL)
			curl_ioloop_socket_free(&sock);
		return 0;
	}
	if (sock == NULL) {
		sock = i_new(struct curl_ioloop_socket, 1);
		sock->loop = loop;
		sock->fd = fd;
		sock->watched_fd = -1;
		DLLIST_PREPEND(&loop->sockets, sock);
		(void)curl_multi_assign(loop->multi, fd, sock);
	}
	sock->read = (what & CURL_POLL_IN) != 0;
	sock->write = (what & CURL_POLL_OUT) != 0;
	curl_ioloop_watch(sock);
	return 0;
}

static void
curl_ioloop_set_peer(struct curl_ioloop *loop, int fd,
		     const struct sockaddr *addr)
{
	struct curl_ioloop_peer *peer = array_idx_get_space(&loop->peers, fd);

	i_zero(peer);
	if (addr->sa_family == AF_INET) {
		const struct sockaddr_in *in =
			(const struct sockaddr_in *)(const void *)addr;

		peer->ip.family = AF_INET;
		peer->ip.u.ip4 = in->sin_addr;
		peer->port = ntohs(in->sin_port);
	} else if (addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 =
			(const struct sockaddr_in6 *)(const void *)addr;

		peer->ip.family = AF_INET6;
		peer->ip.u.ip6 = in6->sin6_addr;
		peer->port = ntohs(in6->sin6_port);
	}
}

/* libcurl wants a socket. The number may be that of a socket which libcurl has
   closed without telling us. It may then use the new socket without asking us
   to watch it, so watch the new one for the same events. */
static curl_socket_t
curl_ioloop_open_socket(void *context, curlsocktype purpose ATTR_UNUSED,
			struct curl_sockaddr *addr)
{
	struct curl_ioloop *loop = context;
	struct curl_ioloop_socket *sock;
	int fd;

	fd = socket(addr->family, addr->socktype, addr->protocol);
	if (fd == -1)
		return CURL_SOCKET_BAD;
	fd_close_on_exec(fd, TRUE);
	curl_ioloop_set_peer(loop, fd, &addr->addr);

	for (sock = loop->sockets; sock != NULL; sock = sock->next) {
		if (sock->fd == fd) {
			curl_ioloop_unwatch(sock);
			curl_ioloop_watch(sock);
			break;
		}
	}
	return fd;
}

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
curl_ioloop_resolver_start(void *resolver_state ATTR_UNUSED,
			   void *reserved ATTR_UNUSED, void *context)
{
	struct curl_ioloop *loop = context;
	unsigned int count = threads_count();

	if (count < RESOLVE_THREADS_MAX / 2)
		loop->too_many_lookups = FALSE;
	if (count < RESOLVE_THREADS_MAX)
		return 0;
	if (!loop->too_many_lookups) {
		i_error("%u look-ups of endpoints' names have not ended; "
			"starting no more (do the name servers answer?)",
			count);
	}
	loop->too_many_lookups = TRUE;
	return 1;
}

static void curl_ioloop_timeout(struct curl_ioloop *loop)
{
	timeout_remove(&loop->to_multi);
	curl_ioloop_action(loop, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl says when it wants to be called even if no socket is ready. */
static int
curl_ioloop_timer_callback(CURLM *multi ATTR_UNUSED, long msecs, void *context)
{
	struct curl_ioloop *loop = context;

	timeout_remove(&loop->to_multi);
	if (msecs >= 0) {
		loop->to_multi = timeout_add_short(msecs, curl_ioloop_timeout,
						   loop);
	}
	return 0;
}

unsigned int curl_ioloop_max_transfers(const struct curl_ioloop *loop)
{
	return loop->max_transfers;
}

void curl_ioloop_add(struct curl_ioloop *loop, CURL *easy, bool by_name)
{
	CURLMcode ret;

	(void)curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION,
			       by_name ? curl_ioloop_resolver_start : NULL);
	(void)curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, loop);

	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
			       curl_ioloop_open_socket);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, loop);
	ret = curl_multi_add_handle(loop->multi, easy);
	if (ret != CURLM_OK)
		i_fatal("libcurl: %s", curl_multi_strerror(ret));
}

void curl_ioloop_remove(struct curl_ioloop *loop, CURL *easy)
{
	(void)curl_multi_remove_handle(loop->multi, easy);
}

struct curl_ioloop *
curl_ioloop_init(unsigned int max_fds, curl_ioloop_finished_t *finished)
{
	struct curl_ioloop *loop;
	long connections_max = I_MAX(max_fds / CONNECTION_FDS, 1);

	loop = i_new(struct curl_ioloop, 1);
	loop->finished = finished;
	loop->max_transfers = I_MIN(I_MAX(max_fds / TRANSFER_FDS, 1),
				    TRANSFERS_MAX);
	i_array_init(&loop->peers, 64);
	loop->multi = curl_multi_init();
	if (loop->multi == NULL)
		i_fatal_status(FATAL_OUTOFMEM, "libcurl: out of memory");
	(void)curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION,
				curl_ioloop_socket_callback);
	(void)curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
	(void)curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION,
				curl_ioloop_timer_callback);
	(void)curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
	/* Transfers beyond this number of connections wait. If too many idle
	   connections are kept, the one that has not been used for the longest
	   time is closed. By default libcurl keeps four for each transfer under
	   way. So if one transfer at a time goes to more than four endpoints in
	   turn, no connection would ever be used again. */
	(void)curl_multi_setopt(loop->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
				connections_max);
	(void)curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS,
				I_MIN(connections_max, IDLE_CONNECTIONS_MAX));
#if LIBCURL_VERSION_NUM >= 0x081400
	/* Since libcurl 8.20, look-ups share threads. One that takes long must
	   not delay others, nor the end of the service. */
	(void)curl_multi_setopt(loop->multi, CURLMOPT_RESOLVE_THREADS_MAX,
				RESOLVE_THREADS_MAX);
	(void)curl_multi_setopt(loop->multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
	return loop;
}

void curl_ioloop_deinit(struct curl_ioloop **_loop)
{
	struct curl_ioloop *loop = *_loop;

	*_loop = NULL;
	(void)curl_multi_cleanup(loop->multi);
	while (loop->sockets != NULL) {
		struct curl_ioloop_socket *sock = loop->sockets;
		curl_ioloop_socket_free(&sock);
	}
	timeout_remove(&loop->to_multi);
	timeout_remove(&loop->to_all);
	timeout_remove(&loop->to_watch);
	array_free(&loop->peers);
	i_free(loop);
}
