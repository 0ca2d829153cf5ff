/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_PLUGIN_H
#define HTTP_NOTIFY_PLUGIN_H

#include "export.h"

struct module;

HTTP_NOTIFY_EXPORT void http_notify_plugin_init(struct module *module);
HTTP_NOTIFY_EXPORT void http_notify_plugin_deinit(void);

#endif
