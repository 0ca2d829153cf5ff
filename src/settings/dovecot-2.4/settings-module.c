/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module that doveconf and the config process load to know our settings. */
#include "lib.h"
#include "settings-parser.h"

#include "export.h"
#include "foreign-settings.h"
#include "http-notify-settings.h"

struct module;

/* Dovecot finds these by their names, which begin with the module's. */
extern HTTP_NOTIFY_EXPORT const char *http_notify_settings_version;
extern HTTP_NOTIFY_EXPORT const char *http_notify_settings_doveconf_banner;
extern HTTP_NOTIFY_EXPORT
const struct setting_parser_info *http_notify_settings_set_infos[];
HTTP_NOTIFY_EXPORT void http_notify_settings_init(struct module *module);
HTTP_NOTIFY_EXPORT void http_notify_settings_deinit(void);

const char *http_notify_settings_version = DOVECOT_ABI_VERSION;
const char *http_notify_settings_doveconf_banner =
	"http-notify version "HTTP_NOTIFY_VERSION;
const struct setting_parser_info *http_notify_settings_set_infos[] = {
	&http_notify_endpoint_setting_parser_info,
	&http_notify_foreign_setting_parser_info,
	&http_notify_setting_parser_info,
	NULL
};

static pool_t pool;

/* Dovecot reads http_notify_settings_set_infos after it has called this. */
void http_notify_settings_init(struct module *module ATTR_UNUSED)
{
	unsigned int i;

	pool = pool_alloconly_create("http-notify settings", 2048);
	for (i = 0; http_notify_settings_set_infos[i] != NULL; i++) {
		http_notify_settings_set_infos[i] =
			http_notify_foreign_settings_adapt(
				http_notify_settings_set_infos[i], pool);
	}
}

void http_notify_settings_deinit(void)
{
	pool_unref(&pool);
}
