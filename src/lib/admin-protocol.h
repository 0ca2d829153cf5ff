/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ADMIN_PROTOCOL_H
#define HTTP_NOTIFY_ADMIN_PROTOCOL_H

/* What doveadm asks the service, over the UNIX socket HTTP_NOTIFY_ADMIN_SOCKET
   in base_dir. Each line consists of TAB-escaped fields (strescape.h); both
   sides begin with Dovecot's VERSION line. One command at a time:

   client: HOSTS
   client: STATUS
   client: HISTORY
   client: CHECK
   client: QUEUE <mail user> <endpoint> [<time>]
   client: SPOOLED <mail user> <endpoint> [<time>]
   client: MOVE
   client: FLUSH <mail user> <endpoint>
   client: PURGE <mail user> <endpoint> [<time>]
   client: LOST <mail user> <endpoint> <folder> <host> <reason> <seconds>
   client: RESEND <mail user> <endpoint> <folder> <host> <reason> <seconds>
           [<to>]
   client: DROP <mail user> <endpoint> <folder> <host> <reason> <seconds>
   client: BODY QUEUE|SPOOLED|LOST <id>
   client: WATCH <mail user>
   client: PROBE <body> <option> ...
   client: SEND <mail user> <folder> <uid> <body> <option> ...
   client: ANNOUNCED <mail user> <folder> <uidvalidity> <owner> <option> ...
   client: ANNOUNCE <mail user> <folder> <uidvalidity> <uid> <body> <option> ...
   client: AT <host> STATUS|QUEUE|SPOOLED|FLUSH|PURGE|BODY|WATCH <field> ...
   server: ROW <field> ...      any number of times
   server: WAIT                 likewise
   server: OK <number>
   server: FAIL <reason>

   WAIT says that the service is at work. The client may close the connection at
   any time: what STATUS, QUEUE, SPOOLED, PURGE and BODY have not done then, they
   leave.

   These commands select users, endpoints, folders and hosts by masks
   (wildcard-match.h). An endpoint's name is its URL without credentials and
   query; if several endpoints have the same URL, the endpoint's number follows
   it, as in " #2". A mask matches the name or the URL alone.

   time: only those queued until then, as HOSTS tells the time.

   LOST, RESEND and DROP are about notifications that were given up: by this host
   (HTTP_NOTIFY_ADMIN_HERE = the one that is asked), for this reason (empty =
   any), at most so many seconds ago (0 = whenever). to: the name of the endpoint
   that gets them, if not the one that they were for.

   STATUS answers with a row for each endpoint, and QUEUE, SPOOLED and LOST with
   a row for each notification; their fields are below. SPOOLED is about those
   that are stored on this host only, until they have been moved into the queue,
   which may be while they are listed; their ids are this host's. The last row
   of STATUS, named HTTP_NOTIFY_ADMIN_TOTAL, is for all endpoints together.
   HISTORY answers with a row for each interval of the last 24 hours since the
   service was started, in the order of time; the last one is still going on.
   CHECK answers with a row for each part of what the queue's engine needs.
   FLUSH ends the waits for retries and probes. PURGE drops notifications that
   are queued or spooled, except those being sent, or moved from the one to the
   other. RESEND puts notifications that were given up back into the queue, and
   DROP forgets them; both answer now and then with a row that says how far they
   are. MOVE moves what is queued, and what was given up, from PostgreSQL to the
   host's own queue, or the other way, whichever is configured; it answers with
   such rows, too, and ends early when the client closes the connection. BODY
   answers with one row, or with none. The number in OK is that of the endpoints
   (STATUS), intervals (HISTORY), notifications (QUEUE, SPOOLED, PURGE, LOST,
   RESEND, DROP, MOVE, BODY) or ended waits (FLUSH), otherwise 1.

   WATCH answers with a row for whatever happens to a notification, until the
   client closes the connection; it is the last command.

   PROBE sends a body once to each server that the options (options.h) name,
   bypassing the queue. SEND queues a notification, has its endpoint tried at
   once even if that is down, and waits for the outcome. If the endpoint is down
   and a try since then has not helped, or after HTTP_NOTIFY_ADMIN_SEND_SECS,
   SEND fails and the notification stays queued. Both answer with a row for each
   request that has ended, with the fields below. If the endpoint is down at
   first, SEND begins with a row for that, in which status and time are empty.
   The client gives up by closing the connection; what SEND has queued stays
   queued.

   ANNOUNCED answers with a row: which messages of the folder have been
   announced to the endpoint that the options name, by processes that the
   service trusts or that have the user ID owner. The first one takes a while if
   much is queued, the next ones over the same connection do not. ANNOUNCE
   queues the notification of a message that has not been; the number in OK is 0
   if somebody else has just done that.

   Several hosts may share a queue. Then QUEUE, LOST, RESEND, DROP and BODY are
   about all that is in it, and the other commands about what this host sends,
   or has spooled.
   HOSTS answers with a row for each host, this one first; the number in OK is
   that of the rows. If it fails, only this one is known. AT has a command done
   by the host with this number, for what that one sends, and answers as that
   does, or fails. The client gives up by closing the connection. Each name that
   AT STATUS answers with has a number, which is the same on all hosts. */
