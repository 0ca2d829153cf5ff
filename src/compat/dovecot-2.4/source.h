#ifndef HTTP_NOTIFY_SOURCE_H
#define HTTP_NOTIFY_SOURCE_H

struct protocol_settings_source {
	/* the configuration as a process of that protocol has it */
	struct settings_root *root;
};

#endif
