/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_NOTIFICATION_H
#define HTTP_NOTIFY_NOTIFICATION_H

/* Longest text in the JSON, in bytes of UTF-8 before JSON's own escaping. What
   is longer ends at the last whole character that fits. (The user, which must
   not be cut, is short by its registration.) */
#define HTTP_NOTIFY_FOLDER_MAX 4096
#define HTTP_NOTIFY_TEXT_MAX 1024

/* What an endpoint is told about one new message. Strings may hold anything;
   NULL leaves the field out. */
struct http_notify_notification {
	/* who it is for, as the endpoint knows the user */
	const char *user;
	/* what has happened; NULL = "messageNew" (a new message) */
	const char *event;
	/* where the message is */
	const char *folder;
	uint32_t uidvalidity, uid;
	/* values of header fields, with their encoded words (RFC 2047); what is
	   too long is decoded, so that no word is cut */
	const char *from, *subject;
	/* the beginning of the message's text */
	const char *snippet;

	/* unseen messages in the folder, this one included */
	unsigned int unseen;
	bool have_unseen:1;
};

/* Leave these fields out, names of options.h's omit; "unseen" has "unread" go
   with it. */
void http_notify_notification_omit(struct http_notify_notification *notification,
				   const char *fields);

/* Append the notification as one JSON object (RFC 8259), always valid UTF-8:
   bytes that are not are replaced by U+FFFD. Returns 0, or -1 if there is no
   memory for it: a mail process whose mail is delivered must not end then. */
int http_notify_notification_append_json(
	const struct http_notify_notification *notification, string_t *dest);

#endif