#define HTTP_NOTIFY_ADMIN_SOCKET "http-notify-admin"
#define HTTP_NOTIFY_ADMIN_NAME "http-notify-admin"
#define HTTP_NOTIFY_ADMIN_VERSION_MAJOR 1
#define HTTP_NOTIFY_ADMIN_VERSION_MINOR 0

/* Longest line, in bytes: the same as for a small hand-off (handoff.h). */
#define HTTP_NOTIFY_ADMIN_LINE_MAX (128*1024)

#define HTTP_NOTIFY_ADMIN_SEND_SECS 30
/* How often WAIT comes from STATUS, QUEUE, SPOOLED, PURGE and BODY, if they go on
   at all. */
#define HTTP_NOTIFY_ADMIN_WAIT_SECS 2
#define HTTP_NOTIFY_ADMIN_WAIT "WAIT"
#define HTTP_NOTIFY_ADMIN_TOTAL "total"
#define HTTP_NOTIFY_ADMIN_HERE "."

enum http_notify_admin_verb {
	HTTP_NOTIFY_ADMIN_HOSTS,
	HTTP_NOTIFY_ADMIN_STATUS,
	HTTP_NOTIFY_ADMIN_HISTORY,
	HTTP_NOTIFY_ADMIN_CHECK,
	HTTP_NOTIFY_ADMIN_QUEUE,
	HTTP_NOTIFY_ADMIN_SPOOLED,
	HTTP_NOTIFY_ADMIN_MOVE,
	HTTP_NOTIFY_ADMIN_FLUSH,
	HTTP_NOTIFY_ADMIN_PURGE,
	HTTP_NOTIFY_ADMIN_LOST,
	HTTP_NOTIFY_ADMIN_RESEND,
	HTTP_NOTIFY_ADMIN_DROP,
	HTTP_NOTIFY_ADMIN_BODY,
	HTTP_NOTIFY_ADMIN_WATCH,
	HTTP_NOTIFY_ADMIN_PROBE,
	HTTP_NOTIFY_ADMIN_SEND,
	HTTP_NOTIFY_ADMIN_ANNOUNCED,
	HTTP_NOTIFY_ADMIN_ANNOUNCE
};

struct http_notify_admin_command {
	enum http_notify_admin_verb verb;

	/* AT: for this host, what it sends */
	bool at;
	int64_t host;

	/* those that select; BODY matches all, and WATCH any endpoint */
	const char *user_mask, *endpoint_mask;
	/* QUEUE, SPOOLED and PURGE; 0 = any */
	int64_t until;
	/* LOST, RESEND and DROP, and as above */
	const char *folder_mask, *host_mask, *reason;
	unsigned int max_secs;
	/* RESEND; NULL = none */
	const char *to;

