/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LISTENER_PASSWORD_H
#define LISTENER_PASSWORD_H

#define PASSWORD_VARIABLE "HTTP_NOTIFY_PASSWORD"

/* Returns the first line of the file, or if path is NULL the environment
   variable, which is removed. A file that others can read or write is refused.
   If there is no password, returns NULL and error_r, which may be the result of
   strerror(). */
char *password_get(const char *path, const char **error_r);
/* Wipe the password, free it and set it to NULL. */
void password_free(char **password);

#endif
