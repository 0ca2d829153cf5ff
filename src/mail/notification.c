/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"

#include "header-text.h"
#include "notification.h"
#include "registration.h"

#include <jansson.h>

/* Values are valid UTF-8 by now, so only memory can be the reason to fail. */
static bool json_add(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new_nocheck(object, key, value) == 0;
}

static bool
json_add_text(json_t *object, const char *key, const char *value,
	      size_t max_size)
{
	bool ret;

	if (value == NULL)
		return TRUE;

	T_BEGIN {
		value = http_notify_text_make_valid(value);
		ret = json_add(object, key, json_stringn_nocheck(value,
				http_notify_text_fit(value, max_size)));
	} T_END;
	return ret;
}

static bool
json_add_header(json_t *object, const char *key, const char *value)
{
	bool ret;

	if (value == NULL)
		return TRUE;

	T_BEGIN {
		value = http_notify_header_text_shorten(value,
							HTTP_NOTIFY_TEXT_MAX);
		ret = json_add(object, key, json_string_nocheck(value));
	} T_END;
	return ret;
}

static int
json_dump_to_str(const char *data, size_t size, void *context)
{
	str_append_data((string_t *)context, data, size);
	return 0;
}

static bool
json_add_all(json_t *object, const struct http_notify_notification *n)
{
	const char *event = n->event == NULL ? "messageNew" : n->event;

	return json_add_text(object, "user", n->user, HTTP_NOTIFY_USER_MAX) &&
		json_add(object, "event", json_string(event)) &&
		json_add_text(object, "folder", n->folder,
			      HTTP_NOTIFY_FOLDER_MAX) &&
		json_add(object, "imap-uidvalidity",
			 json_integer(n->uidvalidity)) &&
		json_add(object, "imap-uid", json_integer(n->uid)) &&
		json_add_header(object, "from", n->from) &&
		json_add_header(object, "subject", n->subject) &&
		json_add_text(object, "snippet", n->snippet,
			      HTTP_NOTIFY_TEXT_MAX) &&
		/* the published API calls it unseen, released servers read
		   unread */
		(!n->have_unseen ||
		 (json_add(object, "unseen", json_integer(n->unseen)) &&
		  json_add(object, "unread", json_integer(n->unseen))));
}

void http_notify_notification_omit(struct http_notify_notification *n,
				   const char *fields)
{
	const char *const *names = t_strsplit_spaces(fields, ", ");

	if (str_array_find(names, "from"))
		n->from = NULL;
	if (str_array_find(names, "subject"))
		n->subject = NULL;
	if (str_array_find(names, "snippet"))
		n->snippet = NULL;
	if (str_array_find(names, "unseen"))
		n->have_unseen = FALSE;
}

int http_notify_notification_append_json(
	const struct http_notify_notification *n, string_t *dest)
{
	json_t *object = json_object();
	int ret = -1;

	if (json_add_all(object, n))
		ret = json_dump_callback(object, json_dump_to_str, dest,
					 JSON_COMPACT);
	json_decref(object);
	return ret;
}