	/* BODY: one that is spooled, or that was given up; or else queued */
	bool spooled, lost;
	int64_t id;

	/* SEND, ANNOUNCED, ANNOUNCE: the mail user, and where the message is,
	   or the messages are */
	const char *username, *folder;
	uint32_t uid, uidvalidity;
	/* ANNOUNCED: a user ID */
	const char *owner;
	/* PROBE, SEND, ANNOUNCE: JSON */
	const char *body;
	/* PROBE, SEND, ANNOUNCED, ANNOUNCE: NULL-terminated */
	const char *const *options;
};

void http_notify_admin_append(string_t *dest,
			      const struct http_notify_admin_command *command);

/* Parse a command that was split by t_strsplit_tabescaped(). The result points
   into the fields. Returns 0, or -1 and error_r, which repeats nothing from the
   line. */
int http_notify_admin_parse(const char *const *fields,
			    struct http_notify_admin_command *command_r,
			    const char **error_r);

/* Fields of HOSTS. */
enum http_notify_admin_host {
	/* for AT, where 0 is always this one; 0 = no others share the queue, or
	   this host has never been able to use it */
	HTTP_NOTIFY_ADMIN_HOST_NUMBER,
	HTTP_NOTIFY_ADMIN_HOST_NAME,
	/* of the queue's clock, in seconds; the same in all rows */
	HTTP_NOTIFY_ADMIN_HOST_TIME,

	HTTP_NOTIFY_ADMIN_HOST_COUNT
};

/* Fields of STATUS. Times are in seconds. The short fields come first, so that
   a table is readable even if the long ones don't fit. */
enum http_notify_admin_status {
	/* up, down or misconfigured; empty in the row of totals */
	HTTP_NOTIFY_ADMIN_STATUS_STATE,
	/* how long it has been so; in the row of totals: how long the service
	   has run */
	HTTP_NOTIFY_ADMIN_STATUS_SINCE,
	/* of standby_url, empty if there is none */
	HTTP_NOTIFY_ADMIN_STATUS_STANDBY_STATE,
	HTTP_NOTIFY_ADMIN_STATUS_QUEUED,
	/* the size of their bodies; and in percent how much of
	   http_notify_queue_limit they are, in number or bytes, whichever is
	   more */
	HTTP_NOTIFY_ADMIN_STATUS_QUEUED_BYTES,
	HTTP_NOTIFY_ADMIN_STATUS_QUEUED_PERCENT,
	/* age of the oldest one, 0 if there is none */
	HTTP_NOTIFY_ADMIN_STATUS_OLDEST,
	HTTP_NOTIFY_ADMIN_STATUS_IN_FLIGHT,
	/* these five: since the service was started. RETRIED counts attempts,
	   the others count notifications. */
	HTTP_NOTIFY_ADMIN_STATUS_DELIVERED,
	HTTP_NOTIFY_ADMIN_STATUS_RETRIED,
	HTTP_NOTIFY_ADMIN_STATUS_REFUSED,
	HTTP_NOTIFY_ADMIN_STATUS_DROPPED,
	HTTP_NOTIFY_ADMIN_STATUS_EXPIRED,
	/* of those that were given up: how many are kept, by reason; in the row
	   of totals: how long ago the oldest one was given up, and how many
	   have been forgotten before their time since the service was started,
	   both 0 in other rows */
	HTTP_NOTIFY_ADMIN_STATUS_KEPT_REFUSED,
	HTTP_NOTIFY_ADMIN_STATUS_KEPT_DROPPED,
	HTTP_NOTIFY_ADMIN_STATUS_KEPT_EXPIRED,
	HTTP_NOTIFY_ADMIN_STATUS_KEPT_OLDEST,
	HTTP_NOTIFY_ADMIN_STATUS_FORGOTTEN,
	/* how many of those queued are stored on this host only, because the
	   shared queue could not be written; OLDEST is without these */
	HTTP_NOTIFY_ADMIN_STATUS_SPOOLED,
	/* in the row of totals: HTTP_NOTIFY_ADMIN_QUEUE_UP and so on, and how
	   long it has been so; LAST_ERROR says why, unless it is up. In other
	   rows empty and 0 */
	HTTP_NOTIFY_ADMIN_STATUS_QUEUE,
	HTTP_NOTIFY_ADMIN_STATUS_QUEUE_SINCE,
	HTTP_NOTIFY_ADMIN_STATUS_ENDPOINT,
	/* of those delivered, by event (body-event.h): such as
	   "MessageNew=2 FlagsSet=1"; empty if there are none */
	HTTP_NOTIFY_ADMIN_STATUS_EVENTS,
	/* empty if nothing has failed; in the row of totals: see QUEUE */
	HTTP_NOTIFY_ADMIN_STATUS_LAST_ERROR,

