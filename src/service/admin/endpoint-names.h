/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_NAMES_H
#define HTTP_NOTIFY_ENDPOINT_NAMES_H

struct delivery;

/* Endpoints' names for an admin: their URLs without credentials and query. If
   several have the same URL, for example with different logins, their numbers
   follow, as in " #2". */
struct endpoint_names;

/* The names of all endpoints that exist now. */
struct endpoint_names *endpoint_names_init(struct delivery *delivery);
void endpoint_names_deinit(struct endpoint_names **names);

/* Returns the name of the endpoint with this URL and number, on the data
   stack. */
const char *endpoint_names_get(const struct endpoint_names *names,
			       const char *url, unsigned int number);
/* Returns the number of the endpoint that has this name now, or 0. */
unsigned int endpoint_names_find(const struct endpoint_names *names,
				 struct delivery *delivery, const char *name);
/* Does the mask match the endpoint's name, or its URL without the number? */
bool endpoint_name_matches(const char *name, const char *url,
			   const char *mask);

#endif
