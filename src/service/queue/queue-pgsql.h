/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_QUEUE_PGSQL_H
#define HTTP_NOTIFY_QUEUE_PGSQL_H

#include "queue.h"

/* In a PostgreSQL that several hosts share. */
extern const struct queue_engine_vfuncs queue_engine_pgsql;

#endif
