/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "notification.h"
#include "notification-json.h"
#include "registration.h"

#include <ctype.h>

/* messageNew, and so on. */
static const char *ox_event(const char *event)
{
	char *name = t_strdup_noconst(event == NULL ? "MessageNew" : event);

	name[0] = i_tolower(name[0]);
	return name;
}

void http_notify_format_ox(struct http_notify_json *json,
			   const struct http_notify_notification *n)
{
	http_notify_json_add_text(json, "user", n->user, HTTP_NOTIFY_USER_MAX);
	http_notify_json_add_text(json, "event", ox_event(n->event), SIZE_MAX);
	http_notify_json_add_text(json, "folder", n->folder,
				  HTTP_NOTIFY_FOLDER_MAX);
	http_notify_json_add_text(json, "folder-old", n->folder_old,
				  HTTP_NOTIFY_FOLDER_MAX);
	http_notify_json_add_messages(json, n);
	http_notify_json_add_header(json, "from", n->from);
	http_notify_json_add_header(json, "subject", n->subject);
	http_notify_json_add_text(json, "snippet", n->snippet,
				  HTTP_NOTIFY_TEXT_MAX);
	http_notify_json_add_flags(json, n);
	if (n->have_unseen) {
		/* the published API calls it unseen, released servers read
		   unread */
		http_notify_json_add_number(json, "unseen", n->unseen);
		http_notify_json_add_number(json, "unread", n->unseen);
	}
}

void http_notify_format_ox_calendar(struct http_notify_json *json,
				    const struct http_notify_notification *n)
{
	http_notify_json_add_text(json, "user", n->user, HTTP_NOTIFY_USER_MAX);
	http_notify_json_add_text(json, "folder", n->folder,
				  HTTP_NOTIFY_FOLDER_MAX);
	http_notify_json_add_text(json, "event", ox_event(n->event), SIZE_MAX);
	http_notify_json_add_string(json, "body", n->message);
}
