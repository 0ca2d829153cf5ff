/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints a JSON array for each of the files: whether it is calendar mail, and
   what an endpoint gets. */
#include "lib.h"
#include "istream.h"
#include "message-parser.h"
#include "str.h"

#include "calendar-mail.h"
#include "message-json.h"

#include <stdio.h>

#define MAX_SIZE (64*1024*1024)

static bool is_calendar(struct istream *input)
{
	const struct message_parser_settings set = { .flags = 0 };
	struct message_parser_ctx *parser;
	struct message_part *parts;
	struct message_block block;
	pool_t pool = pool_alloconly_create("message parts", 1024);
	bool ret;

	parser = message_parser_init(pool, input, &set);
	while (message_parser_parse_next_block(parser, &block) > 0) ;
	message_parser_deinit(&parser, &parts);
	ret = http_notify_message_has_calendar(input, parts);
	pool_unref(&pool);
	return ret;
}

static void print_message(const char *path)
{
	struct istream *input = i_stream_create_file(path, 8192);
	string_t *json = str_new(default_pool, 8192);

	str_printfa(json, "[%s,\"", is_calendar(input) ? "true" : "false");
	if (http_notify_message_append_json(input, MAX_SIZE, json) != 1)
		i_fatal("%s: %s", path, i_stream_get_error(input));
	str_append(json, "\"]");
	puts(str_c(json));
	str_free(&json);
	i_stream_unref(&input);
}

int main(int argc, char *argv[])
{
	int i;

	lib_init();
	for (i = 1; i < argc; i++)
		print_message(argv[i]);
	lib_deinit();
	return 0;
}
