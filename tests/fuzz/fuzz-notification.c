/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a message says about itself, which its sender may set to anything. */
#include "lib.h"
#include "message-address.h"
#include "str.h"
#include "unichar.h"

#include "dovecot-compat.h"
#include "header-text.h"
#include "notification.h"
#include "registration.h"
#include "sender-address.h"

#include "fuzz-common.h"

#include <jansson.h>

/* The input: texts that are separated by NUL. Those that are missing are
   NULL. */
struct texts {
	const char *user, *folder;
	const char *from, *sender, *envelope_sender;
	const char *subject, *snippet;
	const char *folder_old, *keyword;
};

static const char *
text_next(const unsigned char **data, const unsigned char *end, pool_t pool)
{
	const char *text;

	if (*data >= end)
		return NULL;
	text = p_strndup(pool, *data, end - *data);
	*data += strlen(text) + 1;
	return text;
}

/* The address that an endpoint takes from a "from", "" if it has no domain; NULL
   if there is none. */
static const char *address_in(const char *from)
{
	const char *valid = http_notify_text_make_valid(from);
	const struct message_address *addr =
		message_address_parse(pool_datastack_create(),
				      (const unsigned char *)valid,
				      strlen(valid), 1, 0);

	if (addr == NULL || addr->mailbox == NULL || addr->mailbox[0] == '\0' ||
	    addr->domain == NULL)
		return NULL;
	return addr->domain[0] == '\0' ? "" :
		t_strconcat(addr->mailbox, "@", addr->domain, NULL);
}

static const char *
choose_from(const char *from, const char *sender, const char *envelope_sender)
{
	const char *value = http_notify_sender_address_choose(from, sender,
		envelope_sender, "host.example", HTTP_NOTIFY_TEXT_MAX);
	const char *address = address_in(value);

	i_assert(strlen(value) <= HTTP_NOTIFY_TEXT_MAX);
	i_assert(uni_utf8_str_is_valid(value));
	i_assert(address != NULL && address[0] != '\0');
	return value;
}

/* Whatever is left of a header that has an address, it is that one. */
static void check_choose_from_one(const char *header)
{
	const char *value, *address;

	if (header == NULL)
		return;
	value = choose_from(header, NULL, NULL);
	address = address_in(http_notify_header_text(header));
	if (address != NULL && address[0] != '\0' &&
	    !str_begins_with(value, "MAILER-DAEMON@"))
		i_assert(strcmp(address_in(value), address) == 0);
}

static const char *check_choose_from(const struct texts *texts)
{
	check_choose_from_one(texts->from);
	return choose_from(texts->from, texts->sender, texts->envelope_sender);
}

/* Is it the text that was to be sent, as far as it can be? */
static void
check_text(json_t *json, const char *key, const char *text, size_t max_size)
{
	const json_t *value = json_object_get(json, key);

	if (text == NULL) {
		i_assert(value == NULL);
		return;
	}
	i_assert(json_is_string(value));
	i_assert(json_string_length(value) == strlen(json_string_value(value)));
	i_assert(json_string_length(value) <= max_size);
	if (strlen(text) <= max_size && uni_utf8_str_is_valid(text))
		i_assert(strcmp(json_string_value(value), text) == 0);
}

/* It is decoded as a whole, or not at all. */
static void check_header(json_t *json, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(json, key));

	if (text == NULL) {
		i_assert(value == NULL);
		return;
	}
	i_assert(strlen(value) <= HTTP_NOTIFY_TEXT_MAX);
	i_assert(strcmp(http_notify_header_text(value), value) == 0);
}

static void check_json(const struct http_notify_notification *notification,
		       enum http_notify_format format)
{
	string_t *text = t_str_new(1024);
	json_t *json;

	if (http_notify_notification_append_json(notification, format, text) < 0)
		i_unreached();
	i_assert(!fuzz_has_controls(str_c(text)));
	i_assert(uni_utf8_str_is_valid(str_c(text)));

	json = json_loadb(str_c(text), str_len(text), JSON_REJECT_DUPLICATES,
			  NULL);
	i_assert(json_is_object(json));
	check_text(json, "user", notification->user, HTTP_NOTIFY_USER_MAX);
	check_text(json, "folder", notification->folder,
		   HTTP_NOTIFY_FOLDER_MAX);
	if (format == HTTP_NOTIFY_FORMAT_OX) {
		check_header(json, "from", notification->from);
		check_header(json, "subject", notification->subject);
	} else {
		check_text(json, "from", notification->from_header,
			   HTTP_NOTIFY_TEXT_MAX);
		i_assert(json_string_length(json_object_get(json, "subject")) <=
			 HTTP_NOTIFY_TEXT_MAX);
	}
	check_text(json, "snippet", notification->snippet,
		   HTTP_NOTIFY_TEXT_MAX);
	check_text(json, "folder-old", notification->folder_old,
		   HTTP_NOTIFY_FOLDER_MAX);
	json_decref(json);
}

void fuzz_one(const unsigned char *data, size_t size, pool_t pool)
{
	const unsigned char *end = data + size;
	struct http_notify_notification notification;
	struct texts texts;
	const char *keywords[] = { NULL, NULL };

	texts.user = text_next(&data, end, pool);
	texts.folder = text_next(&data, end, pool);
	texts.from = text_next(&data, end, pool);
	texts.sender = text_next(&data, end, pool);
	texts.envelope_sender = text_next(&data, end, pool);
	texts.subject = text_next(&data, end, pool);
	texts.snippet = text_next(&data, end, pool);
	texts.folder_old = text_next(&data, end, pool);
	texts.keyword = text_next(&data, end, pool);

	i_zero(&notification);
	notification.user = texts.user;
	notification.folder = texts.folder;
	notification.from = check_choose_from(&texts);
	notification.from_header = texts.from;
	notification.subject = texts.subject;
	notification.snippet = texts.snippet;
	notification.folder_old = texts.folder_old;
	if (texts.keyword != NULL) {
		notification.have_flags = notification.have_flags_old = TRUE;
		notification.keywords = notification.keywords_old = keywords;
	}
	keywords[0] = texts.keyword;
	check_json(&notification, HTTP_NOTIFY_FORMAT_OX);
	check_json(&notification, HTTP_NOTIFY_FORMAT_EGROUPWARE);
}
