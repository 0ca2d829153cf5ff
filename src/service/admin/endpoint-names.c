/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "hash.h"
#include "wildcard-match.h"

#include "delivery.h"
#include "endpoint.h"
#include "endpoint-names.h"

struct endpoint_names {
	pool_t pool;
	/* the number of the only endpoint with this URL; 0 = there are
	   several */
	HASH_TABLE(char *, void *) number_by_url;
};

struct endpoint_names *endpoint_names_init(struct delivery *delivery)
{
	struct endpoint_names *names;
	struct endpoint_status status;
	struct endpoint *ep;
	unsigned int number = 0;
	char *url;
	void *first;

	names = i_new(struct endpoint_names, 1);
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

const char *endpoint_names_get(const struct endpoint_names *names,
			       const char *url, unsigned int number)
{
	if (hash_table_lookup(names->number_by_url, url) ==
	    POINTER_CAST(number))
		return t_strdup(url);
	return t_strdup_printf("%s #%u", url, number);
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
		found = strcmp(endpoint_names_get(names, status.url, number),
			       name) == 0;
	} T_END;
	return found ? number : 0;
}

bool endpoint_name_matches(const char *name, const char *url, const char *mask)
{
	return wildcard_match(name, mask) || wildcard_match(url, mask);
}
