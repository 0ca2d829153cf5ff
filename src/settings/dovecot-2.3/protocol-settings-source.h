/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PROTOCOL_SETTINGS_SOURCE_H
#define HTTP_NOTIFY_PROTOCOL_SETTINGS_SOURCE_H

struct protocol_settings_source {
	/* plugin { }: names, each followed by its value, with NULL at the end;
	   variables are not expanded */
	const char *const *plugin_envs;
};

#endif
