/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib.h"
#include "http-url.h"

#include "options.h"
#include "sender-target.h"

/* An IPv6 address without brackets, as libcurl looks for it in a netrc file. */
static const char *host_of(const struct http_url *url, pool_t pool)
{
	return p_strdup(pool, url->host.ip.family == 0 ? url->host.name :
			net_ip2addr(&url->host.ip));
}

static void
sender_target_set_proxy(struct sender_target *target,
			const struct http_notify_options *options, pool_t pool)
{
	const struct http_url *url =
		http_notify_url_parse(options->proxy, pool_datastack_create());

	/* without a port, libcurl would take 1080 */
	target->proxy = p_strconcat(pool, "http://",
		http_url_create_authority(url), url->port == 0 ? ":80" : "",
		NULL);
	target->proxy_host = host_of(url, pool);
	target->proxy_netrc_file = p_strdup(pool, options->proxy_netrc_file);
	target->name = url->host.ip.family == 0 ? target->proxy : NULL;
}

void sender_target_init(struct sender_target *target_r, const char *url,
			const struct http_notify_options *options, pool_t pool)
{
	const struct http_url *http_url =
		http_notify_url_parse(url, pool_datastack_create());

	i_zero(target_r);
	target_r->label = p_strdup(pool, http_url_create_authority(http_url));
	if (options->owner != NULL) {
		target_r->label = p_strdup_printf(pool, "%s (of user ID %s)",
			target_r->label, options->owner);
	}
	target_r->url = p_strdup(pool, http_url_create(http_url));
	target_r->host = host_of(http_url, pool);
	if (http_url->host.ip.family == 0) {
		target_r->name = p_strconcat(pool,
			http_url->have_ssl ? "https://" : "http://",
			http_url_create_authority(http_url), NULL);
	}
	target_r->username = p_strdup(pool, http_url->user);
	target_r->password = p_strdup(pool, http_url->password);
	target_r->netrc_file = p_strdup(pool, options->netrc_file);
	target_r->token_file = p_strdup(pool, options->token_file);
	target_r->sign_file = p_strdup(pool, options->sign_file);
	target_r->ca_file = p_strdup(pool, options->ca_file);
	target_r->cert_file = p_strdup(pool, options->cert_file);
	target_r->key_file = p_strdup(pool, options->key_file);
	target_r->method = p_strdup(pool, options->method);
	target_r->timeout_msecs = options->timeout_msecs;
	if (options->proxy != NULL)
		sender_target_set_proxy(target_r, options, pool);
}
