/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SERVICE_SETTINGS_H
#define HTTP_NOTIFY_SERVICE_SETTINGS_H

#include "tls-settings.h"

struct master_service;

/* For master_service_init(). */
#ifdef HTTP_NOTIFY_HAVE_SETTINGS_ROOT
#define HTTP_NOTIFY_SERVICE_SETTINGS_FLAGS 0
#else
/* the configuration is read for several protocols */
#define HTTP_NOTIFY_SERVICE_SETTINGS_FLAGS MASTER_SERVICE_FLAG_KEEP_CONFIG_OPEN
#endif

/* What the service reads from dovecot.conf. */
struct http_notify_service_settings {
	const char *base_dir, *state_dir;
	/* The endpoints that dovecot.conf has for lmtp, dovecot-lda or imap:
	   their options, as mail processes hand them off (options.h). Left out
	   are those that are invalid or have variables of the mail user. Both
	   lists are NULL-terminated. */
	const char *const *const *endpoints;
	/* http_notify_queue: where it is, sqlite or pgsql; for the latter
	   http_notify_pgsql, in libpq's words, and
	   http_notify_pgsql_password_file, "" = none */
	const char *queue;
	const char *pgsql, *pgsql_password_file;
	/* http_notify_sync = normal | full: with full, a stored notification
	   survives a power cut, too */
	bool sync_full;
	/* http_notify_queue_limit: when this many notifications are queued, or
	   so many bytes of them, new ones are refused */
	unsigned int queue_max_rows;
	uint64_t queue_max_bytes;
	/* http_notify_lost_keep and http_notify_lost_limit: for how long, and
	   up to which number and size, what is given up is kept */
	unsigned int lost_keep_secs;
	unsigned int lost_max_rows;
	uint64_t lost_max_bytes;
	struct tls_settings tls;
};

/* Read the configuration. Must be called first after master_service_init(),
   which needs the flags above. An error is fatal. */
void http_notify_service_settings_read(struct master_service *service);
/* Get the settings. The strings live in the pool or as long as service does.
   Invalid values are fatal. */
void http_notify_service_settings_get(
	struct master_service *service, pool_t pool,
	struct http_notify_service_settings *set_r);

#endif
