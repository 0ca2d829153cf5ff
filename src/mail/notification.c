/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "str.h"
#include "message-address.h"
#include "unichar.h"

#include "notification.h"
#include "registration.h"

#include <jansson.h>

/* Invalid bytes are replaced, which may make it longer or shorter. */
static const char *valid_utf8(const char *value)
{
	string_t *valid = t_str_new(128);

	return uni_utf8_get_valid_data((const unsigned char *)value,
				       strlen(value), valid) ?
		value : str_c(valid);
}

static const char *
address_of_header(const char *value)
{
	struct message_address *addr;
	string_t *address;

	if (value == NULL)
		return NULL;
	value = valid_utf8(value);
	/* without a domain it is a group, whose members do not count */
	addr = message_address_parse(pool_datastack_create(),
				     (const unsigned char *)value,
				     strlen(value), 1, 0);
	if (addr == NULL || addr->mailbox == NULL || addr->mailbox[0] == '\0' ||
	    addr->domain == NULL)
		return NULL;
	if (strlen(value) <= HTTP_NOTIFY_TEXT_MAX)
		return value;

	addr->name = NULL;
	address = t_str_new(128);
	message_address_write(address, addr);
	/* "." is taken for one in ".@", and "<.>" is none */
	return str_len(address) <= HTTP_NOTIFY_TEXT_MAX ?
		address_of_header(str_c(address)) : NULL;
}

bool http_notify_notification_has_address(const char *value)
{
	return address_of_header(value) != NULL;
}

const char *
http_notify_notification_choose_from(const char *from, const char *sender,
				     const char *envelope_sender)
{
	const char *value;

	if ((value = address_of_header(from)) != NULL ||
	    (value = address_of_header(sender)) != NULL ||
	    (value = address_of_header(envelope_sender)) != NULL)
		return value;
	return "MAILER-DAEMON";
}

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
		size_t size;

		value = valid_utf8(value);
		size = strlen(value);
		if (size > max_size) {
			size = max_size;
			while (size > 0 && !UTF8_IS_START_SEQ(value[size]))
				size--;
		}
		ret = json_add(object, key, json_stringn_nocheck(value, size));
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
		json_add_text(object, "from", n->from, HTTP_NOTIFY_TEXT_MAX) &&
		json_add_text(object, "subject", n->subject,
			      HTTP_NOTIFY_TEXT_MAX) &&
		json_add_text(object, "snippet", n->snippet,
			      HTTP_NOTIFY_TEXT_MAX) &&
		/* the published API calls it unseen, released servers read
		   unread */
		(!n->have_unseen ||
		 (json_add(object, "unseen", json_integer(n->unseen)) &&
		  json_add(object, "unread", json_integer(n->unseen))));
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
