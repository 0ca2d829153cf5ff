/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_NOTIFICATION_H
#define HTTP_NOTIFY_NOTIFICATION_H

#include "mail-types.h"
#include "options.h"
#include "seq-range-array.h"

/* Longest text in the JSON, in bytes of UTF-8 before JSON's own escaping. What
   is longer ends at the last whole character that fits. (The user, which must
   not be cut, is short by its registration.) */
#define HTTP_NOTIFY_FOLDER_MAX 4096
#define HTTP_NOTIFY_TEXT_MAX 1024

/* Longest array of UIDs in the JSON, in bytes. What happens to more messages
   takes several notifications. */
#define HTTP_NOTIFY_UIDS_MAX (64*1024)
/* Longest names of keywords in the JSON, in bytes, all together. */
#define HTTP_NOTIFY_KEYWORDS_MAX 4096

/* What an endpoint is told about what has happened to messages, or to a folder.
   Strings may hold anything; NULL leaves the field out. */
struct http_notify_notification {
	/* who it is for, as the endpoint knows the user */
	const char *user;
	/* what has happened, by its name in RFC 5423; NULL = MessageNew */
	const char *event;
	/* where the messages are */
	const char *folder;
	/* the messages are uid or, if that is not NULL, uids */
	uint32_t uidvalidity, uid;
	const ARRAY_TYPE(seq_range) *uids;
	/* it is the folder that it has happened to; its name before, if that
	   has changed */
	bool of_folder:1;
	const char *folder_old;
	/* values of header fields, with their encoded words (RFC 2047); what is
	   too long is decoded, so that no word is cut */
	const char *from, *subject;
	/* the beginning of the message's text */
	const char *snippet;
	/* For EGroupware, which is told what the message has, not what OX needs:
	   the From header as it is, "" if there is none; and subject and text
	   are missing from the message. */
	const char *from_header;
	bool no_subject:1;
	bool no_snippet:1;
	/* For calendar mail: the whole message in the form that it has in a
	   JSON string (message-json.h), and its own size in bytes. */
	const string_t *message;
	uoff_t message_size;

	/* which have been set or cleared, and with have_flags_old what was set
	   before that; NULL = no keywords */
	enum mail_flags flags, flags_old;
	const char *const *keywords, *const *keywords_old;
	bool have_flags:1;
	bool have_flags_old:1;

	/* messages in the folder, this one included, and those of them that
	   are unseen */
	unsigned int messages, unseen;
	bool have_messages:1;
	bool have_unseen:1;
};

/* Leave these fields out, names of options.h's omit; "unseen" has "unread" go
   with it. */
void http_notify_notification_omit(struct http_notify_notification *notification,
				   const char *fields);

/* Append the notification as one JSON object (RFC 8259), always valid UTF-8:
   bytes that are not are replaced by U+FFFD. Returns 0, or -1 if there is no
   memory for it: a mail process whose mail is delivered must not end then.
   Uses the data stack, in which dest may be. */
int http_notify_notification_append_json(
	const struct http_notify_notification *notification,
	enum http_notify_format format, string_t *dest);

/* Copy what one notification may have to uids, which is emptied first: from the
   nth (0 = first) of iter on. Returns the next n. */
unsigned int http_notify_uids_take(struct seq_range_iter *iter, unsigned int n,
				   ARRAY_TYPE(seq_range) *uids);

#endif
