/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many mail processes that hand off as fast as the service stores, each of them
   one notification after the other.

   usage: handoffs SECONDS CONNECTIONS URL BODY SOCKET...
   The connections are spread over the sockets. Prints how many were stored in a
   second, and the p50 and p99 of a hand-off in milliseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1000
#define TIMES_MAX 10000000
#define USERS 500

struct client {
	int fd;
	unsigned long seq;
	double sent;
	/* of a line that is not complete yet */
	char first;
	int greeted;
};

static struct client clients[CONNECTIONS_MAX];
static const char *url, *body;
static float *times;
static unsigned long stored, users;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void hand_off(struct client *client)
{
	char line[4096];
	int size;

	size = snprintf(line, sizeof(line),
			"NOTIFY\t%lu\tuser%lu\tINBOX\t1\t%s\turl=%s\n",
			++client->seq, users++ % USERS, body, url);
	client->sent = now();
	if (size >= (int)sizeof(line) ||
	    write(client->fd, line, size) != size)
		die("write()");
}

static void client_start(struct client *client, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char line[200];
	int size;

	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(client->fd, (void *)&sa, sizeof(sa)) < 0)
		die(path);
	size = snprintf(line, sizeof(line),
			"VERSION\thttp-notify-handoff\t1\t0\n"
			"SESSION\t%08x%08lx%08x%08lx\n", (unsigned int)getpid(),
			(unsigned long)(client - clients),
			(unsigned int)time(NULL), (unsigned long)random());
	if (write(client->fd, line, size) != size)
		die("write()");
}

/* The server's version, then an answer for each. */
static void client_line(struct client *client)
{
	if (!client->greeted)
		client->greeted = 1;
	else if (client->first != 'O') {
		fprintf(stderr, "a hand-off was refused\n");
		exit(1);
	} else if (stored < TIMES_MAX)
		times[stored++] = now() - client->sent;
	client->first = '\0';
	hand_off(client);
}

static void client_input(struct client *client)
{
	char data[4096];
	ssize_t i, size = read(client->fd, data, sizeof(data));

	if (size <= 0)
		die("read()");
	for (i = 0; i < size; i++) {
		if (client->first == '\0')
			client->first = data[i];
		if (data[i] == '\n')
			client_line(client);
	}
}

static int cmp(const void *a, const void *b)
{
	float diff = *(const float *)a - *(const float *)b;

	return diff < 0 ? -1 : diff > 0;
}

int main(int argc, char *argv[])
{
	struct epoll_event events[64];
	double begin, end;
	int i, count, connections, epoll_fd = epoll_create1(0);

	if (argc < 6 || (connections = atoi(argv[2])) > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: handoffs SECONDS CONNECTIONS URL BODY "
			"SOCKET...\n");
		return 2;
	}
	url = argv[3];
	body = argv[4];
	times = calloc(TIMES_MAX, sizeof(*times));
	srandom(now() * 1e6);
	begin = now();
	end = begin + atof(argv[1]);
	for (i = 0; i < connections; i++) {
		struct epoll_event event = {
			.events = EPOLLIN, .data.ptr = &clients[i]
		};

		client_start(&clients[i], argv[5 + i % (argc - 5)]);
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, clients[i].fd, &event);
	}
	while (now() < end) {
		count = epoll_wait(epoll_fd, events, 64, 100);
		for (i = 0; i < count; i++)
			client_input(events[i].data.ptr);
	}
	end = now();
	if (stored == 0) {
		fprintf(stderr, "none was stored\n");
		return 1;
	}
	qsort(times, stored, sizeof(*times), cmp);
	printf("%.0f %.3f %.3f\n", stored / (end - begin),
	       1000 * times[stored / 2], 1000 * times[stored * 99 / 100]);
	return 0;
}
