/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_PROTOCOL_H
#define HTTP_NOTIFY_ADMIN_PROTOCOL_H

/* What doveadm asks the service, over the UNIX socket HTTP_NOTIFY_ADMIN_SOCKET
   in base_dir. Lines of TAB-escaped fields (strescape.h); both sides begin with
   Dovecot's VERSION line. One command at a time:

   client: STATUS
   client: QUEUE <mail user> <endpoint>
   client: FLUSH <mail user> <endpoint>
   client: PURGE <mail user> <endpoint>
   client: PROBE <body> <option> ...
   client: SEND <mail user> <folder> <uid> <body> <option> ...
   server: ROW <field> ...      any number of times
   server: OK <number>
   server: FAIL <reason>

   The first four name users and endpoints by masks (wildcard-match.h); an
   endpoint is named by its URL without credentials, and if that is another
   one's as well, by its number: " #2" behind it. STATUS and QUEUE answer a
   row for each endpoint, or each notification, with the fields below; the last
   row of STATUS is of all endpoints, named HTTP_NOTIFY_ADMIN_TOTAL. FLUSH ends
   the waits of retries and probes; PURGE drops what is queued and not under
   way. Their OK says how many it was.

   PROBE sends a body to each of the servers that the options (options.h) name,
   once and not by the queue. SEND puts a notification into the queue, has an
   endpoint that is down tried at once, and waits for what becomes of it, until
   the endpoint is known to be down or for HTTP_NOTIFY_ADMIN_SEND_SECS: then it
   fails and the notification stays queued. Both answer a row for each request,
   with the fields below; that of SEND begins with another one if the endpoint
   is down, which has neither status nor time. The client gives up by closing
   the connection; what SEND has queued stays queued. */
#define HTTP_NOTIFY_ADMIN_SOCKET "http-notify-admin"
#define HTTP_NOTIFY_ADMIN_NAME "http-notify-admin"
#define HTTP_NOTIFY_ADMIN_VERSION_MAJOR 1
#define HTTP_NOTIFY_ADMIN_VERSION_MINOR 0

/* Longest line, in bytes: as of a hand-off. */
#define HTTP_NOTIFY_ADMIN_LINE_MAX (128*1024)

#define HTTP_NOTIFY_ADMIN_SEND_SECS 30
#define HTTP_NOTIFY_ADMIN_TOTAL "total"

enum http_notify_admin_verb {
	HTTP_NOTIFY_ADMIN_STATUS,
	HTTP_NOTIFY_ADMIN_QUEUE,
	HTTP_NOTIFY_ADMIN_FLUSH,
	HTTP_NOTIFY_ADMIN_PURGE,
	HTTP_NOTIFY_ADMIN_PROBE,
	HTTP_NOTIFY_ADMIN_SEND
};

struct http_notify_admin_command {
	enum http_notify_admin_verb verb;

	/* QUEUE, FLUSH and PURGE */
	const char *user_mask, *endpoint_mask;

	/* SEND: the notification's, for the log */
	const char *username, *folder;
	uint32_t uid;
	/* PROBE and SEND: JSON */
	const char *body;
	/* PROBE and SEND: NULL-terminated */
	const char *const *options;
};

void http_notify_admin_append(string_t *dest,
			      const struct http_notify_admin_command *command);

/* Parse a command that was split by t_strsplit_tabescaped(). The result points
   to the fields. Returns 0, or -1 and error_r, which repeats nothing of the
   line. */
int http_notify_admin_parse(const char *const *fields,
			    struct http_notify_admin_command *command_r,
			    const char **error_r);

/* Fields of STATUS. Times are seconds. Those of a known width come first, so
   that a table can be read also if the others don't fit. */
enum http_notify_admin_status {
	/* up, down or misconfigured; empty in the row of totals */
	HTTP_NOTIFY_ADMIN_STATUS_STATE,
	/* for how long; in the row of totals: how long the service has run */
	HTTP_NOTIFY_ADMIN_STATUS_SINCE,
	/* of standby_url, empty if there is none */
	HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE,
	HTTP_NOTIFY_ADMIN_STATUS_QUEUED,
	/* age of the oldest one */
	HTTP_NOTIFY_ADMIN_STATUS_OLDEST,
	HTTP_NOTIFY_ADMIN_STATUS_IN_FLIGHT,
	/* since the service was started */
	HTTP_NOTIFY_ADMIN_STATUS_DELIVERED,
	HTTP_NOTIFY_ADMIN_STATUS_RETRIED,
	HTTP_NOTIFY_ADMIN_STATUS_REFUSED,
	HTTP_NOTIFY_ADMIN_STATUS_DROPPED,
	HTTP_NOTIFY_ADMIN_STATUS_EXPIRED,
	HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT,
	/* empty if nothing has failed */
	HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR,

	HTTP_NOTIFY_ADMIN_STATUS_COUNT
};

/* Fields of QUEUE. */
enum http_notify_admin_queue {
	HTTP_NOTIFY_ADMIN_QUEUE_USERNAME,
	HTTP_NOTIFY_ADMIN_QUEUE_ENDPOINT,
	HTTP_NOTIFY_ADMIN_QUEUE_FOLDER,
	HTTP_NOTIFY_ADMIN_QUEUE_UID,
	/* seconds */
	HTTP_NOTIFY_ADMIN_QUEUE_AGE,
	HTTP_NOTIFY_ADMIN_QUEUE_EXPIRES_IN,
	/* that have failed */
	HTTP_NOTIFY_ADMIN_QUEUE_ATTEMPTS,

	HTTP_NOTIFY_ADMIN_QUEUE_COUNT
};

/* Fields of PROBE and SEND. */
enum http_notify_admin_request {
	/* host and port */
	HTTP_NOTIFY_ADMIN_REQUEST_ENDPOINT,
	/* HTTP status, 0 if no answer came */
	HTTP_NOTIFY_ADMIN_REQUEST_STATUS,
	HTTP_NOTIFY_ADMIN_REQUEST_MSECS,
	HTTP_NOTIFY_ADMIN_REQUEST_REASON,

	HTTP_NOTIFY_ADMIN_REQUEST_COUNT
};

#endif
