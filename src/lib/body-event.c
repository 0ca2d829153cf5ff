/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"

#include "body-event.h"
#include "mail-events.h"

#include <ctype.h>

/* Longest name of an event, in bytes. */
#define NAME_MAX_SIZE 32

/* p is after the quote that begins a string. Returns the one that ends it, or
   NULL. */
static const char *string_end(const char *p)
{
	for (; *p != '"'; p++) {
		if (*p == '\\')
			p++;
		if (*p == '\0')
			return NULL;
	}
	return p;
}

/* Returns the name that is at p and this long: OX's begin in lower case. */
static const char *event_name(const char *p, size_t size)
{
	char name[NAME_MAX_SIZE];
	enum http_notify_mail_event event;

	if (size == 0 || size >= sizeof(name))
		return "";
	memcpy(name, p, size);
	name[0] = i_toupper(name[0]);
	name[size] = '\0';
	return http_notify_mail_event_find(name, &event) < 0 ? "" :
		http_notify_mail_event_name(event);
}

const char *http_notify_body_event(const char *body)
{
	const char *p, *key, *key_end, *end;

	/* fields whose values are strings, of which it is one */
	for (p = body; *p == (p == body ? '{' : ','); p = end + 1) {
		if (p[1] != '"')
			break;
		key = p + 2;
		key_end = string_end(key);
		if (key_end == NULL || key_end[1] != ':' || key_end[2] != '"')
			break;
		end = string_end(key_end + 3);
		if (end == NULL)
			break;
		if (key_end - key == 5 && memcmp(key, "event", 5) == 0)
			return event_name(key_end + 3, end - (key_end + 3));
	}
	return "";
}
