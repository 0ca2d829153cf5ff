/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_CREDENTIAL_FILE_H
#define HTTP_NOTIFY_CREDENTIAL_FILE_H

/* Files with credentials, which are read for each request, so that a change is
   seen at once. They are regular files that the service's user can read; a pipe
   or a device would block the service. Errors are fit for a log: they repeat
   nothing of what is in a file. */

/* Longest file that is read, in bytes. */
#define CREDENTIAL_FILE_MAX 4096
/* Longest token, in bytes: as long as a URL with credentials may be. */
#define CREDENTIAL_TOKEN_MAX 2048
/* Longest file that libcurl reads, in bytes: it holds up all requests meanwhile.
   Certificates of many CAs take a part of that. */
#define CREDENTIAL_FILE_OTHERS_MAX (4*1024*1024)

/* For files that libcurl reads: can it be read, and soon? Returns 0, or -1 and
   error_r. */
int credential_file_check(const char *path, const char **error_r);
/* Returns 0 and the text, which lives on the data stack, or -1 and error_r. */
int credential_file_read(const char *path, const char **text_r,
			 const char **error_r);
/* Likewise for a file that has one word of visible ASCII characters, without the
   line's end. */
int credential_file_read_token(const char *path, const char **token_r,
			       const char **error_r);

#endif
