#ifndef HTTP_NOTIFY_VERSION_COMPAT_H
#define HTTP_NOTIFY_VERSION_COMPAT_H

/* version_string_verify() */
#if DOVECOT_PREREQ(2, 4, 2)
#include "version.h"
#else
#include "master-service.h"
#endif

#endif
