#include "lib.h"
#include "array.h"
#include "mail-user.h"

#include "doveadm-http-notify.h"
#include "registration.h"
#include "user-lines.h"

extern const char *doveadm_http_notify_plugin_version;
const char *doveadm_http_notify_plugin_version = DOVECOT_ABI_VERSION;

int doveadm_http_notify_get_user(const struct user_line *line,
				 struct mail_user *user, const char *value,
				 const char **user_r, const char **error_r)
{
	if (line->options.user_from_metadata)
		return http_notify_registration_parse(value, user_r, error_r);
	*user_r = user->username;
	return 0;
}

void doveadm_http_notify_plugin_init(struct module *module ATTR_UNUSED)
{
	struct doveadm_cmd_ver2 *const commands[] = {
		&doveadm_cmd_http_notify_register,
		&doveadm_cmd_http_notify_unregister,
		&doveadm_cmd_http_notify_list,
		&doveadm_cmd_http_notify_check,
		&doveadm_cmd_http_notify_test,
		&doveadm_cmd_http_notify_status,
		&doveadm_cmd_http_notify_queue,
		&doveadm_cmd_http_notify_flush,
		&doveadm_cmd_http_notify_purge,
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(commands); i++)
		doveadm_cmd_register_ver2(commands[i]);
}

void doveadm_http_notify_plugin_deinit(void)
{
}
