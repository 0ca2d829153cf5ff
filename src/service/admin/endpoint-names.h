/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_ENDPOINT_NAMES_H
#define HTTP_NOTIFY_ENDPOINT_NAMES_H

struct delivery;
struct endpoint;

/* Endpoints' names for an admin: their URLs without credentials and query. If
   several have the same URL, for example with different logins, their numbers
   follow, as in " #2". If several hosts share the queue, these are its numbers,
   which are the same on all. */
struct endpoint_names;

/* The names of all endpoints that exist now. shared: by several hosts */
struct endpoint_names *
endpoint_names_init(struct delivery *delivery, bool shared);
void endpoint_names_deinit(struct endpoint_names **names);

/* Returns the name of the endpoint, which has this URL and which delivery has by
   this number, on the data stack. */
const char *
endpoint_names_get(const struct endpoint_names *names,
		   const struct endpoint *ep, const char *url,
		   unsigned int number);
/* Likewise, with the number in any case. */
const char *
endpoint_names_numbered(const struct endpoint_names *names,
			const struct endpoint *ep, const char *url,
			unsigned int number);
/* Returns the number of the endpoint that has this name now, or 0. */
unsigned int endpoint_names_find(const struct endpoint_names *names,
				 struct delivery *delivery, const char *name);
/* Does the mask match the endpoint's name or URL? A mask with a "#" also matches
   a name that has a number on another host only. */
bool endpoint_names_match(const struct endpoint_names *names,
			  const struct endpoint *ep, const char *url,
			  unsigned int number, const char *mask);

#endif
