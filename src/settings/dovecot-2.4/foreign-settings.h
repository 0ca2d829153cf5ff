/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_FOREIGN_SETTINGS_H
#define HTTP_NOTIFY_FOREIGN_SETTINGS_H

struct setting_parser_info;

/* For doveconf and the config process only. They panic, and Dovecot does not
   start, if two definitions of a setting differ in type, flags or default; an
   update of Dovecot may change its own without another ABI version. So our
   definitions of Dovecot's settings become those that it has.

   Returns a copy of the info, which lives in the pool. What has another type
   than the one we know is warned of. */
const struct setting_parser_info *
http_notify_foreign_settings_adapt(const struct setting_parser_info *info,
				   pool_t pool);

#endif
