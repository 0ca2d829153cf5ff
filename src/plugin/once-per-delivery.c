/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "hash.h"
#include "mail-user.h"

#include "once-per-delivery.h"

#include <ctype.h>

/* What LMTP appends to the session ID from the second recipient on, with a
   number. */
#define RECIPIENT_SUFFIX ":R"

/* Of the present delivery, or the last one: its ID, and users with drivers and
   Message-IDs. */
static pool_t delivery_pool = NULL;
static const char *delivery_id;
static HASH_TABLE(const char *, const char *) delivery_messages;

static const char *delivery_id_get(const struct mail_user *user)
{
	const char *id = user->session_id == NULL ? "" : user->session_id;
	size_t size = strlen(id), suffix_size = strlen(RECIPIENT_SUFFIX);

	while (size > 0 && i_isdigit(id[size - 1]))
		size--;
	if (size >= suffix_size && id[size] != '\0' &&
	    memcmp(id + size - suffix_size, RECIPIENT_SUFFIX,
		   suffix_size) == 0)
		return t_strndup(id, size - suffix_size);
	return id;
}

static void delivery_begin(const char *id)
{
	once_per_delivery_deinit();
	delivery_pool = pool_alloconly_create("http-notify delivery", 1024);
	delivery_id = p_strdup(delivery_pool, id);
	hash_table_create(&delivery_messages, default_pool, 0, str_hash,
			  strcmp);
}

bool once_per_delivery(const struct mail_user *user, const char *driver,
		       const char *message_id)
{
	const char *id, *key;

	if (message_id == NULL)
		return TRUE;
	id = delivery_id_get(user);
	if (delivery_pool == NULL || strcmp(delivery_id, id) != 0)
		delivery_begin(id);
	/* a line end is only in the last of them */
	key = t_strconcat(user->username, "\n", driver, "\n", message_id,
			  NULL);
	if (hash_table_lookup(delivery_messages, key) != NULL)
		return FALSE;
	key = p_strdup(delivery_pool, key);
	hash_table_insert(delivery_messages, key, key);
	return TRUE;
}

void once_per_delivery_deinit(void)
{
	if (delivery_pool == NULL)
		return;
	hash_table_destroy(&delivery_messages);
	pool_unref(&delivery_pool);
}
