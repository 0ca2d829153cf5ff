#ifndef HTTP_NOTIFY_PLUGIN_H
#define HTTP_NOTIFY_PLUGIN_H

struct module;

void http_notify_plugin_init(struct module *module);
void http_notify_plugin_deinit(void);

#endif
