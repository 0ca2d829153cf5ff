/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE 1 /* memfd_create() */
#include "lib.h"
#include "write-full.h"

#include "sender-ca.h"
#include "tls-settings.h"

#include <curl/curl.h>
#include <ctype.h>
#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

/* Used where libcurl wants a file or directory of CAs and there are none. */
#define NO_CA "/dev/null"

/* Use these certificates, as a file in memory: libcurl would parse a blob anew
   for each connection. */
static void sender_ca_set(struct sender_ca *ca, const char *certificates)
{
	ca->fd = memfd_create("ssl_client_ca_file", MFD_CLOEXEC);
	if (ca->fd == -1)
		i_fatal("memfd_create() failed: %m");
	if (write_full(ca->fd, certificates, strlen(certificates)) < 0)
		i_fatal("write(ssl_client_ca_file) failed: %m");
	ca->file = i_strdup_printf("/proc/self/fd/%d", ca->fd);
}

/* If CAINFO or CAPATH is NULL, libcurl 8.21 and later use its default even if
   the other one is set. */
static bool curl_adds_defaults(const curl_version_info_data *info)
{
	return info->version_num >= 0x081500;
}

/* Is this the name of a certificate, as openssl rehash makes them? */
static bool is_hash_name(const char *name)
{
	return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' &&
		i_isdigit(name[9]);
}

/* Returns the path of a certificate in the directory that can be read, NULL if
   there is none. */
static char *directory_find_certificate(const char *path)
{
	struct dirent *entry;
	char *found = NULL;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return NULL;
	while (found == NULL && (entry = readdir(dir)) != NULL) T_BEGIN {
		const char *name = t_strconcat(path, "/", entry->d_name, NULL);

		if (is_hash_name(entry->d_name) && access(name, R_OK) == 0)
			found = i_strdup(name);
	} T_END;
	(void)closedir(dir);
	return found;
}

/* Keep libcurl from adding its defaults by setting both options. The file has
   to contain a certificate, so use one from the directory: that is trusted
   anyway. */
static void sender_ca_exclude_defaults(struct sender_ca *ca)
{
	if (ca->dir == NULL)
		ca->dir = i_strdup(NO_CA);
	if (ca->file == NULL)
		ca->file = directory_find_certificate(ca->dir);
	if (ca->file == NULL)
		ca->file = i_strdup(NO_CA);
}

/* Use the system's CAs. libcurl has defaults for file and directory, and would
   use both. If there is only a file, libcurl parses it once a day; otherwise it
   parses the file for each connection, which takes tens of milliseconds for the
   system's. In a directory, it looks up only the CAs that it needs. */
static void
sender_ca_set_system(struct sender_ca *ca, const curl_version_info_data *info)
{
	if (info->cainfo != NULL && access(info->cainfo, R_OK) == 0 &&
	    (!curl_adds_defaults(info) || info->capath == NULL))
		ca->file = i_strdup(info->cainfo);
	else
		ca->dir = i_strdup(info->capath);
}

void sender_ca_init(struct sender_ca *ca, const struct tls_settings *tls)
{
	const curl_version_info_data *info =
		curl_version_info(CURLVERSION_NOW);

	i_zero(ca);
	ca->fd = -1;
	if (tls->ca_dir[0] != '\0')
		ca->dir = i_strdup(tls->ca_dir);
	if (tls->ca_file[0] != '\0' &&
	    (tls->ca[0] == '\0' || access(tls->ca_file, R_OK) == 0))
		ca->file = i_strdup(tls->ca_file);
	else if (tls->ca[0] != '\0')
		sender_ca_set(ca, tls->ca);
	else if (ca->dir == NULL)
		sender_ca_set_system(ca, info);

	if (curl_adds_defaults(info) && (ca->file != NULL || ca->dir != NULL))
		sender_ca_exclude_defaults(ca);
}

void sender_ca_init_file(struct sender_ca *ca, const char *path)
{
	i_zero(ca);
	ca->fd = -1;
	ca->file = i_strdup(path);
	if (curl_adds_defaults(curl_version_info(CURLVERSION_NOW)))
		sender_ca_exclude_defaults(ca);
}

void sender_ca_deinit(struct sender_ca *ca)
{
	if (ca->fd != -1)
		i_close_fd(&ca->fd);
	i_free(ca->file);
	i_free(ca->dir);
}
