/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "notification.h"
#include "notification-json.h"
#include "registration.h"

void http_notify_format_egroupware(struct http_notify_json *json,
				   const struct http_notify_notification *n)
{
	const char *event = n->event == NULL ? "MessageNew" : n->event;

	http_notify_json_add_text(json, "user", n->user, HTTP_NOTIFY_USER_MAX);
	http_notify_json_add_text(json, "event", event, SIZE_MAX);
	http_notify_json_add_text(json, "folder", n->folder,
				  HTTP_NOTIFY_FOLDER_MAX);
	http_notify_json_add_text(json, "folder-old", n->folder_old,
				  HTTP_NOTIFY_FOLDER_MAX);
	http_notify_json_add_messages(json, n);
	http_notify_json_add_text(json, "from", n->from_header,
				  HTTP_NOTIFY_TEXT_MAX);
	/* its server shows it as it is */
	if (!n->no_subject)
		http_notify_json_add_decoded_header(json, "subject",
						    n->subject);
	http_notify_json_add_text(json, "snippet",
				  n->no_snippet ? "" : n->snippet,
				  HTTP_NOTIFY_TEXT_MAX);
	http_notify_json_add_flags(json, n);
	if (n->have_unseen)
		http_notify_json_add_number(json, "unseen", n->unseen);
	if (n->have_messages)
		http_notify_json_add_number(json, "messages", n->messages);
}
