/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_SENDER_CA_H
#define HTTP_NOTIFY_SENDER_CA_H

struct tls_settings;

/* The CAs that endpoints' certificates are verified with: for libcurl's options
   CAINFO and CAPATH. Those that are set replace the system's. */
struct sender_ca {
	/* NULL = none */
	char *file, *dir;
	/* file, if it is only in memory; otherwise -1 */
	int fd;
};

void sender_ca_init(struct sender_ca *ca, const struct tls_settings *tls);
void sender_ca_deinit(struct sender_ca *ca);

#endif