	HTTP_NOTIFY_ADMIN_STATUS_COUNT
};

/* States of the queue: it can be written; it can't, and what comes is stored on
   this host, beside it; it can, and what was stored so is being moved there,
   with what comes meanwhile; it can't, and notifications are refused. */
#define HTTP_NOTIFY_ADMIN_QUEUE_UP "up"
#define HTTP_NOTIFY_ADMIN_QUEUE_SPOOLING "spooling"
#define HTTP_NOTIFY_ADMIN_QUEUE_MOVING "moving"
#define HTTP_NOTIFY_ADMIN_QUEUE_DOWN "down"

/* Fields of HISTORY: numbers. Those without a comment are as for STATUS, but of
   the interval. */
enum http_notify_admin_history {
	/* how many seconds ago it began, and how many it has; as many if it
	   is still going on */
	HTTP_NOTIFY_ADMIN_HISTORY_AGO,
	HTTP_NOTIFY_ADMIN_HISTORY_SECS,
	/* notifications that have come into the queue */
	HTTP_NOTIFY_ADMIN_HISTORY_STORED,
	HTTP_NOTIFY_ADMIN_HISTORY_DELIVERED,
	HTTP_NOTIFY_ADMIN_HISTORY_RETRIED,
	HTTP_NOTIFY_ADMIN_HISTORY_REFUSED,
	HTTP_NOTIFY_ADMIN_HISTORY_DROPPED,
	HTTP_NOTIFY_ADMIN_HISTORY_EXPIRED,
	/* the most at a time: notifications that were queued, and endpoints
	   that accepted nothing, neither url nor standby_url */
	HTTP_NOTIFY_ADMIN_HISTORY_QUEUED,
	HTTP_NOTIFY_ADMIN_HISTORY_DOWN,
	/* those delivered within 1 s of being stored, within 2 s, within 4 s
	   and so on, each without the former ones; the last field has all that
	   took longer than the one before it says */
	HTTP_NOTIFY_ADMIN_HISTORY_DELAYS,

	HTTP_NOTIFY_ADMIN_HISTORY_COUNT = HTTP_NOTIFY_ADMIN_HISTORY_DELAYS + 19
};

/* Fields of CHECK. */
enum http_notify_admin_check {
	/* what was looked at */
	HTTP_NOTIFY_ADMIN_CHECK_LINK,
	/* empty, or what is wrong and what to do */
	HTTP_NOTIFY_ADMIN_CHECK_ERROR,
	/* empty, or a remark */
	HTTP_NOTIFY_ADMIN_CHECK_NOTE,

	HTTP_NOTIFY_ADMIN_CHECK_COUNT
};

/* Fields of QUEUE and SPOOLED. */
enum http_notify_admin_queue {
	HTTP_NOTIFY_ADMIN_QUEUE_USERNAME,
	HTTP_NOTIFY_ADMIN_QUEUE_ENDPOINT,
	HTTP_NOTIFY_ADMIN_QUEUE_FOLDER,
	HTTP_NOTIFY_ADMIN_QUEUE_UID,
	/* see body-event.h */
	HTTP_NOTIFY_ADMIN_QUEUE_MAIL_EVENT,
	/* both in seconds */
	HTTP_NOTIFY_ADMIN_QUEUE_AGE,
	HTTP_NOTIFY_ADMIN_QUEUE_EXPIRES_IN,
	/* that have failed so far */
	HTTP_NOTIFY_ADMIN_QUEUE_ATTEMPTS,
	/* for BODY */
	HTTP_NOTIFY_ADMIN_QUEUE_ID,

