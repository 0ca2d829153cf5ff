/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "str.h"

#include "notification.h"
#include "notification-json.h"

int http_notify_notification_append_json(
	const struct http_notify_notification *notification,
	enum http_notify_format format, string_t *dest)
{
	struct http_notify_json json = { .dest = dest };
	size_t begin = str_len(dest);

	str_append_c(dest, '{');
	switch (format) {
	case HTTP_NOTIFY_FORMAT_OX:
		http_notify_format_ox(&json, notification);
		break;
	case HTTP_NOTIFY_FORMAT_EGROUPWARE:
		http_notify_format_egroupware(&json, notification);
		break;
	case HTTP_NOTIFY_FORMAT_OX_CALENDAR:
		http_notify_format_ox_calendar(&json, notification);
		break;
	}
	str_append_c(dest, '}');
	if (json.failed) {
		str_truncate(dest, begin);
		return -1;
	}
	return 0;
}

static unsigned int digits_of(uint32_t uid)
{
	unsigned int count = 1;

	for (; uid >= 10; uid /= 10)
		count++;
	return count;
}

void http_notify_notification_omit(struct http_notify_notification *n,
				   const char *fields)
{
	const char *const *names = t_strsplit_spaces(fields, ", ");

	if (str_array_find(names, "from"))
		n->from = n->from_header = NULL;
	if (str_array_find(names, "subject"))
		n->subject = NULL;
	if (str_array_find(names, "snippet")) {
		n->snippet = NULL;
		n->no_snippet = FALSE;
	}
	if (str_array_find(names, "unseen"))
		n->have_unseen = FALSE;
}

unsigned int http_notify_uids_take(struct seq_range_iter *iter, unsigned int n,
				   ARRAY_TYPE(seq_range) *uids)
{
	size_t size = 0;
	uint32_t uid;

	array_clear(uids);
	while (seq_range_array_iter_nth(iter, n, &uid)) {
		/* with a comma */
		size += digits_of(uid) + 1;
		if (size > HTTP_NOTIFY_UIDS_MAX)
			break;
		seq_range_array_add(uids, uid);
		n++;
	}
	return n;
}
