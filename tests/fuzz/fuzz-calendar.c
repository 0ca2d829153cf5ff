/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message, whose sender may have made it of anything: is it calendar mail,
   and what does the endpoint get? */
#include "lib.h"
#include "istream.h"
#include "istream-crlf.h"
#include "message-parser.h"
#include "str.h"

#include "calendar-mail.h"
#include "json-text.h"
#include "message-json.h"

#include "fuzz-common.h"

#include <jansson.h>

static void check_has_calendar(struct istream *input, pool_t pool)
{
	const struct message_parser_settings set = { .flags = 0 };
	struct message_parser_ctx *parser;
	struct message_part *parts;
	struct message_block block;

	parser = message_parser_init(pool, input, &set);
	while (message_parser_parse_next_block(parser, &block) > 0) ;
	message_parser_deinit(&parser, &parts);
	(void)http_notify_message_has_calendar(input, parts);
}

/* Is it UTF-8 that stays as it is? */
static void
check_json(string_t *json, const unsigned char *data, size_t size)
{
	json_t *value = json_loadb(str_c(json), str_len(json),
				   JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	i_assert(json_is_string(value));
	i_assert(http_notify_is_utf8((const void *)json_string_value(value),
				     json_string_length(value)));
	if (http_notify_is_utf8(data, size)) {
		i_assert(json_string_length(value) == size);
		i_assert(memcmp(json_string_value(value), data, size) == 0);
	}
	json_decref(value);
}

/* With line ends as the endpoint gets them. */
static string_t *read_all(struct istream *input)
{
	struct istream *crlf;
	string_t *all = str_new(default_pool, 1024);
	const unsigned char *data;
	size_t size;

	i_stream_seek(input, 0);
	crlf = i_stream_create_crlf(input);
	while (i_stream_read_more(crlf, &data, &size) > 0) {
		str_append_data(all, data, size);
		i_stream_skip(crlf, size);
	}
	i_stream_unref(&crlf);
	return all;
}

void fuzz_one(const unsigned char *data, size_t size, pool_t pool)
{
	struct istream *input = i_stream_create_from_data(data, size);
	string_t *json = str_new(default_pool, 1024), *message;

	check_has_calendar(input, pool);
	str_append_c(json, '"');
	if (http_notify_message_append_json(input, SIZE_MAX / 4, json) != 1)
		i_unreached();
	str_append_c(json, '"');
	message = read_all(input);
	check_json(json, str_data(message), str_len(message));
	str_free(&message);
	str_free(&json);
	i_stream_unref(&input);
}
