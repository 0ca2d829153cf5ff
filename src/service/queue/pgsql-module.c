/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine as a module of the service (queue-module.h). */
#include "lib.h"

#include "export.h"
#include "queue-module.h"
#include "queue-pgsql.h"

struct module;

/* These names follow from that of the file. */
extern const char *pgsql_version;
extern const struct queue_engine_vfuncs *const pgsql_engine;
void pgsql_init(struct module *module);
void pgsql_deinit(void);

HTTP_NOTIFY_EXPORT
const char *pgsql_version = QUEUE_MODULE_VERSION;

HTTP_NOTIFY_EXPORT
const struct queue_engine_vfuncs *const pgsql_engine = &queue_engine_pgsql;

HTTP_NOTIFY_EXPORT
void pgsql_init(struct module *module ATTR_UNUSED)
{
}

HTTP_NOTIFY_EXPORT
void pgsql_deinit(void)
{
}
