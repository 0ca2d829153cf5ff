/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"

#include "curl-sockets.h"
#include "monotonic.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* How many sockets that are ready to take at a time. */
#define EVENTS_MAX 64
/* Failures go on until there is none for so long. */
#define FAILURES_END_MSECS (60*1000)

struct address {
	/* 0 = unknown */
	sa_family_t family;
	in_port_t port;
	struct in6_addr ip;
};

/* What is known of a file descriptor. */
struct curl_socket {
	/* for which libcurl wants it watched, and for which it is: EPOLL* */
	uint32_t wanted, watched;
	/* It is a connection's: libcurl says when it opens and closes it, and
	   where it was going to connect to. */
	bool connection;
	struct address peer;
};

struct curl_sockets {
	CURLM *multi;
	int epoll_fd, wakeup_fd;
	/* to be reported; and when the last one was, whether reported or not */
	const char *failed_call;
	int failed_errno;
	int64_t last_failure;
	/* by file descriptor */
	ARRAY(struct curl_socket) fds;
};

static void address_set(struct address *address, const struct sockaddr *addr)
{
	const struct sockaddr_in *in =
		(const struct sockaddr_in *)(const void *)addr;
	const struct sockaddr_in6 *in6 =
		(const struct sockaddr_in6 *)(const void *)addr;

	i_zero(address);
	if (addr->sa_family == AF_INET) {
		address->port = ntohs(in->sin_port);
		memcpy(&address->ip, &in->sin_addr, sizeof(in->sin_addr));
	} else if (addr->sa_family == AF_INET6) {
		address->port = ntohs(in6->sin6_port);
		address->ip = in6->sin6_addr;
	} else {
		return;
	}
	address->family = addr->sa_family;
}

static bool address_equals(const struct address *address1,
			   const struct address *address2)
{
	return address1->family != 0 &&
		address1->family == address2->family &&
		address1->port == address2->port &&
		memcmp(&address1->ip, &address2->ip,
		       sizeof(address1->ip)) == 0;
}

/* One of the addresses of the transfer's connection. */
static bool
transfer_address(CURL *easy, CURLINFO ip_info, CURLINFO port_info,
		 struct address *address_r)
{
	const char *ip = NULL;
	long port = 0;

	i_zero(address_r);
	(void)curl_easy_getinfo(easy, ip_info, &ip);
	(void)curl_easy_getinfo(easy, port_info, &port);
	if (ip == NULL || port <= 0)
		return FALSE;
	address_r->port = port;
	address_r->family = strchr(ip, ':') == NULL ? AF_INET : AF_INET6;
	return inet_pton(address_r->family, ip, &address_r->ip) == 1;
}

typedef int socket_name_t(int fd, struct sockaddr *addr, socklen_t *size);

/* Is this what getpeername() or getsockname() say? */
static bool
is_address_of(int fd, socket_name_t *get_name, const struct address *address)
{
	union {
		struct sockaddr addr;
		struct sockaddr_storage storage;
	} name;
	socklen_t size = sizeof(name);
	struct address real;

	if (get_name(fd, &name.addr, &size) < 0)
		return FALSE;
	address_set(&real, &name.addr);
	return address_equals(&real, address);
}

static bool is_connection_of(int fd, CURL *easy)
{
	struct address local;

	return transfer_address(easy, CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT,
				&local) &&
		is_address_of(fd, getsockname, &local);
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

void curl_sockets_timed_out(struct curl_sockets *sockets, CURL *easy)
{
	const struct curl_socket *sock;
	struct address peer;
	unsigned int fd;

	if (!transfer_address(easy, CURLINFO_PRIMARY_IP, CURLINFO_PRIMARY_PORT,
			      &peer))
		return;
	for (fd = 0; fd < array_count(&sockets->fds); fd++) {
		sock = array_idx(&sockets->fds, fd);
		if (!sock->connection || !address_equals(&sock->peer, &peer) ||
		    !is_address_of(fd, getpeername, &peer))
			continue;
		/* libcurl wants those watched that transfers use */
		if (sock->wanted == 0 ||
		    (is_connection_of(fd, easy) && is_silent(fd, easy)))
			(void)shutdown(fd, SHUT_RDWR);
	}
}

static void curl_sockets_failed(struct curl_sockets *sockets, const char *call)
{
	int64_t now = http_notify_monotonic_msecs();

	if (now - sockets->last_failure > FAILURES_END_MSECS) {
		sockets->failed_call = call;
		sockets->failed_errno = errno;
	}
	sockets->last_failure = now;
}

static bool
curl_socket_control(struct curl_sockets *sockets, int op, int fd,
		    uint32_t events)
{
	struct epoll_event event = {
		.events = events,
		.data.fd = fd,
	};

	return epoll_ctl(sockets->epoll_fd, op, fd, &event) == 0;
}

static void
curl_socket_watch(struct curl_sockets *sockets, int fd,
		  struct curl_socket *sock)
{
	bool ok;

	if (sock->wanted == sock->watched)
		return;
	if (sock->wanted == 0) {
		/* The next request most likely wants an idle connection watched
		   for the same again. */
		if (sock->connection)
			return;
		(void)curl_socket_control(sockets, EPOLL_CTL_DEL, fd, 0);
		sock->watched = 0;
		return;
	}
	ok = sock->watched != 0 &&
		curl_socket_control(sockets, EPOLL_CTL_MOD, fd, sock->wanted);
	if (!ok && sock->watched != 0 && errno == ENOENT) {
		/* libcurl 7.87 and 7.88 close a socket that is not connected
		   yet without telling anyone. So it is another one. */
		sock->connection = FALSE;
		sock->watched = 0;
	}
	if (!ok && sock->watched == 0) {
		ok = curl_socket_control(sockets, EPOLL_CTL_ADD, fd,
					 sock->wanted);
	}
	if (!ok)
		curl_sockets_failed(sockets, "epoll_ctl()");
	sock->watched = ok ? sock->wanted : 0;
}

/* libcurl says which events to watch a socket for. */
static int
curl_sockets_callback(CURL *easy ATTR_UNUSED, curl_socket_t fd, int what,
		      void *context, void *socket_context ATTR_UNUSED)
{
	struct curl_sockets *sockets = context;
	struct curl_socket *sock = array_idx_get_space(&sockets->fds, fd);

	sock->wanted = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		sock->wanted |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		sock->wanted |= EPOLLOUT;
	curl_socket_watch(sockets, fd, sock);
	return 0;
}

/* libcurl may have closed a socket with this number without saying that it is
   not to be watched any more, and then uses the new one without asking for that
   again. */
static curl_socket_t
curl_sockets_open(void *context, curlsocktype purpose ATTR_UNUSED,
		  struct curl_sockaddr *addr)
{
	struct curl_sockets *sockets = context;
	struct curl_socket *sock;
	int fd;

	fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC,
		    addr->protocol);
	if (fd == -1) {
		curl_sockets_failed(sockets, "socket()");
		return CURL_SOCKET_BAD;
	}
	sock = array_idx_get_space(&sockets->fds, fd);
	sock->connection = TRUE;
	sock->watched = 0;
	address_set(&sock->peer, &addr->addr);
	curl_socket_watch(sockets, fd, sock);
	return fd;
}

