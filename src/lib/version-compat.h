/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_VERSION_COMPAT_H
#define HTTP_NOTIFY_VERSION_COMPAT_H

/* version_string_verify() and version_string_verify_full() */
#ifdef HTTP_NOTIFY_HAVE_VERSION_H
#include "version.h"
#else
#include "master-service.h"
#endif

#endif
