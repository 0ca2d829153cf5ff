/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_HEADER_PARAMS_H
#define HTTP_NOTIFY_HEADER_PARAMS_H

struct rfc822_parser_context;

/* Parse the parameters of a Content-Type or Content-Disposition, from the
   semicolon on. What those of this name say is appended to value: one, or the
   pieces of one in the order in which they come (RFC 2231), as bytes of their
   charset. Returns 0, or -1 if there is something else among the
   parameters. */
int http_notify_header_param_get(struct rfc822_parser_context *parser,
				 const char *name, string_t *value);

#endif
