/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_MODULE_H
#define HTTP_NOTIFY_QUEUE_MODULE_H

#include "dovecot-compat.h"

struct queue_engine_vfuncs;

/* What a module has as its version: it and the service have to be of the same,
   since each uses what is inside of the other. Dovecot compares what is before
   the first parenthesis. */
#define QUEUE_MODULE_VERSION HTTP_NOTIFY_VERSION" for "DOVECOT_ABI_VERSION

/* An engine that is in a module of its own, so that the service does not depend
   on the library of its database. Returns NULL and error_r if it is not
   installed, or can't be loaded. It stays loaded. */
const struct queue_engine_vfuncs *
queue_module_load(const char *name, const char **error_r);

#endif
