#ifndef HTTP_NOTIFY_COMPAT_H
#define HTTP_NOTIFY_COMPAT_H

/* The code is written against Dovecot 2.4. Here is what 2.3 has under another
   name. What the two do in different ways is behind the other headers of this
   directory: dovecot-2.3/ and dovecot-2.4/ each have what these promise, and
   configure chooses. */

#if DOVECOT_VERSION_MINOR >= 4

/* Settings, as messages name them. */
#define SETTING_ATTRIBUTE_DICT "mail_attribute { dict }"
#define SETTING_ATTRIBUTE_DICT_EXAMPLE \
	"dict file { path = %{home}/dovecot-attributes }"
#define SETTING_DRIVER "push_notification { }"
#define SETTING_DRIVER_EXAMPLE \
	"add push_notification ox { push_notification_ox_url = <endpoint> }"
#define SETTING_URL "push_notification_ox_url"

#else

#define str_begins_with(haystack, needle) str_begins(haystack, needle)

/* of settings-parser.h */
#define str_parse_get_interval(str, secs_r, error_r) \
	settings_get_time(str, secs_r, error_r)

#define push_notification_event_init(dtxn, event_name, config, event) \
	push_notification_event_init(dtxn, event_name, config)

#define SETTING_ATTRIBUTE_DICT "mail_attribute_dict"
#define SETTING_ATTRIBUTE_DICT_EXAMPLE "file:%h/dovecot-attributes"
#define SETTING_DRIVER "push_notification_driver"
#define SETTING_DRIVER_EXAMPLE "set it to ox:url=<endpoint> in plugin { }"
#define SETTING_URL "url="

#endif

#endif
