/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HANDOFF_H
#define HTTP_NOTIFY_HANDOFF_H

#include "guid.h"

/* The hand-off of notifications from a mail process to the service, over the
   UNIX socket HTTP_NOTIFY_HANDOFF_SOCKET in base_dir. Each line consists of
   TAB-escaped fields (strescape.h); both sides begin with Dovecot's VERSION
   line.

   client: SESSION <session>
   client: NOTIFY <seq> <mail user> <folder> <uid>[/<uidvalidity>] <body>
           <option> ...
   server: OK <seq>
   server: FAIL <seq> <reason>

   A session is one mail process; if it loses its connection, the next one
   continues the session. A client numbers its notifications 1, 2, 3 and so on.
   Session and number identify a notification for good. The server answers OK
   once the notification is stored, and also if it was stored before, so a
   client that lost its connection sends again what was not answered. It has to
   do so within a minute: a session that has added nothing for longer may be
   forgotten, and then a repeat is stored once more. A number 64 or more below
   the session's highest always counts as stored.

   With a UID validity, the notification announces that this message has come,
   and the server remembers that. A server of minor version 0 knows none: it
   takes the line for an invalid one.

   The body is what the endpoint gets; the options are the endpoint's
   (options.h). */
#define HTTP_NOTIFY_HANDOFF_SOCKET "http-notify"
#define HTTP_NOTIFY_HANDOFF_NAME "http-notify-handoff"
#define HTTP_NOTIFY_HANDOFF_VERSION_MAJOR 1
#define HTTP_NOTIFY_HANDOFF_VERSION_MINOR 1

/* Longest line that is accepted, in bytes: there is a whole message in it. */
#define HTTP_NOTIFY_HANDOFF_LINE_MAX (8*1024*1024)
/* Lines without one are shorter than this, even if every text of the body is as
   long as it may be (notification.h) and each character takes six bytes in
   JSON. Of those that are not, the server reads a few at a time, and then it
   closes the connection: the client makes another one for what it has next. */
#define HTTP_NOTIFY_HANDOFF_SMALL_LINE_MAX (192*1024)

struct http_notify_handoff {
	uint64_t seq;
	const char *username;
	/* where the message is, for the log; and if it is announced as new
	   there, the folder's UID validity, else 0 */
	const char *folder;
	uint32_t uid, uidvalidity;
	/* JSON */
	const char *body;
	/* NULL-terminated */
	const char *const *options;
};

struct http_notify_handoff_reply {
	uint64_t seq;
	/* NULL = stored */
	const char *error;
};

void http_notify_handoff_append_session(string_t *dest,
					const guid_128_t session);
void http_notify_handoff_append(string_t *dest,
				const struct http_notify_handoff *handoff);
void http_notify_handoff_append_reply(
	string_t *dest, const struct http_notify_handoff_reply *reply);

/* These parse a line that was split by t_strsplit_tabescaped(). The results
   point into the fields. Return 0, or -1 and error_r, which repeats nothing
   from the line. */
int http_notify_handoff_parse_session(const char *const *fields,
				      guid_128_t session_r,
				      const char **error_r);
int http_notify_handoff_parse(const char *const *fields,
			      struct http_notify_handoff *handoff_r,
			      const char **error_r);
int http_notify_handoff_parse_reply(const char *const *fields,
				    struct http_notify_handoff_reply *reply_r,
				    const char **error_r);

#endif
