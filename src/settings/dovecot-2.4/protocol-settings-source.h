/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PROTOCOL_SETTINGS_SOURCE_H
#define HTTP_NOTIFY_PROTOCOL_SETTINGS_SOURCE_H

struct protocol_settings_source {
	/* the configuration as a process of that protocol has it */
	struct settings_root *root;
};

#endif