	HTTP_NOTIFY_ADMIN_QUEUE_COUNT
};

/* Fields of LOST. */
enum http_notify_admin_lost {
	HTTP_NOTIFY_ADMIN_LOST_USERNAME,
	HTTP_NOTIFY_ADMIN_LOST_ENDPOINT,
	HTTP_NOTIFY_ADMIN_LOST_FOLDER,
	HTTP_NOTIFY_ADMIN_LOST_UID,
	HTTP_NOTIFY_ADMIN_LOST_MAIL_EVENT,
	/* refused, dropped or expired */
	HTTP_NOTIFY_ADMIN_LOST_REASON,
	/* how many seconds ago it was queued, and given up */
	HTTP_NOTIFY_ADMIN_LOST_FIRST,
	HTTP_NOTIFY_ADMIN_LOST_LAST,
	HTTP_NOTIFY_ADMIN_LOST_ATTEMPTS,
	/* which one gave it up */
	HTTP_NOTIFY_ADMIN_LOST_HOST,
	/* for BODY */
	HTTP_NOTIFY_ADMIN_LOST_ID,
	/* the last one of the endpoint's */
	HTTP_NOTIFY_ADMIN_LOST_ANSWER,

	HTTP_NOTIFY_ADMIN_LOST_COUNT
};

/* Fields of RESEND and DROP: how many of those that are kept have been looked
   at, of how many. Of MOVE: how many have been moved. */
enum http_notify_admin_progress {
	HTTP_NOTIFY_ADMIN_PROGRESS_DONE,
	HTTP_NOTIFY_ADMIN_PROGRESS_ALL,

	HTTP_NOTIFY_ADMIN_PROGRESS_COUNT
};

/* Fields of BODY. */
enum http_notify_admin_body {
	HTTP_NOTIFY_ADMIN_BODY_ENDPOINT,
	/* the header Idempotency-Key */
	HTTP_NOTIFY_ADMIN_BODY_KEY,
	HTTP_NOTIFY_ADMIN_BODY_BODY,

	HTTP_NOTIFY_ADMIN_BODY_COUNT
};

/* Fields of WATCH. */
enum http_notify_admin_live {
	/* of day */
	HTTP_NOTIFY_ADMIN_LIVE_TIME,
	/* queued, sent, answered, retried, delivered or lost; or "left out", if
	   the client did not read, with the number in the last field */
	HTTP_NOTIFY_ADMIN_LIVE_WHAT,
	HTTP_NOTIFY_ADMIN_LIVE_USERNAME,
	HTTP_NOTIFY_ADMIN_LIVE_FOLDER,
	HTTP_NOTIFY_ADMIN_LIVE_UID,
	HTTP_NOTIFY_ADMIN_LIVE_MAIL_EVENT,
	/* host and port */
	HTTP_NOTIFY_ADMIN_LIVE_ENDPOINT,
	/* such as the answer */
	HTTP_NOTIFY_ADMIN_LIVE_DETAIL,

	HTTP_NOTIFY_ADMIN_LIVE_COUNT
};

/* Fields of ANNOUNCED. */
enum http_notify_admin_announced {
	/* The service knows which ones have been in the last so many
	   seconds. */
	HTTP_NOTIFY_ADMIN_ANNOUNCED_SECS,
	/* as in IMAP, such as 1:4,7; empty = none have been */
	HTTP_NOTIFY_ADMIN_ANNOUNCED_UIDS,

	HTTP_NOTIFY_ADMIN_ANNOUNCED_COUNT
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
