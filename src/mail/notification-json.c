/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"

#include "header-text.h"
#include "notification.h"
#include "notification-json.h"

#include <jansson.h>

static void
json_begin_field(struct http_notify_json *json, const char *key)
{
	str_append(json->dest, json->have_fields ? ",\"" : "\"");
	str_append(json->dest, key);
	str_append(json->dest, "\":");
	json->have_fields = TRUE;
}

static int
json_dump_to_str(const char *data, size_t size, void *context)
{
	str_append_data((string_t *)context, data, size);
	return 0;
}

/* value is valid UTF-8, so only memory can be the reason to fail. */
static void
json_append_text(struct http_notify_json *json, const char *value, size_t size)
{
	json_t *text = json_stringn_nocheck(value, size);

	if (text == NULL ||
	    json_dump_callback(text, json_dump_to_str, json->dest,
			       JSON_ENCODE_ANY) < 0)
		json->failed = TRUE;
	json_decref(text);
}

void http_notify_json_add_text(struct http_notify_json *json, const char *key,
			       const char *value, size_t max_size)
{
	if (value == NULL)
		return;

	value = http_notify_text_make_valid(value);
	json_begin_field(json, key);
	json_append_text(json, value, http_notify_text_fit(value, max_size));
}

void http_notify_json_add_header(struct http_notify_json *json, const char *key,
				 const char *value)
{
	if (value == NULL)
		return;

	value = http_notify_header_text_shorten(value, HTTP_NOTIFY_TEXT_MAX);
	json_begin_field(json, key);
	json_append_text(json, value, strlen(value));
}

void http_notify_json_add_decoded_header(struct http_notify_json *json,
					 const char *key, const char *value)
{
	if (value != NULL)
		value = http_notify_header_text_decode(value);
	http_notify_json_add_text(json, key, value, HTTP_NOTIFY_TEXT_MAX);
}

void http_notify_json_add_string(struct http_notify_json *json, const char *key,
				 const string_t *value)
{
	if (value == NULL)
		return;

	json_begin_field(json, key);
	str_append_c(json->dest, '"');
	str_append_str(json->dest, value);
	str_append_c(json->dest, '"');
}

void http_notify_json_add_number(struct http_notify_json *json, const char *key,
				 uint32_t value)
{
	json_begin_field(json, key);
	str_printfa(json->dest, "%u", value);
}

/* There may be thousands of them, for which printf() takes its time. */
static void json_append_uid(struct http_notify_json *json, uint32_t uid,
			    bool comma)
{
	char buf[MAX_INT_STRLEN], *p = dec2str_buf(buf, uid);

	/* there is room before it: a larger number would fit */
	if (comma)
		*--p = ',';
	str_append(json->dest, p);
}

/* A number, or an array if there are several. */
static void json_append_uids(struct http_notify_json *json,
			     const ARRAY_TYPE(seq_range) *uids)
{
	bool several = seq_range_count(uids) > 1;
	struct seq_range_iter iter;
	unsigned int n = 0;
	uint32_t uid;

	if (several)
		str_append_c(json->dest, '[');
	seq_range_array_iter_init(&iter, uids);
	while (seq_range_array_iter_nth(&iter, n, &uid))
		json_append_uid(json, uid, n++ > 0);
	if (several)
		str_append_c(json->dest, ']');
}

void http_notify_json_add_messages(
	struct http_notify_json *json,
	const struct http_notify_notification *notification)
{
	if (notification->of_folder)
		return;
	http_notify_json_add_number(json, "imap-uidvalidity",
				    notification->uidvalidity);
	if (notification->uids == NULL) {
		http_notify_json_add_number(json, "imap-uid",
					    notification->uid);
	} else {
		json_begin_field(json, "imap-uid");
		json_append_uids(json, notification->uids);
	}
}

/* An array, in max_size bytes before JSON's own escaping. */
static void
json_add_texts(struct http_notify_json *json, const char *key,
	       const char *const *values, size_t max_size)
{
	const char *value, *separator = "";
	size_t size;

	json_begin_field(json, key);
	str_append_c(json->dest, '[');
	for (; *values != NULL; values++) {
		value = http_notify_text_make_valid(*values);
		size = strlen(value);
		if (size > max_size)
			break;
		max_size -= size;
		str_append(json->dest, separator);
		json_append_text(json, value, size);
		separator = ",";
	}
	str_append_c(json->dest, ']');
}

static void
json_add_flags(struct http_notify_json *json, const char *key,
	       enum mail_flags flags)
{
	/* in the order of their values */
	static const char *const names[] = {
		"\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft",
		"\\Recent"
	};
	const char *set[N_ELEMENTS(names) + 1];
	unsigned int i, count = 0;

	for (i = 0; i < N_ELEMENTS(names); i++) {
		if ((flags & (1U << i)) != 0)
			set[count++] = names[i];
	}
	set[count] = NULL;
	json_add_texts(json, key, set, SIZE_MAX);
}

static void
json_add_keywords(struct http_notify_json *json, const char *key,
		  const char *const *keywords)
{
	static const char *const none[] = { NULL };

	json_add_texts(json, key, keywords == NULL ? none : keywords,
		       HTTP_NOTIFY_KEYWORDS_MAX);
}

void http_notify_json_add_flags(
	struct http_notify_json *json,
	const struct http_notify_notification *notification)
{
	if (!notification->have_flags)
		return;
	json_add_flags(json, "flags", notification->flags);
	json_add_keywords(json, "keywords", notification->keywords);
	if (!notification->have_flags_old)
		return;
	json_add_flags(json, "flags-old", notification->flags_old);
	json_add_keywords(json, "keywords-old", notification->keywords_old);
}
