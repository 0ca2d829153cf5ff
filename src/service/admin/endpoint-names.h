/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_NAMES_H
#define HTTP_NOTIFY_ENDPOINT_NAMES_H

struct delivery;

/* Endpoints' names for an admin: their URLs without credentials. Those that
   differ in their logins only are told apart by their numbers, " #2". */
struct endpoint_names;

/* Of those that there are now. */
struct endpoint_names *endpoint_names_init(struct delivery *delivery);
void endpoint_names_deinit(struct endpoint_names **names);

/* Of the endpoint with this URL and number. It lives on the data stack. */
const char *endpoint_names_get(const struct endpoint_names *names,
			       const char *url, unsigned int number);
/* A URL without the number matches all that have it. */
bool endpoint_name_matches(const char *name, const char *url,
			   const char *mask);

#endif
