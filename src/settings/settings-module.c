/* What doveconf and the config process load, so that they know the settings. */
#include "lib.h"
#include "settings-parser.h"

#include "http-notify-settings.h"

/* Found by their names, which begin with the module's. */
extern const char *http_notify_settings_version;
extern const char *http_notify_settings_doveconf_banner;
extern const struct setting_parser_info *http_notify_settings_set_infos[];

const char *http_notify_settings_version = DOVECOT_ABI_VERSION;
const char *http_notify_settings_doveconf_banner =
	"http-notify version "HTTP_NOTIFY_VERSION;
const struct setting_parser_info *http_notify_settings_set_infos[] = {
	&http_notify_endpoint_setting_parser_info,
	&http_notify_foreign_setting_parser_info,
	&http_notify_setting_parser_info,
	NULL
};
