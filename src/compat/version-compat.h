#ifndef HTTP_NOTIFY_VERSION_COMPAT_H
#define HTTP_NOTIFY_VERSION_COMPAT_H

/* version_string_verify() */
#if DOVECOT_VERSION_MINOR >= 4 && DOVECOT_VERSION_MICRO >= 2
#include "version.h"
#else
#include "master-service.h"
#endif

#endif
