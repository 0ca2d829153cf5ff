/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CONFIG_FILES_H
#define HTTP_NOTIFY_CONFIG_FILES_H

/* Was the file at path, or one that it includes, changed after this time?
   Follows !include and !include_try; files that can't be read are skipped.
   Returns the changed file's path, on the data stack, or NULL. */
const char *config_files_find_newer(const char *path, time_t than);

/* Do two files differ? Returns FALSE also if one can't be read. */
bool config_files_differ(const char *path1, const char *path2);

#endif
