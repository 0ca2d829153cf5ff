/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HTTP_NOTIFY_TLS_SETTINGS_H
#define HTTP_NOTIFY_TLS_SETTINGS_H

/* How to talk TLS to endpoints: Dovecot's settings of the same names. What is
   not set is "". */
struct tls_settings {
	bool require_valid_cert;
	/* paths; neither of them: the system's CAs */
	const char *ca_file, *ca_dir;
	/* what is in ca_file, or would be if it were one, if that has been read
	   already */
	const char *ca;
	/* the service's own certificate and its key, PEM */
	const char *cert, *key, *key_password;
	const char *min_protocol, *cipher_list, *cipher_suites, *curve_list;
};

#endif
