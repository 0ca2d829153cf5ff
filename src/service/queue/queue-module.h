/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_MODULE_H
#define HTTP_NOTIFY_QUEUE_MODULE_H

struct queue_engine_vfuncs;

/* An engine that is in a module of its own, so that the service does not depend
   on the library of its database. Returns NULL and error_r if it is not
   installed, or can't be loaded. It stays loaded. */
const struct queue_engine_vfuncs *
queue_module_load(const char *name, const char **error_r);

#endif
