/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_PASSWORD_H
#define LISTENER_PASSWORD_H

#define PASSWORD_VARIABLE "HTTP_NOTIFY_PASSWORD"

/* The first line of the file, or without one (NULL) the environment variable.
   A file that others can read is refused. Returns NULL and error_r, which lasts
   until the next call, if there is no password. */
char *password_get(const char *path, const char **error_r);
/* Wipe it. */
void password_free(char **password);

#endif
