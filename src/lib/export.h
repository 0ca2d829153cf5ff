/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_EXPORT_H
#define HTTP_NOTIFY_EXPORT_H

/* What Dovecot looks for in a module by its name. All else is hidden. */
#define HTTP_NOTIFY_EXPORT __attribute__((visibility("default")))

#endif