/* The kernel stops watching it. */
static int curl_sockets_close(void *context, curl_socket_t fd)
{
	struct curl_sockets *sockets = context;
	struct curl_socket *sock = array_idx_get_space(&sockets->fds, fd);

	sock->connection = FALSE;
	sock->watched = 0;
	return close(fd);
}

void curl_sockets_set(struct curl_sockets *sockets, CURL *easy)
{
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
			       curl_sockets_open);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, sockets);
	(void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION,
			       curl_sockets_close);
	(void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, sockets);
}

static void
curl_sockets_ready(struct curl_sockets *sockets,
		   const struct epoll_event *event)
{
	int fd = event->data.fd, what = 0, running;
	struct curl_socket *sock;

	sock = array_idx_modifiable(&sockets->fds, fd);
	if (sock->watched == 0) {
		/* it was closed just now */
		return;
	}
	if (sock->wanted == 0) {
		/* An idle connection was closed, most likely, which libcurl
		   will find before it uses it. */
		(void)curl_socket_control(sockets, EPOLL_CTL_DEL, fd, 0);
		sock->watched = 0;
		return;
	}
	if ((event->events & EPOLLIN) != 0)
		what |= CURL_CSELECT_IN;
	if ((event->events & EPOLLOUT) != 0)
		what |= CURL_CSELECT_OUT;
	if ((event->events & (EPOLLERR | EPOLLHUP)) != 0) {
		/* reading and writing say what it is */
		what |= (sock->wanted & EPOLLIN) != 0 ?
			CURL_CSELECT_IN : CURL_CSELECT_OUT;
	}
	(void)curl_multi_socket_action(sockets->multi, fd, what, &running);
}

void curl_sockets_wait(struct curl_sockets *sockets, int msecs)
{
	struct epoll_event events[EVENTS_MAX];
	int i, count;

	count = epoll_wait(sockets->epoll_fd, events, EVENTS_MAX, msecs);
	for (i = 0; i < count; i++) {
		if (events[i].data.fd != sockets->wakeup_fd)
			curl_sockets_ready(sockets, &events[i]);
	}
}

const char *
curl_sockets_get_error(struct curl_sockets *sockets, int *errno_r)
{
	const char *call = sockets->failed_call;

	*errno_r = sockets->failed_errno;
	sockets->failed_call = NULL;
	return call;
}

struct curl_sockets *curl_sockets_init(CURLM *multi, int wakeup_fd)
{
	struct curl_sockets *sockets;

	sockets = i_new(struct curl_sockets, 1);
	sockets->multi = multi;
	sockets->wakeup_fd = wakeup_fd;
	sockets->last_failure = -FAILURES_END_MSECS - 1;
	sockets->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sockets->epoll_fd == -1)
		i_fatal("epoll_create1() failed: %m");
	/* edge-triggered, so that it need not be read */
	if (!curl_socket_control(sockets, EPOLL_CTL_ADD, wakeup_fd,
				 EPOLLIN | EPOLLET))
		i_fatal("epoll_ctl(EPOLL_CTL_ADD) failed: %m");
	i_array_init(&sockets->fds, 64);
	(void)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION,
				curl_sockets_callback);
	(void)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, sockets);
	return sockets;
}

void curl_sockets_deinit(struct curl_sockets **_sockets)
{
	struct curl_sockets *sockets = *_sockets;

	*_sockets = NULL;
	i_close_fd(&sockets->epoll_fd);
	array_free(&sockets->fds);
	i_free(sockets);
}
