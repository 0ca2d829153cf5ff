/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "settings-parser.h"
#include "str-sanitize.h"

#include "dovecot-compat.h"
#include "options.h"

/* Who gets calendar mail is OX's business. */
static const char *const defaults[] = {
	"registration=optional", "user_from_metadata=no"
};
/* The driver has a format of its own, which implies the events. */
static const char *const not_options[] = { "format", "events", NULL };

static int
parse_msg_max_size(const char *value, uoff_t *size_r, const char **error_r)
{
	const char *error;

	if (str_parse_get_size(value, size_r, &error) == 0 && *size_r > 0 &&
	    *size_r <= HTTP_NOTIFY_MAX_MSG_SIZE)
		return 0;
	*error_r = t_strdup_printf("msg_max_size=%s: must be a size of up to "
				   "%uM, such as 1M", str_sanitize(value, 64),
				   HTTP_NOTIFY_MAX_MSG_SIZE / (1024*1024));
	return -1;
}

static int
parse_timeout(const char *value, const char **word_r, const char **error_r)
{
	unsigned int msecs;
	const char *error;

	if (str_parse_get_interval_msecs(value, &msecs, &error) < 0 ||
	    msecs == 0 || msecs > HTTP_NOTIFY_MAX_TIMEOUT_MSECS) {
		*error_r = t_strdup_printf("timeout=%s: must be a time of up "
			"to %u minutes, such as 2s", str_sanitize(value, 64),
			HTTP_NOTIFY_MAX_TIMEOUT_MSECS / (60*1000));
		return -1;
	}
	*word_r = t_strdup_printf("timeout_msecs=%u", msecs);
	return 0;
}

int http_notify_calendar_options_parse(const char *const *words, pool_t pool,
				       struct http_notify_options *options_r,
				       const char **error_r)
{
	uoff_t msg_max_size = HTTP_NOTIFY_DEFAULT_MSG_MAX_SIZE;
	ARRAY_TYPE(const_string) others;
	const char *word;

	t_array_init(&others, 16);
	array_append(&others, defaults, N_ELEMENTS(defaults));
	word = t_strconcat("folders=", http_notify_format_folders(
				HTTP_NOTIFY_FORMAT_OX_CALENDAR), NULL);
	array_push_back(&others, &word);
	for (; *words != NULL; words++) {
		word = *words;
		if (str_array_find(not_options, t_strcut(word, '='))) {
			*error_r = t_strdup_printf(
				"%s: is not an option of this driver",
				str_sanitize(http_notify_url_mask(word), 256));
			return -1;
		}
		if (str_begins_with(word, "msg_max_size=")) {
			if (parse_msg_max_size(word + strlen("msg_max_size="),
					       &msg_max_size, error_r) < 0)
				return -1;
			continue;
		}
		if (str_begins_with(word, "timeout=") &&
		    parse_timeout(word + strlen("timeout="), &word,
				  error_r) < 0)
			return -1;
		array_push_back(&others, &word);
	}
	array_append_zero(&others);
	if (http_notify_options_parse(array_front(&others), pool, options_r,
				      error_r) < 0)
		return -1;
	options_r->format = HTTP_NOTIFY_FORMAT_OX_CALENDAR;
	options_r->events = http_notify_format_events(options_r->format);
	options_r->msg_max_size = msg_max_size;
	return 0;
}
