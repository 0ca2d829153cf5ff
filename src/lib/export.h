/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EXPORT_H
#define HTTP_NOTIFY_EXPORT_H

/* For symbols that Dovecot looks up in a module by name. All others are
   hidden. */
#define HTTP_NOTIFY_EXPORT __attribute__((visibility("default")))

#endif
