/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_CA_H
#define HTTP_NOTIFY_SENDER_CA_H

struct tls_settings;

/* The CAs by which endpoints' certificates are verified, for libcurl's options
   CAINFO and CAPATH. If the settings have any, they replace the system's. */
struct sender_ca {
	/* NULL = not set; both NULL = don't set the options */
	char *file, *dir;
	/* of file, if that is only in memory; otherwise -1 */
	int fd;
};

void sender_ca_init(struct sender_ca *ca, const struct tls_settings *tls);
/* Those of a file alone. */
void sender_ca_init_file(struct sender_ca *ca, const char *path);
void sender_ca_deinit(struct sender_ca *ca);

#endif
