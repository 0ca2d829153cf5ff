/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EXPORT_H
#define HTTP_NOTIFY_EXPORT_H

/* For symbols that are looked up by name: by Dovecot in a module, and by a
   module of the service in the service. All others are hidden. */
#define HTTP_NOTIFY_EXPORT __attribute__((visibility("default")))

#endif
