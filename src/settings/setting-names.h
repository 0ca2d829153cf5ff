/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SETTING_NAMES_H
#define HTTP_NOTIFY_SETTING_NAMES_H

/* How messages name the settings of this Dovecot, 2.4 or 2.3. */
#ifdef HTTP_NOTIFY_HAVE_SETTINGS_ROOT

#define SETTING_ATTRIBUTE_DICT "mail_attribute { dict }"
#define SETTING_ATTRIBUTE_DICT_EXAMPLE \
	"dict file { path = %{home}/dovecot-attributes }"
#define SETTING_DRIVER "push_notification { }"
#define SETTING_DRIVER_EXAMPLE \
	"add push_notification ox { push_notification_ox_url = <endpoint> }"
#define SETTING_URL "push_notification_ox_url"
#define SETTING_NETRC_FILE "http_notify_netrc_file = "
#define SETTING_TOKEN_FILE "http_notify_token_file = "
#define SETTING_SIGN_FILE "http_notify_sign_file = "
#define SETTING_PROXY_NETRC_FILE "http_notify_proxy_netrc_file = "
#define SETTING_CA_FILE "http_notify_ca_file = "
#define SETTING_CERT_FILE "http_notify_cert_file = "
#define SETTING_KEY_FILE "http_notify_key_file = "
#define SETTING_FOLDERS "http_notify_folders"
#define SETTING_MSG_MAX_SIZE "push_notification_chronos_msg_max_size"

#else

#define SETTING_ATTRIBUTE_DICT "mail_attribute_dict"
#define SETTING_ATTRIBUTE_DICT_EXAMPLE "file:%h/dovecot-attributes"
#define SETTING_DRIVER "push_notification_driver"
#define SETTING_DRIVER_EXAMPLE "set it to ox:url=<endpoint> in plugin { }"
#define SETTING_URL "url="
#define SETTING_NETRC_FILE "netrc_file="
#define SETTING_TOKEN_FILE "token_file="
#define SETTING_SIGN_FILE "sign_file="
#define SETTING_PROXY_NETRC_FILE "proxy_netrc_file="
#define SETTING_CA_FILE "ca_file="
#define SETTING_CERT_FILE "cert_file="
#define SETTING_KEY_FILE "key_file="
#define SETTING_FOLDERS "folders="
#define SETTING_MSG_MAX_SIZE "msg_max_size="

#endif

#endif
