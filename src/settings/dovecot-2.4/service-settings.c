/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "master-service.h"
#include "master-service-settings.h"
#include "settings.h"
#include "ssl-settings.h"

#include "http-notify-settings.h"
#include "service-settings.h"

void http_notify_service_settings_read(struct master_service *service)
{
	const char *error;

	if (master_service_settings_read_simple(service, &error) < 0)
		i_fatal("Error reading configuration: %s", error);
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
	const struct ssl_settings *ssl_set;
	const char *error;

	if (settings_get(event, &http_notify_setting_parser_info, 0,
			 &set, &error) < 0 ||
	    ssl_client_settings_get(event, &ssl_set, &error) < 0)
		i_fatal("%s", error);

	i_zero(set_r);
	set_r->state_dir =
		master_service_get_service_settings(service)->state_dir;
	http_notify_settings_get_service(set, set_r);
	tls_get(ssl_set, pool, &set_r->tls);
	settings_free(set);
	settings_free(ssl_set);
}
