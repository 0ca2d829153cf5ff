/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_FOREIGN_SETTINGS_H
#define HTTP_NOTIFY_FOREIGN_SETTINGS_H

struct setting_parser_info;

/* For doveconf and the config process only. They panic, so that Dovecot does
   not start, if two definitions of a setting differ in type, flags or default.
   An update of Dovecot may change its own definitions without changing the ABI
   version. So this replaces our definitions of Dovecot's settings by those of
   the running Dovecot.

   Returns a copy of the info, which lives in the pool. Warns of each setting
   whose type differs from the one that we know. */
const struct setting_parser_info *
http_notify_foreign_settings_adapt(const struct setting_parser_info *info,
				   pool_t pool);

#endif
