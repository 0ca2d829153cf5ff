/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "array.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "settings.h"
#include "ssl-settings.h"

#include "endpoint-settings.h"
#include "http-notify-settings.h"
#include "options.h"
#include "service-settings.h"

/* those whose processes hand notifications off */
static const char *const protocols[] = { "lmtp", "lda", "imap" };

ARRAY_DEFINE_TYPE(endpoint, const char *const *);

void http_notify_service_settings_read(struct master_service *service)
{
	/* what is set for protocols, too */
	const struct master_service_settings_input input = {
		.no_protocol_filter = TRUE,
	};
	struct master_service_settings_output output;
	const char *error;

	if (master_service_settings_read(service, &input, &output, &error) < 0)
		i_fatal("Error reading configuration: %s", error);
}

/* Append the options of the filter with this name, if it is of our driver and
   they don't depend on the user. */
static void
endpoint_read(struct event *event, const char *name, pool_t pool,
	      ARRAY_TYPE(endpoint) *endpoints)
{
	struct http_notify_options options;
	const char *const *words, *error;

	if (http_notify_endpoint_is_ours(event, name) &&
	    http_notify_endpoint_options_get(event, name,
			pool_datastack_create(), &options, &error) == 0) {
		words = (const char *const *)p_strarray_dup(pool,
			http_notify_options_export(&options));
		array_push_back(endpoints, &words);
	}
}

static void
endpoints_read(struct event *parent, const char *protocol, pool_t pool,
	       ARRAY_TYPE(endpoint) *endpoints)
{
	const struct http_notify_foreign_settings *set;
	struct event *event = event_create(parent);
	const char *name, *error;

	event_add_str(event, "protocol", protocol);
	if (settings_get(event, &http_notify_foreign_setting_parser_info, 0,
			 &set, &error) < 0)
		i_fatal("%s", error);
	if (array_is_created(&set->push_notifications)) {
		array_foreach_elem(&set->push_notifications, name) T_BEGIN {
			endpoint_read(event, name, pool, endpoints);
		} T_END;
	}
	settings_free(set);
	event_unref(&event);
}

static const char *file_content(const char *value, pool_t pool)
{
	struct settings_file file;

	settings_file_get(value, pool, &file);
	return p_strdup(pool, file.content);
}

static void
tls_get(const struct ssl_settings *set, pool_t pool, struct tls_settings *tls_r)
{
	struct settings_file ca;

	settings_file_get(set->ssl_client_ca_file, pool, &ca);
	i_zero(tls_r);
	tls_r->require_valid_cert = set->ssl_client_require_valid_cert;
	tls_r->ca_file = ca.path;
	tls_r->ca = p_strdup(pool, ca.content);
	tls_r->ca_dir = p_strdup(pool, set->ssl_client_ca_dir);
	tls_r->cert = file_content(set->ssl_client_cert_file, pool);
	tls_r->key = file_content(set->ssl_client_key_file, pool);
	tls_r->key_password = p_strdup(pool, set->ssl_client_key_password);
	tls_r->min_protocol = p_strdup(pool, set->ssl_min_protocol);
	tls_r->cipher_list = p_strdup(pool, set->ssl_cipher_list);
	tls_r->cipher_suites = p_strdup(pool, set->ssl_cipher_suites);
	tls_r->curve_list = p_strdup(pool, set->ssl_curve_list);
}

void http_notify_service_settings_get(
	struct master_service *service, pool_t pool,
	struct http_notify_service_settings *set_r)
{
	struct event *event = master_service_get_event(service);
	const struct http_notify_settings *set;
	const struct master_service_settings *service_set =
		master_service_get_service_settings(service);
	const struct ssl_settings *ssl_set;
	ARRAY_TYPE(endpoint) endpoints;
	const char *error;
	unsigned int i;

	p_array_init(&endpoints, pool, 4);
	for (i = 0; i < N_ELEMENTS(protocols); i++)
		endpoints_read(event, protocols[i], pool, &endpoints);
	array_append_zero(&endpoints);

	if (settings_get(event, &http_notify_setting_parser_info, 0,
			 &set, &error) < 0 ||
	    ssl_client_settings_get(event, &ssl_set, &error) < 0)
		i_fatal("%s", error);

	i_zero(set_r);
	set_r->base_dir = service_set->base_dir;
	set_r->state_dir = service_set->state_dir;
	set_r->endpoints = array_front(&endpoints);
	http_notify_settings_get_service(set, pool, set_r);
	tls_get(ssl_set, pool, &set_r->tls);
	settings_free(set);
	settings_free(ssl_set);
}
