/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "hash.h"
#include "wildcard-match.h"

#include "delivery.h"
#include "endpoint.h"
#include "endpoint-names.h"
#include "queue.h"

struct endpoint_names {
	pool_t pool;
	bool shared;
	/* the number of the only endpoint with this URL; 0 = there are
	   several */
	HASH_TABLE(char *, void *) number_by_url;
};

struct endpoint_names *
endpoint_names_init(struct delivery *delivery, bool shared)
{
	struct endpoint_names *names;
	struct endpoint_status status;
	struct endpoint *ep;
	unsigned int number = 0;
	char *url;
	void *first;

	names = i_new(struct endpoint_names, 1);
	names->shared = shared;
	names->pool = pool_alloconly_create("endpoint names", 1024);
	hash_table_create(&names->number_by_url, default_pool, 0,
			  str_hash, strcmp);
	while ((ep = delivery_next_endpoint(delivery, &number)) != NULL) {
		endpoint_get_status(ep, &status);
		if (hash_table_lookup_full(names->number_by_url, status.url,
					   &url, &first))
			first = NULL;
		else {
			url = p_strdup(names->pool, status.url);
			first = POINTER_CAST(number);
		}
		hash_table_update(names->number_by_url, url, first);
	}
	return names;
}

void endpoint_names_deinit(struct endpoint_names **_names)
{
	struct endpoint_names *names = *_names;

	*_names = NULL;
	hash_table_destroy(&names->number_by_url);
	pool_unref(&names->pool);
	i_free(names);
}

const char *
endpoint_names_numbered(const struct endpoint_names *names,
			const struct endpoint *ep, const char *url,
			unsigned int number)
{
	int64_t shared_number = !names->shared ? 0 :
		queue_endpoint_number(endpoint_get_queue(ep));

	if (names->shared && shared_number == 0) {
		/* nothing has been stored for it yet: others don't know it */
		return t_strdup_printf("%s #0.%u", url, number);
	}
	return t_strdup_printf("%s #%"PRId64, url,
			       names->shared ? shared_number : number);
}

const char *
endpoint_names_get(const struct endpoint_names *names,
		   const struct endpoint *ep, const char *url,
		   unsigned int number)
{
	if (hash_table_lookup(names->number_by_url, url) ==
	    POINTER_CAST(number))
		return t_strdup(url);
	return endpoint_names_numbered(names, ep, url, number);
}

unsigned int endpoint_names_find(const struct endpoint_names *names,
				 struct delivery *delivery, const char *name)
{
	struct endpoint_status status;
	struct endpoint *ep;
	unsigned int number = 0;
	bool found = FALSE;

	while (!found &&
	       (ep = delivery_next_endpoint(delivery, &number)) != NULL) T_BEGIN {
		endpoint_get_status(ep, &status);
		found = strcmp(endpoint_names_get(names, ep, status.url,
						  number), name) == 0;
	} T_END;
	return found ? number : 0;
}

bool endpoint_names_match(const struct endpoint_names *names,
			  const struct endpoint *ep, const char *url,
			  unsigned int number, const char *mask)
{
	if (wildcard_match(url, mask) ||
	    wildcard_match(endpoint_names_get(names, ep, url, number), mask))
		return TRUE;
	/* another host may show it */
	return names->shared && strchr(mask, '#') != NULL &&
		wildcard_match(endpoint_names_numbered(names, ep, url, number),
			       mask);
}
