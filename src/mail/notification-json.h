/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_NOTIFICATION_JSON_H
#define HTTP_NOTIFY_NOTIFICATION_JSON_H

struct http_notify_notification;

/* For the formats: an object that is being written. */
struct http_notify_json {
	string_t *dest;
	bool have_fields;
	/* there was no memory for a value */
	bool failed;
};

/* These add a field. A text that is NULL adds nothing; one that is longer than
   its size in bytes is cut. */
void http_notify_json_add_text(struct http_notify_json *json, const char *key,
			       const char *value, size_t max_size);
/* of a header field, with its encoded words; or without */
void http_notify_json_add_header(struct http_notify_json *json, const char *key,
				 const char *value);
void http_notify_json_add_decoded_header(struct http_notify_json *json,
					 const char *key, const char *value);
/* of a string in the form that it has in JSON, without the quotes around it */
void http_notify_json_add_string(struct http_notify_json *json, const char *key,
				 const string_t *value);
void http_notify_json_add_number(struct http_notify_json *json, const char *key,
				 uint32_t value);
/* These add several fields, which are the same in every format: which messages
   it is about, and which flags and keywords have changed. */
void http_notify_json_add_messages(
	struct http_notify_json *json,
	const struct http_notify_notification *notification);
void http_notify_json_add_flags(
	struct http_notify_json *json,
	const struct http_notify_notification *notification);

/* The formats add the fields of a notification. */
void http_notify_format_ox(struct http_notify_json *json,
			   const struct http_notify_notification *notification);
void http_notify_format_ox_calendar(
	struct http_notify_json *json,
	const struct http_notify_notification *notification);
void http_notify_format_egroupware(
	struct http_notify_json *json,
	const struct http_notify_notification *notification);

#endif
