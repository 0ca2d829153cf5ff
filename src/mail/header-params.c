/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "rfc822-parser.h"
#include "str.h"

#include "header-params.h"

#include <ctype.h>

static void append_percent_decoded(string_t *dest, const char *value)
{
	char hex[3] = "";

	for (; *value != '\0'; value++) {
		if (*value == '%' && i_isxdigit(value[1]) &&
		    i_isxdigit(value[2])) {
			memcpy(hex, value + 1, 2);
			str_append_c(dest, strtoul(hex, NULL, 16));
			value += 2;
		} else {
			str_append_c(dest, *value);
		}
	}
}

/* Dovecot's rfc2231_parse() does all this, and takes seconds for a header that
   has many. */
int http_notify_header_param_get(struct rfc822_parser_context *parser,
				 const char *name, string_t *value)
{
	string_t *piece = t_str_new(128);
	size_t name_size = strlen(name);
	const char *key;
	int ret, result = 0;

	while ((ret = rfc822_parse_content_param(parser, &key, piece)) != 0) {
		if (ret < 0) {
			result = -1;
			if (parser->data >= parser->end)
				break;
			parser->data++;
		} else if (strncasecmp(key, name, name_size) == 0 &&
			   (key[name_size] == '\0' || key[name_size] == '*')) {
			if (key[strlen(key) - 1] == '*')
				append_percent_decoded(value, str_c(piece));
			else
				str_append_str(value, piece);
		}
	}
	return result;
}
